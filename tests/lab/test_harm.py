"""Faults on a live three-node etcd under load: seen, healed, nothing left, still linearizable."""

from __future__ import annotations

from pathlib import Path

import pytest

from seatrial.targets.etcd import EtcdSettings, EtcdTarget
from tests.lab.host import ordinary_host
from tests.lab.sea import assert_proved, planned, sail

pytestmark = [pytest.mark.lab, pytest.mark.full]

#: Debian's etcd 3.4, from which to go to the wheel's 3.5.
OLD = Path("/usr/bin/etcd")


def test_processes_end_and_come_back(tmp_path: Path) -> None:
    """`failure`, `container-kill` and `rolling-restart`, one after another."""
    faults = [
        planned("failure", 0, 1.0, ["n1"]),
        planned("container-kill", 2.5, 0.5, ["n2"]),
        planned("stress-cpu", 0, 2.0, ["n2"], options={"workers": 2}),
        planned("stress-memory", 0, 2.0, ["n3"], options={"size_bytes": 64 << 20}),
        planned("rolling-restart", 5, 1.0, ["n1", "n2", "n3"], victims="all"),
    ]

    verdict, cause, evidence, record = sail(tmp_path, faults)

    assert_proved(evidence, faults)
    assert (verdict, record.leaks, record.unplanned) == ("valid", (), ()), cause


def test_disks_are_late_fail_fill_and_lose_what_was_not_synced(tmp_path: Path) -> None:
    """`io-latency`, `lost-writes`, `io-error` and `disk-full` on the lab's own file system."""
    faults = [
        planned("io-latency", 0, 1.5, ["n1"], options={"latency_ms": 30}),
        planned("lost-writes", 2, 0.5, ["n2"]),
        planned("io-error", 5, 1.0, ["n3"], options={"methods": ["fsync"]}),
        planned("disk-full", 9, 1.0, ["n1"]),
    ]

    verdict, cause, evidence, record = sail(tmp_path, faults)

    assert_proved(evidence, faults)
    assert (verdict, record.leaks, record.unplanned) == ("valid", (), ()), cause


@pytest.mark.parametrize("scenario", ["volumes", "left_behind"])
def test_scenario(scenario: str) -> None:
    """Each scenario says in its docstring what must hold; an ordinary user does without root."""
    with ordinary_host() as host:
        host.run(scenario, "namespace")


def test_members_versions_and_data_change_under_load(tmp_path: Path) -> None:
    """etcd 3.4 changes a member, is compacted and defragmented, goes to 3.5 in part, back, on."""
    if not OLD.exists():
        pytest.skip(f"there is no second etcd at {OLD} (Debian's package etcd-server)")
    binary = str(EtcdTarget(EtcdSettings()).binary)
    faults = [
        planned("compaction", 0, 0.5, ["n2"], options={"keep_revisions": 10}),
        planned("defragmentation", 1, 0.5, ["n1", "n2", "n3"], victims="all"),
        planned("clock", 0, 1.5, ["n3"], options={"offset_ms": -3.6e6}),
        planned("member-change", 2, 1.0, victims="leader"),
        planned("downgrade", 7, 1.0, ["n1"], options={"binary": binary}),
        planned("upgrade", 12, 1.0, ["n1", "n2", "n3"], "all", {"binary": binary}),
    ]

    verdict, cause, evidence, record = sail(tmp_path, faults, binary=str(OLD))

    assert_proved(evidence, faults)
    assert (verdict, record.leaks, record.unplanned) == ("valid", (), ()), cause

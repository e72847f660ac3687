"""Faults on a live three-node etcd under load: seen, healed, nothing left, still linearizable."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab.sea import assert_proved, planned, sail

pytestmark = pytest.mark.lab


def test_processes_end_and_come_back(tmp_path: Path) -> None:
    """`failure`, `container-kill` and `rolling-restart`, one after another."""
    faults = [
        planned("failure", 0, 1.0, ["n1"]),
        planned("container-kill", 2.5, 0.5, ["n2"]),
        planned("rolling-restart", 5, 1.0, ["n1", "n2", "n3"], victims="all"),
    ]

    verdict, cause, evidence, record = sail(tmp_path, faults)

    assert_proved(evidence, faults)
    assert (verdict, record.leaks, record.unplanned) == ("valid", (), ()), cause


def test_disks_are_late_fail_and_lose_what_was_not_synced(tmp_path: Path) -> None:
    """`io-latency`, `lost-writes` and `io-error` on the lab's own file system."""
    faults = [
        planned("io-latency", 0, 1.5, ["n1"], options={"latency_ms": 30}),
        planned("lost-writes", 2.5, 0.5, ["n2"]),
        planned("io-error", 5.5, 1.5, ["n3"], options={"methods": ["fsync"]}),
    ]

    verdict, cause, evidence, record = sail(tmp_path, faults)

    assert_proved(evidence, faults)
    assert (verdict, record.leaks, record.unplanned) == ("valid", (), ()), cause


def test_a_disk_has_no_space_left(tmp_path: Path) -> None:
    faults = [planned("disk-full", 0, 1.5, ["n1"])]

    verdict, cause, evidence, record = sail(tmp_path, faults)

    assert_proved(evidence, faults)
    assert (verdict, record.leaks, record.unplanned) == ("valid", (), ()), cause

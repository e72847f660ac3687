"""Options of faults are typed, and what cannot be done is said before anything starts."""

from __future__ import annotations

import pytest

from seatrial.cases import case
from seatrial.errors import UsageError
from seatrial.fault import PlannedFault, VolumeNeed
from seatrial.faults import kind, volume_need
from seatrial.runner.planner import Overrides, make_plan
from seatrial.verdict import Json

NODES = ("n1", "n2", "n3")


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("failure", {"grace": 1}, "no setting 'grace' (did you mean 'grace_s'?)"),
        ("container-kill", {"often": 3}, "takes no option: often"),
        ("rolling-restart", {"pause_s": -1}, "'pause_s' is -1"),
        ("io-latency", {"latency_ms": 0}, "'latency_ms' is 0"),
        ("io-latency", {"latency_ms": 5, "jitter_ms": 5}, "must be less than latency_ms"),
        ("io-latency", {"methods": []}, "'methods' is []"),
        ("io-error", {"errno": "ESLOW"}, "'errno' is 'ESLOW'"),
        ("io-error", {"percent": 101}, "'percent' is 101"),
        ("disk-full", {"free_bytes": -1}, "'free_bytes' is -1"),
        ("lost-writes", {"metadata": "loose"}, "'metadata' is 'loose'"),
    ],
)
def test_a_wrong_option_is_named(name: str, options: dict[str, Json], expected: str) -> None:
    assert expected in kind(name).unavailable("namespace", NODES, options)


@pytest.mark.parametrize("name", ["io-latency", "io-error", "disk-full", "lost-writes"])
def test_a_fault_of_the_disk_is_refused_where_nodes_share_one(name: str) -> None:
    with pytest.raises(UsageError, match="isolation none has folders on one disk"):
        make_plan(case("etcd-register"), 1, Overrides(faults=(name,), isolation="none"))


def planned(name: str, **options: str) -> PlannedFault:
    return PlannedFault(id=name, kind=name, victims="one", start_s=0, duration_s=1, options=options)


def test_a_plan_gets_the_volumes_that_its_faults_need() -> None:
    assert volume_need([planned("kill")]) == VolumeNeed()
    assert volume_need([planned("disk-full")]) == VolumeNeed("sized")
    assert volume_need([planned("disk-full"), planned("io-error")]) == VolumeNeed("fuse")
    both = [planned("io-latency"), planned("lost-writes", metadata="strict")]
    assert volume_need(both) == VolumeNeed("fuse", "strict")
    two = [planned("lost-writes"), planned("lost-writes", metadata="strict")]
    with pytest.raises(UsageError, match="disks of different metadata: journalled, strict"):
        volume_need(two)

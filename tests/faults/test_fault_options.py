"""Options of faults are typed, and what cannot be done is said before anything starts."""

from __future__ import annotations

import shutil

import pytest

from seatrial.cases import case
from seatrial.errors import Unavailable, UsageError
from seatrial.fault import CLUSTER, PlannedFault, VolumeNeed
from seatrial.faults import kind, volume_need
from seatrial.runner.planner import Overrides, make_plan
from seatrial.schedule import FaultChoice, Schedule
from seatrial.target import NeedsTarget
from seatrial.targets.etcd import EtcdSettings, EtcdTarget
from seatrial.verdict import Json
from tests.lab.tiny import TinyTarget

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


@pytest.mark.parametrize(
    ("faults", "options", "expected"),
    [
        ("upgrade", {}, "both binaries are etcd 3.5.1"),
        ("upgrade", {"binary": "/nowhere/etcd"}, "'/nowhere/etcd' does not exist"),
        ("upgrade", {"binary": "etcd"}, "etcd 3.5.1 → 3.4.23: the cluster's version only goes up"),
    ],
)
def test_a_change_of_versions_that_etcd_refuses_is_refused_by_the_plan(
    faults: str, options: dict[str, Json], expected: str
) -> None:
    if options.get("binary") == "etcd" and shutil.which("etcd") is None:
        pytest.skip("there is no second etcd on the PATH")
    choice = FaultChoice(kind=faults, victims=("one",), options=(options,))
    base = case("etcd-register")
    changed = base.model_copy(update={"schedule": Schedule(choices=(choice,))})
    with pytest.raises(UsageError) as caught:
        make_plan(changed, 1, Overrides())
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    ("name", "victims", "expected"),
    [
        ("member-change", "majority", "nobody would be left to agree"),
        ("downgrade", "all", "cannot be taken back"),
    ],
)
def test_victims_that_leave_nobody_are_refused(name: str, victims: str, expected: str) -> None:
    found = kind(name)
    assert isinstance(found, NeedsTarget)
    target = EtcdTarget(EtcdSettings())

    said = found.lacking(target, NODES, (victims,), {"binary": "etcd"})

    assert expected in said


def test_a_target_without_members_versions_or_a_history_cannot_have_them() -> None:
    for name in ("member-change", "upgrade", "compaction", "defragmentation"):
        found = kind(name)
        assert isinstance(found, NeedsTarget)
        assert found.lacking(TinyTarget(), NODES, ("one",), {"binary": "x"}).startswith("tiny ")


@pytest.mark.parametrize("name", ["failure", "container-kill", "io-latency", "io-error"])
def test_what_chaos_mesh_has_too_is_possible_on_a_cluster(name: str) -> None:
    assert kind(name).unavailable(CLUSTER, NODES, {}) == ""


@pytest.mark.parametrize(
    "name",
    ["rolling-restart", "member-change", "upgrade", "downgrade", "compaction", "defragmentation"],
)
def test_what_chaos_mesh_has_not_the_step_does_by_itself(name: str) -> None:
    grade = name.endswith("grade")
    fault = planned(name, image="etcd:v3.6.0") if grade else planned(name)
    assert kind(name).unavailable(CLUSTER, NODES, fault.options) == ""
    with pytest.raises(Unavailable, match=f"{name}' has no equal in Chaos Mesh"):
        kind(name).manifest(fault, ["n1"], NODES, "trials")


@pytest.mark.parametrize("name", ["upgrade", "downgrade"])
def test_pods_change_their_image_and_processes_their_binary(name: str) -> None:
    found = kind(name)
    assert f"--fault-option {name}.image=IMAGE" in found.unavailable(CLUSTER, NODES, {})
    both = {"image": "etcd:v3.6.0", "binary": "etcd"}
    assert "takes an image, no binary" in found.unavailable(CLUSTER, NODES, both)
    assert "takes a binary, no image" in found.unavailable("namespace", NODES, {"image": "a"})


@pytest.mark.parametrize(
    ("image", "wrong"),
    [
        ("etcd:v3.5.22", ""),
        ("etcd:v3.6.1", ""),
        ("etcd@sha256:0", ""),
        ("etcd:v3.7.0", "one minor version at a time"),
        ("etcd:v3.4.30", "only goes up"),
        ("etcd:v3.5.21", "both binaries are etcd 3.5.21"),
    ],
)
def test_images_go_up_one_version_at_a_time_as_far_as_their_tags_say(
    image: str, wrong: str
) -> None:
    found = kind("upgrade")
    assert isinstance(found, NeedsTarget)
    said = found.lacking(EtcdTarget(EtcdSettings()), NODES, ("one",), {"image": image})
    assert wrong in said and bool(wrong) == bool(said)


@pytest.mark.parametrize("name", ["disk-full", "lost-writes"])
def test_what_nothing_on_a_cluster_can_is_refused_there(name: str) -> None:
    assert "has no equal in Chaos Mesh" in kind(name).unavailable(CLUSTER, NODES, {})
    with pytest.raises(Unavailable, match=f"{name}' has no equal in Chaos Mesh"):
        kind(name).manifest(planned(name), ["n1"], NODES, "trials")

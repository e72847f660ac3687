"""On a cluster no plan has one fault end another one; in the lab they go on side by side."""

from __future__ import annotations

import pytest

from seatrial.cases import case
from seatrial.errors import UsageError
from seatrial.fault import CLUSTER, PlannedFault
from seatrial.faults import FAULTS
from seatrial.faults.together import (
    IN_CONTAINERS,
    IN_NETWORKS,
    NEW_CONTAINERS,
    NEW_PODS,
    ON_LINKS,
    POD_KILL,
    clash,
    nowhere,
    on_cluster,
    what,
)
from seatrial.plan import Plan
from seatrial.runner.allocator import Allocator, Draft
from seatrial.runner.company import Acting, collides
from seatrial.runner.planner import Overrides, make_plan

SEEDS = range(1, 26)
MIXES = (
    ("kill", "stress-cpu"),
    ("kill", "io-latency"),
    ("partition", "rolling-restart"),
    ("failure", "io-error", "delay"),
)


def ended(plan: Plan) -> list[tuple[PlannedFault, PlannedFault]]:
    """Pairs alive together of which the first ends the second, on a victim that they may share."""
    out = []
    for one in plan.faults:
        for other in plan.faults:
            new_pod = one.kind in NEW_PODS and other.kind in (*ON_LINKS, *IN_CONTAINERS)
            new_container = one.kind in NEW_CONTAINERS and other.kind in IN_CONTAINERS
            together = (
                one.start_s < other.start_s + other.duration_s
                and other.start_s < one.start_s + one.duration_s
            )
            apart = one.nodes and other.nodes and not set(one.nodes) & set(other.nodes)
            met = other.kind in ON_LINKS or not apart
            if together and met and (new_pod or new_container):
                out.append((one, other))
    return out


@pytest.mark.parametrize("faults", MIXES, ids="+".join)
def test_a_plan_for_a_cluster_has_no_fault_end_another(faults: tuple[str, ...]) -> None:
    """Nor possibly, by a role; the same seeds in the lab do let them meet."""
    there, here = (
        [
            pair
            for seed in SEEDS
            for pair in ended(
                make_plan(case("etcd-register"), seed, Overrides(engine=engine, faults=faults))
            )
        ]
        for engine in ("argo", "lab")
    )
    assert there == []
    assert here != []


def test_all_kinds_of_the_tables_are_on_the_shelf() -> None:
    names = {*NEW_CONTAINERS, *IN_CONTAINERS, *IN_NETWORKS, *ON_LINKS} - {POD_KILL}
    assert names <= set(FAULTS)


@pytest.mark.parametrize(
    ("one", "other", "where"),
    [
        ("rolling-restart", "partition", "anywhere"),
        ("loss", "upgrade", "anywhere"),
        ("member-change", "dns", "victim"),
        ("stress-cpu", "kill", "victim"),
        ("container-kill", "io-error", "victim"),
        ("kill", "partition", ""),
        ("pod", "delay", ""),
        (POD_KILL, "delay", "anywhere"),
        ("kill", "kill", ""),
        ("stress-cpu", "delay", ""),
    ],
)
def test_what_ends_what(one: str, other: str, where: str) -> None:
    """Whichever of them is asked first; in the lab nothing does."""
    assert on_cluster(one, other) == on_cluster(other, one) == where
    assert clash(CLUSTER) is on_cluster and clash("namespace") is nowhere
    assert nowhere(one, other) == ""


def test_of_the_kind_pod_only_the_action_that_deletes_pods_ends_faults_on_links() -> None:
    assert what("pod", {"action": "pod-kill"}) == POD_KILL
    assert what("pod", {"action": "pod-failure"}) == what("pod", {}) == "pod"


def test_a_touch_that_is_shared_still_clashes() -> None:
    """To share says that two may meet, not that one may end the other unseen."""
    touches = {"kill": "process", "stress-cpu": "cpu"}
    shared = frozenset(touches.values())
    allocator = Allocator(("n1", "n2"), touches, shared, clash=on_cluster)

    def draft(kind: str) -> Draft:
        return Draft(kind, "one", {}, 0.0, ("n1", "n2"))

    first = allocator.put(draft("stress-cpu"), 0.0, 10.0)
    second = allocator.put(draft("kill"), 5.0, 10.0)
    assert first is not None and second is not None
    assert (first.nodes, second.nodes) == (("n1",), ("n2",))
    assert allocator.put(draft("stress-cpu"), 6.0, 1.0) is not None
    assert allocator.put(Draft("kill", "leader", {}, 0.0, ()), 6.0, 1.0) is None


def test_a_fault_that_heals_late_is_waited_for_where_the_next_one_would_end_it() -> None:
    """The plan keeps them apart; the moment may not."""
    late = {"fault-1": Acting("partition", "network", ("n1",))}
    roll = Acting("rolling-restart", "process", ("n2",))
    assert collides(late, roll, on_cluster) and not collides(late, roll)
    late = {"fault-1": Acting("stress-cpu", "cpu", ("n1",))}
    assert not collides(late, roll, on_cluster)
    assert collides(late, Acting("kill", "process", ("n1",)), on_cluster)


def test_a_pattern_that_would_end_its_own_fault_is_refused() -> None:
    """With the words that say so, instead of a trial that proves nothing."""
    from seatrial.runner.scheduling import Stretch, expand
    from seatrial.schedule import FaultChoice, Once, Overlap, Schedule

    parts = [
        Once(fault=FaultChoice(kind=kind, victims=("one",), duration_s=(20, 20)))
        for kind in ("partition", "rolling-restart")
    ]
    schedule = Schedule(pattern=Overlap(parts=tuple(parts)))
    touches = {"partition": "network", "rolling-restart": "process"}
    nodes = ("n1", "n2", "n3")
    assert len(expand(schedule, Stretch(0, 30), nodes, 1, touches)) == 2
    with pytest.raises(UsageError, match="are taken by other faults"):
        expand(schedule, Stretch(0, 30), nodes, 1, touches, clash=on_cluster)

"""Schedules turned into faults: seeded, bounded, without two faults fighting over one victim."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seatrial.errors import UsageError
from seatrial.fault import PlannedFault
from seatrial.runner.allocator import size_of
from seatrial.runner.quorum import analyse, blast, majority_of
from seatrial.runner.scheduling import Stretch, expand
from seatrial.schedule import FaultChoice, Schedule

TOUCHES = {"kill": "process", "pause": "process", "partition": "network"}
NODES = ("n1", "n2", "n3")


def rough(
    victims: tuple[str, ...] = ("one", "leader", "minority"), overlap: float = 0.5
) -> Schedule:
    """A schedule with all three kinds on some victims."""
    return Schedule(
        choices=tuple(FaultChoice(kind=kind, victims=victims) for kind in TOUCHES), overlap=overlap
    )


seeds = st.integers(0, 2**31)


@given(seeds)
def test_same_seed_same_faults(seed: int) -> None:
    stretch = Stretch(10, 100)

    first = expand(rough(), stretch, NODES, seed, TOUCHES)

    assert first == expand(rough(), stretch, NODES, seed, TOUCHES)


def test_another_seed_gives_other_faults() -> None:
    plans = {str(expand(rough(), Stretch(10, 60), NODES, seed, TOUCHES)) for seed in range(20)}

    assert len(plans) == 20


@given(seeds, st.floats(20, 300), st.sampled_from([1, 3, 5]))
def test_every_fault_ends_inside_the_stretch(seed: int, length: float, size: int) -> None:
    nodes = tuple(f"n{i}" for i in range(size))
    stretch = Stretch(5, 5 + length)

    for fault in expand(rough(("one", "leader")), stretch, nodes, seed, TOUCHES):
        assert fault.start_s >= stretch.start_s
        assert fault.start_s + fault.duration_s <= stretch.end_s
        assert fault.duration_s > 0


@given(seeds)
def test_each_kind_comes_at_least_once_where_the_time_allows(seed: int) -> None:
    kinds = {fault.kind for fault in expand(rough(), Stretch(0, 60), NODES, seed, TOUCHES)}

    assert kinds == set(TOUCHES)


def overlapping(faults: tuple[PlannedFault, ...]) -> list[tuple[PlannedFault, PlannedFault]]:
    """All pairs that are alive at the same time."""
    return [
        (a, b)
        for i, a in enumerate(faults)
        for b in faults[i + 1 :]
        if a.start_s < b.start_s + b.duration_s and b.start_s < a.start_s + a.duration_s
    ]


@given(seeds)
def test_overlapping_faults_of_one_touch_share_no_victim(seed: int) -> None:
    faults = expand(rough(overlap=1.0), Stretch(0, 120), NODES, seed, TOUCHES)

    for a, b in overlapping(faults):
        if TOUCHES[a.kind] == TOUCHES[b.kind]:
            assert a.nodes and b.nodes and not set(a.nodes) & set(b.nodes)


def test_faults_do_overlap_when_asked_to() -> None:
    assert any(
        overlapping(expand(rough(overlap=1.0), Stretch(0, 60), NODES, seed, TOUCHES))
        for seed in range(5)
    )


def test_no_room_for_a_single_fault_is_an_error_that_says_so() -> None:
    with pytest.raises(UsageError, match=r"(?s)no fault fits: 2\.0 s are left.*hint: a longer"):
        expand(rough(), Stretch(1, 3), NODES, 1, TOUCHES)


def test_a_minority_of_one_node_is_an_error() -> None:
    with pytest.raises(UsageError, match="have no minority"):
        expand(rough(("minority",)), Stretch(0, 60), ("n1",), 1, TOUCHES)


@pytest.mark.parametrize(
    ("victims", "nodes", "size"),
    [("one", 3, 1), ("minority", 3, 1), ("minority", 5, 2), ("majority", 5, 3), ("all", 3, 3)],
)
def test_sizes(victims: str, nodes: int, size: int) -> None:
    assert size_of(victims, nodes) == size
    assert size_of("leader", nodes) is None


def fault(name: str, start: float, end: float, *nodes: str, **options: str) -> PlannedFault:
    """A fault on named nodes, or on the leader if none is named."""
    return PlannedFault(
        id=name,
        kind="kill",
        victims="one" if nodes else "leader",
        nodes=nodes,
        start_s=start,
        duration_s=end - start,
        options=options,
    )


def test_quorum_of_one_dead_node_says_who_remains() -> None:
    (stretch,) = analyse([fault("f1", 1, 2, "n2")], NODES)

    assert (stretch.majority, stretch.impaired) == ("survives", 1)
    assert stretch.sentence == "n2 impaired: 2 of 3 remain (n1, n3); 2 are a majority"


def test_quorum_of_overlapping_faults_is_cut_at_each_edge() -> None:
    stretches = analyse([fault("f1", 1, 4, "n1"), fault("f2", 2, 3, "n2")], NODES)

    assert [(s.from_s, s.to_s, s.majority) for s in stretches] == [
        (1, 2, "survives"),
        (2, 3, "is lost"),
        (3, 4, "survives"),
    ]


def test_a_live_role_beside_a_named_node_may_lose_the_majority() -> None:
    middle = analyse([fault("f1", 1, 4, "n1"), fault("f2", 2, 3)], NODES)[1]

    assert middle.majority == "may be lost"


def test_a_majorities_ring_impairs_nobody() -> None:
    ring = fault("f1", 1, 2, "n1", shape="majorities-ring").model_copy(update={"kind": "partition"})

    (stretch,) = analyse([ring], ("n1", "n2", "n3", "n4", "n5"))

    assert (stretch.majority, stretch.impaired) == ("survives", 0)


def partition(name: str, shape: str, start: float, end: float, *nodes: str) -> PlannedFault:
    """A partition of named nodes."""
    made = fault(name, start, end, *nodes, shape=shape)
    return made.model_copy(update={"kind": "partition"})


def test_quorum_names_the_majority_that_survives_and_what_clients_get() -> None:
    (stretch,) = analyse([partition("f1", "isolate", 1, 2, "n3")], NODES)

    assert (stretch.survivors, stretch.victims) == (("n1", "n2"), 1)
    assert stretch.clients == "n1 and n2 can serve; n3 answers without a majority"


def test_a_dead_node_beside_a_cut_one_leaves_nobody_to_serve() -> None:
    stretch = analyse([fault("f1", 1, 2, "n1"), partition("f2", "one-way-in", 1, 2, "n2")], NODES)[
        0
    ]

    assert (stretch.majority, stretch.impaired, stretch.survivors) == ("is lost", 2, ())
    assert stretch.clients.startswith("nobody can commit; n1 does not answer")


def test_a_bridge_keeps_a_majority_through_its_middle() -> None:
    (stretch,) = analyse([partition("f1", "bridge", 1, 2, "n2")], NODES)

    assert (stretch.majority, stretch.survivors) == ("survives", NODES)


def test_a_slow_node_is_a_victim_but_takes_part() -> None:
    slow = fault("f1", 1, 2, "n1").model_copy(update={"kind": "delay"})

    (stretch,) = analyse([slow], NODES)

    assert (stretch.majority, stretch.impaired, stretch.victims) == ("survives", 0, 1)
    assert stretch.sentence == "n1 slowed: all 3 take part"


@pytest.mark.parametrize(("percent", "majority"), [(20, "survives"), (60, "is lost")])
def test_a_little_loss_on_all_nodes_is_no_lost_majority(percent: int, majority: str) -> None:
    lossy = fault("f1", 1, 2, *NODES).model_copy(
        update={"kind": "loss", "options": {"percent": percent}}
    )

    assert majority_of([lossy], NODES) == majority


def test_the_blast_radius_is_the_worst_moment() -> None:
    quorum = analyse([fault("f1", 1, 4, "n1"), fault("f2", 3, 6)], NODES)

    worst = blast(quorum, NODES)

    assert worst is not None
    assert (worst.victims_max, worst.alive_max, worst.fault_s) == (2, 2, 5.0)
    assert (worst.may_be_lost_s, worst.is_lost_s) == (1.0, 0.0)
    assert blast((), NODES) is None


@pytest.mark.parametrize("nodes", [3, 5])
@pytest.mark.parametrize("shape", ["isolate", "halves", "bridge", "one-way-in", "one-way-out"])
def test_a_minority_never_costs_the_majority_unless_a_bridge_dies(shape: str, nodes: int) -> None:
    names = tuple(f"n{i}" for i in range(nodes))
    for victims in itertools.combinations(names, (nodes - 1) // 2):
        cut = partition("f1", shape, 1, 2, *victims)
        assert majority_of([cut], names) == "survives"
        dead = fault("f2", 1, 2, *victims)
        both = majority_of([cut, dead], names)
        assert both == ("is lost" if shape == "bridge" else "survives")

"""Patterns of a schedule: each keeps its shape for every seed, and nothing fights over a victim."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from seatrial.errors import UsageError
from seatrial.fault import PlannedFault
from seatrial.runner.quorum import victims_of
from seatrial.runner.scheduling import Stretch, expand
from seatrial.safety import Break
from seatrial.schedule import (
    FaultChoice,
    Flapping,
    Mix,
    Once,
    Overlap,
    Pattern,
    Periodic,
    Ramp,
    Schedule,
    Sequence,
    Swizzle,
)

TOUCHES = {"kill": "process", "pause": "process", "partition": "network", "delay": "network"}
NODES = ("n1", "n2", "n3", "n4", "n5")
seeds = st.integers(0, 2**31)
UNTIL = (Break(steady_state="p99"),)


def planned(
    pattern: Pattern,
    seed: int = 1,
    *,
    length: float = 60.0,
    share: tuple[str, ...] = (),
    victims_max: int | None = None,
) -> tuple[PlannedFault, ...]:
    """The faults of a pattern that has `length` seconds from 10 s on."""
    schedule = Schedule(pattern=pattern, share=share)
    return expand(schedule, Stretch(10, 10 + length), NODES, seed, TOUCHES, victims_max)


def short(kind: str, *victims: str, seconds: float = 2.0) -> FaultChoice:
    """A choice of a fixed length."""
    return FaultChoice(kind=kind, victims=victims or ("one",), duration_s=(seconds, seconds))


def end(fault: PlannedFault) -> float:
    return fault.start_s + fault.duration_s


def rivals(faults: tuple[PlannedFault, ...]) -> list[tuple[PlannedFault, PlannedFault]]:
    """Pairs of one touch that overlap on a victim, or of which one's victim is not known yet."""
    return [
        (a, b)
        for a, b in itertools.combinations(faults, 2)
        if TOUCHES[a.kind] == TOUCHES[b.kind]
        and a.start_s < end(b) - 1e-6
        and b.start_s < end(a) - 1e-6
        and (not a.nodes or not b.nodes or set(a.nodes) & set(b.nodes))
    ]


@given(seeds)
def test_a_sequence_keeps_its_order_and_its_gaps(seed: int) -> None:
    parts = tuple(Once(fault=short(kind)) for kind in ("pause", "kill", "partition"))

    faults = planned(Sequence(parts=parts, gap_s=(1, 2)), seed)

    assert [fault.kind for fault in faults] == ["pause", "kill", "partition"]
    gaps = [b.start_s - end(a) for a, b in itertools.pairwise(faults)]
    assert all(1 - 1e-3 <= gap <= 2 + 1e-3 for gap in gaps)


def test_a_sequence_that_repeats_fills_the_time() -> None:
    parts = (Once(fault=short("kill")), Once(fault=short("pause")))

    faults = planned(Sequence(parts=parts, gap_s=(1, 1), repeat=True))

    assert [fault.kind for fault in faults] == ["kill", "pause"] * 9


@given(seeds)
def test_open_parts_of_a_sequence_share_the_time(seed: int) -> None:
    mix = Mix(choices=(short("kill"),), gap_s=(0.5, 1))
    flapping = Flapping(kind="partition")

    faults = planned(Sequence(parts=(mix, Once(fault=short("pause")), flapping)), seed)

    kinds = [fault.kind for fault in faults]
    assert kinds == sorted(kinds, key=["kill", "pause", "partition"].index)
    assert 3 <= kinds.count("kill") <= 14 and kinds.count("partition") >= 10


@given(seeds, st.floats(0, 3))
def test_an_overlap_starts_each_part_a_lag_after_the_one_before(seed: int, lag: float) -> None:
    parts = tuple(Once(fault=short(kind, "n1", seconds=8)) for kind in ("kill", "partition"))

    first, second = planned(Overlap(parts=parts, lag_s=(lag, lag)), seed)

    assert second.start_s - first.start_s == pytest.approx(lag, abs=2e-3)
    assert second.start_s < end(first)


@given(seeds)
def test_overlapping_parts_of_one_touch_wait_for_a_victim_unless_they_share(seed: int) -> None:
    parts = tuple(Once(fault=short(kind, "n1", seconds=5)) for kind in ("kill", "pause"))

    first, second = planned(Overlap(parts=parts), seed)
    assert second.start_s >= end(first)

    first, second = planned(Overlap(parts=parts), seed, share=("process",))
    assert second.start_s < end(first)
    assert first.shares and second.shares


@given(seeds)
def test_a_periodic_fault_comes_at_its_period(seed: int) -> None:
    faults = planned(Periodic(fault=short("kill"), period_s=7.5, times=5), seed)

    assert [fault.start_s for fault in faults] == [10, 17.5, 25, 32.5, 40]


@given(seeds, st.sampled_from(["minority", "majority", "all"]))
def test_a_swizzle_takes_each_node_once_and_heals_in_another_order(seed: int, size: str) -> None:
    faults = planned(Swizzle(kind="partition", nodes=size, hold_s=(2, 3)), seed)

    victims = [fault.nodes[0] for fault in faults]
    assert len(victims) == len(set(victims)) == {"minority": 2, "majority": 3, "all": 5}[size]
    assert min(map(end, faults)) - max(fault.start_s for fault in faults) >= 2 - 1e-3
    assert len({fault.group for fault in faults}) == 1


def test_swizzles_start_and_heal_in_orders_of_their_own() -> None:
    starts, heals = set(), set()
    for seed in range(12):
        faults = planned(Swizzle(kind="kill"), seed)
        starts.add(tuple(fault.nodes for fault in faults))
        heals.add(tuple(fault.nodes for fault in sorted(faults, key=end)))
    assert len(starts) > 8 and len(heals) > 8


@given(seeds)
def test_flapping_goes_on_and_off_on_the_same_victims(seed: int) -> None:
    pattern = Flapping(
        kind="partition", victims="minority", on_s=(0.5, 1), off_s=(0.2, 0.3), times=9
    )

    faults = planned(pattern, seed)

    assert len(faults) == 9
    assert len({fault.nodes for fault in faults}) == 1
    assert all(0.5 - 1e-3 <= fault.duration_s <= 1 + 1e-3 for fault in faults)
    offs = [b.start_s - end(a) for a, b in itertools.pairwise(faults)]
    assert all(0.2 - 1e-3 <= off <= 0.3 + 2e-3 for off in offs)


def test_a_ramp_gives_its_option_each_level_on_the_same_victims() -> None:
    ramp = Ramp(
        kind="delay", option="latency_ms", levels=(10, 50, 200.5), hold_s=4, rest_s=1, until=UNTIL
    )

    faults = planned(ramp)

    assert [fault.options for fault in faults] == [
        {"latency_ms": 10},
        {"latency_ms": 50},
        {"latency_ms": 200.5},
    ]
    assert [fault.level for fault in faults] == [10, 50, 200.5]
    assert [fault.start_s for fault in faults] == [10, 15, 20]
    assert len({fault.nodes for fault in faults}) == 1


def test_a_ramp_of_a_rate_plans_more_and_more_faults() -> None:
    ramp = Ramp(
        kind="kill", option="per_minute", levels=(6, 12, 30), hold_s=10, each_s=1, until=UNTIL
    )

    faults = planned(ramp)

    levels = [fault.level for fault in faults]
    assert [levels.count(level) for level in (6, 12, 30)] == [1, 2, 5]
    assert all(fault.options == {} for fault in faults)


PATTERNS: tuple[Pattern, ...] = (
    Overlap(
        parts=(
            Mix(choices=(short("kill", "one", "leader", "minority"), short("pause"))),
            Periodic(fault=short("partition", "one", "follower"), period_s=5),
            Flapping(kind="delay", victims="minority"),
        )
    ),
    Sequence(
        parts=(
            Swizzle(kind="partition", nodes="minority"),
            Mix(choices=(short("kill"), short("delay", "one", "leader"))),
        )
    ),
    Overlap(parts=(Flapping(kind="kill", times=3), Mix(choices=(short("pause", "minority"),)))),
)


@settings(max_examples=50, deadline=None)
@given(seeds, st.sampled_from(PATTERNS), st.floats(30, 120))
def test_no_two_faults_of_one_touch_fight_over_a_victim(
    seed: int, pattern: Pattern, length: float
) -> None:
    faults = planned(pattern, seed, length=length)

    assert rivals(faults) == []
    assert all(fault.start_s >= 10 and end(fault) <= 10 + length for fault in faults)
    assert faults == planned(pattern, seed, length=length)


@settings(max_examples=20, deadline=None)
@given(seeds, st.integers(2, 3))
def test_no_moment_has_more_victims_than_the_case_allows(seed: int, bound: int) -> None:
    faults = planned(PATTERNS[0], seed, length=25.0, victims_max=bound)

    for moment in {fault.start_s for fault in faults}:
        alive = [f for f in faults if f.start_s <= moment < end(f)]
        assert victims_of(alive, NODES) <= bound


@pytest.mark.parametrize(
    ("pattern", "says"),
    [
        (Swizzle(kind="kill", nodes="leader"), "it takes a size"),
        (Swizzle(kind="kill", step_s=(9, 9)), r"swizzle of 'kill' needs .* s are left"),
        (Once(fault=short("kill", seconds=90)), "no fault fits"),
        (
            Overlap(parts=(Once(fault=short("kill", seconds=90)), Once(fault=short("pause")))),
            "'kill' lasts at least 90 s, longer than the 59.5 s",
        ),
        (
            Ramp(kind="kill", option="per_minute", levels=(1,) * 10, hold_s=9, until=UNTIL),
            "ramp of 'kill' needs",
        ),
        (
            Overlap(parts=(Once(fault=short("kill", "all", seconds=40)),) * 2),
            "its victims are taken by other faults until the end",
        ),
        (Once(fault=short("kill", "all")), "more victims than the 4"),
    ],
)
def test_a_pattern_that_cannot_be_is_refused_with_a_hint(pattern: Pattern, says: str) -> None:
    with pytest.raises(UsageError, match=rf"(?s){says}.*hint:"):
        planned(pattern, victims_max=4 if "4" in says and "victims" in says else None)


@pytest.mark.parametrize(
    "pattern",
    [
        {"pattern": "sequence", "parts": []},
        {"pattern": "swizle", "kind": "kill"},
        {"pattern": "swizzle", "kind": "kill", "hold_s": [3, 1]},
        {"pattern": "flapping", "kind": "kill", "on_s": [0, 0]},
        {"pattern": "periodic", "fault": {"kind": "kill"}, "period_s": 5},
        {"pattern": "ramp", "kind": "kill", "option": "per_minute", "levels": [90], "until": []},
        {
            "pattern": "ramp",
            "kind": "delay",
            "option": "latency_ms",
            "options": {"latency_ms": 1},
            "levels": [1],
            "until": [{"steady_state": "p99"}],
        },
    ],
)
def test_a_pattern_that_says_nothing_is_refused_as_data(pattern: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Schedule.model_validate({"pattern": pattern})


def test_a_schedule_has_choices_or_a_pattern() -> None:
    with pytest.raises(ValidationError, match="not both"):
        Schedule(choices=(short("kill"),), pattern=Swizzle(kind="kill"))

"""From a schedule and a seed to faults with moments, victims and durations.

Pure: the same arguments give the same faults. Two faults of the same touch (two on processes, two
on the network) never overlap on one victim; where one of them goes to a role that only the moment
knows (`leader`, `follower`) they do not overlap at all, because nobody can say beforehand that
they would not meet.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from seatrial.errors import UsageError
from seatrial.fault import PlannedFault
from seatrial.schedule import FaultChoice, Schedule

T = TypeVar("T")

#: No plan holds more faults than this; a longer trial is planned up to here.
FAULTS_MAX = 1000
#: The shortest stretch without faults at the end of the fault phase, so that healing is seen.
TAIL_S = 0.5


@dataclass(frozen=True, slots=True)
class Stretch:
    """When faults may act, in seconds from the start of the load."""

    start_s: float
    end_s: float


def size_of(victims: str, nodes: int) -> int | None:
    """How many nodes a size means; None for a role."""
    minority = (nodes - 1) // 2
    return {"one": 1, "minority": minority, "majority": nodes // 2 + 1, "all": nodes}.get(victims)


def expand(
    schedule: Schedule,
    stretch: Stretch,
    nodes: Sequence[str],
    seed: int,
    touches: Mapping[str, str],
) -> tuple[PlannedFault, ...]:
    """The faults of one trial, in order of their start.

    `touches` says for each kind what it touches (`process`, `network`). Raises `UsageError` where
    not a single fault fits into the stretch, or where a size means no node (a minority of one).
    """
    if not schedule.choices:
        return ()
    _check_sizes(schedule, len(nodes))
    rng = random.Random(f"seatrial schedule {seed}")
    planned: list[PlannedFault] = []
    order = _shuffled(schedule.choices, rng)
    while len(planned) < FAULTS_MAX:
        choice = order.pop() if order else _weighted(schedule.choices, rng)
        fault = _draw(choice, schedule, stretch, nodes, planned, touches, rng)
        if fault is None:
            break
        planned.append(fault)
    if not planned:
        shortest = min(choice.duration_s[0] for choice in schedule.choices)
        room = max(0.0, stretch.end_s - stretch.start_s)
        raise UsageError(
            f"no fault fits: {room:.1f} s are left for faults, the shortest lasts {shortest:g} s"
            "\n\nhint: a longer --time-limit, or --faults none"
        )
    return tuple(sorted(planned, key=lambda fault: fault.start_s))


def _check_sizes(schedule: Schedule, nodes: int) -> None:
    for choice in schedule.choices:
        for victims in choice.victims:
            if size_of(victims, nodes) == 0:
                raise UsageError(
                    f"fault {choice.kind!r} on {victims!r}: {nodes} node(s) have no minority\n\n"
                    "hint: more --nodes, or another victim (one, all)"
                )


def _draw(
    choice: FaultChoice,
    schedule: Schedule,
    stretch: Stretch,
    nodes: Sequence[str],
    planned: Sequence[PlannedFault],
    touches: Mapping[str, str],
    rng: random.Random,
) -> PlannedFault | None:
    """One more fault, or None if it no longer fits. Draws the same number of times always."""
    victims = choice.victims[int(rng.random() * len(choice.victims))]
    options = choice.options[int(rng.random() * len(choice.options))]
    duration_s = _between(rng, choice.duration_s)
    pick, gap_s = rng.random(), _between(rng, schedule.gap_s)
    wants, inside = rng.random() < schedule.overlap, rng.random()
    shuffled = _shuffled(nodes, rng)

    after_s = max((f.start_s + f.duration_s for f in planned), default=None)
    start_s = stretch.start_s + gap_s / 2 if after_s is None else after_s + gap_s
    busy: set[str] = set()
    if planned and wants:
        last = planned[-1]
        early_s = last.start_s + last.duration_s * (0.2 + 0.6 * inside)
        alive = [f for f in planned if f.start_s <= early_s < f.start_s + f.duration_s]
        rivals = [f for f in alive if touches[f.kind] == touches[choice.kind]]
        busy = {name for fault in rivals for name in fault.nodes}
        size = size_of(victims, len(nodes))
        meets = any(not f.nodes for f in rivals) or (bool(rivals) and size is None)
        if len(alive) < schedule.max_alive and not meets and len(nodes) - len(busy) >= (size or 1):
            start_s = early_s
        else:
            busy = set()
    room = stretch.end_s - TAIL_S - start_s
    if room < choice.duration_s[0]:
        return None
    size = size_of(victims, len(nodes))
    picked = [name for name in shuffled if name not in busy][:size] if size else []
    return PlannedFault(
        id=f"fault-{len(planned) + 1}",
        kind=choice.kind,
        victims=victims,
        nodes=tuple(sorted(picked)),
        pick=round(pick, 6),
        start_s=round(start_s, 3),
        duration_s=round(min(duration_s, room), 3),
        options=options,
    )


def _between(rng: random.Random, bounds: tuple[float, float]) -> float:
    return bounds[0] + (bounds[1] - bounds[0]) * rng.random()


def _weighted(choices: Sequence[FaultChoice], rng: random.Random) -> FaultChoice:
    point = rng.random() * sum(choice.weight for choice in choices)
    for choice in choices:
        point -= choice.weight
        if point < 0:
            return choice
    return choices[-1]


def _shuffled(items: Sequence[T], rng: random.Random) -> list[T]:
    """Fisher-Yates with `random()` only, whose values Python promises to keep."""
    out = list(items)
    for i in range(len(out) - 1, 0, -1):
        j = int(rng.random() * (i + 1))
        out[i], out[j] = out[j], out[i]
    return out

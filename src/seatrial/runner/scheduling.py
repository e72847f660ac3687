"""From a schedule and a seed to faults with moments, victims and durations.

Pure: the same arguments give the same faults. Every random number is drawn in an order that does
not depend on where a fault found room, so that the same seed gives the same faults as far as it
can.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from seatrial import schedule as grammar
from seatrial.errors import UsageError
from seatrial.fault import PlannedFault
from seatrial.faults.together import Clash, nowhere
from seatrial.runner.allocator import FAULTS_MAX, Allocator, Draft, size_of
from seatrial.schedule import PER_MINUTE, FaultChoice, Pattern, Schedule, leaves, options_of
from seatrial.verdict import Json

T = TypeVar("T")

#: The shortest stretch without faults at the end of the fault phase, so that healing is seen.
TAIL_S = 0.5


@dataclass(frozen=True, slots=True)
class Stretch:
    """When faults may act, in seconds from the start of the load."""

    start_s: float
    end_s: float


def expand(
    schedule: Schedule,
    stretch: Stretch,
    nodes: Sequence[str],
    seed: int,
    touches: Mapping[str, str],
    victims_max: int | None = None,
    clash: Clash = nowhere,
) -> tuple[PlannedFault, ...]:
    """The faults of one trial, in order of their start.

    `touches` says for each kind what it touches (`process`, `network`), `clash` which faults cannot
    be together where they act. Raises `UsageError` where a fault can never fit into the stretch, or
    where a size means no node (a minority of one).
    """
    root = schedule.root
    if root is None:
        return ()
    _check_sizes(leaves(root), len(nodes))
    _check_lengths(leaves(root), stretch)
    rng = random.Random(f"seatrial schedule {seed}")
    allocator = Allocator(tuple(nodes), touches, frozenset(schedule.share), victims_max, clash)
    _Expansion(allocator, rng).expand(root, stretch)
    if not allocator.planned:
        raise _nothing_fits(leaves(root), stretch)
    return tuple(sorted(allocator.planned, key=lambda fault: fault.start_s))


def _nothing_fits(choices: Sequence[FaultChoice], stretch: Stretch) -> UsageError:
    shortest = min(choice.duration_s[0] for choice in choices)
    room = max(0.0, stretch.end_s - stretch.start_s)
    return UsageError(
        f"no fault fits: {room:.1f} s are left for faults, the shortest lasts {shortest:g} s"
        "\n\nhint: a longer --time-limit, or --faults none"
    )


def _check_sizes(choices: Sequence[FaultChoice], nodes: int) -> None:
    for choice in choices:
        for victims in choice.victims:
            if size_of(victims, nodes) == 0:
                raise UsageError(
                    f"fault {choice.kind!r} on {victims!r}: {nodes} node(s) have no minority\n\n"
                    "hint: more --nodes, or another victim (one, all)"
                )


def _check_lengths(choices: Sequence[FaultChoice], stretch: Stretch) -> None:
    """Each fault fits into the stretch by itself; else it would be left out without a word."""
    room = stretch.end_s - stretch.start_s - TAIL_S
    if all(choice.duration_s[0] > room for choice in choices):
        raise _nothing_fits(choices, stretch)
    for choice in choices:
        if choice.duration_s[0] > room:
            raise UsageError(
                f"fault {choice.kind!r} lasts at least {choice.duration_s[0]:g} s, longer than "
                f"the {max(room, 0.0):.1f} s that the trial has for it\n\n"
                "hint: a longer --time-limit, or --faults without it"
            )


@dataclass(slots=True)
class _Expansion:
    """One expansion under way."""

    allocator: Allocator
    rng: random.Random
    _groups: dict[str, int] = field(default_factory=dict)

    def expand(self, pattern: Pattern, stretch: Stretch) -> float:
        """Plan a pattern inside the stretch; when its last fault ends."""
        match pattern:
            case grammar.Once():
                return self._once(pattern, stretch)
            case grammar.Sequence():
                return self._sequence(pattern, stretch)
            case grammar.Overlap():
                return self._overlap(pattern, stretch)
            case grammar.Mix():
                return self._mix(pattern, stretch)
            case grammar.Periodic():
                return self._periodic(pattern, stretch)
            case grammar.Swizzle():
                return self._swizzle(pattern, stretch)
            case grammar.Flapping():
                return self._flapping(pattern, stretch)
            case grammar.Ramp():
                return self._ramp(pattern, stretch)

    # ── one after another, and at once ───────────────────────────────────────────────────────

    def _once(self, pattern: grammar.Once, stretch: Stretch) -> float:
        draft, duration_s = self._draw(pattern.fault)
        room = stretch.end_s - TAIL_S - stretch.start_s
        if room < pattern.fault.duration_s[0]:
            raise _no_room(f"fault {pattern.fault.kind!r}", pattern.fault.duration_s[0], room)
        fault = self.allocator.place(
            draft, stretch.start_s, min(duration_s, room), stretch.end_s - TAIL_S
        )
        if fault is None:
            raise UsageError(
                f"fault {draft.kind!r} on {draft.victims!r} at {stretch.start_s:g} s: its victims "
                "are taken by other faults until the end\n\nhint: other victims, a longer "
                "--time-limit, or `share` in the schedule, which lets two faults meet on one node "
                "(but for those of which one would end the other on a cluster)"
            )
        return fault.start_s + fault.duration_s

    def _sequence(self, pattern: grammar.Sequence, stretch: Stretch) -> float:
        at, end = stretch.start_s, stretch.start_s
        while True:
            for number, part in enumerate(pattern.parts):
                rest = pattern.parts[number + 1 :]
                end = self.expand(part, self._share(part, rest, pattern.gap_s[1], at, stretch))
                at = end + self._between(pattern.gap_s)
            needed = sum(map(self._round, pattern.parts))
            needed += pattern.gap_s[1] * len(pattern.parts)
            again = pattern.repeat and not self.allocator.full
            if not again or at + needed > stretch.end_s - TAIL_S or end <= stretch.start_s:
                return end

    def _share(
        self, part: Pattern, rest: Sequence[Pattern], gap_s: float, at: float, stretch: Stretch
    ) -> Stretch:
        """The stretch of one part: what the later ones do not need, open ones alike."""
        needed = sum(self._round(other) + gap_s for other in rest)
        left = stretch.end_s - at - needed
        if not _is_open(part):
            return Stretch(at, stretch.end_s - needed)
        return Stretch(at, at + left / (1 + sum(map(_is_open, rest))))

    def _overlap(self, pattern: grammar.Overlap, stretch: Stretch) -> float:
        at, ends = stretch.start_s, []
        for part in pattern.parts:
            ends.append(self.expand(part, Stretch(round(at, 3), stretch.end_s)))
            at += self._between(pattern.lag_s)
        return max(ends)

    # ── the random mix ───────────────────────────────────────────────────────────────────────

    def _mix(self, pattern: grammar.Mix, stretch: Stretch) -> float:
        order = shuffled(pattern.choices, self.rng)
        mine: list[PlannedFault] = []
        while len(self.allocator.planned) < FAULTS_MAX:
            choice = order.pop() if order else self._weighted(pattern.choices)
            fault = self._mix_in(choice, pattern, stretch, mine)
            if fault is None:
                break
            mine.append(fault)
        return max((f.start_s + f.duration_s for f in mine), default=stretch.start_s)

    def _mix_in(
        self,
        choice: FaultChoice,
        pattern: grammar.Mix,
        stretch: Stretch,
        mine: Sequence[PlannedFault],
    ) -> PlannedFault | None:
        """One more fault, or None if it no longer fits. Draws the same number of times always."""
        draft = self._draft(choice)
        duration_s = self._between(choice.duration_s)
        draft = replace(draft, pick=self.rng.random())
        gap_s = self._between(pattern.gap_s)
        wants, inside = self.rng.random() < pattern.overlap, self.rng.random()
        draft = replace(draft, order=tuple(shuffled(self.allocator.nodes, self.rng)))

        def length(start_s: float) -> float:
            return min(duration_s, stretch.end_s - TAIL_S - start_s)

        if mine and wants:
            last = mine[-1]
            early_s = last.start_s + last.duration_s * (0.2 + 0.6 * inside)
            alive = [f for f in mine if f.start_s <= early_s < f.start_s + f.duration_s]
            if len(alive) < pattern.max_alive and length(early_s) >= choice.duration_s[0]:
                fault = self.allocator.put(draft, early_s, length(early_s))
                if fault is not None:
                    return fault
        after_s = max((f.start_s + f.duration_s for f in mine), default=None)
        start_s = stretch.start_s + gap_s / 2 if after_s is None else after_s + gap_s
        if length(start_s) < choice.duration_s[0]:
            return None
        latest_s = stretch.end_s - TAIL_S
        fault = self.allocator.place(draft, start_s, length(start_s), latest_s)
        return fault or self.allocator.place(draft, start_s, choice.duration_s[0], latest_s)

    # ── the same again ───────────────────────────────────────────────────────────────────────

    def _periodic(self, pattern: grammar.Periodic, stretch: Stretch) -> float:
        end, latest_s = stretch.start_s, stretch.end_s - TAIL_S
        for number in range(pattern.times or FAULTS_MAX):
            start_s = stretch.start_s + number * pattern.period_s
            draft, duration_s = self._draw(pattern.fault)
            if start_s + duration_s > latest_s or self.allocator.full:
                break
            next_s = min(latest_s, start_s + pattern.period_s)
            fault = self.allocator.place(draft, start_s, duration_s, next_s)
            end = end if fault is None else max(end, fault.start_s + fault.duration_s)
        return end

    def _flapping(self, pattern: grammar.Flapping, stretch: Stretch) -> float:
        draft = Draft(
            kind=pattern.kind,
            victims=pattern.victims,
            options=pattern.options,
            pick=self.rng.random(),
            order=tuple(shuffled(self.allocator.nodes, self.rng)),
            group=self._group("flapping"),
        )
        end, at, latest_s = stretch.start_s, stretch.start_s, stretch.end_s - TAIL_S
        for _ in range(pattern.times or FAULTS_MAX):
            on_s, off_s = self._between(pattern.on_s), self._between(pattern.off_s)
            fault = self.allocator.place(draft, at, on_s, latest_s)
            if fault is None:
                break
            end = fault.start_s + fault.duration_s
            at = end + off_s
        return end

    def _swizzle(self, pattern: grammar.Swizzle, stretch: Stretch) -> float:
        nodes = self.allocator.nodes
        size = size_of(pattern.nodes, len(nodes))
        if size is None:
            raise UsageError(
                f"swizzle of {pattern.kind!r} on {pattern.nodes!r}: it takes a size\n\n"
                "hint: nodes one, minority, majority or all"
            )
        chosen = shuffled(nodes, self.rng)[:size]
        starts, at = {}, stretch.start_s
        for name in chosen:
            starts[name] = at
            at += self._between(pattern.step_s)
        at = max(starts.values()) + self._between(pattern.hold_s)
        group, end = self._group("swizzle"), stretch.start_s
        for name in shuffled(chosen, self.rng):
            duration_s = at - starts[name]
            end = starts[name] + duration_s
            draft = Draft(pattern.kind, name, pattern.options, 0.0, (), group)
            self._exactly(draft, starts[name], duration_s, stretch, "swizzle")
            at += self._between(pattern.step_s)
        return end

    def _ramp(self, pattern: grammar.Ramp, stretch: Stretch) -> float:
        group, at = self._group("ramp"), stretch.start_s
        draft = Draft(
            kind=pattern.kind,
            victims=pattern.victims,
            options={},
            pick=self.rng.random(),
            order=tuple(shuffled(self.allocator.nodes, self.rng)),
            group=group,
        )
        end = at
        for level, options in zip(pattern.levels, options_of(pattern), strict=True):
            one = replace(draft, options=options, level=level)
            if pattern.option == PER_MINUTE:
                period_s, each_s = 60 / level, pattern.each_s
                times = max(1, int((pattern.hold_s - each_s) // period_s) + 1)
                starts = [at + number * period_s for number in range(times)]
            else:
                starts, each_s = [at], pattern.hold_s
            for start_s in starts:
                one = self._reshuffled(one) if pattern.option == PER_MINUTE else one
                self._exactly(one, start_s, each_s, stretch, "ramp")
                end = start_s + each_s
            at = max(at + pattern.hold_s, end) + pattern.rest_s
        return end

    def _exactly(
        self, draft: Draft, start_s: float, duration_s: float, stretch: Stretch, what: str
    ) -> None:
        """Plan a fault that must not move; raises `UsageError` where it cannot be."""
        if start_s + duration_s > stretch.end_s - TAIL_S + 1e-9:
            needed, room = start_s + duration_s - stretch.start_s, stretch.end_s - TAIL_S
            raise _no_room(f"{what} of {draft.kind!r}", needed, room - stretch.start_s)
        if self.allocator.put(draft, start_s, duration_s) is None:
            raise UsageError(
                f"{what} of {draft.kind!r} at {start_s:g} s: its victims are taken by other "
                "faults, or it would exceed the case's max_victims\n\nhint: let it be the only "
                "pattern at that time, or `share` its touch in the schedule"
            )

    def _round(self, pattern: Pattern) -> float:
        """Seconds that a pattern needs at most (open ones: for one round)."""
        match pattern:
            case grammar.Once():
                return pattern.fault.duration_s[1]
            case grammar.Mix():
                return min(choice.duration_s[0] for choice in pattern.choices)
            case grammar.Periodic():
                return pattern.period_s * (pattern.times or 1)
            case grammar.Flapping():
                return (pattern.on_s[1] + pattern.off_s[1]) * (pattern.times or 1)
            case grammar.Swizzle():
                steps = 2 * (size_of(pattern.nodes, len(self.allocator.nodes)) or 0)
                return steps * pattern.step_s[1] + pattern.hold_s[1]
            case grammar.Ramp():
                return (pattern.hold_s + pattern.rest_s) * len(pattern.levels)
            case grammar.Sequence():
                return sum(self._round(part) + pattern.gap_s[1] for part in pattern.parts)
            case grammar.Overlap():
                lags = pattern.lag_s[1] * len(pattern.parts)
                return max(map(self._round, pattern.parts)) + lags

    # ── drawing ──────────────────────────────────────────────────────────────────────────────

    def _draw(self, choice: FaultChoice) -> tuple[Draft, float]:
        draft, duration_s = self._draft(choice), self._between(choice.duration_s)
        return self._reshuffled(draft), duration_s

    def _draft(self, choice: FaultChoice) -> Draft:
        victims = choice.victims[int(self.rng.random() * len(choice.victims))]
        options: Mapping[str, Json] = choice.options[int(self.rng.random() * len(choice.options))]
        return Draft(choice.kind, victims, options, 0.0, ())

    def _reshuffled(self, draft: Draft) -> Draft:
        pick = self.rng.random()
        return replace(draft, pick=pick, order=tuple(shuffled(self.allocator.nodes, self.rng)))

    def _between(self, bounds: tuple[float, float]) -> float:
        return bounds[0] + (bounds[1] - bounds[0]) * self.rng.random()

    def _weighted(self, choices: Sequence[FaultChoice]) -> FaultChoice:
        point = self.rng.random() * sum(choice.weight for choice in choices)
        for choice in choices:
            point -= choice.weight
            if point < 0:
                return choice
        return choices[-1]

    def _group(self, what: str) -> str:
        self._groups[what] = self._groups.get(what, 0) + 1
        return f"{what}-{self._groups[what]}"


def _no_room(what: str, needed_s: float, room_s: float) -> UsageError:
    return UsageError(
        f"{what} needs {needed_s:.1f} s, {max(room_s, 0.0):.1f} s are left for it\n\n"
        "hint: a longer --time-limit, or a shorter pattern"
    )


def _is_open(pattern: Pattern) -> bool:
    """Whether a pattern goes on for as long as there is time."""
    match pattern:
        case grammar.Mix():
            return True
        case grammar.Periodic() | grammar.Flapping():
            return pattern.times is None
        case grammar.Sequence():
            return pattern.repeat or any(map(_is_open, pattern.parts))
        case grammar.Overlap():
            return any(map(_is_open, pattern.parts))
    return False


def shuffled(items: Sequence[T], rng: random.Random) -> list[T]:
    """Fisher-Yates with `random()` only, whose values Python promises to keep."""
    out = list(items)
    for i in range(len(out) - 1, 0, -1):
        j = int(rng.random() * (i + 1))
        out[i], out[j] = out[j], out[i]
    return out

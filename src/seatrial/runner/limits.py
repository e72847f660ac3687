"""What a case asks for against what can be and what it allows: checked before anything starts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from seatrial import faults as fault_shelf
from seatrial import schedule as grammar
from seatrial.case import Case
from seatrial.errors import UnknownName, UsageError
from seatrial.fault import SIZES
from seatrial.faults.partition import PartitionOptions, cuts
from seatrial.plan import PlannedRamp, PlannedSafety
from seatrial.runner.allocator import size_of
from seatrial.safety import Break, Watched
from seatrial.schedule import FaultChoice, Pattern, Schedule, leaves, options_of, ramps
from seatrial.steady.reading import metric_of
from seatrial.steady_state import MOMENTS, OpsProbe, SteadyState
from seatrial.target import Target
from seatrial.verdict import Json

#: Over how many seconds the ops are read for a steady state that aborts.
ABORT_WINDOW_S = 1.0

Change = Callable[[FaultChoice], FaultChoice]


def victims_max(case: Case, nodes: Sequence[str]) -> int | None:
    """How many nodes may be victims at once, by `max_victims` and `never`; None for no bound."""
    bounds = [(size_of(size, len(nodes)) or 1) - 1 for size in case.safety.never]
    if case.safety.max_victims is not None:
        bounds.append(case.safety.max_victims)
    return min(bounds, default=None)


def check_safety(case: Case, nodes: Sequence[str]) -> None:
    """Raise `UsageError` where schedule and safety contradict each other, or the limits do.

    What only the drawing of victims decides is kept by the allocator.
    """
    _check_limits(case)
    for name in case.safety.forbidden:
        fault_shelf.kind(name)
    bound = victims_max(case, nodes)
    for choice in leaves(case.schedule.root):
        if choice.kind in case.safety.forbidden:
            raise UsageError(
                f"fault {choice.kind!r} is in the schedule, and the case's safety forbids it\n\n"
                f"hint: --faults without {choice.kind}, or take it out of `forbidden`"
            )
        for victims in choice.victims:
            size = size_of(victims, len(nodes)) or 1
            if bound is not None and size > bound:
                raise UsageError(
                    f"fault {choice.kind!r} on {victims!r}: {size} of {len(nodes)} nodes, and the "
                    f"case's safety allows {bound} at once\n\nhint: another victim, or other "
                    "`max_victims` and `never`"
                )


def _check_limits(case: Case) -> None:
    limits = case.limits
    if limits.min_ok_in_fault > limits.min_attempts_in_fault > 0:
        raise UsageError(
            f"limits contradict each other: min_ok_in_fault {limits.min_ok_in_fault} is more than "
            f"min_attempts_in_fault {limits.min_attempts_in_fault}"
            "\n\nhint: no more successes than attempts"
        )
    if case.rate is not None and case.rate * case.time_limit_s < limits.min_ok:
        most = int(case.rate * case.time_limit_s)
        raise UsageError(
            f"limits cannot be met: {case.rate:g} ops/s for {case.time_limit_s:g} s are {most} "
            f"ops, and min_ok asks for {limits.min_ok} of each f"
            "\n\nhint: a higher --rate, a longer --time-limit, or a lower min_ok"
        )


def fit_victims(case: Case, nodes: Sequence[str], target: Target, *, narrow: bool) -> Case:
    """The case with victims that this cluster has; raises `UsageError` for any other.

    `narrow`: the command line made the cluster smaller or larger than the case says; then victims
    that it is too small for are left out, as long as others remain.
    """
    known = (*SIZES, *target.roles, *nodes)

    def fitting(choice: FaultChoice) -> FaultChoice:
        for victims in choice.victims:
            if victims not in known:
                raise UsageError(
                    f"fault {choice.kind!r} on {victims!r} matches no node: {target.name} knows "
                    f"{', '.join(known)}\n\nhint: one of those"
                )
        for peers in (options.get("peers") for options in choice.options):
            if isinstance(peers, str) and peers not in known:
                raise UsageError(
                    f"fault {choice.kind!r} towards {peers!r}: {target.name} knows "
                    f"{', '.join(known)}\n\nhint: one of those"
                )
        lacking = [v for v in choice.victims if _nobody(v, nodes, target)]
        kept = tuple(v for v in choice.victims if v not in lacking)
        if lacking and not (kept and narrow):
            raise UsageError(
                f"fault {choice.kind!r} on {lacking[0]!r}: {len(nodes)} node(s) have no "
                f"{lacking[0]}\n\nhint: more --nodes, or another victim (one, all)"
            )
        return choice.model_copy(update={"victims": kept}) if lacking else choice

    return case.model_copy(update={"schedule": changed(case.schedule, fitting)})


def _nobody(victims: str, nodes: Sequence[str], target: Target) -> bool:
    """Whether a size is zero, or a role cannot be played: a single node plays the first one."""
    if len(nodes) == 1 and victims in target.roles[1:]:
        return True
    return size_of(victims, len(nodes)) == 0


def possible(schedule: Schedule, nodes: Sequence[str], isolation: str) -> Schedule:
    """The schedule without the option sets that this cluster is too small for.

    Raises `UsageError` with the reason where none of a draw is left, or one of a pattern that
    needs each.
    """

    def fitting(choice: FaultChoice) -> FaultChoice:
        kind = fault_shelf.kind(choice.kind)
        reasons = [kind.unavailable(isolation, nodes, options) for options in choice.options]
        kept = tuple(o for o, reason in zip(choice.options, reasons, strict=True) if not reason)
        if not kept:
            hint = "" if "hint:" in reasons[0] else "\n\nhint: --faults kill,pause"
            raise UsageError(f"fault {choice.kind!r} cannot be done here: {reasons[0]}{hint}")
        if choice.kind == "partition":
            _check_cuts(choice.victims, kept, nodes)
        return choice.model_copy(update={"options": kept})

    return changed(schedule, fitting)


def _check_cuts(
    victims: Sequence[str], options: Sequence[Mapping[str, Json]], nodes: Sequence[str]
) -> None:
    """Raise `UsageError` for a partition that leaves nobody on the other side."""
    for whom in victims:
        size = size_of(whom, len(nodes))
        chosen = nodes[:size] if size is not None else [whom] if whom in nodes else nodes[:1]
        for one in options:
            cuts(PartitionOptions.model_validate(one).shape, nodes, chosen)


def changed(schedule: Schedule, change: Change) -> Schedule:
    """The schedule with each of its faults changed; patterns of one fault are only looked at."""
    if schedule.choices:
        return schedule.model_copy(update={"choices": tuple(map(change, schedule.choices))})
    if schedule.pattern is None:
        return schedule
    return schedule.model_copy(update={"pattern": _changed(schedule.pattern, change)})


def _changed(pattern: Pattern, change: Change) -> Pattern:
    match pattern:
        case grammar.Once() | grammar.Periodic():
            return pattern.model_copy(update={"fault": change(pattern.fault)})
        case grammar.Mix():
            return pattern.model_copy(update={"choices": tuple(map(change, pattern.choices))})
        case grammar.Sequence() | grammar.Overlap():
            parts = tuple(_changed(part, change) for part in pattern.parts)
            return pattern.model_copy(update={"parts": parts})
        case grammar.Ramp():
            for leaf, options in zip(
                leaves(pattern) * len(pattern.levels), options_of(pattern), strict=True
            ):
                change(leaf.model_copy(update={"options": (options,)}))
    for leaf in leaves(pattern):
        change(leaf)
    return pattern


# ── what is watched while it runs ────────────────────────────────────────────────────────────


def planned_safety(case: Case, nodes: Sequence[str]) -> PlannedSafety:
    """The case's safety for a plan; raises `UsageError` for an abort that cannot be watched."""
    return PlannedSafety(
        victims_max=victims_max(case, nodes),
        windows=case.safety.windows,
        aborts=(
            *(_watched(case, one, "abort") for one in case.safety.aborts),
            *(one for state in case.steady_states for one in _aborting(state)),
        ),
    )


def _aborting(state: SteadyState) -> tuple[Watched, ...]:
    """What a steady state of the ops that aborts has watched, second by second."""
    probe = state.probe
    if state.on_break != "abort" or not isinstance(probe, OpsProbe):
        return ()
    asked = [tolerance for when in MOMENTS[:2] if (tolerance := getattr(state, when)) is not None]
    return tuple(
        Watched(steady_state=state.name, probe=probe, tolerance=tolerance, window_s=ABORT_WINDOW_S)
        for tolerance in asked
    )


def planned_ramps(case: Case) -> tuple[PlannedRamp, ...]:
    """The case's ramps for a plan, named as the groups of their faults are."""
    return tuple(
        PlannedRamp(
            id=f"ramp-{number}",
            kind=ramp.kind,
            victims=ramp.victims,
            option=ramp.option,
            levels=ramp.levels,
            until=tuple(_watched(case, one, f"ramp of {ramp.kind!r}") for one in ramp.until),
        )
        for number, ramp in enumerate(ramps(case.schedule.root), 1)
    )


def _watched(case: Case, what: Break, whose: str) -> Watched:
    states = {state.name: state for state in case.steady_states}
    if what.steady_state not in states:
        raise UnknownName(f"{whose}: steady state", what.steady_state, states or ["none"])
    state = states[what.steady_state]
    tolerance = what.tolerance or state.during
    if tolerance is None:
        raise UsageError(
            f"{whose} on steady state {state.name!r}: it has no tolerance `during` the faults\n\n"
            "hint: give the state one, or the break its own `tolerance`"
        )
    metric = metric_of(state.probe)
    if not isinstance(state.probe, OpsProbe) or metric == "recovery_s":
        raise UsageError(
            f"{whose} on steady state {state.name!r}: {metric} cannot be read while the trial runs"
            "\n\nhint: error_rate, throughput, latency_ms or unavailable_s of the ops"
        )
    return Watched(
        steady_state=state.name,
        probe=state.probe,
        tolerance=tolerance,
        window_s=what.window_s,
    )

"""Judging all steady states of a trial: from its history, and from what samplers kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from seatrial.history import History
from seatrial.history.windows import fault_windows, phases
from seatrial.probe import OpsProbe
from seatrial.samples import Recorded
from seatrial.steady import ops, sampled
from seatrial.steady.limits import Baseline
from seatrial.steady.reading import SAID, SteadyStateResult
from seatrial.steady.series import Span
from seatrial.steady_state import STRETCHES, SteadyState

#: The phase that is each stretch.
PHASES: Mapping[str, str] = ops.PHASES


def evaluate(
    states: Sequence[SteadyState],
    history: History,
    *,
    recorded: Mapping[int, Recorded] | None = None,
    baselines: Mapping[str, Baseline] | None = None,
    labels: Mapping[str, str] | None = None,
    planned_faults: int | None = None,
) -> tuple[SteadyStateResult, ...]:
    """Judge each steady state; pure. O(n log n) for each set of `f` asked about.

    `recorded`: samples by the state's number. `baselines`: learnt ones by the state's name.
    `labels`: how faults are called, by id. `planned_faults`: how many the plan holds. With 0,
    `recovery_s`, `in_fault` and `after_healing` ask nothing; a state of nothing else is left out.
    """
    setting = _setting(history, labels or {})
    of_ops = ops.OpsJudge(history)
    out = []
    for number, state in enumerate(states):
        asked = _asked(state, planned_faults)
        if asked is None:
            continue
        learnt = (baselines or {}).get(state.name)
        if isinstance(asked.probe, OpsProbe):
            out.append(of_ops.judge(asked, setting, learnt))
        else:
            out.append(sampled.judge(asked, (recorded or {}).get(number), setting, learnt))
    return tuple(out)


def _asked(state: SteadyState, planned_faults: int | None) -> SteadyState | None:
    """The state without what only faults give sense to, where none are planned."""
    if planned_faults != 0:
        return state
    if isinstance(state.probe, OpsProbe) and state.probe.metric == "recovery_s":
        return None
    rest = set(state.tolerances()) - {"in_fault", "after_healing"}
    return state.model_copy(update={"in_fault": None, "after_healing": None}) if rest else None


def _setting(history: History, labels: Mapping[str, str]) -> sampled.Setting:
    by_name = {phase.name: phase for phase in phases(history)}
    spans = {
        when: Span(phase.start_ns, phase.end_ns, SAID[when])
        for when in STRETCHES
        if (phase := by_name.get(PHASES[when])) is not None and phase.end_ns > phase.start_ns
    }
    known = list(spans.values())
    start = min((span.start_ns for span in known), default=0)
    end = max((span.end_ns for span in known), default=0)
    windows = fault_windows(history)
    named = {w.fault: f"{w.kind} of {', '.join(w.victims)} ({w.fault})" for w in windows}
    load = Span(start, end, "from beginning to end")
    return sampled.Setting(spans, load, windows, {**named, **labels})

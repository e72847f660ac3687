"""Sampled steady states that abort: each sample against its tolerance, as it comes.

The verdict judges the same samples again at the end; here only what is certain ends a trial: a
sample outside of its bounds. One that could not be taken ends nothing (it makes `unknown`).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from seatrial.plan import Plan
from seatrial.samples import Sample
from seatrial.steady.limits import Baseline, Limits, resolve
from seatrial.steady.reading import number, unit_of
from seatrial.steady_state import SteadyState


class Breaker:
    """Hears samples and phases; calls `abort` once with the reason."""

    def __init__(
        self, plan: Plan, abort: Callable[[str], None], fault_is_alive: Callable[[], bool]
    ) -> None:
        self._states = {
            number: state
            for number, state in enumerate(plan.steady_states)
            if state.on_break == "abort" and state.probe.source != "ops"
        }
        self._abort, self._alive = abort, fault_is_alive
        self._before: dict[int, list[float]] = {number: [] for number in self._states}
        self._phase = ""

    @property
    def watches(self) -> bool:
        """Whether any steady state aborts."""
        return bool(self._states)

    def enter(self, phase: str) -> None:
        """Another phase began."""
        self._phase = phase

    def hear(self, sample: Sample) -> None:
        """Judge one sample."""
        state = self._states.get(sample.state)
        if state is None or self._phase not in ("steady-before", "workload", "heal"):
            return
        if self._phase == "steady-before" and sample.value is not None:
            self._before[sample.state].append(sample.value)
        for when in ("continuously", "in_fault"):
            limits = self._limits(state, sample.state, when)
            if limits is None or limits.reason or (when == "in_fault" and not self._alive()):
                continue
            value = np.nan if sample.value is None else sample.value
            if int(limits.kept(np.array([value]), (sample.text,))[0]) == 0:
                read = sample.text or number(value, unit_of(state.probe))
                self._abort(f"{state.name} read {read}; {limits.said}")
                return

    def _limits(self, state: SteadyState, place: int, when: str) -> Limits | None:
        tolerance = getattr(state, when)
        if tolerance is None:
            return None
        before = self._before[place]
        calm = self._phase != "steady-before" and bool(before)
        baseline = Baseline(float(np.mean(before))) if calm else Baseline(None, "not yet")
        return resolve(tolerance, baseline, unit_of(state.probe))

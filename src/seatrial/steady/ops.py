"""Judging steady states that read the clients' own ops (`OpsProbe`), from a history alone.

The stretches are phases of the trial: `before` is `steady-before`, `during` is `workload` (the
faults), `after` is `steady-after`. Each metric, exactly:

- `error_rate`: of the ops *invoked* in the stretch that completed, the part that ended in error.
- `latency_ms`: percentile (nearest rank) of the `ok` ops invoked in the stretch. An op belongs to
  the stretch in which it began, so that a stall is blamed on the stretch that caused it. Fewer
  than `OPS_MIN` of them are no percentile.
- `throughput`: `ok` completions in the stretch over its length in seconds.
- `unavailable_s`: the longest part of the stretch without any `ok` completion. If the load ended
  before the stretch did (the last op completed and none was under way) the rest does not count.
- `recovery_s`: the longest recovery after a healing (`seatrial.recovery` says what that is).

What cannot be read is `unknown` with the reason, never green.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from seatrial.calls import (
    F64,
    Calls,
    bin_length,
    bin_of,
    calls,
    failed,
    percentile,
    percentiles,
)
from seatrial.history import History
from seatrial.history.columns import I64
from seatrial.history.windows import FaultWindow, Phase, phases
from seatrial.op import Type
from seatrial.recovery import Recovery, recoveries
from seatrial.steady.limits import Baseline, Limits, resolve
from seatrial.steady.reading import SAID, UNITS, Reading, SteadyStateResult, number
from seatrial.steady.sampled import SAID_OF, Setting, judge_series
from seatrial.steady.series import Series
from seatrial.steady_state import MOMENTS, OpsProbe, SteadyState
from seatrial.verdict import Validity, join

#: The phase that is each stretch.
PHASES: Mapping[str, str] = {
    "before": "steady-before",
    "during": "workload",
    "after": "steady-after",
}
#: For so long there may be no completed op before a moment cannot be judged.
GAP_S = 5.0
#: A percentile of fewer ops is chance.
OPS_MIN = 20


class OpsJudge:
    """Judges steady states of one history's ops; reads the ops of a set of `f` once."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._stretches = {phase.name: phase for phase in phases(history)}
        self._loads: dict[tuple[str, ...], _Load] = {}

    def judge(
        self, state: SteadyState, setting: Setting, learnt: Baseline | None
    ) -> SteadyStateResult:
        """One steady state; pure. O(n log n) for each set of `f`."""
        probe = state.probe
        assert isinstance(probe, OpsProbe)
        if probe.f not in self._loads:
            self._loads[probe.f] = _Load.of(self._history, probe.f)
        source = _Source(self._loads[probe.f], self._stretches, setting.windows, probe)
        return _judge(state, source, setting, learnt)


# ── the ops ──────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class _Load:
    """The ops of some `f` as columns: completed calls, `ok` moments sorted, all attempts."""

    done: Calls
    bad: F64
    ok_ns: I64
    begun_ns: I64
    open_ns: I64

    @classmethod
    def of(cls, history: History, fs: tuple[str, ...]) -> _Load:
        done = calls(history, fs)
        asked = history.client & (history.type == Type.INVOKE)
        if fs:
            asked &= history.is_f(*fs)
        begun = history.time_ns[asked]
        never = history.time_ns[asked & (history.pair < 0)]
        ok_ns = np.sort(done.ended_ns[done.type == Type.OK])
        return cls(done, failed(history, done).astype(np.float64), ok_ns, begun, never)

    def attempts(self, phase: Phase) -> int:
        """Ops invoked in the phase."""
        return int(np.count_nonzero(_within(self.begun_ns, phase)))

    def ok_count(self, phase: Phase) -> int:
        """`ok` completions in the phase."""
        low, high = np.searchsorted(self.ok_ns, [phase.start_ns, phase.end_ns])
        return int(high - low)

    def end_ns(self, phase: Phase) -> int:
        """Where the load really ended: the phase's end if an op was under way then."""
        end = phase.end_ns
        under_way = (self.done.began_ns < end) & (self.done.ended_ns >= end)
        if bool(under_way.any()) or bool(np.any(self.open_ns < end)):
            return end
        last = self.done.ended_ns[self.done.ended_ns <= end]
        return max(phase.start_ns, int(last.max())) if len(last) else end


def _within(time_ns: I64, phase: Phase) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    return (time_ns >= phase.start_ns) & (time_ns < phase.end_ns)


@dataclass(frozen=True, slots=True)
class _Source:
    """Where one probe reads: its ops, the phases by name, the faults."""

    load: _Load
    stretches: Mapping[str, Phase]
    windows: tuple[FaultWindow, ...]
    probe: OpsProbe

    def read(self, when: str) -> tuple[float | None, str]:
        """The value in a stretch, or None and why there is none."""
        if self.probe.metric == "recovery_s":
            return self._recovery(when)
        phase = self.stretches.get(PHASES[when])
        if phase is None or phase.end_ns <= phase.start_ns:
            return None, f"the history has no phase {PHASES[when]!r}"
        if not self.load.attempts(phase):
            return None, f"no op was attempted {SAID[when]}"
        return self._of_phase(phase, when)

    def _of_phase(self, phase: Phase, when: str) -> tuple[float | None, str]:
        load, metric = self.load, self.probe.metric
        if metric == "throughput":
            return load.ok_count(phase) / ((phase.end_ns - phase.start_ns) / 1e9), ""
        if metric == "unavailable_s":
            return _longest_gap(load, phase) / 1e9, ""
        mine = _within(load.done.began_ns, phase)
        if not mine.any():
            return None, f"no op that began {SAID[when]} completed"
        if metric == "error_rate":
            return float(load.bad[mine].mean()), ""
        latency = load.done.latency_ns[mine & (load.done.type == Type.OK)]
        if len(latency) < OPS_MIN:
            return None, (
                f"only {len(latency)} ops that began {SAID[when]} were ok; "
                f"a percentile needs {OPS_MIN}"
            )
        return percentile(latency, self.probe.percentile) / 1e6, ""

    def _recovery(self, when: str) -> tuple[float | None, str]:
        if when == "before":
            return None, "there is no fault to recover from before the faults"
        found, reason = _recoveries(self)
        if reason:
            return None, reason
        return max(recovery.seconds for recovery in found), ""


def _longest_gap(load: _Load, phase: Phase) -> int:
    end = load.end_ns(phase)
    low, high = np.searchsorted(load.ok_ns, [phase.start_ns, end], side="left")
    marks = np.concatenate([[phase.start_ns], load.ok_ns[low:high], [end]])
    return int(np.diff(marks).max())


# ── recovery ─────────────────────────────────────────────────────────────────────────────────


def _recoveries(source: _Source) -> tuple[tuple[Recovery, ...], str]:
    before = source.stretches.get(PHASES["before"])
    return recoveries(source.load.ok_ns, source.windows, before, _load_end(source))


def _load_end(source: _Source) -> int:
    known = [source.stretches[name] for name in PHASES.values() if name in source.stretches]
    return max((phase.end_ns for phase in known), default=0)


# ── judging ──────────────────────────────────────────────────────────────────────────────────


def _judge(
    state: SteadyState, source: _Source, setting: Setting, learnt: Baseline | None
) -> SteadyStateResult:
    probe = source.probe
    unit = UNITS[probe.metric]
    baseline = _baseline(state, source, learnt)
    readings: list[Reading] = []
    broke: list[tuple[float, float]] = []
    seconds, values = _series(source)
    for when, tolerance in state.tolerances().items():
        limits = resolve(tolerance, baseline, unit)
        if when in MOMENTS or tolerance.of_slope:
            series = _as_series(seconds, values, setting.load.start_ns)
            found = judge_series(when, tolerance, state, series, setting, limits, _what(probe))
            readings.append(found.reading)
            broke += found.broke_s
            continue
        reading = _reading(source, when, limits)
        readings.append(reading)
        if reading.validity is Validity.INVALID:
            broke += _spans(source, when, limits, seconds, values)
    validity = join(reading.validity for reading in readings)
    return SteadyStateResult(
        name=state.name,
        metric=probe.metric,
        unit=unit,
        validity=validity,
        cause=_cause(probe, readings, validity),
        judged=state.on_break != "note",
        readings=tuple(readings),
        seconds=seconds,
        values=values,
        broke=tuple(broke),
        why=state.why,
        on_break=state.on_break,
        weight=state.weight,
        baseline=baseline.value,
    )


def _baseline(state: SteadyState, source: _Source, learnt: Baseline | None) -> Baseline:
    if not any(tolerance.of_baseline for tolerance in state.tolerances().values()):
        return Baseline(None)
    if state.baseline is not None:
        return learnt or Baseline(None, "no baseline was learnt")
    value, why = source.read("before")
    return Baseline(value, why)


def _as_series(seconds: F64, values: F64, origin_ns: int) -> Series:
    """The probe over time as samples, each at the beginning of its bin."""
    step_s = float(seconds[1] - seconds[0]) if len(seconds) > 1 else 1.0
    return Series(
        t_ns=np.round(seconds * 1e9).astype(np.int64),
        value=values,
        text=(None,) * len(values),
        why=("no op completed",) * len(values),
        step_ns=round(step_s * 1e9),
        gap_ns=round(max(GAP_S, 2 * step_s) * 1e9),
        origin_ns=origin_ns,
    )


def _reading(source: _Source, when: str, limits: Limits) -> Reading:
    value, reason = source.read(when)
    if value is None or limits.reason:
        why = reason or limits.reason
        return Reading(when, value, limits.said, Validity.UNKNOWN, why)
    kept = limits.low <= value <= limits.high
    return Reading(when, value, limits.said, Validity.VALID if kept else Validity.INVALID)


def _what(probe: OpsProbe) -> str:
    names = {
        "error_rate": "error rate",
        "throughput": "throughput",
        "latency_ms": f"p{probe.percentile:g} latency",
        "unavailable_s": "longest time without a successful op",
        "recovery_s": "time to recover after healing",
    }
    return names[probe.metric] + (f" of {', '.join(probe.f)}" if probe.f else "")


def _cause(probe: OpsProbe, readings: Sequence[Reading], validity: Validity) -> str:
    unit, what = UNITS[probe.metric], _what(probe)
    parts = []
    for reading in readings:
        if reading.validity is not validity:
            continue
        where = "" if probe.metric == "recovery_s" else f" {SAID_OF[reading.when]}"
        if reading.validity is Validity.UNKNOWN:
            parts.append(f"{what}{where} cannot be judged: {reading.reason}")
            continue
        if reading.said:
            parts.append(reading.said)
            continue
        assert reading.value is not None
        said = f"{what} was {number(reading.value, unit)}{where}"
        parts.append(f"{said}; {reading.limit}")
    return "; ".join(dict.fromkeys(parts))


# ── over time ────────────────────────────────────────────────────────────────────────────────


def _series(source: _Source) -> tuple[F64, F64]:
    """The probe over time, from the first stretch to the last, as seconds and values."""
    known = [source.stretches[name] for name in PHASES.values() if name in source.stretches]
    if source.probe.metric == "recovery_s":
        found, _ = _recoveries(source)
        at = np.array([recovery.from_ns / 1e9 for recovery in found])
        return at, np.array([recovery.seconds for recovery in found], np.float64)
    if not known:
        return np.zeros(0), np.zeros(0)
    start, end = min(p.start_ns for p in known), max(p.end_ns for p in known)
    bin_s = bin_length((end - start) / 1e9)
    bins = max(1, math.ceil((end - start) / 1e9 / bin_s))
    at = start / 1e9 + np.arange(bins, dtype=np.float64) * bin_s
    return at, _binned(source, start, end, bin_s, bins)


def _binned(source: _Source, start: int, end: int, bin_s: float, bins: int) -> F64:
    load, metric = source.load, source.probe.metric
    if metric == "unavailable_s":
        edges = start + ((np.arange(bins) + 1) * bin_s * 1e9).astype(np.int64)
        edges = np.minimum(edges, end)
        last = np.searchsorted(load.ok_ns, edges, side="right") - 1
        moments = np.concatenate([load.ok_ns, [start]])
        since: F64 = (edges - np.maximum(moments[last], start)) / 1e9
        return since
    if metric == "throughput":
        inside = load.ok_ns[(load.ok_ns >= start) & (load.ok_ns < end)]
        length = np.minimum(bin_s, (end - start) / 1e9 - np.arange(bins) * bin_s)
        counts = np.bincount(bin_of(inside, start, bin_s, bins), minlength=bins)
        rate: F64 = counts / np.maximum(length, 1e-9)
        return rate
    mine = (load.done.began_ns >= start) & (load.done.began_ns < end)
    if metric == "latency_ms":
        mine &= load.done.type == Type.OK
        place = bin_of(load.done.began_ns[mine], start, bin_s, bins)
        latency = load.done.latency_ns[mine]
        return percentiles(place, latency, bins, (source.probe.percentile,))[0] / 1e6
    place = bin_of(load.done.began_ns[mine], start, bin_s, bins)
    total = np.bincount(place, minlength=bins)
    bad = np.bincount(place, weights=load.bad[mine], minlength=bins)
    return np.where(total > 0, bad / np.maximum(total, 1), np.nan)


def _spans(
    source: _Source, when: str, limits: Limits, seconds: F64, values: F64
) -> list[tuple[float, float]]:
    """Where the series left the bounds, inside the stretch; neighbouring bins joined."""
    if source.probe.metric == "recovery_s":
        out = np.flatnonzero(values > limits.high)
        end = _load_end(source) / 1e9
        return [(float(seconds[i]), float(min(end, seconds[i] + values[i]))) for i in out]
    phase = source.stretches[PHASES[when]]
    step = float(seconds[1] - seconds[0]) if len(seconds) > 1 else 1.0
    low, high = phase.start_ns / 1e9, phase.end_ns / 1e9
    inside = (seconds + step > low) & (seconds < high)
    out_of_bounds = (values < limits.low) | (values > limits.high)
    bad = np.flatnonzero(inside & out_of_bounds)
    if not len(bad):
        return [(low, high)]
    runs = np.split(bad, np.flatnonzero(np.diff(bad) > 1) + 1)
    return [
        (max(low, float(seconds[run[0]])), min(high, float(seconds[run[-1]]) + step))
        for run in runs
    ]

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
from seatrial.history.windows import FaultWindow, Phase, fault_windows, phases
from seatrial.op import Type
from seatrial.recovery import Recovery, recoveries
from seatrial.steady_state import WHEN, Metric, OpsProbe, SteadyState, Tolerance
from seatrial.verdict import Json, Validity, join

#: The phase that is each stretch.
PHASES: Mapping[str, str] = {
    "before": "steady-before",
    "during": "workload",
    "after": "steady-after",
}
#: How a stretch is said.
_SAID = {"before": "before the faults", "during": "during the faults", "after": "after the faults"}
#: A percentile of fewer ops is chance.
OPS_MIN = 20


@dataclass(frozen=True, slots=True)
class Reading:
    """What a probe read in one stretch, the limit in words, and whether it kept to it.

    `value` is None where nothing could be read; `reason` then says why.
    """

    when: str
    value: float | None
    limit: str
    validity: Validity
    reason: str = ""

    def to_json(self) -> dict[str, Json]:
        """The reading; an infinite value is the text `inf`."""
        value: Json = self.value
        if self.value is not None and math.isinf(self.value):
            value = "inf"
        return {
            "value": value,
            "limit": self.limit,
            "ok": self.validity is Validity.VALID,
            "verdict": self.validity.value,
            "reason": self.reason,
        }


@dataclass(frozen=True, slots=True)
class SteadyStateResult:
    """One steady state judged. `seconds` and `values` are its probe over time (at most 600).

    `broke` are the spans in seconds where the series left the tolerance of a broken stretch.
    `judged` is False for `on_break: note`: then the validity must not count for the trial.
    """

    name: str
    metric: Metric
    unit: str
    validity: Validity
    cause: str
    judged: bool
    readings: tuple[Reading, ...]
    seconds: F64
    values: F64
    broke: tuple[tuple[float, float], ...] = ()

    def to_json(self) -> dict[str, Json]:
        """As it stands in a verdict document (the series stays with the report)."""
        return {
            "name": self.name,
            "metric": self.metric,
            "unit": self.unit,
            "verdict": self.validity.value,
            "cause": self.cause,
            "on_break": "judge" if self.judged else "note",
            "readings": {reading.when: reading.to_json() for reading in self.readings},
            "broke": [list(span) for span in self.broke],
        }


UNITS: Mapping[Metric, str] = {
    "error_rate": "",
    "throughput": "ops/s",
    "latency_ms": "ms",
    "unavailable_s": "s",
    "recovery_s": "s",
}


def evaluate(
    states: Sequence[SteadyState], history: History, *, planned_faults: int | None = None
) -> tuple[SteadyStateResult, ...]:
    """Judge each steady state on `history`; pure. O(n log n) for each set of `f` asked about.

    `planned_faults`: how many the plan holds. With 0, `recovery_s` asks nothing and is left out;
    with None or more, a history without faults makes it `unknown`.
    """
    stretches = {phase.name: phase for phase in phases(history)}
    windows = fault_windows(history)
    cache: dict[tuple[str, ...], _Load] = {}
    out = []
    for state in states:
        if state.probe.metric == "recovery_s" and planned_faults == 0:
            continue
        fs = state.probe.f
        if fs not in cache:
            cache[fs] = _Load.of(history, fs)
        source = _Source(cache[fs], stretches, windows, state.probe)
        out.append(_judge(state, source))
    return tuple(out)


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
            return None, f"no op was attempted {_SAID[when]}"
        return self._of_phase(phase, when)

    def _of_phase(self, phase: Phase, when: str) -> tuple[float | None, str]:
        load, metric = self.load, self.probe.metric
        if metric == "throughput":
            return load.ok_count(phase) / ((phase.end_ns - phase.start_ns) / 1e9), ""
        if metric == "unavailable_s":
            return _longest_gap(load, phase) / 1e9, ""
        mine = _within(load.done.began_ns, phase)
        if not mine.any():
            return None, f"no op that began {_SAID[when]} completed"
        if metric == "error_rate":
            return float(load.bad[mine].mean()), ""
        latency = load.done.latency_ns[mine & (load.done.type == Type.OK)]
        if len(latency) < OPS_MIN:
            return None, (
                f"only {len(latency)} ops that began {_SAID[when]} were ok; "
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


@dataclass(frozen=True, slots=True)
class _Limits:
    """A tolerance with its ratios resolved against the baseline: absolute bounds, and in words."""

    low: float = -math.inf
    high: float = math.inf
    said: str = ""
    reason: str = ""


def _judge(state: SteadyState, source: _Source) -> SteadyStateResult:
    baseline, why = source.read("before") if _needs_baseline(state) else (None, "")
    readings, broke = [], []
    seconds, values = _series(source)
    for when in WHEN:
        tolerance: Tolerance | None = getattr(state, when)
        if tolerance is None:
            continue
        limits = _limits(tolerance, baseline, why, UNITS[state.probe.metric])
        reading = _reading(source, when, limits)
        readings.append(reading)
        if reading.validity is Validity.INVALID:
            broke += _spans(source, when, limits, seconds, values)
    validity = join(reading.validity for reading in readings)
    return SteadyStateResult(
        name=state.name,
        metric=state.probe.metric,
        unit=UNITS[state.probe.metric],
        validity=validity,
        cause=_cause(state.probe, readings, validity),
        judged=state.on_break == "judge",
        readings=tuple(readings),
        seconds=seconds,
        values=values,
        broke=tuple(broke),
    )


def _needs_baseline(state: SteadyState) -> bool:
    asked = [tolerance for tolerance in (state.during, state.after) if tolerance is not None]
    return any(t.min_ratio is not None or t.max_ratio is not None for t in asked)


def _limits(tolerance: Tolerance, baseline: float | None, why: str, unit: str) -> _Limits:
    low, high, said = -math.inf, math.inf, []
    if tolerance.min is not None:
        low = tolerance.min
        said.append(f"at least {_number(low, unit)} needed")
    if tolerance.max is not None:
        high = tolerance.max
        said.append(f"at most {_number(high, unit)} allowed")
    ratios = (
        ("at least", tolerance.min_ratio, "needed"),
        ("at most", tolerance.max_ratio, "allowed"),
    )
    for word, ratio, verb in ratios:
        if ratio is None:
            continue
        if not baseline:
            reason = why or "the baseline before the faults is zero, so no ratio can be taken"
            return _Limits(said=f"{word} {ratio:g} × the baseline {verb}", reason=reason)
        bound = ratio * baseline
        low, high = (max(low, bound), high) if word == "at least" else (low, min(high, bound))
        base = f"{ratio:g} × {_number(baseline, unit)} before"
        said.append(f"{word} {_number(bound, unit)} ({base}) {verb}")
    return _Limits(low, high, " and ".join(said))


def _reading(source: _Source, when: str, limits: _Limits) -> Reading:
    value, reason = source.read(when)
    if value is None or limits.reason:
        why = reason or limits.reason
        return Reading(when, value, limits.said, Validity.UNKNOWN, why)
    kept = limits.low <= value <= limits.high
    return Reading(when, value, limits.said, Validity.VALID if kept else Validity.INVALID)


def _number(value: float, unit: str) -> str:
    if math.isinf(value):
        return "forever"
    text = f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return f"{text} {unit}".rstrip()


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
        where = "" if probe.metric == "recovery_s" else f" {_SAID[reading.when]}"
        if reading.validity is Validity.UNKNOWN:
            parts.append(f"{what}{where} cannot be judged: {reading.reason}")
            continue
        assert reading.value is not None
        said = f"{what} was {_number(reading.value, unit)}{where}"
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
    source: _Source, when: str, limits: _Limits, seconds: F64, values: F64
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

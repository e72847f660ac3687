"""Judging steady states whose probes were sampled while the trial ran; from its folder alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from seatrial.calls import F64
from seatrial.history.windows import FaultWindow
from seatrial.probe import PrometheusProbe, Reduce, SampledProbe
from seatrial.recovery import injuries
from seatrial.samples import NOTHING, Recorded
from seatrial.steady.limits import Baseline, Limits, resolve
from seatrial.steady.moments import Moments, every, returns
from seatrial.steady.reading import (
    Reading,
    SteadyStateResult,
    metric_of,
    number,
    spans_of,
    unit_of,
)
from seatrial.steady.series import Series, Span, from_recorded
from seatrial.steady_state import SteadyState
from seatrial.tolerance import Tolerance
from seatrial.verdict import Validity, join

NS_PER_MIN = 60e9
#: A slope through fewer samples is chance.
SLOPE_SAMPLES_MIN = 5
#: Holes that a verdict document names.
HOLES_MAX = 100
#: Samples of a series that a verdict document keeps.
POINTS_MAX = 1200


@dataclass(frozen=True, slots=True)
class Setting:
    """What is known of the trial around the samples.

    `spans`: the stretches by name; `load` the whole load. `labels`: how a fault is called.
    """

    spans: Mapping[str, Span]
    load: Span
    windows: tuple[FaultWindow, ...]
    labels: Mapping[str, str]


def judge(
    state: SteadyState, recorded: Recorded | None, setting: Setting, learnt: Baseline | None
) -> SteadyStateResult:
    """One sampled steady state. O(n) in its samples for each `when`."""
    probe = state.probe
    assert probe.source != "ops"
    excuse = isinstance(probe, PrometheusProbe) and probe.excuse_victims
    series = from_recorded(
        recorded or NOTHING,
        step_s=probe.interval_s,
        gap_s=probe.gap_s,
        excuse_victims=excuse,
        windows=setting.windows,
        origin_ns=setting.load.start_ns,
    )
    unit, what = unit_of(probe), state.name
    baseline = learnt if state.baseline is not None and learnt else _before(series, setting, probe)
    found = [
        _when(when, tolerance, state, series, setting, baseline, what, unit)
        for when, tolerance in state.tolerances().items()
    ]
    readings = tuple(moments.reading for moments in found)
    validity = join(reading.validity for reading in readings)
    thin = max(1, -(-len(series.t_ns) // POINTS_MAX))
    return SteadyStateResult(
        name=state.name,
        source=probe.source,
        metric=metric_of(probe),
        unit=unit,
        validity=validity,
        cause=cause_of(what, readings, validity, unit),
        judged=state.on_break != "note",
        readings=readings,
        seconds=series.t_ns[::thin] / 1e9,
        values=series.value[::thin],
        broke=tuple(span for moments in found for span in moments.broke_s),
        holes=_holes(series, setting.load),
        why=state.why,
        notes=series.notes,
        on_break=state.on_break,
        weight=state.weight,
        baseline=baseline.value,
    )


def _holes(series: Series, load: Span) -> tuple[tuple[float, float], ...]:
    """Where nothing was read for longer than allowed, under load."""
    good = series.t_ns[series.inside(load) & series.there]
    edges = np.concatenate([[load.start_ns], good, [load.end_ns]]) / 1e9
    wide = np.flatnonzero(np.diff(edges) > series.gap_ns / 1e9)
    return tuple((float(edges[i]), float(edges[i + 1])) for i in wide[:HOLES_MAX].tolist())


def _before(series: Series, setting: Setting, probe: SampledProbe) -> Baseline:
    """The trial's own baseline: the reading before the faults."""
    span = setting.spans.get("before")
    if span is None:
        return Baseline(None, "the history has no stretch before the faults")
    value, reason = _reduced(series, span, probe.reduce)
    if value is None:
        return Baseline(None, reason)
    doubt = series.doubt(span)
    return Baseline(None, f"no baseline: {doubt}") if doubt else Baseline(value)


def _when(
    when: str,
    tolerance: Tolerance,
    state: SteadyState,
    series: Series,
    setting: Setting,
    baseline: Baseline,
    what: str,
    unit: str,
) -> Moments:
    limits = resolve(tolerance, baseline, unit)
    return judge_series(when, tolerance, state, series, setting, limits, what)


def judge_series(
    when: str,
    tolerance: Tolerance,
    state: SteadyState,
    series: Series,
    setting: Setting,
    limits: Limits,
    what: str,
) -> Moments:
    """One tolerance of a steady state on its samples."""
    unit = unit_of(state.probe)
    if when == "continuously":
        return every(when, series, [setting.load], limits, what, unit)
    if when == "in_fault":
        return every(when, series, _alive(setting), limits, what, unit)
    if when == "after_healing":
        assert state.after_healing is not None
        joined = injuries(setting.windows)
        ends = setting.load.end_ns
        healing = state.after_healing
        return returns(series, joined, ends, healing, limits, what, setting.labels)
    span = setting.spans.get(when)
    if span is None:
        reason = f"the trial ended before the stretch {when!r}"
        return Moments(Reading(when, None, limits.said, Validity.UNKNOWN, reason))
    if limits.of_text:
        return every(when, series, [span], limits, what, unit)
    return _stretch(when, tolerance, series, span, limits, state)


def _alive(setting: Setting) -> list[Span]:
    out = []
    for window in setting.windows:
        start = window.acting_ns if window.acting_ns is not None else window.start_ns
        end = window.healing_ns if window.healing_ns is not None else setting.load.end_ns
        label = setting.labels.get(window.fault, window.fault)
        out.append(Span(start, max(start, end), f"during {label}"))
    return out


# ── one reading of a stretch ─────────────────────────────────────────────────────────────────


def _stretch(
    when: str, tolerance: Tolerance, series: Series, span: Span, limits: Limits, state: SteadyState
) -> Moments:
    reduce: Reduce = "mean" if state.probe.source == "ops" else state.probe.reduce
    if tolerance.of_slope:
        value, reason = _slope(series, span)
    else:
        value, reason = _reduced(series, span, reduce)
    reason = reason or limits.reason
    if value is None or limits.reason:
        return Moments(Reading(when, value, limits.said, Validity.UNKNOWN, reason))
    kept = limits.allows(value)
    doubt = series.doubt(span)
    if doubt and not (not kept and _proven(reduce, value, limits, tolerance)):
        return Moments(Reading(when, value, limits.said, Validity.UNKNOWN, doubt))
    if kept:
        return Moments(Reading(when, value, limits.said, Validity.VALID))
    reading = Reading(when, value, limits.said, Validity.INVALID)
    inside = series.inside(span)
    outside = np.flatnonzero(inside & (limits.kept(series.value, series.text) == 0))
    step = series.step_ns / 1e9
    broke = spans_of(series.t_ns[outside] / 1e9, step) or (
        (span.start_ns / 1e9, span.end_ns / 1e9),
    )
    return Moments(reading, broke)


def _proven(reduce: Reduce, value: float, limits: Limits, tolerance: Tolerance) -> bool:
    """Whether what is missing could not undo the break: a maximum only grows."""
    if tolerance.of_slope:
        return False
    above = reduce in ("max", "increase") and value > limits.high
    return above or (reduce == "min" and value < limits.low)


def _reduced(series: Series, span: Span, reduce: Reduce) -> tuple[float | None, str]:
    """The samples of a span as one number, or None and why there is none."""
    inside = series.inside(span)
    values = series.value[inside]
    values = values[~np.isnan(values)]
    if not len(values):
        return None, series.doubt(span) or f"no number was read {span.said}"
    if reduce == "increase":
        if len(values) < 2:
            return None, f"one sample {span.said} shows no increase"
        if bool(np.any(np.diff(values) < 0)):
            fell = int(np.flatnonzero(np.diff(values) < 0)[0])
            low, high = number(float(values[fell]), ""), number(float(values[fell + 1]), "")
            return None, f"the counter began again {span.said}: it fell from {low} to {high}"
        return float(values[-1] - values[0]), ""
    return _one_of(values, reduce), ""


def _one_of(values: F64, reduce: Reduce) -> float:
    if reduce in ("p95", "p99"):
        return float(np.percentile(values, float(reduce[1:])))
    if reduce == "last":
        return float(values[-1])
    functions: Mapping[str, Callable[[F64], np.float64]] = {
        "mean": np.mean,
        "median": np.median,
        "max": np.max,
        "min": np.min,
    }
    return float(functions[reduce](values))


def _slope(series: Series, span: Span) -> tuple[float | None, str]:
    """The change per minute by least squares."""
    mine = series.inside(span) & ~np.isnan(series.value) & np.isfinite(series.value)
    t, v = series.t_ns[mine] / NS_PER_MIN, series.value[mine]
    if len(t) < SLOPE_SAMPLES_MIN:
        return None, (
            series.doubt(span) or f"a slope needs {SLOPE_SAMPLES_MIN} samples, {len(t)} were read"
        )
    t = t - t.mean()
    return float((t * (v - v.mean())).sum() / (t * t).sum()), ""


# ── in words ─────────────────────────────────────────────────────────────────────────────────


def cause_of(what: str, readings: Sequence[Reading], validity: Validity, unit: str) -> str:
    """The sentence for all readings of the gravest kind."""
    parts = []
    for reading in readings:
        if reading.validity is not validity:
            continue
        where = SAID_OF[reading.when]
        if reading.validity is Validity.UNKNOWN:
            parts.append(f"{what} cannot be judged {where}: {reading.reason}")
        elif reading.said:
            parts.append(reading.said)
        else:
            assert reading.value is not None
            per = unit if "/min" not in reading.limit else f"{unit}/min"
            said = f"{what} was {number(reading.value, per)} {where}"
            parts.append(f"{said}; {reading.limit}")
    return "; ".join(dict.fromkeys(parts))


SAID_OF = {
    "before": "before the faults",
    "during": "during the faults",
    "after": "after the faults",
    "continuously": "from beginning to end",
    "in_fault": "while a fault was alive",
    "after_healing": "after each healing",
}

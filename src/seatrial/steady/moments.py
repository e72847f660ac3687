"""Judging every sample: continuously, while a fault is alive, and back in time after a healing."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seatrial.recovery import Injury
from seatrial.steady.limits import Limits
from seatrial.steady.reading import Reading, number, spans_of
from seatrial.steady.series import Series, Span
from seatrial.tolerance import Healing
from seatrial.verdict import Validity


@dataclass(frozen=True, slots=True)
class Moments:
    """A reading of moments, and when (in seconds) it broke."""

    reading: Reading
    broke_s: tuple[tuple[float, float], ...] = ()


def every(
    when: str, series: Series, spans: Sequence[Span], limits: Limits, what: str, unit: str
) -> Moments:
    """Whether each sample in the spans keeps to the limits; the reading is the worst one."""
    if limits.reason:
        return Moments(Reading(when, None, limits.said, Validity.UNKNOWN, limits.reason))
    if not spans:
        return Moments(Reading(when, None, limits.said, Validity.UNKNOWN, "no fault was alive"))
    mine = np.zeros(len(series.t_ns), np.bool_)
    for span in spans:
        mine |= series.inside(span)
    kept = limits.kept(series.value, series.text)
    bad = np.flatnonzero(mine & (kept == 0))
    good = np.flatnonzero(mine & (kept == 1))
    worst = _worst(series, mine & (kept >= 0), limits)
    text = _text(series, bad if len(bad) else good)
    if len(bad):
        first = int(bad[0])
        where = next(span.said for span in spans if bool(series.inside(span)[first]))
        where = "" if when == "continuously" else f", {where}"
        shown = text or number(float(series.value[first]), unit)
        said = (
            f"{what} was {shown} at {series.moment(int(series.t_ns[first]))}{where}"
            f"{_how_long(len(bad), series)}; {limits.said}"
        )
        reading = Reading(when, worst, limits.said, Validity.INVALID, text=text, said=said)
        step = series.step_ns / 1e9
        return Moments(reading, spans_of(series.t_ns[bad] / 1e9, step))
    for span in spans:
        doubt = series.doubt(span)
        if doubt:
            return Moments(Reading(when, worst, limits.said, Validity.UNKNOWN, doubt, text))
    shown = text or number(worst if worst is not None else 0.0, unit)
    where = _WHERE.get(when) or spans[0].said
    said = f"{what} was never worse than {shown} {where}; {limits.said}"
    if limits.of_text:
        said = f"{what} was {shown!r} in every sample {where}"
    return Moments(Reading(when, worst, limits.said, Validity.VALID, text=text, said=said))


_WHERE = {"in_fault": "while a fault was alive", "continuously": "from beginning to end"}


def _how_long(count: int, series: Series) -> str:
    if count == 1:
        return " (one sample)"
    return f" (and {count - 1} more samples, {count * series.step_ns / 1e9:.1f} s in all)"


def _worst(series: Series, mine: NDArray[np.bool_], limits: Limits) -> float | None:
    """The sample farthest outside, or nearest to a bound from inside."""
    values = series.value[mine]
    values = values[~np.isnan(values)]
    if not len(values) or limits.of_text:
        return float(values[-1]) if len(values) else None
    over = values - limits.high if np.isfinite(limits.high) else np.full(len(values), -np.inf)
    under = limits.low - values if np.isfinite(limits.low) else np.full(len(values), -np.inf)
    distance = np.maximum(over, under)
    return float(values[int(np.argmax(distance))])


def _text(series: Series, rows: NDArray[np.intp]) -> str:
    found = series.text[int(rows[0])] if len(rows) else None
    return "" if found is None else found[:80]


# ── after each healing ───────────────────────────────────────────────────────────────────────


def returns(
    series: Series,
    injuries: Sequence[Injury],
    load_end_ns: int,
    tolerance: Healing,
    limits: Limits,
    what: str,
    labels: Mapping[str, str],
) -> Moments:
    """Whether the probe is back inside its limits in time after each injury's healing.

    The reading is the longest time it took, in seconds.
    """
    when = "after_healing"
    if limits.reason:
        return Moments(Reading(when, None, limits.said, Validity.UNKNOWN, limits.reason))
    if not injuries:
        none = "no fault was healed"
        return Moments(Reading(when, None, limits.said, Validity.UNKNOWN, none))
    kept = limits.kept(series.value, series.text)
    answers = []
    for injury, following in zip(injuries, [*injuries[1:], None], strict=True):
        end = load_end_ns if following is None else following.start_ns
        span = Span(injury.end_ns, end, "")
        answers.append(_one(series, kept, span, injury, tolerance, limits, what, labels))
    order = (Validity.INVALID, Validity.UNKNOWN, Validity.VALID)
    first = min(answers, key=lambda m: (order.index(m.reading.validity), -(m.reading.value or 0)))
    broke = tuple(span for answer in answers for span in answer.broke_s)
    return Moments(first.reading, broke)


def _one(
    series: Series,
    kept: NDArray[np.int8],
    span: Span,
    injury: Injury,
    tolerance: Healing,
    limits: Limits,
    what: str,
    labels: Mapping[str, str],
) -> Moments:
    said_of = " and ".join(labels.get(fault, fault) for fault in injury.faults)
    allowed = f"{limits.said.removesuffix(' allowed').removesuffix(' needed')}"
    limit = f"back within {tolerance.in_s:g} s to {allowed}"
    rows = np.flatnonzero(series.inside(span))
    back = _back(series, kept, rows, round(tolerance.hold_s * 1e9))
    deadline = injury.end_ns + round(tolerance.in_s * 1e9)
    late = rows[(series.t_ns[rows] >= deadline) & (kept[rows] == 0)]
    took = None if back is None else (back - injury.end_ns) / 1e9
    if took is not None and took <= tolerance.in_s:
        said = f"{what} was back {took:.1f} s after {said_of} healed; {tolerance.in_s:g} s allowed"
        return Moments(Reading("after_healing", took, limit, Validity.VALID, said=said))
    if not len(late):
        why = f"{_cut(series, span, deadline, tolerance)} after {said_of} healed"
        return Moments(Reading("after_healing", took, limit, Validity.UNKNOWN, why))
    until = span.end_ns if back is None else back
    lasted = (until - injury.end_ns) / 1e9
    stayed = "still" if back is None else ""
    said = (
        f"{what} {_stayed(series, int(late[0]), limits)} for {lasted:.0f} s"
        f"{' (and was so at the end)' if stayed else ''} after {said_of} healed; "
        f"{tolerance.in_s:g} s allowed ({limits.said})"
    )
    reading = Reading("after_healing", lasted, limit, Validity.INVALID, said=said)
    return Moments(reading, ((injury.end_ns / 1e9, until / 1e9),))


def _back(
    series: Series, kept: NDArray[np.int8], rows: NDArray[np.intp], hold_ns: int
) -> int | None:
    """The first moment from which it keeps inside for `hold_ns` on end."""
    for row in rows[kept[rows] == 1].tolist():
        until = series.t_ns[row] + hold_ns
        later = rows[(series.t_ns[rows] >= series.t_ns[row]) & (series.t_ns[rows] <= until)]
        if bool((kept[later] == 1).all()) and series.t_ns[rows[-1]] >= until:
            return int(series.t_ns[row])
    return None


def _cut(series: Series, span: Span, deadline: int, tolerance: Healing) -> str:
    """Why it cannot be told whether it was back in time."""
    if span.end_ns < deadline:
        seconds = (span.end_ns - span.start_ns) / 1e9
        return f"only {seconds:.1f} of {tolerance.in_s:g} s passed undisturbed"
    doubt = series.doubt(Span(span.start_ns, min(span.end_ns, deadline + series.gap_ns), ""))
    return doubt or f"it was not back within {tolerance.in_s:g} s, and nothing was read later"


def _stayed(series: Series, row: int, limits: Limits) -> str:
    if limits.of_text:
        return "stayed otherwise"
    over = float(series.value[row]) > limits.high
    bound = limits.high if over else limits.low
    said = next(
        (part for part in limits.said.split(" and ") if ("at most" in part) == over), limits.said
    )
    ratio = said.partition("(")[2].partition(")")[0]
    told = re.sub(r"^(\S+) × (.*) before$", r"\1 × the baseline of \2", ratio)
    return f"stayed {'above' if over else 'below'} {told or f'{bound:g}'}"

"""Steady states: what was read in each stretch, against what limit, and the metric over time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from markupsafe import Markup

from seatrial.history.windows import phases
from seatrial.report import svg, words
from seatrial.report.document import SteadyPart, StretchPart, VerdictDocument
from seatrial.report.source import Material, windows_of
from seatrial.report.svg import Linear
from seatrial.steady.evaluate import PHASES
from seatrial.steady.reading import unit_of
from seatrial.steady_state import STRETCHES, WHEN, Healing, SteadyState, Tolerance
from seatrial.timeline import NS_PER_S
from seatrial.verdict import Json, Validity

#: Points of a series drawn; a longer one is thinned.
POINTS_MAX: Final = 400

#: Spans outside a tolerance that are marked.
BROKE_MAX: Final = 40

#: Fault windows that are drawn, and samples that are drawn one by one.
FAULTS_MAX: Final = 400
DOTS_MAX: Final = 150
#: A bound beyond so many times the highest sample would flatten the curve: it is left to words.
FAR: Final = 3.0

WIDTH, HEIGHT = 360.0, 120.0
LEFT, RIGHT, TOP, BOTTOM = 44.0, 6.0, 8.0, 100.0


@dataclass(frozen=True, slots=True)
class Cell:
    """One stretch of one steady state, in words."""

    when: str
    value: str
    limit: str
    ok: bool | None


@dataclass(frozen=True, slots=True)
class SteadyView:
    """One steady state: its cells and its plot (None without a series)."""

    name: str
    verdict: Validity
    cause: str
    note_only: bool
    cells: tuple[Cell, ...]
    moments: tuple[Cell, ...]
    query: str
    why: str
    notes: tuple[str, ...]
    plot: Markup | None


@dataclass(frozen=True, slots=True)
class Band:
    """What was allowed from one moment to another, on the report's clock."""

    start_s: float
    end_s: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Ground:
    """The stretches, and the faults (begun, healing, healed), in s on the report's clock.

    `origin_s` is where that clock begins on the trial's.
    """

    spans: Mapping[str, tuple[float, float]]
    faults: tuple[tuple[float, float | None, float | None], ...]
    origin_s: float


def views(material: Material, verdict: VerdictDocument, origin_ns: int) -> tuple[SteadyView, ...]:
    """Those that were judged, and those that were planned and were not."""
    planned = {s.name: s for s in (material.plan.steady_states if material.plan else ())}
    judged = {s.name: s for s in verdict.steady_states}
    ground = Ground(
        stretches(material, origin_ns),
        tuple(
            (
                (window.start_ns - origin_ns) / NS_PER_S,
                None if window.healing_ns is None else (window.healing_ns - origin_ns) / NS_PER_S,
                None if window.end_ns is None else (window.end_ns - origin_ns) / NS_PER_S,
            )
            for window in windows_of(material.history).values()
        ),
        origin_ns / NS_PER_S,
    )
    return tuple(
        _view(
            judged.get(name) or SteadyPart(name=name, cause="it was not judged"),
            planned.get(name),
            ground,
        )
        for name in dict.fromkeys([*planned, *judged])
    )


def stretches(material: Material, origin_ns: int) -> dict[str, tuple[float, float]]:
    """When each stretch was, in seconds on the report's clock: as it happened, or as planned."""
    found: dict[str, tuple[float, float]] = {}
    if material.plan is not None:
        ends = np.cumsum(
            [
                0,
                *(
                    getattr(material.plan.phases, name)
                    for name in ("before_s", "faults_s", "after_s")
                ),
            ]
        ).tolist()
        found = dict(zip(STRETCHES, pairwise(ends), strict=True))
    if material.history is not None:
        by_name = {phase.name: phase for phase in phases(material.history)}
        for when, name in PHASES.items():
            if name in by_name:
                phase = by_name[name]
                found[when] = (
                    (phase.start_ns - origin_ns) / NS_PER_S,
                    (phase.end_ns - origin_ns) / NS_PER_S,
                )
    return found


def _view(part: SteadyPart, state: SteadyState | None, ground: Ground) -> SteadyView:
    metric_unit = unit_of(state.probe) if state else part.unit
    unit = f" {metric_unit}" if metric_unit else ""
    base = part.stretches.get("before")
    baseline = part.baseline if part.baseline is not None else base.value if base else None
    tolerances = state.tolerances() if state else {}
    asked = [when for when in WHEN if when in STRETCHES or when in tolerances]
    cells = tuple(
        _cell(when, part.stretches.get(when), tolerances.get(when), unit, baseline)
        for when in asked
    )
    return SteadyView(
        part.name,
        part.verdict,
        part.cause,
        state is not None and state.on_break == "note",
        tuple(cell for cell in cells if cell.when in STRETCHES),
        tuple(cell for cell in cells if cell.when not in STRETCHES),
        part.metric if part.source != "ops" else "",
        state.why if state else "",
        part.notes,
        _plot(part, _bands(tolerances, baseline, ground), ground),
    )


def _bands(
    tolerances: Mapping[str, Tolerance], baseline: float | None, ground: Ground
) -> list[Band]:
    """What was allowed, when: one box for each tolerance and stretch of time that it is of."""
    out: list[Band] = []
    for when, tolerance in tolerances.items():
        if tolerance.of_text or tolerance.of_slope:
            continue
        low, high = band(tolerance, baseline)
        if low is None and high is None:
            continue
        out += [Band(start, end, low, high) for start, end in _times(when, tolerance, ground)]
    return out


def _times(when: str, tolerance: Tolerance, ground: Ground) -> list[tuple[float, float]]:
    """The stretches of time that a tolerance is of."""
    known = ground.spans
    if when in known:
        return [known[when]]
    ends = [end for _, end in known.values()]
    if not ends or when in STRETCHES:
        return []
    if when == "continuously":
        return [(min(start for start, _ in known.values()), max(ends))]
    found = []
    begins = [start for start, _, _ in ground.faults]
    for start, healing, _ in ground.faults:
        if when == "in_fault":
            found.append((start, max(ends) if healing is None else healing))
        elif healing is not None and isinstance(tolerance, Healing):
            later = min([begin for begin in begins if begin > healing], default=max(ends))
            if healing + tolerance.in_s < later:
                found.append((healing + tolerance.in_s, later))
    return found


def _cell(
    when: str,
    stretch: StretchPart | None,
    tolerance: Tolerance | None,
    unit: str,
    baseline: float | None,
) -> Cell:
    limit = said(tolerance, unit) or limit_of(stretch.limit if stretch else None)
    read = " s" if isinstance(tolerance, Healing) else unit
    value = "" if stretch is None or stretch.value is None else words.number(stretch.value) + read
    value = value or (stretch.text if stretch else "")
    return Cell(when, value, limit, stretch.ok if stretch else None)


def said(tolerance: Tolerance | None, unit: str) -> str:
    """A tolerance in words: `≤ 0.05`, `≥ 0.5 × before`."""
    if tolerance is None:
        return ""
    parts = [
        (tolerance.min, f"≥ {{}}{unit}"),
        (tolerance.max, f"≤ {{}}{unit}"),
        (tolerance.min_ratio, "≥ {} × before"),
        (tolerance.max_ratio, "≤ {} × before"),
        (tolerance.within_percent, "± {} %"),
        (tolerance.within_spreads, "± {} spreads"),
        (tolerance.min_slope, f"≥ {{}}{unit}/min"),
        (tolerance.max_slope, f"≤ {{}}{unit}/min"),
        (tolerance.in_s if isinstance(tolerance, Healing) else None, "in {} s"),
    ]
    found = [text.format(words.number(v)) for v, text in parts if v is not None]
    if tolerance.matches is not None:
        found.append(f"matches {tolerance.matches}")
    if tolerance.equals is not None:
        found.append(f"is {tolerance.equals}")
    return ", ".join(found)


def limit_of(limit: Json) -> str:
    """A limit as the judge wrote it: text, a number, or a map of bounds."""
    if limit is None:
        return ""
    if isinstance(limit, Mapping):
        try:
            return said(Tolerance.model_validate(limit), "")
        except ValueError:
            return words.details(limit)
    return words.details(limit)


def band(tolerance: Tolerance | None, baseline: float | None) -> tuple[float | None, float | None]:
    """The lowest and the highest reading allowed; None where there is no bound."""
    if tolerance is None:
        return None, None
    lows, highs = [tolerance.min], [tolerance.max]
    if baseline is not None:
        lows.append(None if tolerance.min_ratio is None else tolerance.min_ratio * baseline)
        highs.append(None if tolerance.max_ratio is None else tolerance.max_ratio * baseline)
        if tolerance.within_percent is not None:
            room = abs(baseline) * tolerance.within_percent / 100
            lows.append(baseline - room)
            highs.append(baseline + room)
    known_low = [v for v in lows if v is not None]
    known_high = [v for v in highs if v is not None]
    return max(known_low, default=None), min(known_high, default=None)


def _plot(part: SteadyPart, bands: Sequence[Band], ground: Ground) -> Markup | None:
    """Bands, fault windows, holes, samples, and the moment where it broke."""
    if part.series is None:
        return None
    size = min(len(part.series.t_s), len(part.series.value))
    stride = max(1, -(-size // POINTS_MAX))
    t = np.array(part.series.t_s[:size:stride], dtype=np.float64) - ground.origin_s
    v = np.array(
        [np.nan if x is None else x for x in part.series.value[:size:stride]], dtype=np.float64
    )
    if not len(t) or np.isnan(v).all():
        return None
    bounds = [b for one in bands for b in (one.low, one.high) if b is not None]
    top = float(np.nanmax(v))
    seen = [b for b in bounds if b <= max(top, 1e-9) * FAR]  # a bound far off is not drawn
    high = max([top, *seen, 1e-9]) * 1.08
    x = Linear(float(min(t[0], 0)), float(max(t[-1], t[0] + 1e-9)), LEFT, WIDTH - RIGHT)
    y = Linear(min(0.0, float(np.nanmin(v))), high, BOTTOM, TOP)
    parts = [
        *_windows(ground, x),
        *_drawn(bands, x, y),
        *_spans(part.holes, ground, x, "hole"),
        *_spans(part.broke, ground, x, "broke"),
    ]
    for tick in y.ticks(3):
        parts.append(svg.line(LEFT, y(tick), WIDTH - RIGHT, y(tick), "grid"))
        parts.append(svg.text(LEFT - 6, y(tick) + 4, words.number(tick), anchor="end"))
    for tick in x.ticks(4):
        parts.append(svg.text(x(tick), BOTTOM + 16, words.seconds(tick), anchor="middle"))
    there = ~np.isnan(v)
    if part.metric != "recovery_s":
        line = svg.polyline(x.many(t), y.many(v))
        parts.append(svg.element("path", d=line, class_="series"))
    if part.metric == "recovery_s" or (part.source != "ops" and len(t) <= DOTS_MAX):
        big = " big" if part.metric == "recovery_s" else ""
        dots = svg.marks(x.many(t[there]), y.many(v[there]), "dot")
        parts.append(svg.element("path", d=dots, class_=f"series points{big}"))
    parts += _moment(part, ground, x)
    return svg.svg(WIDTH, HEIGHT, f"{part.name} over time", parts, "small")


def _windows(ground: Ground, x: Linear) -> list[Markup]:
    """The faults' real windows as shades."""
    parts = []
    for start, _, end in ground.faults[:FAULTS_MAX]:
        left, right = x(max(start, x.low)), x(min(x.high if end is None else end, x.high))
        if right > left:
            parts.append(svg.rect(left, TOP, right - left, BOTTOM - TOP, "shade"))
    return parts


def _drawn(bands: Sequence[Band], x: Linear, y: Linear) -> list[Markup]:
    """What was allowed, as tinted boxes with their limits as lines."""
    parts: list[Markup] = []
    for one in bands:
        left, right = x(max(one.start_s, x.low)), x(min(one.end_s, x.high))
        if right <= left:
            continue
        top = y(min(one.high, y.high)) if one.high is not None else y.at_high
        bottom = y(max(one.low, y.low)) if one.low is not None else y.at_low
        parts.append(svg.rect(left, top, right - left, max(0, bottom - top), "band"))
        parts += [
            svg.line(left, y(bound), right, y(bound), "limit")
            for bound in (one.low, one.high)
            if bound is not None and y.low <= bound <= y.high
        ]
    return parts


def _spans(
    spans: Sequence[tuple[float, float]], ground: Ground, x: Linear, class_: str
) -> list[Markup]:
    """Where the metric left its tolerance, or nothing was read."""
    parts: list[Markup] = []
    for start, end in spans[:BROKE_MAX]:
        left = x(min(max(start - ground.origin_s, x.low), x.high))
        right = x(min(max(end - ground.origin_s, x.low), x.high))
        parts.append(svg.rect(left, TOP, max(1.5, right - left), BOTTOM - TOP, class_))
    return parts


def _moment(part: SteadyPart, ground: Ground, x: Linear) -> list[Markup]:
    """The moment at which it broke first, with its time."""
    if not part.broke:
        return []
    at = min(start for start, _ in part.broke) - ground.origin_s
    place = x(min(max(at, x.low), x.high))
    anchor = "end" if place > WIDTH - 90 else "start"
    label = svg.text(
        place + (-4 if anchor == "end" else 4),
        TOP + 9,
        f"broke at {words.seconds(at)}",
        "moment-text",
        anchor=anchor,
    )
    return [svg.line(place, TOP, place, BOTTOM, "moment"), label]

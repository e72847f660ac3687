"""Steady states: what was read in each stretch, against what limit, and the metric over time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from markupsafe import Markup

from seatrial.history.windows import phases
from seatrial.report import svg, words
from seatrial.report.document import SteadyPart, StretchPart, VerdictDocument
from seatrial.report.source import Material
from seatrial.report.svg import Linear
from seatrial.steady.evaluate import PHASES
from seatrial.steady.reading import unit_of
from seatrial.steady_state import STRETCHES, WHEN, SteadyState, Tolerance
from seatrial.timeline import NS_PER_S
from seatrial.verdict import Json, Validity

#: Points of a series drawn; a longer one is thinned.
POINTS_MAX: Final = 400

#: Spans outside a tolerance that are marked.
BROKE_MAX: Final = 40

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
    plot: Markup | None


def views(material: Material, verdict: VerdictDocument, origin_ns: int) -> tuple[SteadyView, ...]:
    """Those that were judged, and those that were planned and were not."""
    planned = {s.name: s for s in (material.plan.steady_states if material.plan else ())}
    judged = {s.name: s for s in verdict.steady_states}
    spans = stretches(material, origin_ns)
    return tuple(
        _view(
            judged.get(name) or SteadyPart(name=name, cause="it was not judged"),
            planned.get(name),
            spans,
            origin_ns / NS_PER_S,
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


def _view(
    part: SteadyPart,
    state: SteadyState | None,
    spans: Mapping[str, tuple[float, float]],
    origin_s: float,
) -> SteadyView:
    metric_unit = unit_of(state.probe) if state else part.unit
    unit = f" {metric_unit}" if metric_unit else ""
    base = part.stretches.get("before")
    baseline = base.value if base else None
    tolerances = {when: getattr(state, when) for when in WHEN} if state else {}
    cells = tuple(
        _cell(when, part.stretches.get(when), tolerances.get(when), unit, baseline) for when in WHEN
    )
    bands = {when: band(tolerances.get(when), baseline) for when in WHEN}
    return SteadyView(
        part.name,
        part.verdict,
        part.cause,
        state is not None and state.on_break == "note",
        cells,
        _plot(part, bands, spans, origin_s, points=part.metric == "recovery_s"),
    )


def _cell(
    when: str,
    stretch: StretchPart | None,
    tolerance: Tolerance | None,
    unit: str,
    baseline: float | None,
) -> Cell:
    limit = said(tolerance, unit) or limit_of(stretch.limit if stretch else None)
    value = "" if stretch is None or stretch.value is None else words.number(stretch.value) + unit
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
    ]
    return ", ".join(text.format(words.number(v)) for v, text in parts if v is not None)


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
    known_low = [v for v in lows if v is not None]
    known_high = [v for v in highs if v is not None]
    return max(known_low, default=None), min(known_high, default=None)


def _plot(
    part: SteadyPart,
    bands: Mapping[str, tuple[float | None, float | None]],
    spans: Mapping[str, tuple[float, float]],
    origin_s: float,
    *,
    points: bool,
) -> Markup | None:
    if part.series is None:
        return None
    size = min(len(part.series.t_s), len(part.series.value))
    stride = max(1, -(-size // POINTS_MAX))
    t = np.array(part.series.t_s[:size:stride], dtype=np.float64) - origin_s
    v = np.array(
        [np.nan if x is None else x for x in part.series.value[:size:stride]], dtype=np.float64
    )
    if not len(t) or np.isnan(v).all():
        return None
    bounds = [b for pair in bands.values() for b in pair if b is not None]
    high = max([float(np.nanmax(v)), *bounds, 1e-9]) * 1.08
    x = Linear(float(min(t[0], 0)), float(max(t[-1], t[0] + 1e-9)), LEFT, WIDTH - RIGHT)
    y = Linear(min(0.0, float(np.nanmin(v))), high, BOTTOM, TOP)
    parts = [*_bands(bands, spans, x, y), *_broken(part, origin_s, x)]
    for tick in y.ticks(3):
        parts.append(svg.line(LEFT, y(tick), WIDTH - RIGHT, y(tick), "grid"))
        parts.append(svg.text(LEFT - 6, y(tick) + 4, words.number(tick), anchor="end"))
    for tick in x.ticks(4):
        parts.append(svg.text(x(tick), BOTTOM + 16, words.seconds(tick), anchor="middle"))
    if points:
        there = ~np.isnan(v)
        path = svg.marks(x.many(t[there]), y.many(v[there]), "dot")
    else:
        path = svg.polyline(x.many(t), y.many(v))
    parts.append(svg.element("path", d=path, class_="series points" if points else "series"))
    return svg.svg(WIDTH, HEIGHT, f"{part.name} over time", parts, "small")


def _bands(
    bands: Mapping[str, tuple[float | None, float | None]],
    spans: Mapping[str, tuple[float, float]],
    x: Linear,
    y: Linear,
) -> list[Markup]:
    """What was allowed in each stretch, as a tinted box with its limits as lines."""
    parts: list[Markup] = []
    for when, (start, end) in spans.items():
        left, right = x(max(start, x.low)), x(min(end, x.high))
        low, high = bands.get(when, (None, None))
        if (low is None and high is None) or right <= left:
            continue
        top = y(min(high, y.high)) if high is not None else y.at_high
        bottom = y(max(low, y.low)) if low is not None else y.at_low
        parts.append(svg.rect(left, top, right - left, max(0, bottom - top), "band"))
        parts += [
            svg.line(left, y(bound), right, y(bound), "limit")
            for bound in (low, high)
            if bound is not None and y.low <= bound <= y.high
        ]
    return parts


def _broken(part: SteadyPart, origin_s: float, x: Linear) -> list[Markup]:
    """Where the metric left its tolerance."""
    parts: list[Markup] = []
    for start, end in part.broke[:BROKE_MAX]:
        left = x(min(max(start - origin_s, x.low), x.high))
        right = x(min(max(end - origin_s, x.low), x.high))
        parts.append(svg.rect(left, TOP, max(1.5, right - left), BOTTOM - TOP, "broke"))
    return parts

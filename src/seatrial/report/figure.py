"""The figure of a trial: phases, faults, latency, throughput and errors over one time axis.

Drawn twice, wide and narrow, so that its letters are readable on a desk and on a phone; the style
sheet shows one. The number of nodes is bounded by the sizes of the grids and by `FAULTS_MAX`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from markupsafe import Markup

from seatrial.report import svg, words
from seatrial.report.facts import OUTCOMES, Facts
from seatrial.report.faults import FaultView
from seatrial.report.svg import Linear, Log
from seatrial.timeline import NS_PER_S, cells

#: More faults than this are not drawn; more than the second number are drawn without letters.
FAULTS_MAX: Final = 400
FAULTS_LABELLED: Final = 40
LANES_MAX: Final = 8

#: Side of a cell of the scatter: one dot a cell at most, in three strengths.
OK_CELL: Final = 3.0
MARK_CELL: Final = 9.0
LATENCY_MS_MIN: Final = 0.001


@dataclass(frozen=True, slots=True)
class Size:
    """Measures of one of the two drawings, in units of its viewBox."""

    width: float
    left: float
    right: float
    latency: float
    ok_rate: float
    bad_rate: float
    char: float
    ticks: int
    class_: str


WIDE: Final = Size(960, 58, 10, 230, 90, 56, 6.3, 10, "figure wide")
NARROW: Final = Size(360, 46, 6, 190, 80, 50, 6.3, 5, "figure narrow")

GAP: Final = 30
LANE: Final = 18
PHASE: Final = 18


def draw(facts: Facts, faults: tuple[FaultView, ...]) -> Markup:
    """Both drawings. O(n) in the ops, bounded in nodes."""
    return Markup("").join(_figure(facts, faults[:FAULTS_MAX], size) for size in (WIDE, NARROW))


def _figure(facts: Facts, faults: tuple[FaultView, ...], size: Size) -> Markup:
    x = Linear(facts.start_s, facts.end_s, size.left, size.width - size.right)
    lanes, lane_rows = _lanes(faults, x, size, facts.end_s)
    top = PHASE + lane_rows * LANE + (GAP + 4 if lane_rows else 30)
    latency_y = (top, top + size.latency)
    ok_y = (latency_y[1] + GAP, latency_y[1] + GAP + size.ok_rate)
    bad_y = (ok_y[1] + GAP, ok_y[1] + GAP + size.bad_rate)
    height = bad_y[1] + 34
    parts = [
        _phases(facts, x, size, bad_y[1]),
        _shades(faults, x, PHASE, bad_y[1], facts.end_s),
        _time_axis(x, size, (latency_y, ok_y, bad_y)),
        lanes,
        _latency(facts, x, size, latency_y),
        _rates(facts, x, size, ok_y, ("ok", "refused"), "ok and refused a second"),
        _rates(facts, x, size, bad_y, ("fail", "info"), "fail and info a second"),
    ]
    label = (
        f"Latency, throughput and errors over {words.seconds(facts.end_s - facts.start_s)}, "
        f"with {len(faults)} fault windows"
    )
    return svg.svg(size.width, height, label, parts, size.class_)


def time_label(seconds: float, span: float) -> str:
    """A label of the time axis: seconds, minutes where the axis is long."""
    if span < 300:
        return words.seconds(seconds) if seconds else "0 s"
    return f"{words.number(round(seconds / 60, 2))} min"


def _time_axis(x: Linear, size: Size, panels: tuple[tuple[float, float], ...]) -> Markup:
    parts: list[Markup] = []
    span = x.high - x.low
    bottom = panels[-1][1]
    scale = x if span < 300 else Linear(x.low / 60, x.high / 60, x.at_low, x.at_high)
    for tick in scale.ticks(size.ticks):
        seconds = tick if span < 300 else tick * 60
        at = x(seconds)
        parts += [svg.line(at, top, at, low, "grid") for top, low in panels]
        anchor = "end" if at > size.width - 24 else "middle"
        at = min(at, size.width - 1) if anchor == "end" else at
        parts.append(svg.text(at, bottom + 16, time_label(seconds, span), anchor=anchor))
    return svg.group(parts)


def _phases(facts: Facts, x: Linear, size: Size, bottom: float) -> Markup:
    parts: list[Markup] = []
    for phase in facts.phases:
        start = max(facts.start_s, (phase.start_ns - facts.origin_ns) / NS_PER_S)
        end = min(facts.end_s, (phase.end_ns - facts.origin_ns) / NS_PER_S)
        if end <= start:
            continue
        at = x(start)
        parts.append(svg.line(at, 2, at, bottom, "phase-line"))
        name = svg.fit(phase.name, x(end) - at - 6, size.char)
        if name:
            parts.append(svg.text(at + 4, 11, name, "phase"))
    return svg.group(parts)


def _shades(
    faults: tuple[FaultView, ...], x: Linear, top: float, bottom: float, end_s: float
) -> Markup:
    """Real windows as shades through all panels, planned ones by their dashed edges."""
    parts: list[Markup] = []
    for fault in faults:
        if fault.start_s is not None:
            left, right = x(fault.start_s), x(end_s if fault.end_s is None else fault.end_s)
            parts.append(svg.rect(left, top, max(1, right - left), bottom - top, "shade"))
        if fault.planned and len(faults) <= FAULTS_LABELLED:
            parts += [svg.line(x(s), top, x(s), bottom, "planned-edge") for s in fault.planned]
    return svg.group(parts)


def _lanes(
    faults: tuple[FaultView, ...], x: Linear, size: Size, end_s: float
) -> tuple[Markup, int]:
    """The strip of faults: planned windows hollow, real ones full, each with its name."""
    labelled = len(faults) <= FAULTS_LABELLED
    boxes: list[tuple[float, float, str]] = []
    for fault in faults:
        moments = [*(fault.planned or ()), fault.start_s, fault.end_s]
        known = [moment for moment in moments if moment is not None]
        if fault.start_s is not None and fault.end_s is None:
            known.append(end_s)
        left, right = (x(min(known)), x(max(known))) if known else (size.left, size.left)
        name = fault.label if size is WIDE else f"F{fault.number}"
        boxes.append((left, right, name if labelled else ""))
    spans = [(b[0], max(b[1] + 4, b[0] + 6 + len(b[2]) * size.char)) for b in boxes]
    order = sorted(range(len(boxes)), key=lambda i: spans[i])
    placed = svg.pack([spans[i] for i in order], LANES_MAX)
    parts: list[Markup] = []
    for i, lane in zip(order, placed, strict=True):
        parts.append(_lane(faults[i], boxes[i], x, PHASE + lane * LANE, size, end_s))
    return svg.group(parts), max(placed, default=-1) + 1


def _lane(
    fault: FaultView,
    box: tuple[float, float, str],
    x: Linear,
    top: float,
    size: Size,
    end_s: float,
) -> Markup:
    said = f"{fault.label}: planned {_said(fault.planned)}, real {_real(fault)}"
    parts = [svg.element("title", said)]
    if fault.start_s is not None:
        left, right = x(fault.start_s), x(end_s if fault.end_s is None else fault.end_s)
        parts.append(svg.rect(left, top + 2, max(2, right - left), 14, "real", rx=2))
    if fault.planned:
        left, right = x(fault.planned[0]), x(fault.planned[1])
        parts.append(svg.rect(left, top + 2, max(2, right - left), 14, "planned", rx=2))
    if box[2]:
        overflow = box[0] + 5 + len(box[2]) * size.char > size.width - size.right
        at, anchor = (size.width - size.right - 3, "end") if overflow else (box[0] + 5, "start")
        parts.append(svg.text(at, top + 13, box[2], "fault-name", anchor))
    return svg.group(parts)


def _said(planned: tuple[float, float] | None) -> str:
    return words.window(*planned) if planned else "never"


def _real(fault: FaultView) -> str:
    return words.window(fault.start_s, fault.end_s) if fault.start_s is not None else "never"


def _latency(facts: Facts, x: Linear, size: Size, span: tuple[float, float]) -> Markup:
    top, bottom = span
    ms = np.maximum(facts.spans.latency_ms, LATENCY_MS_MIN)
    low = 10.0 ** math.floor(math.log10(float(np.quantile(ms, 0.001))))
    high = 10.0 ** math.ceil(math.log10(max(float(ms.max()), low * 10)))
    y = Log(low, high, bottom, top)
    parts = [svg.text(0, top - 14, "latency, log scale", "panel")]
    for tick in y.ticks():
        parts.append(svg.line(size.left, y(tick), size.width - size.right, y(tick), "grid"))
        parts.append(svg.text(size.left - 7, y(tick) + 4, words.milliseconds(tick), anchor="end"))
    parts += _scatter(facts, x, y, ms)
    edges = x.many(facts.edges)
    for row, name in ((2, "max"), (1, "p99"), (0, "p50")):
        parts.append(
            svg.element("path", d=svg.steps(edges, y.many(facts.latency[row])), class_=name)
        )
    return svg.group(parts)


def _scatter(
    facts: Facts, x: Linear, y: Log, ms: np.ndarray[tuple[int], np.dtype[np.float64]]
) -> list[Markup]:
    """Dots (three strengths) for `ok`, dashes for refusals, triangles, crosses for `info`.

    One path each.
    """
    left, right, top, bottom = x.at_low, x.at_high, y.at_high, y.at_low
    px = x.many((facts.spans.end_ns - facts.origin_ns) / NS_PER_S)
    py = y.many(ms)
    parts: list[Markup] = []
    for kind, shape, side in (
        ("ok", "dot", OK_CELL),
        ("refused", "dash", MARK_CELL),
        ("fail", "triangle", MARK_CELL),
        ("info", "cross", MARK_CELL),
    ):
        mine = facts.outcome == OUTCOMES.index(kind)
        columns, rows = int((right - left) / side), int((bottom - top) / side)
        column, row, size = cells(
            (px[mine] - left) / (right - left), (py[mine] - top) / (bottom - top), columns, rows
        )
        cx = left + (column + 0.5) * (right - left) / columns
        cy = top + (row + 0.5) * (bottom - top) / rows
        if kind != "ok":
            parts.append(svg.element("path", d=svg.marks(cx, cy, shape), class_=f"mark {kind}"))
            continue
        for strength, (least, most) in enumerate(((1, 2), (3, 9), (10, np.inf)), 1):
            some = (size >= least) & (size <= most)
            path = svg.marks(cx[some], cy[some], shape)
            parts.append(svg.element("path", d=path, class_=f"mark ok ok{strength}"))
    return parts


def _rates(
    facts: Facts,
    x: Linear,
    size: Size,
    span: tuple[float, float],
    kinds: tuple[str, ...],
    title: str,
) -> Markup:
    top, bottom = span
    rows = {kind: facts.rate[OUTCOMES.index(kind)] for kind in kinds}
    high = float(max(*(row.max() for row in rows.values()), 1e-9))
    nothing = high < 1e-6
    y = Linear(0, 1.0 if nothing else high * 1.05, bottom, top)
    parts = [svg.text(0, top - 10, title, "panel")]
    for tick in y.ticks(2 if span[1] - span[0] < 60 else 3):
        parts.append(svg.line(size.left, y(tick), size.width - size.right, y(tick), "grid"))
        parts.append(svg.text(size.left - 7, y(tick) + 4, words.number(tick), anchor="end"))
    edges = x.many(facts.edges)
    for kind, row in rows.items():
        levels = y.many(row)
        if kind == "ok":
            zero = np.full(len(levels), bottom)
            parts.append(svg.element("path", d=svg.area(edges, zero, levels), class_="rate-area"))
        parts.append(svg.element("path", d=svg.steps(edges, levels), class_=f"rate {kind}"))
    if nothing:
        parts.append(svg.text(size.left + 6, bottom - 6, "none", "note"))
    return svg.group(parts)

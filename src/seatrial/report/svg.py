"""Inline SVG: escaped elements, scales, ticks and paths. No colour here: the style sheet has it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup, escape
from numpy.typing import NDArray

F64 = NDArray[np.float64]


def element(name: str, *body: str, **attributes: str | float | None) -> Markup:
    """One element. Attribute `class_` is `class`, `stroke_width` is `stroke-width`.

    Text that is not `Markup` already is escaped; an attribute of None is left out.
    """
    said = Markup("").join(
        Markup(' {}="{}"').format(_name(key), _value(value))
        for key, value in attributes.items()
        if value is not None
    )
    inside = Markup("").join(body)
    if not body:
        return Markup("<{}{}/>").format(Markup(name), said)
    return Markup("<{}{}>{}</{}>").format(Markup(name), said, inside, Markup(name))


def group(parts: Iterable[str], **attributes: str | float | None) -> Markup:
    """A `<g>` around `parts`."""
    return element("g", *parts, Markup(""), **attributes)


def text(x: float, y: float, content: str, class_: str = "tick", anchor: str = "start") -> Markup:
    """A line of text with its anchor: `start`, `middle` or `end`."""
    return element("text", content, x=x, y=y, class_=class_, text_anchor=anchor)


def line(x1: float, y1: float, x2: float, y2: float, class_: str) -> Markup:
    """A straight line."""
    return element("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=class_)


def rect(
    x: float, y: float, width: float, height: float, class_: str, title: str = "", rx: float = 0
) -> Markup:
    """A rectangle; `title` shows when a pointer rests on it."""
    body = (element("title", title),) if title else ()
    return element(
        "rect", *body, x=x, y=y, width=width, height=height, rx=rx or None, class_=class_
    )


def svg(width: float, height: float, label: str, parts: Iterable[str], class_: str) -> Markup:
    """The whole picture, scaled by its viewBox; `label` says it to those who do not see it."""
    box = f"0 0 {number(width)} {number(height)}"
    return element(
        "svg", *parts, Markup(""), viewBox=box, role="img", aria_label=label, class_=class_
    )


def number(value: float) -> str:
    """A coordinate to a tenth, as short as can be."""
    return f"{round(float(value), 1):g}"


def polyline(x: F64, y: F64) -> str:
    """Path data of a line through the points, broken where y is NaN."""
    parts: list[str] = []
    pen = "M"
    for px, py in zip(x.tolist(), y.tolist(), strict=True):
        if math.isnan(py):
            pen = "M"
            continue
        parts.append(f"{pen}{number(px)} {number(py)}")
        pen = "L"
    return "".join(parts)


def steps(edges: F64, y: F64) -> str:
    """Path data of a step line: level y[i] from edges[i] to edges[i + 1], broken at NaN."""
    parts: list[str] = []
    pen = "M"
    for left, right, level in zip(edges[:-1].tolist(), edges[1:].tolist(), y.tolist(), strict=True):
        if math.isnan(level):
            pen = "M"
            continue
        parts.append(f"{pen}{number(left)} {number(level)}H{number(right)}")
        pen = "L"
    return "".join(parts)


def area(edges: F64, low: F64, high: F64) -> str:
    """Path data of a band of steps between two levels, one closed part for each run of bins."""
    parts: list[str] = []
    filled = np.flatnonzero(~(np.isnan(low) | np.isnan(high)))
    runs = np.split(filled, np.flatnonzero(np.diff(filled) > 1) + 1) if len(filled) else []
    for run in runs:
        there = steps(edges[run[0] : run[-1] + 2], high[run])
        back = "".join(
            f"L{number(edges[i + 1])} {number(low[i])}H{number(edges[i])}" for i in run[::-1]
        )
        parts.append(f"{there}{back}Z")
    return "".join(parts)


def marks(x: F64, y: F64, shape: str) -> str:
    """Path data of one mark per point: a dot (needs a round cap), dash, cross or triangle."""
    drawn = {
        "dot": "h0",
        "dash": "m-2.5 0h5",
        "cross": "m-3-3l6 6m0-6l-6 6",
        "triangle": "m0-4l3.6 6.4h-7.2z",
    }[shape]
    return "".join(
        f"M{number(px)} {number(py)}{drawn}" for px, py in zip(x.tolist(), y.tolist(), strict=True)
    )


@dataclass(frozen=True, slots=True)
class Linear:
    """Maps [low, high] to [at_low, at_high], straight."""

    low: float
    high: float
    at_low: float
    at_high: float

    def __call__(self, value: float) -> float:
        span = self.high - self.low or 1.0
        return self.at_low + (value - self.low) / span * (self.at_high - self.at_low)

    def many(self, values: F64) -> F64:
        """The same for an array."""
        span = self.high - self.low or 1.0
        out: F64 = self.at_low + (values - self.low) / span * (self.at_high - self.at_low)
        return out

    def ticks(self, about: int) -> list[float]:
        """Round values inside the range: steps of 1, 2 or 5 times a power of ten."""
        span = self.high - self.low
        if span <= 0 or not math.isfinite(span):
            return [self.low]
        rough = span / max(1, about)
        decade = 10.0 ** math.floor(math.log10(rough))
        step = next(decade * f for f in (1, 2, 5, 10) if decade * f >= rough * 0.999)
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [round(i * step, 12) for i in range(first, last + 1)]


@dataclass(frozen=True, slots=True)
class Log:
    """Maps [low, high], both above 0, to [at_low, at_high] by their logarithm."""

    low: float
    high: float
    at_low: float
    at_high: float

    def __call__(self, value: float) -> float:
        return float(self.many(np.array([value]))[0])

    def many(self, values: F64) -> F64:
        """The same for an array; values out of range are clipped to it."""
        clipped = np.log10(np.clip(values, self.low, self.high))
        low, high = math.log10(self.low), math.log10(self.high)
        out: F64 = self.at_low + (clipped - low) / (high - low) * (self.at_high - self.at_low)
        return out

    def ticks(self) -> list[float]:
        """The powers of ten inside the range."""
        first, last = math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high))
        return [10.0**power for power in range(first, last + 1)]


def fit(content: str, width: float, char_width: float) -> str:
    """The text cut to what fits in `width`; empty where not even two characters do."""
    room = int(width / char_width)
    if len(content) <= room:
        return content
    return content[: room - 1] + "…" if room >= 3 else ""


def pack(spans: Sequence[tuple[float, float]], lanes_max: int) -> list[int]:
    """A lane for each span (sorted by start) so that none overlaps; the last lane takes the rest.

    O(n · lanes).
    """
    ends: list[float] = []
    lanes: list[int] = []
    for start, end in spans:
        lane = next((i for i, busy in enumerate(ends) if busy <= start), len(ends))
        if lane >= lanes_max:
            lane = lanes_max - 1
        if lane == len(ends):
            ends.append(end)
        else:
            ends[lane] = max(ends[lane], end)
        lanes.append(lane)
    return lanes


def _name(key: str) -> Markup:
    return Markup(key.rstrip("_").replace("_", "-"))


def _value(value: str | float) -> str:
    return escape(value) if isinstance(value, str) else number(value)

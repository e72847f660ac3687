"""What each fault cost in time, as bars: to detect, to fail over, to recover, longest outage."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from markupsafe import Markup

from seatrial.report import svg, words
from seatrial.report.document import VerdictDocument
from seatrial.report.faults import FaultView
from seatrial.report.svg import Linear

#: Faults that are drawn; the table has the rest.
FAULTS_MAX: Final = 30
KINDS: Final = (
    ("detect_s", "to detect"),
    ("fail_over_s", "to fail over"),
    ("recover_s", "to recover"),
    ("unavailable_s", "longest outage"),
)
WIDTH, LEFT, RIGHT = 360.0, 96.0, 44.0
BAR, ROW, HEAD, GAP = 9.0, 12.0, 16.0, 8.0


@dataclass(frozen=True, slots=True)
class Row:
    """One fault's times in words, in the order of `KINDS`."""

    label: str
    cells: tuple[str, ...]


def rows(verdict: VerdictDocument, faults: tuple[FaultView, ...]) -> tuple[Row, ...]:
    """A row for each fault whose times are known."""
    return tuple(
        Row(label, tuple(_said(value) for value in values))
        for label, values in _times(verdict, faults)
    )


def chart(verdict: VerdictDocument, faults: tuple[FaultView, ...]) -> Markup | None:
    """The bar chart; None where no time is known."""
    found = _times(verdict, faults)[:FAULTS_MAX]
    known = [v for _, values in found for v in values if v is not None and math.isfinite(v)]
    if not found or not known:
        return None
    x = Linear(0.0, max([*known, 0.1]), LEFT, WIDTH - RIGHT)
    parts: list[Markup] = []
    top = 4.0
    for label, values in found:
        parts.append(svg.text(2, top + 10, svg.fit(label, WIDTH - 8, 6.3), "phase"))
        top += HEAD
        for number, ((_, kind), value) in enumerate(zip(KINDS, values, strict=True)):
            parts += _bar(kind, value, number, top, x)
            top += ROW
        top += GAP
    title = f"Times to detect, fail over and recover, of {len(found)} faults"
    return svg.svg(WIDTH, top, title, parts, "small times")


def _bar(kind: str, value: float | None, number: int, top: float, x: Linear) -> list[Markup]:
    parts = [svg.text(LEFT - 6, top + BAR - 1, kind, anchor="end")]
    if value is None:
        return [*parts, svg.text(LEFT, top + BAR - 1, "–")]
    end = x(min(value, x.high))
    width = max(1.0, end - LEFT)
    parts.append(svg.rect(LEFT, top, width, BAR, f"bar bar{number}", f"{kind}: {_said(value)}"))
    return [*parts, svg.text(end + 4, top + BAR - 1, _said(value))]


def _said(value: float | None) -> str:
    if value is None:
        return "–"
    return "not in time" if math.isinf(value) else words.seconds(round(value, 2))


def _times(
    verdict: VerdictDocument, faults: tuple[FaultView, ...]
) -> list[tuple[str, tuple[float | None, ...]]]:
    by_id = {part.id: part.times for part in verdict.faults if part.times is not None}
    return [
        (view.label, tuple(getattr(by_id[view.id], name) for name, _ in KINDS))
        for view in faults
        if view.id in by_id
    ]

"""The ops around an anomaly, one lane a process, in the order in which they happened.

The axis counts events, not seconds: an anomaly may span minutes while what proves it is the order
of a dozen events, and each of these gets the same room. Moments are written below.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from markupsafe import Markup

from seatrial.history import NIL, History
from seatrial.history.columns import I64, Bool
from seatrial.op import Type
from seatrial.report import svg, words

#: Ops of an anomaly drawn, and ops around them.
PROOF_MAX: Final = 16
AROUND_EACH: Final = 3

LANE: Final = 36.0
BAR: Final = 11.0
TOP: Final = 8.0
CHAR: Final = 6.4


@dataclass(frozen=True, slots=True)
class Size:
    """Measures of one of the two drawings."""

    width: float
    left: float
    around: int
    class_: str


WIDE: Final = Size(960, 82, 14, "lanes wide")
NARROW: Final = Size(360, 34, 4, "lanes narrow")


@dataclass(frozen=True, slots=True)
class Bar:
    """One op: rows of its two halves (either may be −1), and whether it is of the anomaly."""

    invoke: int
    complete: int
    process: int
    type: Type
    proof: bool

    @property
    def first(self) -> int:
        """The row at which it begins."""
        return self.invoke if self.invoke >= 0 else self.complete


def draw(history: History, ops: Sequence[int], origin_ns: int) -> Markup | None:
    """Wide and narrow drawing of the anomaly's ops and some around; None if none is there."""
    proof = _halves(history, ops)
    if not proof:
        return None
    sizes = (WIDE, NARROW)
    return Markup("").join(
        _picture(history, _with_context(history, proof, size.around), origin_ns, size)
        for size in sizes
    )


def rows_of(history: History, ops: Iterable[int]) -> list[int]:
    """The rows of the ops with these indexes, unknown ones left out."""
    indexes = np.array(list(ops), dtype=np.int64)
    if not len(indexes) or not len(history):
        return []
    rows = np.clip(np.searchsorted(history.index, indexes), 0, len(history) - 1)
    return [int(row) for row in rows[history.index[rows] == indexes]]


def _halves(history: History, ops: Sequence[int]) -> list[Bar]:
    """One bar for each op of the anomaly, whichever of its halves was named."""
    found: dict[int, Bar] = {}
    for row in rows_of(history, ops):
        if not history.client[row]:
            continue
        bar = _bar(history, row, proof=True)
        found.setdefault(bar.first, bar)
    return list(found.values())[:PROOF_MAX]


def _bar(history: History, row: int, *, proof: bool) -> Bar:
    other = int(history.pair[row])
    begun = history.type[row] == Type.INVOKE
    invoke, complete = (row, other) if begun else (other, row)
    kind = Type(int(history.type[complete])) if complete >= 0 else Type.INVOKE
    return Bar(invoke, complete, int(history.process[row]), kind, proof)


def _with_context(history: History, proof: list[Bar], around: int) -> list[Bar]:
    """The proof and the ops nearest to it (on the same keys where ops have keys), by row."""
    candidates: I64 = np.flatnonzero(_related(history, proof) & (history.type == Type.INVOKE))
    chosen = {bar.first: bar for bar in proof}
    for step in range(1, AROUND_EACH + 1):
        for bar in proof:
            for row in (bar.invoke, bar.complete):
                place = int(np.searchsorted(candidates, row))
                for near in (place - step, place + step - 1 + int(_is_at(candidates, place, row))):
                    if 0 <= near < len(candidates) and len(chosen) < len(proof) + around:
                        there = int(candidates[near])
                        chosen.setdefault(there, _bar(history, there, proof=False))
    return [chosen[row] for row in sorted(chosen)]


def _related(history: History, proof: list[Bar]) -> Bool:
    """Mask of the clients' events on the proof's keys; all of them where ops have no keys."""
    keys = np.unique([history.key[bar.first] for bar in proof])
    if np.any(keys == NIL):
        return history.client
    out: Bool = history.client & np.isin(history.key, keys)
    return out


def _is_at(candidates: I64, place: int, row: int) -> bool:
    return place < len(candidates) and int(candidates[place]) == row


def _places(history: History, bars: list[Bar]) -> tuple[dict[int, float], list[float]]:
    """A place on the axis for each event's row; and where other events were left out."""
    rows = sorted({row for bar in bars for row in (bar.invoke, bar.complete) if row >= 0})
    seen = np.cumsum(_related(history, [bar for bar in bars if bar.proof]))
    places: dict[int, float] = {}
    breaks: list[float] = []
    at = 0.0
    for before, row in zip([None, *rows[:-1]], rows, strict=True):
        if before is not None:
            skipped = int(seen[row] - seen[before]) > 1
            if skipped:
                breaks.append(at + 0.75)
            at += 1.5 if skipped else 1.0
        places[row] = at
    return places, breaks


def _picture(history: History, bars: list[Bar], origin_ns: int, size: Size) -> Markup:
    places, breaks = _places(history, bars)
    x = svg.Linear(-0.4, max(places.values()) + 1.2, size.left, size.width - 4)
    processes = sorted({bar.process for bar in bars})
    bottom = TOP + LANE * len(processes)
    parts = [svg.line(x(at), TOP, x(at), bottom, "break") for at in breaks]
    for i, process in enumerate(processes):
        top = TOP + LANE * i
        name = words.process(process) if size is WIDE else f"p{process}"
        strong = any(bar.proof for bar in bars if bar.process == process)
        parts.append(svg.line(size.left, top + LANE, size.width - 4, top + LANE, "grid"))
        parts.append(svg.text(0, top + 26, name, "lane-name strong" if strong else "lane-name"))
        mine = [bar for bar in bars if bar.process == process]
        nexts = [*(x(places[bar.first]) for bar in mine[1:]), size.width]
        ends = [size.left, *(x(places[bar.first]) + 9 * CHAR for bar in mine[:-1])]
        for bar, free_from, next_at in zip(mine, ends, nexts, strict=True):
            parts.append(_drawn(history, bar, places, x, top, free_from, next_at))
    parts += _moments(history, bars, places, x, bottom, origin_ns)
    label = f"{len(bars)} ops of {len(processes)} processes in the order of their events"
    return svg.svg(size.width, bottom + 26, label, parts, size.class_)


def _drawn(
    history: History,
    bar: Bar,
    places: dict[int, float],
    x: svg.Linear,
    top: float,
    free_from: float,
    next_at: float,
) -> Markup:
    left = x(places[bar.first])
    end = places[bar.complete] if bar.complete >= 0 else None
    right = x(end) if end is not None else x.at_high
    told = history.op(bar.complete if bar.type == Type.OK else bar.first)
    deed = words.deed(told)
    strength = "proof" if bar.proof else "around"
    parts = [svg.element("title", f"{words.process(bar.process)}: {deed}, {_outcome(bar)}")]
    y = top + 18
    parts.append(
        svg.rect(left, y, max(3, right - left), BAR, f"op {bar.type.label} {strength}", rx=3)
    )
    if bar.type in (Type.INFO, Type.INVOKE) and right < x.at_high:
        middle = y + BAR / 2
        parts.append(svg.line(right, middle, min(next_at, x.at_high), middle, f"open {strength}"))
    shown = svg.fit(f"{deed}{_suffix(bar)}", next_at - left - 4, CHAR)
    whole = f"{deed}{_suffix(bar)}"
    if shown != whole and bar.proof and right - len(whole) * CHAR > free_from:
        parts.append(svg.text(right, top + 13, whole, f"deed {strength}", "end"))
    elif shown:
        parts.append(svg.text(left, top + 13, shown, f"deed {strength}"))
    return svg.group(parts)


def _outcome(bar: Bar) -> str:
    return "never completed" if bar.type == Type.INVOKE else bar.type.label


def _suffix(bar: Bar) -> str:
    return "" if bar.type == Type.OK else " ?" if bar.type != Type.FAIL else " ✗"


def _moments(
    history: History,
    bars: list[Bar],
    places: dict[int, float],
    x: svg.Linear,
    bottom: float,
    origin_ns: int,
) -> list[Markup]:
    """Moments below the axis, the proof's first, as many as have room."""
    strong = {row for bar in bars if bar.proof for row in (bar.invoke, bar.complete)}
    taken: list[float] = []
    parts: list[Markup] = []
    for row in sorted(places, key=lambda r: (r not in strong, r)):
        at = x(places[row])
        time_ns = int(history.time_ns[row])
        if time_ns < 0 or any(abs(at - other) < 70 for other in taken):
            continue
        taken.append(at)
        anchor = "end" if at > x.at_high - 34 else "middle"
        said = words.moment(time_ns, origin_ns)
        parts.append(svg.line(at, bottom, at, bottom + 5, "tick-mark"))
        parts.append(svg.text(at, bottom + 18, said, anchor=anchor))
    return parts

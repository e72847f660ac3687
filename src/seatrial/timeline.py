"""A history over time: spans, rates, quantiles, gaps, recovery.

Everything is a NumPy pass over columns: no Python object per op, so that a report of ten million
ops costs seconds. Quantiles are nearest-rank (Hyndman & Fan 1996, definition 1): each is a latency
that some op really had.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from seatrial.history.columns import I32, I64, U8, History
from seatrial.history.windows import phases
from seatrial.op import Type

F64 = NDArray[np.float64]

NS_PER_S: Final = 1_000_000_000

#: Phases with load: planned times count from the start of the first of them.
LOAD_PHASES: Final = ("steady-before", "workload")

#: Ops have recovered when the throughput of one second is back to this part of the baseline.
RECOVERED_RATIO: Final = 0.5
RECOVERY_BIN_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Spans:
    """Completed client ops as spans of time, in order of completion; columns of equal length.

    `row` is the row of the completion in the history, `invoked` that of its invocation. Ops
    without usable times are left out.
    """

    row: I64
    invoked: I64
    start_ns: I64
    end_ns: I64
    type: U8
    f: I32
    error: I32

    def __len__(self) -> int:
        return len(self.row)

    @property
    def latency_ms(self) -> F64:
        """Milliseconds from invocation to completion."""
        out: F64 = (self.end_ns - self.start_ns) / 1e6
        return out


def spans(history: History) -> Spans:
    """The completed ops of clients. O(n log n)."""
    pair = history.pair
    done = np.flatnonzero((pair >= 0) & (history.type != Type.INVOKE))
    invoked = pair[done]
    start, end = history.time_ns[invoked], history.time_ns[done]
    timed = (start >= 0) & (end >= start)
    done, invoked = done[timed], invoked[timed]
    return Spans(
        done,
        invoked,
        start[timed],
        end[timed],
        history.type[done],
        history.f[done],
        history.error[done],
    )


def load_start_ns(history: History, before_s: float | None = None) -> int:
    """The moment that a plan's `start_s` counts from: when the load began.

    The start of the first phase named in `LOAD_PHASES`; 0 where the history tells no phases. With
    `before_s`, the planned length of the stretch before, a wait for the faults at its end is not
    counted (docs/adr/0005-steps.md).
    """
    starts = {phase.name: phase.start_ns for phase in phases(history)}
    if before_s is not None and "workload" in starts:
        return starts["workload"] - int(before_s * NS_PER_S)
    return min((starts[name] for name in LOAD_PHASES if name in starts), default=0)


def bin_width_s(length_s: float, bins_max: int) -> float:
    """The smallest of …, 0.1, 0.2, 0.5, 1, 2, 5, … seconds that makes at most `bins_max` bins."""
    least = max(length_s, 1e-9) / bins_max
    decade = 10.0 ** np.floor(np.log10(least))
    for factor in (1, 2, 5, 10):
        if decade * factor >= least * (1 - 1e-9):
            break
    return float(decade * factor)


def edges_ns(start_ns: int, end_ns: int, width_s: float) -> I64:
    """Edges of equal bins from `start_ns` until `end_ns` is covered: at least one bin."""
    width = max(1, round(width_s * NS_PER_S))
    bins = max(1, -(-(end_ns - start_ns) // width))
    return start_ns + width * np.arange(bins + 1, dtype=np.int64)


def counts(times_ns: I64, edges: I64) -> I64:
    """How many moments fall in each bin [edge, next edge). O(n)."""
    bins = _bin_of(times_ns, edges)
    inside = (bins >= 0) & (bins < len(edges) - 1)
    return np.bincount(bins[inside], minlength=len(edges) - 1).astype(np.int64)


def rates(times_ns: I64, edges: I64) -> F64:
    """Events a second in each bin. O(n)."""
    out: F64 = counts(times_ns, edges) / (np.diff(edges) / NS_PER_S)
    return out


def quantiles(times_ns: I64, values: F64, edges: I64, q: Sequence[float]) -> F64:
    """Nearest-rank quantiles of `values` in each bin: shape (len(q), bins), NaN where empty.

    O(n log n).
    """
    bins = _bin_of(times_ns, edges)
    inside = (bins >= 0) & (bins < len(edges) - 1)
    bins, values = bins[inside], values[inside]
    order = np.lexsort((values, bins))
    ordered = values[order]
    size = np.bincount(bins, minlength=len(edges) - 1)
    first = np.concatenate(([0], np.cumsum(size)[:-1]))
    out = np.full((len(q), len(size)), np.nan)
    filled = size > 0
    for i, quantile in enumerate(q):
        rank = np.clip(np.ceil(quantile * size) - 1, 0, None).astype(np.int64)
        out[i, filled] = ordered[(first + rank)[filled]]
    return out


def cells(x: F64, y: F64, columns: int, rows: int) -> tuple[I64, I64, I64]:
    """The filled cells of a grid over the unit square: column, row, and how many points. O(n).

    Points outside are clipped to the border; never more than `columns` times `rows` cells.
    """
    column = np.clip((x * columns).astype(np.int64), 0, columns - 1)
    row = np.clip((y * rows).astype(np.int64), 0, rows - 1)
    filled = np.bincount(column * rows + row, minlength=columns * rows)
    where = np.flatnonzero(filled)
    return where // rows, where % rows, filled[where]


def longest_gap(times_ns: I64, start_ns: int, end_ns: int) -> tuple[int, int]:
    """The longest stretch of [start, end] with none of the moments in it: its two ends. O(n log n).

    The whole stretch where there is no moment at all.
    """
    inside = np.sort(times_ns[(times_ns >= start_ns) & (times_ns <= end_ns)])
    marks = np.concatenate(([start_ns], inside, [end_ns]))
    widest = int(np.argmax(np.diff(marks)))
    return int(marks[widest]), int(marks[widest + 1])


def recovered_ns(ok_ns: I64, healed_ns: int, until_ns: int, baseline_per_s: float) -> int | None:
    """When ops succeeded again after a healing; None if not before `until_ns`.

    The earliest `ok` from which one second holds at least half of the baseline's `ok` ops
    (`RECOVERED_RATIO`). `ok_ns` ascends. O(n).
    """
    times = ok_ns[(ok_ns >= healed_ns) & (ok_ns <= until_ns)]
    width = round(RECOVERY_BIN_S * NS_PER_S)
    upto = np.searchsorted(times, times + width, side="right")
    enough = max(1.0, RECOVERED_RATIO * baseline_per_s * RECOVERY_BIN_S)
    good = np.flatnonzero(upto - np.arange(len(times)) >= enough)
    return int(times[good[0]]) if len(good) else None


def _bin_of(times_ns: I64, edges: I64) -> I64:
    """The number of the bin of each moment; out of range where it is in none."""
    out: I64 = (times_ns - edges[0]) // max(1, int(edges[1] - edges[0]))
    return out

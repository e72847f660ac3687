"""Completed client ops as columns, and their percentiles: what steady states read.

Percentiles are by nearest rank: each is a latency that some op really had.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seatrial.history import History
from seatrial.history.columns import I64, Bool
from seatrial.op import Type

F64 = NDArray[np.float64]

#: A series over time has at most so many bins, and none is shorter than `BIN_S_MIN`.
BINS_MAX = 600
BIN_S_MIN = 1.0
#: Latencies are sorted inside their bins as one integer: bin, then ns (4.9 hours at most).
_LATENCY_BITS = 44
_LATENCY_NS_MAX = (1 << _LATENCY_BITS) - 1


@dataclass(frozen=True, slots=True)
class Calls:
    """One entry for each completion that has an invocation; `row` is the completion's row."""

    row: I64
    began_ns: I64
    ended_ns: I64
    type: NDArray[np.uint8]

    @property
    def latency_ns(self) -> I64:
        """Time from invocation to completion, never negative."""
        out: I64 = np.maximum(self.ended_ns - self.began_ns, 0)
        return out


def calls(history: History, fs: tuple[str, ...] = ()) -> Calls:
    """The completed client ops (of some `f` only), in order of completion. O(n log n)."""
    done = history.client & (history.type != Type.INVOKE) & (history.pair >= 0)
    if fs:
        done &= history.is_f(*fs)
    row = np.flatnonzero(done)
    began = history.time_ns[history.pair[row]]
    return Calls(row, began, history.time_ns[row], history.type[row])


def bin_length(seconds: float, bins_max: int = BINS_MAX) -> float:
    """The shortest whole number of seconds that cuts a span into at most `bins_max` bins."""
    return max(BIN_S_MIN, float(np.ceil(seconds / bins_max)))


def bin_of(time_ns: I64, start_ns: int, bin_s: float, bins: int) -> I64:
    """The bin of each moment; what lies outside goes to the first or last bin."""
    place = (time_ns - start_ns) // int(bin_s * 1e9)
    return np.clip(place, 0, bins - 1)


def percentiles(
    place: I64, latency_ns: I64, bins: int, points: tuple[float, ...]
) -> tuple[F64, ...]:
    """Percentiles of the latencies in each bin (nearest rank), NaN in empty ones. O(n log n)."""
    key = (place << _LATENCY_BITS) | np.minimum(latency_ns, _LATENCY_NS_MAX)
    key.sort()
    size = np.bincount(place, minlength=bins)
    first = np.concatenate([[0], np.cumsum(size)[:-1]])
    full = np.flatnonzero(size)
    out = []
    for point in points:
        values = np.full(bins, np.nan)
        rank = np.maximum(np.ceil(size[full] * (point / 100)).astype(np.int64) - 1, 0)
        values[full] = key[first[full] + rank] & _LATENCY_NS_MAX
        out.append(values)
    return tuple(out)


def percentile(latency_ns: I64, point: float) -> float:
    """One percentile by nearest rank (a value that was observed); NaN of nothing. O(n)."""
    n = len(latency_ns)
    if not n:
        return float("nan")
    rank = max(0, int(np.ceil(n * (point / 100))) - 1)
    return float(np.partition(latency_ns, rank)[rank])


def failed(history: History, done: Calls) -> Bool:
    """Which completions are errors: every `info`, and a `fail` with an error (no refusal)."""
    refused = (done.type == Type.FAIL) & (history.error[done.row] < 0)
    out: Bool = (done.type != Type.OK) & ~refused
    return out

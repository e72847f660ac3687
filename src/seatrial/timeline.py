"""Latency and throughput over time, as numbers: what reports draw and steady states read.

Time is cut into equal bins. An op's latency belongs to the bin in which it was invoked, as in
Jepsen's plots (`checker/perf.clj`), so that a stall shows where it began; throughput counts
completions where they happened.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seatrial.history import History
from seatrial.history.columns import I64, Bool
from seatrial.op import Type

F64 = NDArray[np.float64]

#: A timeline has at most so many bins, and none is shorter than `BIN_S_MIN`.
BINS_MAX = 600
BIN_S_MIN = 1.0
#: So many single ops are kept as points for a scatter plot, spread evenly over the history.
POINTS_MAX = 20_000
#: Latencies are sorted inside their bins as one integer: bin, then ns (4.9 hours at most).
_LATENCY_BITS = 44
_LATENCY_NS_MAX = (1 << _LATENCY_BITS) - 1


@dataclass(frozen=True, slots=True)
class Calls:
    """Completed client ops as columns: one entry for each completion that has an invocation.

    `row` is the completion's row; `began_ns`, `ended_ns` and `type` are parallel to it.
    """

    row: I64
    began_ns: I64
    ended_ns: I64
    type: NDArray[np.uint8]
    f: NDArray[np.int32]

    @property
    def latency_ns(self) -> I64:
        """Time from invocation to completion, never negative."""
        out: I64 = np.maximum(self.ended_ns - self.began_ns, 0)
        return out


@dataclass(frozen=True, slots=True)
class Points:
    """A sample of single ops: when invoked, how long they took, their type and `f`."""

    at_s: F64
    latency_ms: F64
    type: NDArray[np.uint8]
    f: NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Timeline:
    """`at_s` is where each bin begins; the rest is one value a bin, NaN where there is none.

    Latencies are of `ok` ops, in ms. `rate` is completions a second by (`f`, type's label).
    """

    bin_s: float
    at_s: F64
    p50_ms: F64
    p99_ms: F64
    max_ms: F64
    rate: Mapping[tuple[str, str], F64]
    points: Points
    names: tuple[str, ...]


def calls(history: History, fs: tuple[str, ...] = ()) -> Calls:
    """The completed client ops (of some `f` only), in order of completion. O(n log n)."""
    done = history.client & (history.type != Type.INVOKE) & (history.pair >= 0)
    if fs:
        done &= history.is_f(*fs)
    row = np.flatnonzero(done)
    began = history.time_ns[history.pair[row]]
    return Calls(row, began, history.time_ns[row], history.type[row], history.f[row])


def timeline(history: History, bins_max: int = BINS_MAX) -> Timeline:
    """The whole history cut into at most `bins_max` bins. O(n log n), a few seconds for 10^7."""
    done = calls(history)
    end_ns = int(history.time_ns.max()) if len(history) else 0
    bin_s = bin_length(end_ns / 1e9, bins_max)
    bins = max(1, int(np.ceil(end_ns / 1e9 / bin_s)))
    ok = done.type == Type.OK
    place = bin_of(done.began_ns[ok], 0, bin_s, bins)
    latency = done.latency_ns[ok]
    p50, p99, top = percentiles(place, latency, bins, (50.0, 99.0, 100.0))
    return Timeline(
        bin_s=bin_s,
        at_s=np.arange(bins, dtype=np.float64) * bin_s,
        p50_ms=p50 / 1e6,
        p99_ms=p99 / 1e6,
        max_ms=top / 1e6,
        rate=_rates(history, done, bin_s, bins),
        points=_points(done),
        names=history.names,
    )


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


def _rates(history: History, done: Calls, bin_s: float, bins: int) -> Mapping[tuple[str, str], F64]:
    kinds, width = len(Type), len(history.names) + 1
    place = bin_of(done.ended_ns, 0, bin_s, bins)
    cell = (done.f.astype(np.int64) + 1) * kinds + done.type
    table = np.bincount(cell * bins + place, minlength=width * kinds * bins)
    table = table.reshape(width, kinds, bins)
    out: dict[tuple[str, str], F64] = {}
    for code, kind in zip(*np.nonzero(table.any(axis=2)), strict=True):
        name = history.names[code - 1] if code else ""
        out[name, Type(int(kind)).label] = table[code, kind] / bin_s
    return out


def _points(done: Calls) -> Points:
    step = max(1, -(-len(done.row) // POINTS_MAX))
    pick = slice(None, None, step)
    return Points(
        done.began_ns[pick] / 1e9,
        done.latency_ns[pick] / 1e6,
        done.type[pick],
        done.f[pick],
    )

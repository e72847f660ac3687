"""Running figures of a load for a live display: ops a second, error rate, 99th percentile.

Constant cost an op: one count in a ring of one-second slots, and one in a histogram of
logarithmic buckets, eight to each doubling, as HdrHistogram has them (so a percentile is right to
within 12.5 %).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from seatrial.op import Type

SECOND_NS: Final = 1_000_000_000
#: Seconds that a reading looks back.
WINDOW_S: Final = 5
_BUCKETS: Final = 64 * 8


@dataclass(frozen=True, slots=True)
class Reading:
    """The last few whole seconds of a load.

    `error_rate` is the share of `fail` (with an error) and `info`; `p99_ms` is the latency of the
    `ok` ops, None where there is none.
    """

    ops_per_s: float
    error_rate: float
    p99_ms: float | None
    completed: int


class OpCounters:
    """Counts completions; `read` looks at the last seconds."""

    def __init__(self) -> None:
        slots = WINDOW_S + 1
        self._second = [-1] * slots
        self._ops = [0] * slots
        self._errors = [0] * slots
        self._latency = [[0] * _BUCKETS for _ in range(slots)]
        self.completed = 0

    def note(self, kind: Type, refused: bool, latency_ns: int, time_ns: int) -> None:
        """Count one completion. `refused`: it failed as it rightly may, which is no error. O(1)."""
        second = time_ns // SECOND_NS
        slot = second % (WINDOW_S + 1)
        if self._second[slot] != second:
            self._second[slot] = second
            self._ops[slot] = self._errors[slot] = 0
            self._latency[slot] = [0] * _BUCKETS
        self.completed += 1
        self._ops[slot] += 1
        if kind is Type.OK:
            self._latency[slot][bucket_of(latency_ns)] += 1
        elif not refused:
            self._errors[slot] += 1

    def read(self, now_ns: int) -> Reading:
        """The whole seconds before `now_ns`, at most `WINDOW_S`; the first one as far as it got."""
        now_s = now_ns // SECOND_NS
        seconds = range(max(0, now_s - WINDOW_S), now_s) or range(1)
        slots = [
            slot for slot, second in enumerate(self._second) if second >= 0 and second in seconds
        ]
        ops = sum(self._ops[slot] for slot in slots)
        errors = sum(self._errors[slot] for slot in slots)
        span_s = len(seconds) if now_s else max(now_ns, 1) / SECOND_NS
        merged = [sum(counts) for counts in zip(*(self._latency[s] for s in slots), strict=True)]
        return Reading(ops / span_s, errors / ops if ops else 0.0, _p99_ms(merged), self.completed)


def bucket_of(latency_ns: int) -> int:
    """The bucket of a latency: three bits below its highest one."""
    size = latency_ns.bit_length()
    return size << 3 | (latency_ns >> (size - 4) & 7) if size > 3 else latency_ns


def ceiling_of(bucket: int) -> int:
    """The highest latency of a bucket, in nanoseconds."""
    size = bucket >> 3
    return ((bucket & 7 | 8) + 1 << size - 4) - 1 if size > 3 else bucket


def _p99_ms(merged: list[int]) -> float | None:
    left = -(-sum(merged) * 99 // 100)
    if not left:
        return None
    for bucket, count in enumerate(merged):
        left -= count
        if left <= 0:
            return ceiling_of(bucket) / 1e6
    return None

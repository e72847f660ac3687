"""Priority queues with different values, O(n log n) for the sorting.

A take of v must happen at an instant at which no value that goes before v is in the queue. A value
u is surely inside from the end of its put to the beginning of its take, its critical interval; at
an instant outside it, u may be put later or taken already. So (decrease and conquer, after Lee and
Mathur, OOPSLA 2025) the history is linearizable iff each take of v has an instant, not before the
put of v began, outside the critical intervals of all values that go before v, and each take that
found nothing has one outside all critical intervals: the last value in order hinders nobody, and
leaving it out leaves a smaller history of the same kind.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from seatrial.checkers.linearizable.calls import Calls
from seatrial.checkers.linearizable.matching import match, relax, scratch, sizes, table_size
from seatrial.history.columns import ATOM_BASE, I64, U8


def judge_priorities(calls: Calls, largest_first: bool) -> tuple[U8, I64]:
    """Judge each key; a code a key (0 valid, 1 undecided, else `Mismatch`) and what shows it."""
    if (calls.a >= ATOM_BASE).any():
        return np.ones(calls.groups, np.uint8), np.full((calls.groups, 2), -1, np.int64)
    most, events, size = sizes(calls.start, calls.event_start)
    group = np.repeat(np.arange(calls.groups), np.diff(calls.start))
    order = np.lexsort((-calls.a if largest_first else calls.a, group))
    return _judge(
        calls.op, calls.a, calls.start, calls.inv_at, calls.res_at, calls.event_start, order,
        *scratch(most, size), np.empty(events + 2, np.int64), np.empty(len(calls), np.int64),
    )  # fmt: skip


@njit(cache=True, nogil=True)
def _judge(
    op: U8, a: I64, start: I64, inv_at: I64, res_at: I64, event_start: I64, order: I64,
    table: I64, stamps: I64, names: I64, values: I64, empties: I64, pendings: I64, counts: I64,
    free: I64, value_of: I64,
) -> tuple[U8, I64]:  # fmt: skip
    groups = len(start) - 1
    out, shown = np.zeros(groups, np.uint8), np.full((groups, 2), -1, np.int64)
    for g in range(groups):
        lo, hi, first = start[g], start[g + 1], event_start[g]
        code, x, y = match(
            op, a, inv_at, res_at, lo, hi, first, table, stamps, g, table_size(hi - lo), names,
            values, empties, pendings, counts,
        )  # fmt: skip
        events = event_start[g + 1] - first
        if code == 0:
            value_of[lo:hi] = -1
            for v in range(counts[0]):
                value_of[values[0, v]] = v
            some = order[lo:hi]
            code, x, y = _wrong(
                values, counts, empties, inv_at, res_at, first, events, some, value_of, free
            )
            if code != 0 and counts[2] > 0 and relax(values, counts[0], pendings[0]) > 0:
                code, x, y = _wrong(
                    values, counts, empties, inv_at, res_at, first, events, some, value_of, free
                )
                code = 1 if code == 0 else code
        out[g], shown[g, 0], shown[g, 1] = code, x, y
    return out, shown


@njit(cache=True, nogil=True)
def _next(free: I64, e: int) -> int:
    """The first instant from e on that nothing covers yet."""
    root = e
    while free[root] != root:
        root = free[root]
    while free[e] != root:
        free[e], e = root, free[e]
    return root


@njit(cache=True, nogil=True)
def _wrong(
    values: I64, counts: I64, empties: I64, inv_at: I64, res_at: I64, first: int, events: int,
    order: I64, value_of: I64, free: I64,
) -> tuple[int, int, int]:  # fmt: skip
    """Values in their order: ask for an instant for each take, then cover its critical interval.

    Instant e lies between event e and the next.
    """
    for e in range(events + 1):
        free[e] = e
    for c in order:
        v = value_of[c]
        if v < 0:
            continue
        if values[1, v] >= 0:
            begin = max(values[4, v], values[2, v])
            if _next(free, begin) >= values[5, v]:
                return 11, values[1, v], -1
        e = _next(free, values[3, v]) if values[3, v] < 2**62 else events
        while e < values[4, v] and e < events:
            free[e] = e + 1
            e = _next(free, e)
    for i in range(counts[1]):
        c = empties[i]
        if _next(free, inv_at[c] - first) >= res_at[c] - first:
            return 12, c, -1
    return 0, -1, -1

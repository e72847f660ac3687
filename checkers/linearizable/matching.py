"""Queues, stacks and bags with different values: each value's put and take, matched by key.

Positions are those of the key's own events, from 0. What is never taken is taken at `FAR`.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
from numba import njit

from seatrial.checkers.linearizable.zones import _find
from seatrial.history.columns import I64, U8

#: A moment after everything.
FAR = 2**62
#: Opcodes: put a value in, take one out (nil: it was empty), look at one.
PUT, TAKE, PEEK = 0, 1, 2


class Mismatch(IntEnum):
    """What is wrong with a key (with `Violation`'s 0 and 1 for valid and undecided)."""

    NEVER_PUT = 8
    TAKEN_TWICE = 9
    BEFORE_PUT = 10
    ORDER = 11
    EMPTY = 12


#: Columns of a value: its calls, then when its put and its take began and ended.
PUT_CALL, TAKE_CALL, PUT_INV, PUT_RES, TAKE_INV, TAKE_RES = range(6)
COLUMNS = 6


@njit(cache=True, nogil=True)
def match(
    op: U8, a: I64, inv_at: I64, res_at: I64, lo: int, hi: int, first: int,
    table: I64, stamps: I64, stamp: int, size: int, names: I64,
    values: I64, empties: I64, pendings: I64, counts: I64,
) -> tuple[int, int, int]:  # fmt: skip
    """Fill `values` (one column a value), the `empties` and the `pendings` (pending takes).

    `counts` gets how many there are of each. A violation's code and the calls that show it, or
    (0, −1, −1); 1 where values repeat or a call only looks.
    """
    nil = -(2**63)
    n, e, p = 0, 0, 0
    for c in range(lo, hi):
        if op[c] == 2:
            return 1, -1, -1
        if op[c] != 0:
            continue
        slot = _find(table, stamps, stamp, 0, size, names, a[c])
        if stamps[slot] == stamp:
            return 1, -1, -1
        stamps[slot], table[slot] = stamp, n
        names[n] = a[c]
        values[0, n], values[1, n] = c, -1
        values[2, n] = inv_at[c] - first
        values[3, n] = res_at[c] - first if res_at[c] < 2**62 else 2**62
        values[4, n], values[5, n] = 2**62, 2**62
        n += 1
    for c in range(lo, hi):
        if op[c] != 1:
            continue
        if res_at[c] == 2**62:
            pendings[p] = inv_at[c] - first
            p += 1
            continue
        if a[c] == nil:
            empties[e] = c
            e += 1
            continue
        slot = _find(table, stamps, stamp, 0, size, names, a[c])
        if stamps[slot] != stamp:
            return 8, c, -1
        v = table[slot]
        if values[1, v] >= 0:
            return 9, values[1, v], c
        if res_at[c] - first < values[2, v]:
            return 10, c, values[0, v]
        values[1, v], values[4, v], values[5, v] = c, inv_at[c] - first, res_at[c] - first
    kept = 0
    for v in range(n):
        if values[3, v] == 2**62 and values[1, v] < 0:
            continue  # a pending put that nobody saw need never have happened
        for k in range(6):
            values[k, kept] = values[k, v]
        kept += 1
    counts[0], counts[1], counts[2] = kept, e, p
    return 0, -1, -1


@njit(cache=True, nogil=True)
def sizes(start: I64, event_start: I64) -> tuple[int, int, int]:
    """The most calls and events of one key, and the hash table's size for it."""
    most, events, size = 1, 1, 1
    for g in range(len(start) - 1):
        most = max(most, start[g + 1] - start[g])
        events = max(events, event_start[g + 1] - event_start[g])
    while size < 2 * most:
        size *= 2
    return most, events, size


@njit(cache=True, nogil=True)
def table_size(calls: int) -> int:
    """The hash table's size for one key's calls."""
    size = 2
    while size < 2 * calls:
        size *= 2
    return size


@njit(cache=True, nogil=True)
def relax(values: I64, n: int, earliest: int) -> int:
    """As if any pending take, however few, could have taken what nobody took; how many those are.

    What is wrong even so is wrong for certain.
    """
    changed = 0
    for v in range(n):
        if values[4, v] == 2**62:
            values[4, v] = earliest
            changed += 1
    return changed


def scratch(most: int, size: int) -> tuple[I64, I64, I64, I64, I64, I64, I64]:
    """The arrays that `match` fills, for keys of at most `most` calls."""
    return (
        np.empty(size, np.int64),
        np.full(size, -1, np.int64),
        np.empty(most, np.int64),
        np.empty((COLUMNS, most), np.int64),
        np.empty(most, np.int64),
        np.empty(most, np.int64),
        np.zeros(3, np.int64),
    )

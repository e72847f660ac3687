"""Registers whose written values are all different: zones and chains, O(n).

Gibbons and Korach ("Testing shared memories", SIAM J. Comput. 26(4), 1997): with unique values
the *cluster* of a value is its write and all reads that returned it, and its *zone* lies between
the earliest end f and the latest beginning s among them. If f < s the register surely held the
value from f to s (a forward zone), else the cluster could have happened at one instant between s
and f (a backward zone). The history is linearizable iff no read ended before its write began, no
two forward zones overlap and no backward zone lies inside a forward one.

A successful compare-and-set from x to y reads x and writes y with nothing between: values linked
so form a chain whose order is forced, and the whole chain counts as one cluster.

A pending write that nobody saw is left out: it need never have happened. One that was seen has no
end. Because event positions are small integers, zones are found by one sweep, without sorting.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
from numba import njit

from seatrial.checkers.linearizable.calls import Calls
from seatrial.history.columns import I64, U8


class Violation(IntEnum):
    """What is wrong with a key (`REPEATED`: nothing known, its values are not unique)."""

    NONE = 0
    REPEATED = 1
    NEVER_WRITTEN = 2
    BEFORE_WRITE = 3
    TWO_FROM_ONE = 4
    CYCLE = 5
    CHAIN = 6
    ZONES = 7


def judge_zones(calls: Calls, initial: int) -> tuple[U8, I64]:
    """Judge each key of a register history with reads, writes and compare-and-set; O(n).

    Gives a `Violation` a key and, shape (keys, 2), the calls that show it (−1: none).
    `calls.op` must hold 0 read, 1 write, 2 compare-and-set only.
    """
    return _judge(
        calls.op,
        calls.a,
        calls.b,
        calls.res,
        calls.start,
        calls.inv_at,
        calls.res_at,
        calls.event_start,
        initial,
    )


@njit(cache=True, nogil=True)
def _find(table: I64, stamps: I64, stamp: int, base: int, size: int, values: I64, code: int) -> int:
    """Place of `code` in the open hash table at `base`, or of the free slot for it."""
    mixed = code * 0x2545F4914F6CDD1D
    mixed ^= mixed >> 29
    h = mixed & (size - 1)
    while stamps[base + h] == stamp and values[table[base + h]] != code:
        h = (h + 1) & (size - 1)
    return base + h


@njit(cache=True, nogil=True)
def _judge(
    op: U8,
    a: I64,
    b: I64,
    res: I64,
    start: I64,
    inv_at: I64,
    res_at: I64,
    event_start: I64,
    initial: int,
) -> tuple[U8, I64]:
    groups = len(start) - 1
    out = np.zeros(groups, np.uint8)
    shown = np.full((groups, 2), -1, np.int64)
    most, events = 1, 1
    for g in range(groups):
        most = max(most, start[g + 1] - start[g] + 2)
        events = max(events, event_start[g + 1] - event_start[g])
    size = 1
    while size < 2 * most:
        size *= 2
    table, stamps = np.empty(size, np.int64), np.full(size, -1, np.int64)
    ints = np.empty((11, most), np.int64)
    zone_at = np.full(events + 1, -1, np.int64)
    for g in range(groups):
        lo, hi = start[g], start[g + 1]
        small = 1
        while small < 2 * (hi - lo + 2):
            small *= 2
        code, x, y = _judge_key(
            op, a, b, res, inv_at, res_at, lo, hi, event_start[g], event_start[g + 1], initial,
            table, stamps, g, small, ints, zone_at,
        )  # fmt: skip
        out[g], shown[g, 0], shown[g, 1] = code, x, y
    return out, shown


@njit(cache=True, nogil=True)
def _judge_key(
    op: U8, a: I64, b: I64, res: I64, inv_at: I64, res_at: I64, lo: int, hi: int,
    first: int, last: int, initial: int, table: I64, stamps: I64, stamp: int, size: int,
    ints: I64, zone_at: I64,
) -> tuple[int, int, int]:  # fmt: skip
    value, writer, follow, seen = ints[0], ints[1], ints[2], ints[3]
    end_min, inv_max, previous = ints[4], ints[5], ints[6]
    n, repeated = 1, False
    value[0], writer[0], follow[0], seen[0], previous[0] = initial, -1, -1, 1, -1
    end_min[0], inv_max[0] = -1, -1
    slot = _find(table, stamps, stamp, 0, size, value, initial)
    stamps[slot], table[slot] = stamp, 0
    for c in range(lo, hi):
        if op[c] == 0:
            continue
        written = a[c] if op[c] == 1 else b[c]
        slot = _find(table, stamps, stamp, 0, size, value, written)
        if stamps[slot] == stamp:
            repeated = True
            continue
        stamps[slot], table[slot] = stamp, n
        value[n], writer[n], follow[n], seen[n], previous[n] = written, c, -1, 0, -1
        end_min[n], inv_max[n] = -1, -1
        n += 1
    for c in range(lo, hi):
        if op[c] == 0 and res[c] < 2**62:
            slot = _find(table, stamps, stamp, 0, size, value, a[c])
            if stamps[slot] != stamp:
                return 2, c, -1
            v = table[slot]
            seen[v] = 1
            if end_min[v] < 0 or res_at[c] < res_at[end_min[v]]:
                end_min[v] = c
            if inv_max[v] < 0 or inv_at[c] > inv_at[inv_max[v]]:
                inv_max[v] = c
        elif op[c] == 2 and res[c] < 2**62:
            slot = _find(table, stamps, stamp, 0, size, value, a[c])
            if stamps[slot] != stamp:
                return 2, c, -1
            seen[table[slot]] = 1
    if repeated:
        return 1, -1, -1
    for v in range(n):
        # A pending compare-and-set whose new value was seen did happen, so its old one was seen.
        w, x = v, 0
        while seen[w] == 1 and writer[w] >= 0 and op[writer[w]] == 2 and res[writer[w]] == 2**62:
            slot = _find(table, stamps, stamp, 0, size, value, a[writer[w]])
            if stamps[slot] != stamp:
                return 2, writer[w], -1
            x = table[slot]
            if seen[x] == 1:
                break
            seen[x] = 1
            w = x
    for v in range(1, n):
        w = writer[v]
        if res[w] == 2**62 and seen[v] == 0:
            writer[v] = -2
            continue
        if op[w] == 2:
            slot = _find(table, stamps, stamp, 0, size, value, a[w])
            x = table[slot]
            if follow[x] >= 0:
                return 4, writer[follow[x]], w
            follow[x], previous[v] = v, x
    return _chains(
        n, inv_at, res_at, first, last, writer, follow, end_min, inv_max, previous, ints, zone_at
    )


@njit(cache=True, nogil=True)
def _chains(
    n: int, inv_at: I64, res_at: I64, first: int, last: int, writer: I64, follow: I64,
    end_min: I64, inv_max: I64, previous: I64, ints: I64, zone_at: I64,
) -> tuple[int, int, int]:  # fmt: skip
    zone_end, zone_inv, enter = ints[7], ints[8], ints[9]
    zones, walked = 0, 0
    for head in range(n):
        if writer[head] == -2:
            walked += 1
            continue
        if previous[head] >= 0:
            continue
        f, s = -1, -1  # the calls with the earliest end and the latest beginning so far
        v = head
        while v >= 0:
            walked += 1
            w = writer[v]
            if w >= 0:
                if s >= 0 and res_at[w] < inv_at[s]:
                    return 6, w, s
                if f < 0 or res_at[w] < res_at[f]:
                    f = w
                if s < 0 or inv_at[w] > inv_at[s]:
                    s = w
            e, i = end_min[v], inv_max[v]
            if e >= 0:
                if s >= 0 and res_at[e] < inv_at[s]:
                    return (3 if s == w else 6), e, s
                if f < 0 or res_at[e] < res_at[f]:
                    f = e
                if s < 0 or inv_at[i] > inv_at[s]:
                    s = i
            v = follow[v]
        if f < 0:
            continue
        zone_end[zones], zone_inv[zones] = f, s
        if writer[head] == -1:
            zone_end[zones] = -1  # the initial value was there before everything
        zones += 1
    if walked < n:
        for v in range(n):
            if previous[v] >= 0 and writer[v] >= 0:
                return 5, writer[v], -1
    return _sweep(zones, zone_end, zone_inv, enter, inv_at, res_at, first, last, zone_at)


@njit(cache=True, nogil=True)
def _sweep(
    zones: int, zone_end: I64, zone_inv: I64, enter: I64, inv_at: I64, res_at: I64,
    first: int, last: int, zone_at: I64,
) -> tuple[int, int, int]:  # fmt: skip
    for e in range(last - first):
        zone_at[e] = -1
    current = -1
    for z in range(zones):
        f, s = zone_end[z], zone_inv[z]
        begin = first - 1 if f < 0 else res_at[f]
        enter[z] = -2 if begin < inv_at[s] else -1
        if f < 0:
            current = z
        elif begin < 2**62:
            zone_at[begin - first] = z
        zone_at[inv_at[s] - first] = z
    for e in range(last - first):
        z = zone_at[e]
        if z < 0:
            continue
        at_end = zone_end[z] >= 0 and res_at[zone_end[z]] == e + first
        if enter[z] == -2:
            if not at_end:
                current = -1
            elif current >= 0:
                return 7, zone_inv[current], zone_end[z]
            else:
                current = z
        elif not at_end:
            enter[z] = current
        elif current >= 0 and enter[z] == current:
            return 7, zone_inv[current], zone_inv[z]
    return 0, -1, -1

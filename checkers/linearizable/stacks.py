"""Stacks with different values, O(n log n).

Decrease and conquer (Abdulla et al., PLDI 2025; Lee and Mathur, OOPSLA 2025). The critical interval
of a value runs from the end of its push to the beginning of its pop; a value whose push and pop
overlap can be pushed and popped in one instant and hinders nobody. At an instant in no critical
interval the stack can be empty: any value there could be pushed later or popped already. So a push
and a pop that both contain such an instant can go there, with the value below all that comes
between; it is left out, which frees the instants that only it covered. In a linearizable history
the lowest value can always be left out so, hence: linearizable iff all values go. A pop that found
nothing needs an instant that is free from the start. What is never popped is popped at the end.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from seatrial.checkers.linearizable.calls import Calls
from seatrial.checkers.linearizable.matching import match, relax, scratch, sizes, table_size
from seatrial.history.columns import I64, U8


def judge_stacks(calls: Calls) -> tuple[U8, I64]:
    """Judge each key; a code a key (0 valid, 1 undecided, else `Mismatch`) and what shows it."""
    most, events, size = sizes(calls.start, calls.event_start)
    leaves = table_size(events + 2)
    return _judge(
        calls.op, calls.a, calls.start, calls.inv_at, calls.res_at, calls.event_start,
        *scratch(most, size), np.empty((3, 2 * leaves), np.int32), np.empty((3, leaves), np.int32),
        np.empty((2, most), np.int32),
    )  # fmt: skip


@njit(cache=True, nogil=True)
def _judge(
    op: U8, a: I64, start: I64, inv_at: I64, res_at: I64, event_start: I64,
    table: I64, stamps: I64, names: I64, values: I64, empties: I64, pendings: I64, counts: I64,
    trees: I64, lines: I64, flags: I64,
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
            code, x, y = _wrong(
                values, counts, empties, inv_at, res_at, first, events, trees, lines, flags
            )
            if code != 0 and counts[2] > 0 and relax(values, counts[0], pendings[0]) > 0:
                code, x, y = _wrong(
                    values, counts, empties, inv_at, res_at, first, events, trees, lines, flags
                )
                code = 1 if code == 0 else code
        out[g], shown[g, 0], shown[g, 1] = code, x, y
    return out, shown


@njit(cache=True, nogil=True)
def _wrong(
    values: I64, counts: I64, empties: I64, inv_at: I64, res_at: I64, first: int, events: int,
    trees: I64, lines: I64, flags: I64,
) -> tuple[int, int, int]:  # fmt: skip
    """Leave values out until none is left or none can go. Instant e follows event e."""
    n, instants = counts[0], events + 1
    leaves = 2
    while leaves < instants:
        leaves *= 2
    cover, lazy, far = trees[0], trees[1], trees[2]
    ends, owner, queue = lines[0], lines[1], lines[2]
    placed = flags[0]
    _lay_out(values, n, instants, leaves, cover, lazy, far, ends, owner, placed)
    for i in range(counts[1]):
        c = empties[i]
        if _least(cover, lazy, leaves, inv_at[c] - first, res_at[c] - first - 1) > 0:
            return 12, c, -1
    left = 0
    for v in range(n):
        if placed[v] != 3:
            left += 1
    while left > 0:
        e = _free_instant(cover, lazy, leaves)
        if e < 0:
            break
        found = _containing(far, ends, owner, leaves, e, queue)
        for i in range(found):
            v = queue[i] // 2
            placed[v] |= 1 << (queue[i] % 2)
            if placed[v] == 3:
                left -= 1
                _range_add(cover, lazy, leaves, values[3, v], _pop_inv(values, v, events) - 1, -1)
    if left == 0:
        return 0, -1, -1
    for v in range(n):
        if placed[v] != 3:
            return 11, values[0, v], values[1, v]
    return 0, -1, -1


@njit(cache=True, nogil=True)
def _pop_inv(values: I64, v: int, events: int) -> int:
    """When v's pop began; the last instant of all if it was never popped."""
    return int(min(values[4, v], events))


@njit(cache=True, nogil=True)
def _lay_out(
    values: I64, n: int, instants: int, leaves: int, cover: I64, lazy: I64, far: I64,
    ends: I64, owner: I64, placed: I64,
) -> None:  # fmt: skip
    """Cover counts of all instants, and pushes and pops by the instant at which they begin.

    `owner[e]`: 2v for the push of v, 2v + 1 for its pop; `ends[e]`: its last instant.
    """
    events = instants - 1
    for e in range(leaves):
        ends[e], owner[e] = -1, -1
    leaf = cover[leaves : 2 * leaves]
    leaf[:] = 0
    for v in range(n):
        placed[v] = 0
        begin, end = values[3, v], _pop_inv(values, v, events)
        if begin >= end:
            placed[v] = 3
            continue
        leaf[begin] += 1
        leaf[end] -= 1
        owner[values[2, v]], ends[values[2, v]] = 2 * v, values[3, v] - 1
        if values[4, v] < events:
            at = values[4, v]
            if values[1, v] < 0:
                placed[v] = 2  # a relaxed pop may be anywhere later, the last instant too
            else:
                owner[at], ends[at] = 2 * v + 1, values[5, v] - 1
        else:
            placed[v] = 2
    depth = 0
    for e in range(leaves):
        depth += leaf[e]
        leaf[e] = depth if e < instants else 2**30
    for e in range(leaves):
        far[leaves + e] = ends[e]
    for k in range(leaves - 1, 0, -1):
        cover[k] = min(cover[2 * k], cover[2 * k + 1])
        far[k] = max(far[2 * k], far[2 * k + 1])
        lazy[k] = 0
    lazy[leaves:] = 0


@njit(cache=True, nogil=True)
def _range_add(cover: I64, lazy: I64, leaves: int, lo: int, hi: int, d: int) -> None:
    """Add d to the instants lo … hi (bottom up; `lazy[k]` is what all below k still lack)."""
    left, right = lo + leaves, hi + leaves
    a, b = left, right
    while left <= right:
        if left & 1:
            cover[left] += d
            lazy[left] += d
            left += 1
        if not right & 1:
            cover[right] += d
            lazy[right] += d
            right -= 1
        left >>= 1
        right >>= 1
    a >>= 1
    while a:
        cover[a] = min(cover[2 * a], cover[2 * a + 1]) + lazy[a]
        a >>= 1
    b >>= 1
    while b:
        cover[b] = min(cover[2 * b], cover[2 * b + 1]) + lazy[b]
        b >>= 1


@njit(cache=True, nogil=True)
def _least(cover: I64, lazy: I64, leaves: int, lo: int, hi: int) -> int:
    """The least cover among the instants lo … hi; only before any `_range_add`."""
    left, right, least = lo + leaves, hi + leaves, 2**30
    while left <= right:
        if left & 1:
            least = min(least, cover[left])
            left += 1
        if not right & 1:
            least = min(least, cover[right])
            right -= 1
        left >>= 1
        right >>= 1
    return least


@njit(cache=True, nogil=True)
def _free_instant(cover: I64, lazy: I64, leaves: int) -> int:
    """An instant that nothing covers, taken out so that it is found only once; −1: none."""
    if cover[1] > 0:
        return -1
    k, above = 1, 0
    while k < leaves:
        above += lazy[k]
        k = 2 * k if cover[2 * k] + above == 0 else 2 * k + 1
    cover[k] = 2**30
    e = k - leaves
    k >>= 1
    while k:
        cover[k] = min(cover[2 * k], cover[2 * k + 1]) + lazy[k]
        k >>= 1
    return e


@njit(cache=True, nogil=True)
def _containing(far: I64, ends: I64, owner: I64, leaves: int, e: int, queue: I64) -> int:
    """All pushes and pops that contain instant e, taken out; how many."""
    found = 0
    while True:
        k = _reaching(far, leaves, e)
        if k < 0:
            return found
        queue[found] = owner[k]
        found += 1
        k += leaves
        far[k] = -1
        k >>= 1
        while k:
            far[k] = max(far[2 * k], far[2 * k + 1])
            k >>= 1


@njit(cache=True, nogil=True)
def _reaching(far: I64, leaves: int, e: int) -> int:
    """Some beginning not after e whose end is not before it; −1: none."""
    k = e + leaves
    if far[k] >= e:
        return e
    while k > 1:
        if k & 1 and far[k - 1] >= e:
            k -= 1
            while k < leaves:
                k = 2 * k if far[2 * k] >= e else 2 * k + 1
            return k - leaves
        k >>= 1
    return -1

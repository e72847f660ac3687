"""Dependencies between transactions over lists.

ww: the writers of neighbouring elements of a version order. wr: the writer of a read's last
element, then the reader. rw: a reader, then the writer of the next element it did not see. Only
the next version needs an edge, since the others follow along ww; so there are O(micro-ops) edges
(Kingsbury and Alvaro, VLDB 2020, §4.3). Appends that no read shows stand after the whole order:
all readers of the longest version precede all of them, which helper nodes say in linear space.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from seatrial.checkers.transactions.append_order import ODD, Orders, find
from seatrial.checkers.transactions.edges import CONT, RW, WR, WW, Edges
from seatrial.checkers.transactions.table import FAIL, Table

#: Pairs of readers and appends at the end of a key's order that get edges of their own.
DIRECT_PAIRS = 64


@njit(cache=True, nogil=True)
def next_known(
    begin: NDArray[np.int64],
    order: NDArray[np.int32],
    txn: NDArray[np.int32],
    status: NDArray[np.uint8],
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """For position p of key k, at `begin[k] + k + p`: the writer of p or of the first known after.

    And each key's last known writer. −1 where there is none.
    """
    keys = len(begin) - 1
    after = np.full(begin[-1] + keys, -1, np.int32)
    final = np.full(keys, -1, np.int32)
    for k in range(keys):
        known = np.int32(-1)
        for i in range(begin[k + 1] - 1, begin[k] - 1, -1):
            j = order[i]
            if j >= 0 and status[txn[j]] != FAIL:
                known = txn[j]
                if final[k] < 0:
                    final[k] = known
            after[i + k] = known
    return after, final


@njit(cache=True, nogil=True)
def _edges(
    first: NDArray[np.int64],
    last: NDArray[np.int64],
    status: NDArray[np.uint8],
    f: NDArray[np.int32],
    arg: NDArray[np.int64],
    element_start: NDArray[np.int64],
    elements: NDArray[np.int64],
    code_a: int,
    txn: NDArray[np.int32],
    key: NDArray[np.int32],
    place: NDArray[np.int32],
    seen: NDArray[np.int32],
    begin: NDArray[np.int64],
    order: NDArray[np.int32],
    shared: NDArray[np.bool_],
    slot_begin: NDArray[np.int64],
    slots: NDArray[np.int32],
    after: NDArray[np.int32],
    final: NDArray[np.int32],
    src: NDArray[np.int32],
    dst: NDArray[np.int32],
    kind: NDArray[np.uint8],
) -> tuple[int, NDArray[np.int64], NDArray[np.int64]]:
    """Fills the edges; returns their number and, a key, tail readers and unread appends."""
    m = 0
    keys = len(begin) - 1
    readers = np.zeros(keys, np.int64)
    unread = np.zeros(keys, np.int64)
    for k in range(keys):
        before = -1
        for i in range(begin[k], begin[k + 1]):
            j = order[i]
            if j < 0 or status[txn[j]] == FAIL:
                continue
            if before >= 0 and before != txn[j]:
                src[m], dst[m], kind[m] = before, txn[j], WW
                m += 1
            before = txn[j]
    for t in range(len(first)):
        if status[t] == FAIL:
            continue
        for j in range(first[t], last[t]):
            k = key[j]
            if f[j] == code_a:
                if place[j] < 0 and not shared[j]:
                    unread[k] += 1
                    if final[k] >= 0 and final[k] != t:
                        src[m], dst[m], kind[m] = final[k], t, WW
                        m += 1
                continue
            n = seen[j]
            if n < 0 and n != ODD:
                continue
            if n != 0:
                w = order[begin[k] + n - 1] if n > 0 else -1
                if w < 0:
                    w = find(slots, slot_begin, arg, k, elements[element_start[j + 1] - 1])
                if w >= 0 and not shared[w] and status[txn[w]] != FAIL and txn[w] != t:
                    src[m], dst[m], kind[m] = txn[w], t, WR
                    m += 1
                if n == ODD:
                    if w < 0 or place[w] < 0:
                        continue
                    n = place[w] + 1
            u = after[begin[k] + k + n]
            if u < 0:
                readers[k] += 1
            elif u != t:
                src[m], dst[m], kind[m] = t, u, RW
                m += 1
    return m, readers, unread


@njit(cache=True, nogil=True)
def _tails(
    first: NDArray[np.int64],
    last: NDArray[np.int64],
    status: NDArray[np.uint8],
    f: NDArray[np.int32],
    arg: NDArray[np.int64],
    element_start: NDArray[np.int64],
    elements: NDArray[np.int64],
    code_a: int,
    key: NDArray[np.int32],
    place: NDArray[np.int32],
    seen: NDArray[np.int32],
    begin: NDArray[np.int64],
    shared: NDArray[np.bool_],
    slot_begin: NDArray[np.int64],
    slots: NDArray[np.int32],
    after: NDArray[np.int32],
    reader_begin: NDArray[np.int64],
    unread_begin: NDArray[np.int64],
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """The readers of each key's last version and its unread appends, ascending, key after key."""
    readers = np.empty(reader_begin[-1], np.int32)
    unread = np.empty(unread_begin[-1], np.int32)
    r_at = reader_begin[:-1].copy()
    u_at = unread_begin[:-1].copy()
    for t in range(len(first)):
        if status[t] == FAIL:
            continue
        for j in range(first[t], last[t]):
            k = key[j]
            if unread_begin[k + 1] == unread_begin[k]:
                continue
            if f[j] == code_a:
                if place[j] < 0 and not shared[j]:
                    unread[u_at[k]] = t
                    u_at[k] += 1
                continue
            n = seen[j]
            if n == ODD:
                w = find(slots, slot_begin, arg, k, elements[element_start[j + 1] - 1])
                if w < 0 or place[w] < 0:
                    continue
                n = place[w] + 1
            if n >= 0 and after[begin[k] + k + n] < 0:
                readers[r_at[k]] = t
                r_at[k] += 1
    return readers, unread


@njit(cache=True, nogil=True)
def _tail_size(reader_begin: NDArray[np.int64], unread_begin: NDArray[np.int64]) -> tuple[int, int]:
    """An upper bound on the edges between tails, and the helper nodes they need."""
    edges = 0
    helpers = 0
    for k in range(len(unread_begin) - 1):
        r = reader_begin[k + 1] - reader_begin[k]
        u = unread_begin[k + 1] - unread_begin[k]
        if r * u <= DIRECT_PAIRS + r + u:
            edges += r * u
        else:
            edges += 2 * r + 4 * u
            helpers += 2 * u
    return edges, helpers


@njit(cache=True, nogil=True)
def _tail_edges(
    readers: NDArray[np.int32],
    reader_begin: NDArray[np.int64],
    unread: NDArray[np.int32],
    unread_begin: NDArray[np.int64],
    nodes: int,
    src: NDArray[np.int32],
    dst: NDArray[np.int32],
    kind: NDArray[np.uint8],
) -> int:
    """Edges from each tail reader to each unread append of another transaction.

    Where there are many, two chains of helpers run over the key's unread appends, one forwards and
    one backwards. A reader enters the forward chain at the first append of a later transaction and
    the backward chain at the last one of an earlier transaction: so it never reaches itself.
    """
    m = 0
    helper = nodes
    for k in range(len(unread_begin) - 1):
        r0, r1 = reader_begin[k], reader_begin[k + 1]
        u0, u1 = unread_begin[k], unread_begin[k + 1]
        r, u = r1 - r0, u1 - u0
        if r == 0 or u == 0:
            continue
        if r * u <= DIRECT_PAIRS + r + u:
            for a in range(r0, r1):
                for b in range(u0, u1):
                    if readers[a] != unread[b]:
                        src[m], dst[m], kind[m] = readers[a], unread[b], RW
                        m += 1
            continue
        forward, backward = helper, helper + u
        helper += 2 * u
        for i in range(u):
            src[m], dst[m], kind[m] = forward + i, unread[u0 + i], CONT
            src[m + 1], dst[m + 1], kind[m + 1] = backward + i, unread[u0 + i], CONT
            m += 2
            if i + 1 < u:
                src[m], dst[m], kind[m] = forward + i, forward + i + 1, CONT
                src[m + 1], dst[m + 1], kind[m + 1] = backward + i + 1, backward + i, CONT
                m += 2
        span = unread[u0:u1]
        for a in range(r0, r1):
            low = np.searchsorted(span, readers[a])
            high = low
            while high < u and span[high] == readers[a]:
                high += 1
            if high < u:
                src[m], dst[m], kind[m] = readers[a], forward + high, RW
                m += 1
            if low > 0:
                src[m], dst[m], kind[m] = readers[a], backward + low - 1, RW
                m += 1
    return m


def append_edges(txns: Table, o: Orders) -> Edges:
    """The ww, wr and rw dependencies of a list-append history. O(micro-ops)."""
    micro = txns.history.micro
    code_a = txns.history.name_code("append")
    after, final = next_known(o.begin, o.order, o.txn, txns.status)
    used = int((txns.last - txns.first).sum())
    room = len(o.order) + 2 * used
    src, dst = np.empty(room, np.int32), np.empty(room, np.int32)
    kind = np.empty(room, np.uint8)
    count, readers, unread = _edges(
        txns.first,
        txns.last,
        txns.status,
        micro.f,
        micro.arg,
        micro.element_start,
        micro.elements,
        code_a,
        o.txn,
        o.key,
        o.place,
        o.seen,
        o.begin,
        o.order,
        o.shared,
        o.slot_begin,
        o.slots,
        after,
        final,
        src,
        dst,
        kind,
    )
    base = Edges(len(txns), src[:count], dst[:count], kind[:count])
    readers[unread == 0] = 0
    unread[readers == 0] = 0
    if not unread.any():
        return base
    reader_begin = np.concatenate([[0], np.cumsum(readers)])
    unread_begin = np.concatenate([[0], np.cumsum(unread)])
    tails = _tails(
        txns.first,
        txns.last,
        txns.status,
        micro.f,
        micro.arg,
        micro.element_start,
        micro.elements,
        code_a,
        o.key,
        o.place,
        o.seen,
        o.begin,
        o.shared,
        o.slot_begin,
        o.slots,
        after,
        reader_begin,
        unread_begin,
    )
    return with_tails(base, tails[0], reader_begin, tails[1], unread_begin)


def with_tails(
    base: Edges,
    readers: NDArray[np.int32],
    reader_begin: NDArray[np.int64],
    unread: NDArray[np.int32],
    unread_begin: NDArray[np.int64],
) -> Edges:
    """`base` with rw edges from each group's readers to its appends by other transactions.

    Both are transactions in ascending order, group after group. O(readers + appends).
    """
    room, helpers = _tail_size(reader_begin, unread_begin)
    src, dst = np.empty(room, np.int32), np.empty(room, np.int32)
    kind = np.empty(room, np.uint8)
    count = _tail_edges(readers, reader_begin, unread, unread_begin, base.nodes, src, dst, kind)
    return Edges(
        base.nodes + helpers,
        np.concatenate([base.src, src[:count]]),
        np.concatenate([base.dst, dst[:count]]),
        np.concatenate([base.kind, kind[:count]]),
    )

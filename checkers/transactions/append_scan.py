"""Anomalies of lists that need no cycle: one pass over the committed transactions.

G1a (aborted read) and G1b (intermediate read): Adya 1999, §3. `internal`: Cerone, Bernardi and
Gotsman, CONCUR 2015, axiom INT. `future-read`, `dirty-update`, `duplicate-elements`,
`incompatible-order`: Kingsbury and Alvaro, VLDB 2020. `lost-update`: Berenson et al. 1995.
`garbage-read` is an element that no transaction appended, whatever became of that transaction.
O(micro-ops + elements of odd reads).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from seatrial.checkers.transactions.append_order import (
    ABORTED,
    CLEAN,
    GARBAGE,
    ODD,
    REPEATED,
    Orders,
    find,
)
from seatrial.checkers.transactions.table import FAIL, I64, OK, Table

INTERNAL, FUTURE, ABORTED_READ, INTERMEDIATE, DUPLICATE, INCOMPATIBLE, NOBODYS, SHUFFLED = range(8)
NAMES = (
    "internal",
    "future-read",
    "G1a",
    "G1b",
    "duplicate-elements",
    "incompatible-order",
    "garbage-read",
    # A transaction's own appends, in another order than it made them: also incompatible.
    "incompatible-order",
)
#: Instances kept of each anomaly, the first ones.
KEPT = 8


@dataclass(frozen=True, slots=True, eq=False)
class Findings:
    """How many instances of each anomaly, and the first of them.

    `examples[a, i]` is (transaction, micro-op, other micro-op or −1) of the i-th of anomaly `a`.
    `lost` and `dirty` hold groups: (key, transactions) and (key, aborted append, committed append).
    """

    counts: I64
    examples: I64
    lost: tuple[tuple[int, int, tuple[int, ...]], ...]
    lost_count: int
    dirty: tuple[tuple[int, int, int], ...]
    dirty_count: int


@njit(cache=True, nogil=True)
def previous_appends(
    first: NDArray[np.int64],
    last: NDArray[np.int64],
    f: NDArray[np.int32],
    key: NDArray[np.int32],
    code_a: int,
    keys: int,
) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    """Each append's predecessor on its key in its transaction; and whether it has a successor."""
    before = np.full(len(f), -1, np.int32)
    overwritten = np.zeros(len(f), np.bool_)
    stamp = np.full(keys, -1, np.int64)
    latest = np.zeros(keys, np.int64)
    for t in range(len(first)):
        for j in range(first[t], last[t]):
            if f[j] != code_a:
                continue
            k = key[j]
            if stamp[k] == t:
                before[j] = latest[k]
                overwritten[latest[k]] = True
            stamp[k] = t
            latest[k] = j
    return before, overwritten


@njit(cache=True, nogil=True)
def _note(
    counts: NDArray[np.int64], examples: NDArray[np.int64], what: int, t: int, j: int, other: int
) -> None:
    if counts[what] < KEPT:
        examples[what, counts[what], 0] = t
        examples[what, counts[what], 1] = j
        examples[what, counts[what], 2] = other
    counts[what] += 1


@njit(cache=True, nogil=True)
def _consistent(
    j: int,
    base: int,
    appended: int,
    tail: int,
    element_start: NDArray[np.int64],
    elements: NDArray[np.int64],
    arg: NDArray[np.int64],
    before: NDArray[np.int32],
    seen: NDArray[np.int32],
) -> bool:
    """Whether read j is what the transaction's own read `base` and later appends leave."""
    lo = element_start[j]
    n = element_start[j + 1] - lo
    if base >= 0:
        b_lo = element_start[base]
        b_n = element_start[base + 1] - b_lo
        if n != b_n + appended:
            return False
        if seen[j] < 0 or seen[base] < 0:
            for i in range(b_n):
                if elements[lo + i] != elements[b_lo + i]:
                    return False
    elif n < appended:
        return False
    a = tail
    for i in range(appended):
        if elements[lo + n - 1 - i] != arg[a]:
            return False
        a = before[a]
    return True


@njit(cache=True, nogil=True)
def _scan_odd(
    t: int,
    j: int,
    ok: bool,
    txn: NDArray[np.int32],
    key: NDArray[np.int32],
    arg: NDArray[np.int64],
    status: NDArray[np.uint8],
    element_start: NDArray[np.int64],
    elements: NDArray[np.int64],
    slot_begin: NDArray[np.int64],
    slots: NDArray[np.int32],
    shared: NDArray[np.bool_],
    mark: NDArray[np.int32],
    counts: NDArray[np.int64],
    examples: NDArray[np.int64],
) -> int:
    """Element by element through a read that is no prefix; returns an own later append or −1."""
    aborted, nobodys, twice, future = -1, False, -1, -1
    for i in range(element_start[j], element_start[j + 1]):
        a = find(slots, slot_begin, arg, key[j], elements[i])
        if a < 0:
            nobodys = True
            continue
        if mark[a] == j and twice < 0:
            twice = a
        mark[a] = j
        if shared[a]:
            continue
        if status[txn[a]] == FAIL and aborted < 0:
            aborted = a
        if txn[a] == t and a > j and future < 0:
            future = a
    if twice >= 0:
        _note(counts, examples, DUPLICATE, t, j, twice)
    if ok and aborted >= 0:
        _note(counts, examples, ABORTED_READ, t, j, aborted)
    if ok and nobodys:
        _note(counts, examples, NOBODYS, t, j, -1)
    return future


@njit(cache=True, nogil=True)
def _scan(
    first: NDArray[np.int64],
    last: NDArray[np.int64],
    status: NDArray[np.uint8],
    f: NDArray[np.int32],
    arg: NDArray[np.int64],
    element_start: NDArray[np.int64],
    elements: NDArray[np.int64],
    code_a: int,
    keys: int,
    txn: NDArray[np.int32],
    key: NDArray[np.int32],
    place: NDArray[np.int32],
    seen: NDArray[np.int32],
    begin: NDArray[np.int64],
    order: NDArray[np.int32],
    longest: NDArray[np.int64],
    shared: NDArray[np.bool_],
    slot_begin: NDArray[np.int64],
    slots: NDArray[np.int32],
    spoiled: NDArray[np.int32],
    before: NDArray[np.int32],
    overwritten: NDArray[np.bool_],
    counts: NDArray[np.int64],
    examples: NDArray[np.int64],
    updates: NDArray[np.int32],
) -> None:
    """Fills `counts`, `examples`, and `updates`: read-then-append transactions of each version."""
    stamp = np.full(keys, -1, np.int64)
    base = np.zeros(keys, np.int64)
    appended = np.zeros(keys, np.int64)
    tail = np.zeros(keys, np.int64)
    most = np.zeros(keys, np.int64)
    opening = np.zeros(keys, np.int64)
    wrote = np.zeros(keys, np.bool_)
    mark = np.full(len(f) if (seen == ODD).any() else 0, -1, np.int32)
    for t in range(len(first)):
        if status[t] == FAIL:
            continue
        ok = status[t] == OK
        internal = False
        future = False
        for j in range(first[t], last[t]):
            k = key[j]
            if stamp[k] != t:
                stamp[k] = t
                base[k] = -1
                appended[k] = 0
                most[k] = -1
                opening[k] = -1
                wrote[k] = False
            if f[j] == code_a:
                if ok and not future and 0 <= place[j] < most[k] and not shared[j]:
                    future = True
                    _note(counts, examples, FUTURE, t, j, -1)
                b = before[j]
                shuffled = b >= 0 and place[j] >= 0 and (place[b] < 0 or place[b] > place[j])
                if shuffled and not shared[j] and not shared[b]:
                    _note(counts, examples, SHUFFLED, t, j, b)
                if ok and not wrote[k] and opening[k] >= 0:
                    wrote[k] = True
                    if seen[opening[k]] >= 0:
                        updates[begin[k] + k + seen[opening[k]]] += 1
                appended[k] += 1
                tail[k] = j
                continue
            n = seen[j]
            if n == ODD:
                _note(counts, examples, INCOMPATIBLE, t, j, longest[k])
                own = _scan_odd(
                    t,
                    j,
                    ok,
                    txn,
                    key,
                    arg,
                    status,
                    element_start,
                    elements,
                    slot_begin,
                    slots,
                    shared,
                    mark,
                    counts,
                    examples,
                )
                if ok and own >= 0 and not future:
                    future = True
                    _note(counts, examples, FUTURE, t, own, j)
            elif n >= 0:
                if n > spoiled[k, REPEATED]:
                    _note(counts, examples, DUPLICATE, t, j, -1)
                if ok and n > spoiled[k, ABORTED]:
                    _note(
                        counts, examples, ABORTED_READ, t, j, order[begin[k] + spoiled[k, ABORTED]]
                    )
                if ok and n > spoiled[k, GARBAGE]:
                    _note(counts, examples, NOBODYS, t, j, -1)
                most[k] = max(most[k], n)
            if not ok or (n < 0 and n != ODD):
                continue
            length = element_start[j + 1] - element_start[j]
            if length > 0:
                w = order[begin[k] + n - 1] if n > 0 else -1
                if w < 0:
                    w = find(slots, slot_begin, arg, k, elements[element_start[j + 1] - 1])
                if w >= 0 and not shared[w] and overwritten[w] and txn[w] != t:
                    _note(counts, examples, INTERMEDIATE, t, j, w)
            if opening[k] < 0:
                opening[k] = j
            if not internal and not _consistent(
                j, base[k], appended[k], tail[k], element_start, elements, arg, before, seen
            ):
                internal = True
                _note(counts, examples, INTERNAL, t, j, base[k] if base[k] >= 0 else tail[k])
            base[k] = j
            appended[k] = 0


@njit(cache=True, nogil=True)
def _updaters(
    first: NDArray[np.int64],
    last: NDArray[np.int64],
    status: NDArray[np.uint8],
    f: NDArray[np.int32],
    code_a: int,
    keys: int,
    key: NDArray[np.int32],
    seen: NDArray[np.int32],
    begin: NDArray[np.int64],
    updates: NDArray[np.int32],
    total: int,
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """(version, transaction) of every update of a version that has two or more."""
    stamp = np.full(keys, -1, np.int64)
    opening = np.zeros(keys, np.int64)
    wrote = np.zeros(keys, np.bool_)
    version = np.empty(total, np.int64)
    who = np.empty(total, np.int32)
    m = 0
    for t in range(len(first)):
        if status[t] != OK:
            continue
        for j in range(first[t], last[t]):
            k = key[j]
            if stamp[k] != t:
                stamp[k] = t
                opening[k] = -1
                wrote[k] = False
            if f[j] != code_a:
                if opening[k] < 0 and (seen[j] >= 0 or seen[j] == ODD):
                    opening[k] = j
            elif not wrote[k] and opening[k] >= 0:
                wrote[k] = True
                if seen[opening[k]] >= 0:
                    v = begin[k] + k + seen[opening[k]]
                    if updates[v] >= 2:
                        version[m] = v
                        who[m] = t
                        m += 1
    return version[:m], who[:m]


@njit(cache=True, nogil=True)
def _dirty(
    begin: NDArray[np.int64],
    order: NDArray[np.int32],
    txn: NDArray[np.int32],
    status: NDArray[np.uint8],
    spoiled: NDArray[np.int32],
    kept: int,
) -> tuple[int, NDArray[np.int64]]:
    """Aborted appends that a committed one stands upon: their number and the first ones."""
    found = np.empty((kept, 3), np.int64)
    count = 0
    for k in range(len(begin) - 1):
        if spoiled[k, ABORTED] == CLEAN:
            continue
        aborted = -1
        for i in range(begin[k], begin[k + 1]):
            j = order[i]
            if j < 0:
                continue
            if status[txn[j]] == FAIL:
                aborted = j if aborted < 0 else aborted
            elif status[txn[j]] == OK:
                if aborted >= 0:
                    if count < kept:
                        found[count, 0], found[count, 1], found[count, 2] = k, aborted, j
                    count += 1
                aborted = -1
    return count, found[: min(count, kept)]


def scan(txns: Table, o: Orders) -> Findings:
    """All anomalies of a list-append history that need no cycle."""
    micro = txns.history.micro
    code_a = txns.history.name_code("append")
    before, overwritten = previous_appends(txns.first, txns.last, micro.f, o.key, code_a, o.keys)
    counts = np.zeros(len(NAMES), np.int64)
    examples = np.full((len(NAMES), KEPT, 3), -1, np.int64)
    updates = np.zeros(len(o.order) + o.keys, np.int32)
    _scan(
        txns.first,
        txns.last,
        txns.status,
        micro.f,
        micro.arg,
        micro.element_start,
        micro.elements,
        code_a,
        o.keys,
        o.txn,
        o.key,
        o.place,
        o.seen,
        o.begin,
        o.order,
        o.longest,
        o.shared,
        o.slot_begin,
        o.slots,
        o.spoiled,
        before,
        overwritten,
        counts,
        examples,
        updates,
    )
    groups, group_count = _lost(txns, o, code_a, updates)
    dirty_count, dirty = _dirty(o.begin, o.order, o.txn, txns.status, o.spoiled, KEPT)
    triples = tuple((int(k), int(a), int(b)) for k, a, b in dirty)
    return Findings(counts, examples, groups, group_count, triples, int(dirty_count))


#: Transactions of one lost update that are named.
GROUP_SHOWN = 6


def _lost(
    txns: Table, o: Orders, code_a: int, updates: NDArray[np.int32]
) -> tuple[tuple[tuple[int, int, tuple[int, ...]], ...], int]:
    """Versions that two or more committed transactions read and then appended to."""
    many = updates >= 2
    count = int(np.count_nonzero(many))
    if not count:
        return (), 0
    version, who = _updaters(
        txns.first,
        txns.last,
        txns.status,
        txns.history.micro.f,
        code_a,
        o.keys,
        o.key,
        o.seen,
        o.begin,
        updates,
        int(updates[many].sum()),
    )
    worst = np.flatnonzero(many)
    worst = worst[np.argsort(-updates[worst], kind="stable")][:KEPT]
    starts = o.begin[:-1] + np.arange(o.keys)
    out = []
    for v in worst.tolist():
        key = int(np.searchsorted(starts, v, side="right")) - 1
        members = who[version == v][:GROUP_SHOWN]
        out.append((key, v - int(starts[key]), tuple(int(t) for t in members)))
    return tuple(out), count

"""Version orders of registers, from several sources, each checked against the others.

Unlike a list, a register does not tell what was there before. Partial orders come from: the
initial state (before every value); writes following reads (a transaction that reads v and writes
w puts v before w); the order of each process, and real time, for each key by itself (Kingsbury
and Alvaro, VLDB 2020, §5). A source that makes a key's order cyclic is reported
(`cyclic-versions`) and left out for that key.

Real-time order needs no quadratic pairs: of the operations on a key that had completed before b was
invoked, those not themselves before another completed one are a contiguous range in order of
completion, from the latest invocation among the completed to b's own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from seatrial.checkers.transactions.edges import bigger_than_one, components
from seatrial.checkers.transactions.register_versions import (
    SEVERAL,
    Versions,
)
from seatrial.checkers.transactions.table import FAIL, I32, I64, OK, Table

SOURCES = ("wfr", "sequential", "linearizable")
#: Real-time pairs kept at most; beyond that the source is left out and said so.
PAIRS_MAX = 120_000_000


@dataclass(frozen=True, slots=True, eq=False)
class Touches:
    """Each (transaction, key): the version met first and the one left last, −1 if none.

    Grouped by key, in order of completion: those of key k are `begin[k]:begin[k + 1]`.
    """

    begin: I64
    txn: I32
    first: I32
    last: I32


@dataclass(frozen=True, slots=True, eq=False)
class Cyclic:
    """Keys whose versions run in a circle: how many, and one of them with its versions."""

    sources: tuple[str, ...]
    keys: int
    versions: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Order:
    """Pairs of versions before → after (the initial ones apart), and what did not fit together.

    `origin[i]` says which source first gave pair i (an index into `SOURCES`).
    """

    before: I32
    after: I32
    origin: I32
    cyclic: tuple[Cyclic, ...]
    too_many: bool


@njit(cache=True, nogil=True)
def _touches(
    first: NDArray[np.int64],
    last: NDArray[np.int64],
    status: NDArray[np.uint8],
    of: NDArray[np.int32],
    role: NDArray[np.uint8],
    key: NDArray[np.int32],
    writer: NDArray[np.int32],
    keys: int,
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]:
    begin = np.zeros(keys + 1, np.int64)
    stamp = np.full(keys, -1, np.int64)
    for t in range(len(first)):
        for j in range(first[t], last[t]):
            if status[t] != FAIL and of[j] >= 0 and role[j] != 0 and stamp[key[of[j]]] != t:
                stamp[key[of[j]]] = t
                begin[key[of[j]] + 1] += 1
    for k in range(keys):
        begin[k + 1] += begin[k]
    at = begin[:-1].copy()
    stamp[:] = -1
    total = begin[keys]
    txn = np.empty(total, np.int32)
    opening = np.empty(total, np.int32)
    closing = np.empty(total, np.int32)
    for t in range(len(first)):
        if status[t] == FAIL:
            continue
        for j in range(first[t], last[t]):
            v = of[j]
            if v < 0 or role[j] == 0:
                continue
            k = key[v]
            u = -1 if writer[v] == SEVERAL else v
            if stamp[k] != t:
                stamp[k] = t
                txn[at[k]] = t
                opening[at[k]] = u
                closing[at[k]] = u
                at[k] += 1
            else:
                closing[at[k] - 1] = u
    return begin, txn, opening, closing


def touches(txns: Table, v: Versions) -> Touches:
    """What each transaction did to each key, from the outside. O(m)."""
    return Touches(
        *_touches(txns.first, txns.last, txns.status, v.of, v.role, v.key, v.writer, v.keys)
    )


@njit(cache=True, nogil=True)
def _realtime(
    begin: NDArray[np.int64],
    txn: NDArray[np.int32],
    opening: NDArray[np.int32],
    closing: NDArray[np.int32],
    rank: NDArray[np.int32],
    after: NDArray[np.int32],
    pairs: NDArray[np.int64],
    versions: int,
    count_only: bool,
) -> int:
    """Pairs (closing version of a, opening version of b) for each a in b's frontier."""
    m = 0
    for k in range(len(begin) - 1):
        lo, hi = begin[k], begin[k + 1]
        oks = np.empty(hi - lo, np.int64)
        ranks = np.empty(hi - lo, np.int64)
        latest = np.empty(hi - lo + 1, np.int64)
        n = 0
        latest[0] = 0
        for i in range(lo, hi):
            if rank[txn[i]] >= 0:
                oks[n] = i
                ranks[n] = rank[txn[i]]
                latest[n + 1] = max(latest[n], after[txn[i]])
                n += 1
        for i in range(lo, hi):
            done = np.searchsorted(ranks[:n], after[txn[i]])
            start = np.searchsorted(ranks[:n], latest[done])
            if count_only:
                m += done - start
                continue
            if opening[i] < 0:
                continue
            for a in range(start, done):
                v = closing[oks[a]]
                if v >= 0 and v != opening[i]:
                    pairs[m] = v * np.int64(versions) + opening[i]
                    m += 1
    return m


def _wfr(txns: Table, t: Touches, versions: int) -> I64:
    ok = txns.status[t.txn] == OK
    ok &= (t.first >= 0) & (t.last >= 0) & (t.first != t.last)
    pairs: I64 = t.first[ok].astype(np.int64) * versions + t.last[ok]
    return pairs


def _sequential(txns: Table, t: Touches, versions: int) -> I64:
    key = np.repeat(np.arange(len(t.begin) - 1), np.diff(t.begin))
    order = np.lexsort((t.txn, txns.process[t.txn], key))
    a, b = order[:-1], order[1:]
    near = (key[a] == key[b]) & (txns.process[t.txn[a]] == txns.process[t.txn[b]])
    near &= (txns.status[t.txn[a]] == OK) & (t.last[a] >= 0) & (t.first[b] >= 0)
    near &= t.last[a] != t.first[b]
    pairs: I64 = t.last[a[near]].astype(np.int64) * versions + t.first[b[near]]
    return pairs


def _linearizable(txns: Table, t: Touches, versions: int) -> I64 | None:
    none = np.empty(0, np.int64)
    args = (t.begin, t.txn, t.first, t.last, txns.rank, txns.after)
    room = _realtime(*args, none, versions, True)
    if room > PAIRS_MAX:
        return None
    pairs = np.empty(room, np.int64)
    count = _realtime(*args, pairs, versions, False)
    return pairs[:count]


def version_order(txns: Table, v: Versions, t: Touches, sources: tuple[str, ...]) -> Order:
    """The order of versions that `sources` (of `SOURCES`) and the initial state give.

    Pairs with the initial version in front are left to the caller: it precedes everything.
    O(m w log m), where w is the widest overlap of operations on a key.
    """
    n = max(len(v), 1)
    known = np.empty(0, np.int64)
    origin = np.empty(0, np.int32)
    cyclic: list[Cyclic] = []
    used: list[str] = ["initial-state"]
    too_many = False
    for code, (source, make) in enumerate(
        zip(SOURCES, (_wfr, _sequential, _linearizable), strict=True)
    ):
        if source not in sources:
            continue
        pairs = make(txns, t, n)
        if pairs is None:
            too_many = True
            continue
        pairs = np.setdiff1d(pairs, known)
        bad, example = _circles(v, np.concatenate([known, pairs]), n)
        if len(bad):
            cyclic.append(Cyclic((*used, source), len(bad), example))
            pairs = pairs[~np.isin(v.key[pairs // n], bad)]
        used.append(source)
        known = np.concatenate([known, pairs])
        origin = np.concatenate([origin, np.full(len(pairs), code, np.int32)])
    real = known // n >= v.keys
    before = (known[real] // n).astype(np.int32)
    later = (known[real] % n).astype(np.int32)
    return Order(before, later, origin[real], tuple(cyclic), too_many)


def _circles(v: Versions, pairs: I64, n: int) -> tuple[I64, tuple[int, ...]]:
    """Keys whose versions run in a circle (the initial one precedes all), and one such circle."""
    before, after = (pairs // n).astype(np.int32), (pairs % n).astype(np.int32)
    others = np.arange(v.keys, len(v), dtype=np.int32)
    src = np.concatenate([before, v.key[others]])
    dst = np.concatenate([after, others])
    component = components(len(v), src, dst)
    inside = np.flatnonzero(bigger_than_one(component))
    if not len(inside):
        return np.empty(0, np.int64), ()
    sizes = np.bincount(component[inside])
    smallest = np.argmin(np.where(sizes > 0, sizes, np.iinfo(np.int64).max))
    example = inside[component[inside] == smallest]
    return np.unique(v.key[inside]).astype(np.int64), tuple(int(i) for i in example[:8])

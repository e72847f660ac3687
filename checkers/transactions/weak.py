"""The smallest commit order that weak isolation forces, and whether it closes a circle.

Read committed, read atomic and causal consistency of register transactions, with session order
and without guessing version orders (Biswas and Enea, OOPSLA 2019; AWDIT, PLDI 2025; Plume, OOPSLA
2024). Below, t3 reads x from t1, and t2 is another writer of x. A level adds "t2 committed before
t1" when t3

- read committed: had read from t2 before it read x;
- read atomic: reads anything from t2, or t2 is the latest earlier writer of x in its own session;
- causal: depends on t2 in any way; only each session's latest such writer needs an edge.

The history satisfies the level exactly when session order, reads-from and these edges are acyclic.
Cost: O(n^1.5) for the first two, O(n k) for causal, with k sessions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from seatrial.checkers.transactions.edges import process_edges
from seatrial.checkers.transactions.register_edges import writers
from seatrial.checkers.transactions.register_versions import EXTERNAL_READ, SEVERAL, Versions
from seatrial.checkers.transactions.table import FAIL, I32, I64, OK, Bool, Table


@dataclass(frozen=True, slots=True, eq=False)
class Sessions:
    """Register transactions as sessions see them. Node n is the initial state: it wrote every key.

    Reads, transaction after transaction and in program order: `reader`, `key`, `source` (the
    writer, n for the initial state), `external`. Final writes: `write_begin` a transaction,
    `write_key` ascending. `session` and `place` in it, for every transaction (−1 if it failed).
    """

    n: int
    reader: I32
    key: I32
    source: I32
    external: Bool
    read_begin: I64
    write_begin: I64
    write_key: I32
    session: I32
    place: I32
    sessions: int
    so: tuple[I32, I32]


def sessions(txns: Table, v: Versions) -> Sessions:
    """The reads and final writes of each transaction. O(m log m)."""
    n = len(txns)
    writer = writers(v)
    micro = txns.history.micro
    is_read = (micro.f == txns.history.name_code("r")) & (v.of >= 0) & (v.txn >= 0)
    j = np.flatnonzero(is_read)
    j = j[txns.status[v.txn[j]] == OK]
    j = j[np.argsort(v.txn[j], kind="stable")]
    version = v.of[j]
    source = np.where(version < v.keys, n, writer[version])
    source = np.where(v.writer[version] == SEVERAL, -1, source)
    keep = (source >= 0) & (source != v.txn[j])
    j, source = j[keep], source[keep].astype(np.int32)
    reader = v.txn[j]
    written = np.flatnonzero(writer >= 0)
    order = np.lexsort((v.key[written], writer[written]))
    session, place, count = _places(txns)
    return Sessions(
        n,
        reader,
        v.key[v.of[j]],
        source,
        v.role[j] == EXTERNAL_READ,
        np.searchsorted(reader, np.arange(n + 1)).astype(np.int64),
        np.searchsorted(writer[written][order], np.arange(n + 2)).astype(np.int64),
        v.key[written][order],
        session,
        place,
        count,
        process_edges(txns),
    )


def _places(txns: Table) -> tuple[I32, I32, int]:
    rows = np.flatnonzero(txns.status != FAIL)
    _, session = np.unique(txns.process[rows], return_inverse=True)
    order = np.argsort(session, kind="stable")
    starts = np.searchsorted(session[order], session)
    place = np.empty(len(rows), np.int64)
    place[order] = np.arange(len(rows))
    out_s = np.full(len(txns), -1, np.int32)
    out_p = np.full(len(txns), -1, np.int32)
    out_s[rows] = session
    out_p[rows] = place - starts
    return out_s, out_p, int(session.max(initial=-1)) + 1


@njit(cache=True, nogil=True)
def _wrote(t: int, key: int, begin: NDArray[np.int64], write_key: NDArray[np.int32]) -> bool:
    lo, hi = begin[t], begin[t + 1]
    i = lo + np.searchsorted(write_key[lo:hi], key)
    return bool(i < hi and write_key[i] == key)


@njit(cache=True, nogil=True)
def _read_committed(
    n: int,
    read_begin: NDArray[np.int64],
    key: NDArray[np.int32],
    source: NDArray[np.int32],
    write_begin: NDArray[np.int64],
    write_key: NDArray[np.int32],
    keys: int,
) -> list[tuple[int, int, int]]:
    """(t2, t1, witness t3) for each read of x from t1 that follows a read from t2, a writer of
    x."""
    out = [(-1, -1, -1)]
    stamp = np.full(keys, -1, np.int64)
    newest = np.zeros(keys, np.int32)
    second = np.zeros(keys, np.int32)
    listed = np.empty(max(keys, 1), np.int32)
    first_read = np.full(n + 1, -1, np.int64)
    for t in range(n):
        lo, hi = read_begin[t], read_begin[t + 1]
        if hi - lo < 2:
            continue
        for i in range(hi - 1, lo - 1, -1):
            first_read[source[i]] = i
        count = 0
        for i in range(hi - 1, lo - 1, -1):
            w = source[i]
            if w < n and first_read[w] == i:
                if write_begin[w + 1] - write_begin[w] <= count:
                    for e in range(write_begin[w], write_begin[w + 1]):
                        x = write_key[e]
                        if stamp[x] == t:
                            other = newest[x] if newest[x] != w else second[x]
                            if other >= 0 and other != w:
                                out.append((w, other, t))
                else:
                    for c in range(count):
                        x = listed[c]
                        other = newest[x] if newest[x] != w else second[x]
                        if other >= 0 and _wrote(w, x, write_begin, write_key):
                            out.append((w, other, t))
            x = key[i]
            if stamp[x] != t:
                stamp[x] = t
                newest[x] = -1
                second[x] = -1
                listed[count] = x
                count += 1
            if newest[x] != w:
                second[x] = newest[x]
                newest[x] = w
    return out[1:]


@njit(cache=True, nogil=True)
def _read_atomic(
    n: int,
    read_begin: NDArray[np.int64],
    key: NDArray[np.int32],
    source: NDArray[np.int32],
    external: NDArray[np.bool_],
    write_begin: NDArray[np.int64],
    write_key: NDArray[np.int32],
    by_session: NDArray[np.int32],
    session: NDArray[np.int32],
    keys: int,
) -> list[tuple[int, int, int]]:
    out = [(-1, -1, -1)]
    stamp = np.full(keys, -1, np.int64)
    of = np.zeros(keys, np.int32)
    listed = np.empty(max(keys, 1), np.int32)
    last_session = np.full(keys, -1, np.int64)
    last_writer = np.zeros(keys, np.int32)
    met = np.full(n + 1, -1, np.int64)
    for t in by_session:
        count = 0
        for i in range(read_begin[t], read_begin[t + 1]):
            x = key[i]
            if external[i]:
                stamp[x] = t
                of[x] = source[i]
                listed[count] = x
                count += 1
                if last_session[x] == session[t] and last_writer[x] != source[i]:
                    out.append((last_writer[x], source[i], t))
        for i in range(read_begin[t], read_begin[t + 1]):
            w = source[i]
            if w == n or met[w] == t:
                continue
            met[w] = t
            if write_begin[w + 1] - write_begin[w] <= count:
                for e in range(write_begin[w], write_begin[w + 1]):
                    x = write_key[e]
                    if stamp[x] == t and of[x] != w:
                        out.append((w, of[x], t))
            else:
                for c in range(count):
                    x = listed[c]
                    if of[x] != w and _wrote(w, x, write_begin, write_key):
                        out.append((w, of[x], t))
        for e in range(write_begin[t], write_begin[t + 1]):
            last_session[write_key[e]] = session[t]
            last_writer[write_key[e]] = t
    return out[1:]


@njit(cache=True, nogil=True)
def _clocks(
    order: NDArray[np.int32],
    into_begin: NDArray[np.int64],
    into: NDArray[np.int32],
    session: NDArray[np.int32],
    place: NDArray[np.int32],
    sessions: int,
) -> NDArray[np.int32]:
    """How many of each session's first transactions happen before each transaction."""
    clock = np.zeros((len(session), sessions), np.int32)
    for t in order:
        for e in range(into_begin[t], into_begin[t + 1]):
            a = into[e]
            for s in range(sessions):
                clock[t, s] = max(clock[t, s], clock[a, s])
            clock[t, session[a]] = max(clock[t, session[a]], place[a] + 1)
    return clock


@njit(cache=True, nogil=True)
def _causal(
    clock: NDArray[np.int32],
    reader: NDArray[np.int32],
    key: NDArray[np.int32],
    source: NDArray[np.int32],
    external: NDArray[np.bool_],
    segment_begin: NDArray[np.int64],
    segment_at: NDArray[np.int64],
    writer: NDArray[np.int32],
    session: NDArray[np.int32],
    place: NDArray[np.int32],
) -> list[tuple[int, int, int]]:
    """Each session's last writer of x that t3 depends on, before the one it read x from."""
    out = [(-1, -1, -1)]
    for i in range(len(reader)):
        if not external[i]:
            continue
        t = reader[i]
        for g in range(segment_begin[key[i]], segment_begin[key[i] + 1]):
            lo, hi = segment_at[g], segment_at[g + 1]
            limit = clock[t, session[writer[lo]]]
            while lo < hi:  # the last writer placed before `limit`
                mid = (lo + hi) // 2
                if place[writer[mid]] < limit:
                    lo = mid + 1
                else:
                    hi = mid
            if lo > segment_at[g]:
                w = writer[lo - 1]
                if w != source[i] and w != t:
                    out.append((w, source[i], t))
    return out[1:]


Forced = tuple[I32, I32, I32]


def _columns(found: list[tuple[int, int, int]]) -> Forced:
    table = np.array(found, np.int32).reshape(-1, 3)
    return table[:, 0].copy(), table[:, 1].copy(), table[:, 2].copy()


def read_committed(s: Sessions, keys: int) -> Forced:
    """Commit order forced by read committed: (before, after, the transaction that shows it)."""
    found = _read_committed(s.n, s.read_begin, s.key, s.source, s.write_begin, s.write_key, keys)
    return _columns(found)


def read_atomic(s: Sessions, keys: int) -> Forced:
    """Commit order forced by read atomic."""
    alive = np.flatnonzero(s.session >= 0)
    by_session = alive[np.lexsort((s.place[alive], s.session[alive]))].astype(np.int32)
    found = _read_atomic(
        s.n,
        s.read_begin,
        s.key,
        s.source,
        s.external,
        s.write_begin,
        s.write_key,
        by_session,
        s.session,
        keys,
    )
    return _columns(found)


def clock_bytes(s: Sessions) -> int:
    """Memory that causal consistency needs."""
    return 4 * s.n * s.sessions


def causal(s: Sessions, keys: int, order: I32, into_begin: I64, into: I32) -> Forced:
    """Commit order forced by causal consistency; `order` sorts so ∪ wr, `into` are its edges."""
    clock = _clocks(order, into_begin, into, s.session, s.place, s.sessions)
    writer = np.repeat(np.arange(s.n + 1), np.diff(s.write_begin)).astype(np.int32)
    by = np.lexsort((s.place[writer], s.session[writer], s.write_key))
    writer, key = writer[by], s.write_key[by]
    new = np.ones(len(by), np.bool_)
    new[1:] = (key[1:] != key[:-1]) | (s.session[writer[1:]] != s.session[writer[:-1]])
    at = np.concatenate([np.flatnonzero(new), [len(by)]]).astype(np.int64)
    begin = np.searchsorted(key[at[:-1]], np.arange(keys + 1)).astype(np.int64)
    found = _causal(
        clock, s.reader, s.key, s.source, s.external, begin, at, writer, s.session, s.place
    )
    return _columns(found)

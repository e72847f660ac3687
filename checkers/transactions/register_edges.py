"""Dependencies between transactions over registers, from versions and their (partial) order.

wr: the writer of a value, then each transaction that reads it from outside. For each pair of
versions v before w: the writer of v, then the writer of w (ww); each reader of v, then the writer
of w (rw). All values come after the initial one, so its readers precede all writers of the key.
Many readers of one version are joined to many writers through chains of helpers, in linear space.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from seatrial.checkers.transactions.append_edges import with_tails
from seatrial.checkers.transactions.edges import WR, WW, Edges
from seatrial.checkers.transactions.register_order import Order
from seatrial.checkers.transactions.register_versions import (
    EXTERNAL_READ,
    EXTERNAL_WRITE,
    SEVERAL,
    Versions,
)
from seatrial.checkers.transactions.table import I32, I64, OK, Table


def writers(v: Versions) -> I32:
    """The transaction that wrote each version for good, −1 if none or not just one."""
    at = np.maximum(v.writer, 0)
    good = (v.writer >= 0) & (v.role[at] == EXTERNAL_WRITE) if len(v.role) else v.writer >= 0
    good[: v.keys] = False
    out: I32 = np.where(good, v.txn[at] if len(v.txn) else -1, -1).astype(np.int32)
    return out


def readers(txns: Table, v: Versions) -> tuple[I32, I32]:
    """(version, transaction) of each committed external read."""
    j = np.flatnonzero((v.role == EXTERNAL_READ) & (v.of >= 0))
    t = v.txn[j]
    ok = txns.status[t] == OK
    return v.of[j[ok]], t[ok]


@njit(cache=True, nogil=True)
def _group(
    keys: NDArray[np.int32], values: NDArray[np.int32], groups: int
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Values grouped by key, stable: a counting sort."""
    begin = np.zeros(groups + 1, np.int64)
    for i in range(len(keys)):
        begin[keys[i] + 1] += 1
    for g in range(groups):
        begin[g + 1] += begin[g]
    at = begin[:-1].copy()
    out = np.empty(len(values), np.int32)
    for i in range(len(keys)):
        out[at[keys[i]]] = values[i]
        at[keys[i]] += 1
    return begin, out


def _compact(r_begin: I64, r: I32, w_begin: I64, w: I32) -> tuple[I32, I64, I32, I64]:
    """Only the groups that have both readers and writers."""
    rs, ws = np.diff(r_begin), np.diff(w_begin)
    both = (rs > 0) & (ws > 0)
    r_keep, w_keep = np.repeat(both, rs), np.repeat(both, ws)
    zero = np.zeros(1, np.int64)
    return (
        r[r_keep],
        np.concatenate([zero, np.cumsum(rs[both])]),
        w[w_keep],
        np.concatenate([zero, np.cumsum(ws[both])]),
    )


def register_edges(txns: Table, v: Versions, order: Order) -> Edges:
    """The wr, ww and rw dependencies of a register history. O(m + pairs of versions)."""
    writer = writers(v)
    read_version, read_txn = readers(txns, v)
    w = writer[read_version]
    direct = (w >= 0) & (w != read_txn)
    a, b = writer[order.before], writer[order.after]
    ww = (a >= 0) & (b >= 0) & (a != b)
    base = Edges(
        len(txns),
        np.concatenate([w[direct], a[ww]]),
        np.concatenate([read_txn[direct], b[ww]]),
        np.concatenate([np.full(direct.sum(), WR, np.uint8), np.full(ww.sum(), WW, np.uint8)]),
    )
    written = np.flatnonzero((writer >= 0) & (v.writer[v.key] != SEVERAL))
    known = b >= 0
    before = np.concatenate([v.key[written], order.before[known]]).astype(np.int32)
    target = np.concatenate([writer[written], b[known]])
    by_txn = np.argsort(target, kind="stable")
    r_begin, r = _group(read_version, read_txn, len(v))
    w_begin, targets = _group(before[by_txn], target[by_txn], len(v))
    return with_tails(base, *_compact(r_begin, r, w_begin, targets))

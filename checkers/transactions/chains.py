"""Chains of versions: what is known of a register's version order, and what is left to choose.

A transaction that reads v and writes w puts w right after v: nothing can come between (otherwise
it is a lost update). So the versions of a key fall into chains, and the only choices are between
whole chains. Where every write follows a read there is one chain a key and no choice at all:
mini-transactions, decided in linear time (Wei et al., ICDE 2025). The chain that begins at the
initial state comes first.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from seatrial.checkers.transactions.register_edges import readers, writers
from seatrial.checkers.transactions.register_versions import Versions
from seatrial.checkers.transactions.table import I32, INFO, Table


@dataclass(frozen=True, slots=True, eq=False)
class Chains:
    """Chain i of `key[i]` runs from version `head[i]` to `tail[i]`; sorted by key, then by time.

    `first[i]` says that it begins at the initial state. `before`, `after` are the pairs of
    versions known: inside chains, and from each first chain to its key's others.
    """

    key: I32
    head: I32
    tail: I32
    first: NDArray[np.bool_]
    before: I32
    after: I32


@njit(cache=True, nogil=True)
def _tails(heads: NDArray[np.int32], following: NDArray[np.int32]) -> NDArray[np.int32]:
    out = heads.copy()
    for i in range(len(heads)):
        while following[out[i]] >= 0:
            out[i] = following[out[i]]
    return out


def chains(txns: Table, v: Versions, before: I32, after: I32, initial_after: I32) -> Chains:
    """The chains of all keys.

    `before` → `after` are versions read and then overwritten in one transaction, at most one each
    way; `initial_after` the versions written over the initial state. O(m log m).
    """
    writer = writers(v)
    observed = np.zeros(len(v), np.bool_)
    observed[readers(txns, v)[0]] = True
    # What an unknown transaction wrote counts once anything of it was seen.
    seen_txn = np.zeros(len(txns) + 1, np.bool_)
    seen_txn[writer[observed]] = True
    alive = writer >= 0
    alive[alive] = (txns.status[writer[alive]] != INFO) | seen_txn[writer[alive]]
    following = np.full(len(v), -1, np.int32)
    preceded = np.zeros(len(v), np.bool_)
    both = alive[before] & alive[after]
    following[before[both]] = after[both]
    preceded[after[both]] = True
    heads = np.flatnonzero(alive & ~preceded).astype(np.int32)
    tails = _tails(heads, following)
    begins = np.zeros(len(v), np.bool_)
    begins[initial_after] = True
    when = txns.row[writer[heads]] if len(heads) else heads
    order = np.lexsort((when, ~begins[heads], v.key[heads]))
    heads, tails = heads[order], tails[order]
    key, first = v.key[heads], begins[heads]
    known_before, known_after = [before[both]], [after[both]]
    leads = np.flatnonzero(first)
    for lead in leads.tolist():
        lo, hi = np.searchsorted(key, [key[lead], key[lead] + 1])
        others = heads[lo:hi][~first[lo:hi]]
        known_before.append(np.full(len(others), tails[lead], np.int32))
        known_after.append(others)
    return Chains(
        key, heads, tails, first, np.concatenate(known_before), np.concatenate(known_after)
    )


def guessed(c: Chains) -> tuple[I32, I32]:
    """The known pairs, and each key's chains one after another in order of time."""
    near = c.key[1:] == c.key[:-1]
    return (
        np.concatenate([c.before, c.tail[:-1][near]]),
        np.concatenate([c.after, c.head[1:][near]]),
    )


def choices(c: Chains, most: int) -> tuple[I32, I32] | None:
    """All pairs of chains of a key that are not ordered, None if there are more than `most`."""
    free = np.flatnonzero(~c.first)
    key = c.key[free]
    counts = np.diff(np.searchsorted(key, np.arange(int(key.max(initial=-1)) + 2)))
    if int((counts.astype(np.int64) * (counts - 1) // 2).sum()) > most:
        return None
    left: list[int] = []
    right: list[int] = []
    lo = 0
    for count in counts.tolist():
        for i in range(lo, lo + count):
            for j in range(i + 1, lo + count):
                left.append(int(free[i]))
                right.append(int(free[j]))
        lo += count
    return np.array(left, np.int32), np.array(right, np.int32)

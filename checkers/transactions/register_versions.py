"""Versions of registers: one number for each value of each key, and what each transaction did to
it.

A transaction's *external* read of a key is its first, if it had not written the key before; its
external write is its last (Cerone, Bernardi and Gotsman, CONCUR 2015, EXT). Only these relate
transactions. The anomalies that need no cycle are found in the same pass: G1a, G1b (Adya 1999,
§3), `internal` (axiom INT), `future-read`, `lost-update` and `garbage-read`. O(micro-ops).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from seatrial.checkers.transactions.append_order import mix
from seatrial.checkers.transactions.keys import key_ids
from seatrial.checkers.transactions.table import FAIL, I32, I64, OK, U8, Table
from seatrial.history import NIL, Kind

NIL_KIND, LIST_KIND = int(Kind.NIL), int(Kind.LIST)

INTERNAL, FUTURE, ABORTED_READ, INTERMEDIATE, NOBODYS = range(5)
NAMES = ("internal", "future-read", "G1a", "G1b", "garbage-read")
#: Instances kept of each anomaly, the first ones.
KEPT = 8

#: Roles of a micro-op.
INNER, EXTERNAL_READ, EXTERNAL_WRITE = range(3)

#: `writer` of a version: nobody, or more than one transaction.
NOBODY, SEVERAL = -1, -2


@dataclass(frozen=True, slots=True, eq=False)
class Versions:
    """Versions 0 … keys − 1 are the initial ones (nil); the others are values written or read.

    `of[j]` is the version of micro-op j (−1 if it says nothing), `role[j]` its role. `key[v]` is
    a version's key, `writer[v]` the micro-op that wrote it and may have committed (NOBODY,
    SEVERAL), `aborted[v]` a failed one, else −1. `many` counts versions with several writers.
    """

    keys: int
    txn: I32
    of: I32
    role: U8
    key: I32
    writer: I32
    aborted: I32
    mop: I32
    many: int
    strange: int
    malformed: int

    def __len__(self) -> int:
        return len(self.key)


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """Anomalies that need no cycle: counts, first examples, and versions updated twice or more."""

    counts: I64
    examples: I64
    updates: I32
    unwritten: int


@njit(cache=True, nogil=True)
def _number(
    first: NDArray[np.int64],
    last: NDArray[np.int64],
    status: NDArray[np.uint8],
    f: NDArray[np.int32],
    kind: NDArray[np.uint8],
    arg: NDArray[np.int64],
    key: NDArray[np.int32],
    keys: int,
    code_r: int,
    code_w: int,
    initial: int,
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32], int, int]:
    """Owner and version of each micro-op; each version's key; strange and malformed micro-ops."""
    txn = np.full(len(f), -1, np.int32)
    sizes = np.zeros(keys + 1, np.int64)
    strange = 0
    malformed = 0
    used = 0
    for t in range(len(first)):
        for j in range(first[t], last[t]):
            txn[j] = t
            if f[j] != code_r and f[j] != code_w:
                strange += 1
            elif kind[j] == LIST_KIND:
                malformed += 1
            else:
                sizes[key[j] + 1] += 1
                used += 1
    for k in range(keys):
        size = 1
        while size < 2 * sizes[k + 1]:
            size *= 2
        sizes[k + 1] = sizes[k] + size
    slots = np.full(sizes[keys], -1, np.int32)
    value = np.empty(keys + used, np.int64)
    owner = np.empty(keys + used, np.int32)
    for k in range(keys):
        owner[k] = k
        value[k] = NIL
    count = keys
    of = np.full(len(f), -1, np.int32)
    for t in range(len(first)):
        for j in range(first[t], last[t]):
            if (f[j] != code_r and f[j] != code_w) or kind[j] == LIST_KIND:
                continue
            k = key[j]
            if f[j] == code_r and status[t] != OK:
                continue
            if arg[j] == NIL or arg[j] == initial:
                of[j] = k
                continue
            base = sizes[k]
            mask = sizes[k + 1] - base - 1
            i = mix(arg[j]) & mask
            while slots[base + i] >= 0 and value[slots[base + i]] != arg[j]:
                i = (i + 1) & mask
            if slots[base + i] < 0:
                slots[base + i] = count
                value[count] = arg[j]
                owner[count] = k
                count += 1
            of[j] = slots[base + i]
    return txn, of, owner[:count].copy(), strange, malformed


@njit(cache=True, nogil=True)
def _roles(
    first: NDArray[np.int64],
    last: NDArray[np.int64],
    status: NDArray[np.uint8],
    f: NDArray[np.int32],
    key: NDArray[np.int32],
    keys: int,
    code_w: int,
    txn: NDArray[np.int32],
    of: NDArray[np.int32],
    versions: int,
) -> tuple[NDArray[np.uint8], NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]:
    """Role of each micro-op; each version's writer, aborted writer, and some micro-op of it."""
    role = np.zeros(len(f), np.uint8)
    writer = np.full(versions, NOBODY, np.int32)
    aborted = np.full(versions, -1, np.int32)
    mop = np.full(versions, -1, np.int32)
    stamp = np.full(keys, -1, np.int64)
    wrote = np.full(keys, -1, np.int64)
    for t in range(len(first)):
        for j in range(first[t], last[t]):
            k = key[j]
            if of[j] < 0:
                continue
            if stamp[k] != t:
                wrote[k] = -1
                if f[j] != code_w:
                    role[j] = EXTERNAL_READ
                stamp[k] = t
            if mop[of[j]] < 0:
                mop[of[j]] = j
            if f[j] != code_w:
                continue
            if wrote[k] >= 0:
                role[wrote[k]] = INNER
            wrote[k] = j
            role[j] = EXTERNAL_WRITE
            v = of[j]
            if status[t] == FAIL:
                aborted[v] = j
            elif writer[v] == NOBODY or (writer[v] >= 0 and txn[writer[v]] == t):
                writer[v] = j
            else:
                writer[v] = SEVERAL
    return role, writer, aborted, mop


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
def _garbage(
    writer: NDArray[np.int32],
    aborted: NDArray[np.int32],
    key: NDArray[np.int32],
    read: NDArray[np.bool_],
    keys: int,
) -> tuple[NDArray[np.bool_], int]:
    """Versions that nobody can have written: all of a key that reads nil too, or has several.

    One unwritten value of a key may be what it held at first. How many such there are comes second.
    """
    alone = np.zeros(keys, np.int32)
    for v in range(keys, len(key)):
        if read[v] and writer[v] == NOBODY and aborted[v] < 0:
            alone[key[v]] += 1
    out = np.zeros(len(key), np.bool_)
    excused = 0
    for v in range(keys, len(key)):
        if read[v] and writer[v] == NOBODY and aborted[v] < 0:
            k = key[v]
            if alone[k] > 1 or read[k]:
                out[v] = True
            else:
                excused += 1
    return out, excused


@njit(cache=True, nogil=True)
def _scan(
    first: NDArray[np.int64],
    last: NDArray[np.int64],
    status: NDArray[np.uint8],
    f: NDArray[np.int32],
    key: NDArray[np.int32],
    keys: int,
    code_w: int,
    txn: NDArray[np.int32],
    of: NDArray[np.int32],
    role: NDArray[np.uint8],
    version_key: NDArray[np.int32],
    writer: NDArray[np.int32],
    aborted: NDArray[np.int32],
    counts: NDArray[np.int64],
    examples: NDArray[np.int64],
) -> tuple[NDArray[np.int32], int]:
    """Fills counts and examples; returns how often each version was read and then overwritten."""
    read = np.zeros(len(version_key), np.bool_)
    for t in range(len(first)):
        if status[t] == OK:
            for j in range(first[t], last[t]):
                if of[j] >= 0 and f[j] != code_w:
                    read[of[j]] = True
    garbage, excused = _garbage(writer, aborted, version_key, read, keys)
    updates = np.zeros(len(version_key), np.int32)
    stamp = np.full(keys, -1, np.int64)
    latest = np.zeros(keys, np.int64)
    opening = np.zeros(keys, np.int64)
    for t in range(len(first)):
        if status[t] != OK:
            continue
        internal = False
        for j in range(first[t], last[t]):
            v = of[j]
            if v < 0:
                continue
            k = key[j]
            if stamp[k] != t:
                stamp[k] = t
                latest[k] = -1
                opening[k] = -1
            if role[j] == EXTERNAL_READ:
                opening[k] = v
            if role[j] == EXTERNAL_WRITE and opening[k] >= 0 and writer[opening[k]] != SEVERAL:
                updates[opening[k]] += 1
            if f[j] != code_w:
                if latest[k] >= 0 and of[latest[k]] != v and not internal:
                    internal = True
                    _note(counts, examples, INTERNAL, t, j, latest[k])
                w = writer[v]
                if w == NOBODY and aborted[v] >= 0:
                    _note(counts, examples, ABORTED_READ, t, j, aborted[v])
                if w >= 0 and txn[w] != t and role[w] != EXTERNAL_WRITE:
                    _note(counts, examples, INTERMEDIATE, t, j, w)
                if w >= 0 and txn[w] == t and w > j and (latest[k] < 0 or of[latest[k]] != v):
                    _note(counts, examples, FUTURE, t, j, w)
                if garbage[v]:
                    _note(counts, examples, NOBODYS, t, j, -1)
            latest[k] = j
    return updates, excused


def versions(txns: Table, initial: int) -> Versions:
    """The versions of a register history; `initial` is the code of the initial value. O(m)."""
    micro = txns.history.micro
    code_r, code_w = txns.history.name_code("r"), txns.history.name_code("w")
    key, keys = key_ids(micro.key)
    txn, of, owner, strange, malformed = _number(
        txns.first,
        txns.last,
        txns.status,
        micro.f,
        micro.kind,
        micro.arg,
        key,
        keys,
        code_r,
        code_w,
        initial,
    )
    role, writer, aborted, mop = _roles(
        txns.first,
        txns.last,
        txns.status,
        micro.f,
        key,
        keys,
        code_w,
        txn,
        of,
        len(owner),
    )
    # A key's initial value, written again: its reads prove nothing any more.
    writer[:keys] = np.where(writer[:keys] == NOBODY, NOBODY, SEVERAL)
    many = int(np.count_nonzero(writer == SEVERAL))
    return Versions(
        keys, txn, of, role, owner, writer, aborted, mop, many, int(strange), int(malformed)
    )


def scan(txns: Table, v: Versions) -> Seen:
    """All anomalies of a register history that need no cycle. O(m)."""
    micro = txns.history.micro
    counts = np.zeros(len(NAMES), np.int64)
    examples = np.full((len(NAMES), KEPT, 3), -1, np.int64)
    key = np.where(v.of >= 0, v.key[np.maximum(v.of, 0)], 0) if len(v) else v.of
    updates, excused = _scan(
        txns.first,
        txns.last,
        txns.status,
        micro.f,
        key.astype(np.int32),
        v.keys,
        txns.history.name_code("w"),
        v.txn,
        v.of,
        v.role,
        v.key,
        v.writer,
        v.aborted,
        counts,
        examples,
    )
    return Seen(counts, examples, updates, int(excused))

"""Version orders of lists: who appended what, and in which order it came to stand.

Appends are recoverable (Kingsbury and Alvaro, VLDB 2020, §4.2): the longest value read of a key
tells the order of all appends up to it, and every other read must be a prefix of it. An append
that no read shows came after all that were seen, because it is not among them.

Everything is per key: its appended elements live in a hash table of their own, its longest read in
one span, so that work on a key stays in the processor's cache. O(micro-ops + elements read).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from seatrial.checkers.transactions.keys import key_ids
from seatrial.checkers.transactions.table import FAIL, I32, I64, OK, Bool, Table
from seatrial.history import Kind

LIST, NIL_KIND = int(Kind.LIST), int(Kind.NIL)

#: What a read is: not a read, a list that is no prefix of the key's order, or its length.
NO_READ, ODD = -1, -2

#: What can be wrong with a key's order (columns of `Orders.spoiled`), and "nothing is".
GARBAGE, REPEATED, ABORTED = range(3)
CLEAN = 2**31 - 1


@dataclass(frozen=True, slots=True, eq=False)
class Orders:
    """The version order of each key.

    `txn[j]`, `key[j]` of micro-op j (−1 where it belongs to no transaction). `order` holds, key
    after key, the append (micro-op) of each element of the key's longest read, −1 if unknown;
    key k's are `order[begin[k]:begin[k + 1]]`. `place[j]` of an append is its position there, −1
    if no read shows it. `seen[j]` of a read is the number of elements it shows when it is a prefix
    of the order, ODD if it is not, NO_READ else. `longest[k]` is the micro-op of the longest read,
    −1 if none. `shared[j]`: an append of an element that another transaction appended too, which
    therefore proves nothing. `spoiled[k]` has the first position in k's order of an element that
    nobody appended, that stood there before, that a failed transaction appended (CLEAN if none).
    `slots` finds the append of an element. `malformed` counts reads that returned no list,
    `strange` micro-ops that are neither `append` nor `r`.
    """

    keys: int
    txn: I32
    key: I32
    place: I32
    seen: I32
    begin: I64
    order: I32
    longest: I64
    shared: Bool
    slot_begin: I64
    slots: I32
    spoiled: I32
    malformed: int
    strange: int


@njit(cache=True, nogil=True)
def mix(x: int) -> int:
    """A 64-bit finalizer (Stafford's variant 13 of MurmurHash3's)."""
    z = np.uint64(x)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = (z ^ (z >> np.uint64(31))) & np.uint64(0x7FFFFFFFFFFFFFFF)
    return np.int64(z)  # type: ignore[return-value]  # an int to Numba


@njit(cache=True, nogil=True)
def find(
    slots: NDArray[np.int32],
    slot_begin: NDArray[np.int64],
    arg: NDArray[np.int64],
    key: int,
    element: int,
) -> int:
    """The append of `element` to `key`, −1 if there is none."""
    base = slot_begin[key]
    size = slot_begin[key + 1] - base
    if size == 0:
        return -1
    i = mix(element) & (size - 1)
    while slots[base + i] >= 0:
        j = slots[base + i]
        if arg[j] == element:
            return int(j)
        i = (i + 1) & (size - 1)
    return -1


@njit(cache=True, nogil=True)
def _survey(
    first: NDArray[np.int64],
    last: NDArray[np.int64],
    status: NDArray[np.uint8],
    f: NDArray[np.int32],
    kind: NDArray[np.uint8],
    key: NDArray[np.int32],
    element_start: NDArray[np.int64],
    keys: int,
    code_r: int,
    code_a: int,
) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.int64], int, int]:
    """Owner of each micro-op, appends a key, longest read a key; malformed and strange ones."""
    txn = np.full(len(f), -1, np.int32)
    appends = np.zeros(keys, np.int64)
    longest = np.full(keys, -1, np.int64)
    length = np.zeros(keys, np.int64)
    malformed = 0
    strange = 0
    for t in range(len(first)):
        for j in range(first[t], last[t]):
            txn[j] = t
            if f[j] == code_a:
                appends[key[j]] += 1
            elif f[j] != code_r:
                strange += 1
            elif status[t] != FAIL:
                if kind[j] == LIST:
                    n = element_start[j + 1] - element_start[j]
                    if n > length[key[j]]:
                        length[key[j]] = n
                        longest[key[j]] = j
                elif kind[j] != NIL_KIND:
                    malformed += 1
    return txn, appends, longest, malformed, strange


@njit(cache=True, nogil=True)
def _fill_slots(
    first: NDArray[np.int64],
    last: NDArray[np.int64],
    status: NDArray[np.uint8],
    f: NDArray[np.int32],
    arg: NDArray[np.int64],
    key: NDArray[np.int32],
    slot_begin: NDArray[np.int64],
    code_a: int,
    shared: NDArray[np.bool_],
    txn: NDArray[np.int32],
) -> NDArray[np.int32]:
    slots = np.full(slot_begin[-1], -1, np.int32)
    for t in range(len(first)):
        for j in range(first[t], last[t]):
            if f[j] != code_a:
                continue
            base = slot_begin[key[j]]
            mask = slot_begin[key[j] + 1] - base - 1
            i = mix(arg[j]) & mask
            while slots[base + i] >= 0 and arg[slots[base + i]] != arg[j]:
                i = (i + 1) & mask
            other = slots[base + i]
            if other < 0:
                slots[base + i] = j
            elif status[txn[other]] == FAIL and status[t] != FAIL:
                slots[base + i] = j  # a retry: what failed had no effect
            elif status[t] != FAIL or status[txn[other]] == FAIL:
                shared[other] = True
                shared[j] = True
    return slots


@njit(cache=True, nogil=True)
def _lay_out(
    longest: NDArray[np.int64],
    element_start: NDArray[np.int64],
    elements: NDArray[np.int64],
    arg: NDArray[np.int64],
    slot_begin: NDArray[np.int64],
    slots: NDArray[np.int32],
    shared: NDArray[np.bool_],
    status: NDArray[np.uint8],
    txn: NDArray[np.int32],
    begin: NDArray[np.int64],
    place: NDArray[np.int32],
    spoiled: NDArray[np.int32],
) -> NDArray[np.int32]:
    order = np.full(begin[-1], -1, np.int32)
    for k in range(len(longest)):
        if longest[k] < 0:
            continue
        base = begin[k]
        lo = element_start[longest[k]]
        for i in range(begin[k + 1] - base):
            j = find(slots, slot_begin, arg, k, elements[lo + i])
            if j < 0:
                spoiled[k, GARBAGE] = min(spoiled[k, GARBAGE], i)
                continue
            if place[j] >= 0:
                spoiled[k, REPEATED] = min(spoiled[k, REPEATED], i)
                continue
            place[j] = i
            if shared[j]:
                continue
            order[base + i] = j
            if status[txn[j]] == FAIL:
                spoiled[k, ABORTED] = min(spoiled[k, ABORTED], i)
    return order


@njit(cache=True, nogil=True)
def _compare(
    first: NDArray[np.int64],
    last: NDArray[np.int64],
    status: NDArray[np.uint8],
    f: NDArray[np.int32],
    kind: NDArray[np.uint8],
    key: NDArray[np.int32],
    element_start: NDArray[np.int64],
    elements: NDArray[np.int64],
    longest: NDArray[np.int64],
    code_r: int,
) -> NDArray[np.int32]:
    """How many elements each read shows if it is a prefix of its key's longest read."""
    seen = np.full(len(f), NO_READ, np.int32)
    for t in range(len(first)):
        if status[t] == FAIL:
            continue
        for j in range(first[t], last[t]):
            if f[j] != code_r:
                continue
            if kind[j] == NIL_KIND:
                if status[t] == OK:
                    seen[j] = 0  # nothing was there; in an info txn nil says nothing
                continue
            if kind[j] != LIST:
                continue
            lo = element_start[j]
            n = element_start[j + 1] - lo
            seen[j] = n
            if n == 0:
                continue
            base = element_start[longest[key[j]]]
            # From the end: orders that differ mostly differ there.
            for i in range(n - 1, -1, -1):
                if elements[lo + i] != elements[base + i]:
                    seen[j] = ODD
                    break
    return seen


def orders(txns: Table) -> Orders:
    """The version orders of a list-append history. O(micro-ops + elements read)."""
    micro = txns.history.micro
    code_r, code_a = txns.history.name_code("r"), txns.history.name_code("append")
    key, keys = key_ids(micro.key)
    txn, appends, longest, malformed, strange = _survey(
        txns.first,
        txns.last,
        txns.status,
        micro.f,
        micro.kind,
        key,
        micro.element_start,
        keys,
        code_r,
        code_a,
    )
    sizes = np.where(appends > 0, 2 ** np.ceil(np.log2(np.maximum(2 * appends, 2))), 0)
    slot_begin = np.concatenate([[0], np.cumsum(sizes.astype(np.int64))])
    shared = np.zeros(len(micro.f), np.bool_)
    slots = _fill_slots(
        txns.first,
        txns.last,
        txns.status,
        micro.f,
        micro.arg,
        key,
        slot_begin,
        code_a,
        shared,
        txn,
    )
    at = np.maximum(longest, 0)
    if len(micro.f):
        lengths = np.where(longest >= 0, micro.element_start[at + 1] - micro.element_start[at], 0)
    else:
        lengths = np.zeros(keys, np.int64)
    begin = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    place = np.full(len(micro.f), -1, np.int32)
    spoiled = np.full((keys, 3), CLEAN, np.int32)
    order = _lay_out(
        longest,
        micro.element_start,
        micro.elements,
        micro.arg,
        slot_begin,
        slots,
        shared,
        txns.status,
        txn,
        begin,
        place,
        spoiled,
    )
    seen = _compare(
        txns.first,
        txns.last,
        txns.status,
        micro.f,
        micro.kind,
        key,
        micro.element_start,
        micro.elements,
        longest,
        code_r,
    )
    return Orders(
        keys,
        txn,
        key,
        place,
        seen,
        begin,
        order,
        longest,
        shared,
        slot_begin,
        slots,
        spoiled,
        malformed,
        strange,
    )

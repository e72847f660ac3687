"""Simulated stores for the transactional benchmarks: histories straight into columns.

20 clients run transactions of 1 to 4 micro-ops over 10 active keys; a key is replaced after 32
writes. `ser` executes each transaction at one instant between its invocation and its completion
(strictly serializable); `si` reads a snapshot taken at its beginning and commits if nobody else
wrote its keys since (snapshot isolation, so write skew); `rc` does each micro-op by itself,
visible at once, also those of transactions that fail (no isolation). 0.5 % of the transactions
end in `info`, 1 % in `fail`.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from seatrial.history import NIL, Atoms, History, Kind, MicroOps

MODES = ("ser", "si", "rc")
CLIENTS, ACTIVE, WRITES_A_KEY, MOPS_MAX = 20, 10, 32, 4
ROOM = WRITES_A_KEY * 3


@njit(cache=True)
def _simulate(
    n: int, mode: int, seed: int, keys_max: int
) -> tuple[
    NDArray[np.uint8],
    NDArray[np.int32],
    NDArray[np.int64],
    NDArray[np.int32],
    NDArray[np.uint8],
    NDArray[np.int32],
    NDArray[np.int32],
    NDArray[np.int32],
]:
    """Events (type, process, first micro-op) and micro-ops (key, is write, element, length
    read)."""
    np.random.seed(seed)
    types = np.empty(2 * n, np.uint8)
    process = np.empty(2 * n, np.int32)
    start = np.zeros(2 * n + 1, np.int64)
    room = 2 * n * MOPS_MAX
    key = np.empty(room, np.int32)
    write = np.empty(room, np.uint8)
    element = np.full(room, -1, np.int32)
    length = np.full(room, -1, np.int32)
    stored = np.zeros((keys_max, ROOM), np.int32)
    count = np.zeros(keys_max, np.int32)
    used = np.zeros(keys_max, np.int32)
    active = np.arange(ACTIVE)
    fresh = ACTIVE
    stage = np.zeros(CLIENTS, np.int32)
    name = np.arange(CLIENTS)
    begun = np.zeros(CLIENTS, np.int64)
    fate = np.zeros(CLIENTS, np.uint8)
    my_key = np.zeros((CLIENTS, MOPS_MAX), np.int32)
    my_write = np.zeros((CLIENTS, MOPS_MAX), np.uint8)
    my_element = np.zeros((CLIENTS, MOPS_MAX), np.int32)
    my_length = np.zeros((CLIENTS, MOPS_MAX), np.int32)
    snapshot = np.zeros((CLIENTS, MOPS_MAX), np.int32)
    size = np.zeros(CLIENTS, np.int32)
    events = 0
    m = 0
    invoked = 0
    completed = 0
    while completed < n:
        c = np.random.randint(CLIENTS)
        if stage[c] == 0:
            if invoked == n:
                continue
            invoked += 1
            size[c] = 1 + np.random.randint(MOPS_MAX)
            luck = np.random.random()
            fate[c] = 3 if luck < 0.005 else 2 if luck < 0.015 else 1
            types[events] = 0
            process[events] = name[c]
            for i in range(size[c]):
                slot = np.random.randint(ACTIVE)
                k = active[slot]
                my_key[c, i] = k
                my_write[c, i] = np.random.randint(2)
                my_length[c, i] = -1
                my_element[c, i] = -1
                if my_write[c, i]:
                    used[k] += 1
                    my_element[c, i] = used[k]
                    if used[k] == WRITES_A_KEY:
                        active[slot] = fresh
                        fresh += 1
                key[m] = k
                write[m] = my_write[c, i]
                element[m] = my_element[c, i]
                m += 1
            events += 1
            start[events] = m
            begun[c] = 0
            stage[c] = 1
        elif stage[c] == 1:
            if begun[c] == 0:
                for i in range(size[c]):
                    snapshot[c, i] = count[my_key[c, i]]
            happens = fate[c] == 1 or (fate[c] == 3 and np.random.randint(2) == 1)
            if mode == 2:
                i = begun[c]
                k = my_key[c, i]
                if my_write[c, i]:
                    stored[k, count[k]] = my_element[c, i]
                    count[k] += 1
                else:
                    my_length[c, i] = count[k]
                begun[c] += 1
                if begun[c] == size[c]:
                    stage[c] = 2
                continue
            if mode == 1:
                begun[c] += 1
                if begun[c] < 3:
                    continue
                for i in range(size[c]):
                    if my_write[c, i] and count[my_key[c, i]] != snapshot[c, i]:
                        happens = False
                        fate[c] = 2 if fate[c] == 1 else fate[c]
            if happens:
                for i in range(size[c]):
                    k = my_key[c, i]
                    if my_write[c, i]:
                        stored[k, count[k]] = my_element[c, i]
                        count[k] += 1
                    elif mode == 0:
                        my_length[c, i] = count[k]
                    else:
                        own = 0
                        for j in range(i):
                            own += my_write[c, j] and my_key[c, j] == k
                        my_length[c, i] = snapshot[c, i] + own
            stage[c] = 2
        else:
            types[events] = fate[c]
            process[events] = name[c]
            for i in range(size[c]):
                key[m] = my_key[c, i]
                write[m] = my_write[c, i]
                element[m] = my_element[c, i]
                length[m] = my_length[c, i] if fate[c] == 1 else -1
                m += 1
            events += 1
            start[events] = m
            completed += 1
            stage[c] = 0
            if fate[c] == 3:
                name[c] += CLIENTS
    values = np.empty(keys_max * ROOM, np.int32)
    for k in range(keys_max):
        for i in range(ROOM):
            values[k * ROOM + i] = stored[k, i]
    return types, process, start, key[:m], write[:m], element[:m], length[:m], values


@njit(cache=True)
def _lists(
    key: NDArray[np.int32], length: NDArray[np.int32], values: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    start = np.zeros(len(key) + 1, np.int64)
    for j in range(len(key)):
        start[j + 1] = start[j] + max(length[j], 0)
    elements = np.empty(start[-1], np.int64)
    for j in range(len(key)):
        for i in range(length[j]):
            elements[start[j] + i] = values[key[j] * ROOM + i]
    return start, elements


def store(n: int, mode: str, seed: int, *, registers: bool = False) -> History:
    """A history of n transactions over lists, or over registers."""
    keys_max = ACTIVE + n * MOPS_MAX // WRITES_A_KEY + 64
    types, process, start, key, write, element, length, values = _simulate(
        n, MODES.index(mode), seed, keys_max
    )
    wide, held = element.astype(np.int64), values.astype(np.int64)
    rows = len(types)  # two a transaction
    reads = length >= 0
    if registers:
        at = key.astype(np.int64) * ROOM + np.maximum(length - 1, 0)
        arg = np.where(write == 1, wide, np.where(length > 0, held[at], NIL))
        kind = np.where((write == 1) | (length > 0), Kind.ATOM, Kind.NIL)
        element_start, elements = np.zeros(len(key) + 1, np.int64), np.zeros(0, np.int64)
    else:
        arg = np.where(write == 1, wide, NIL)
        kind = np.where(write == 1, Kind.ATOM, np.where(reads, Kind.LIST, Kind.NIL))
        element_start, elements = _lists(key, length, held)
    micro = MicroOps(
        start,
        np.where(write == 1, 1, 2).astype(np.int32),
        key.astype(np.int64),
        kind.astype(np.uint8),
        arg.astype(np.int64),
        element_start,
        elements,
    )
    return History(
        index=np.arange(rows, dtype=np.int64),
        process=process,
        type=types,
        f=np.zeros(rows, np.int32),
        time_ns=np.arange(rows, dtype=np.int64),
        error=np.full(rows, -1, np.int32),
        key=np.full(rows, NIL, np.int64),
        kind=np.full(rows, Kind.TXN, np.uint8),
        atom=np.full(rows, NIL, np.int64),
        element_start=np.zeros(rows + 1, np.int64),
        elements=np.zeros(0, np.int64),
        micro=micro,
        names=("txn", "w" if registers else "append", "r"),
        atoms=Atoms(),
    )

"""Dense numbers for keys."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from seatrial.checkers.transactions.table import I32, I64

#: A direct table is used while the keys' range is at most this many times their count.
DIRECT_FACTOR = 4


@njit(cache=True, nogil=True)
def _direct(codes: NDArray[np.int64], low: int, width: int) -> tuple[NDArray[np.int32], int]:
    table = np.full(width, -1, np.int32)
    out = np.empty(len(codes), np.int32)
    count = 0
    for i in range(len(codes)):
        at = codes[i] - low
        if table[at] < 0:
            table[at] = count
            count += 1
        out[i] = table[at]
    return out, count


def key_ids(codes: I64) -> tuple[I32, int]:
    """Each code's number, and how many there are. O(n), O(n log n) when codes lie far apart."""
    if not len(codes):
        return np.zeros(0, np.int32), 0
    low, high = int(codes.min()), int(codes.max())
    if high - low < DIRECT_FACTOR * len(codes) + 1024:
        ids, count = _direct(codes, low, high - low + 1)
        return ids, int(count)
    known, inverse = np.unique(codes, return_inverse=True)
    return inverse.astype(np.int32), len(known)

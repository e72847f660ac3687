"""Session order and reads-from as a sorted graph, and circles that forced commit order closes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from seatrial.checkers.transactions.edges import PROCESS, WR, WW, components, compress
from seatrial.checkers.transactions.search import find_path
from seatrial.checkers.transactions.table import I32, I64, U8
from seatrial.checkers.transactions.weak import Forced, Sessions

#: Forced edges tried for a short circle.
TRIES = 12


@dataclass(frozen=True, slots=True, eq=False)
class Forest:
    """so ∪ wr over n transactions and the initial state (node n).

    `order` sorts the transactions, None if they run in a circle already. `into` are the edges
    into each transaction from others (without the initial state).
    """

    n: int
    src: I32
    dst: I32
    kind: U8
    order: I32 | None
    into_begin: I64
    into: I32

    def closed_by(self, forced: Forced) -> bool:
        """Whether so ∪ wr and the forced edges hold a circle."""
        src = np.concatenate([self.src, forced[0]])
        dst = np.concatenate([self.dst, forced[1]])
        component = components(self.n + 1, src, dst)
        return bool((component[forced[0]] == component[forced[1]]).any())


@njit(cache=True, nogil=True)
def _topological(
    n: int, start: NDArray[np.int64], out: NDArray[np.int32], waits: NDArray[np.int64]
) -> NDArray[np.int32]:
    order = np.empty(n, np.int32)
    tail = 0
    for v in range(n):
        if waits[v] == 0:
            order[tail] = v
            tail += 1
    head = 0
    while head < tail:
        v = order[head]
        head += 1
        for e in range(start[v], start[v + 1]):
            waits[out[e]] -= 1
            if waits[out[e]] == 0:
                order[tail] = out[e]
                tail += 1
    return order[:tail]


def sorted_forest(s: Sessions) -> Forest:
    """so ∪ wr, sorted. O(n + m)."""
    real = s.source < s.n
    src = np.concatenate([s.so[0], s.source[real]])
    dst = np.concatenate([s.so[1], s.reader[real]])
    kind = np.concatenate(
        [np.full(len(s.so[0]), PROCESS, np.uint8), np.full(int(real.sum()), WR, np.uint8)]
    )
    start, out, _ = compress(s.n, src, dst, kind)
    into_begin, into, _ = compress(s.n, dst, src, kind)
    order = _topological(s.n, start, out, np.diff(into_begin))
    alive = np.arange(s.n, dtype=np.int32)
    first = np.full(s.n, s.n, np.int32)
    return Forest(
        s.n,
        np.concatenate([src, first]),
        np.concatenate([dst, alive]),
        np.concatenate([kind, np.full(s.n, PROCESS, np.uint8)]),
        order if len(order) == s.n else None,
        into_begin,
        into,
    )


def cycle_in(forest: Forest, forced: Forced) -> tuple[list[int], list[int], list[int]]:
    """A short circle: its nodes, the kind of each edge, and the witness of each forced one (−1)."""
    src = np.concatenate([forest.src, forced[0]])
    dst = np.concatenate([forest.dst, forced[1]])
    forced_kind = np.full(len(forced[0]), WW, np.uint8)
    kind = np.concatenate([forest.kind, forced_kind]).astype(np.uint8)
    component = components(forest.n + 1, src, dst)
    inside = np.flatnonzero(component[src] == component[dst])
    start, out, kinds = compress(forest.n + 1, src[inside], dst[inside], kind[inside])
    far = np.abs(src[inside] - dst[inside])
    wanted = np.lexsort((far, kind[inside] != WW))[:TRIES]
    best: tuple[list[int], list[int]] | None = None
    for e in inside[wanted].tolist():
        path, steps = find_path(start, out, kinds, int(dst[e]), int(src[e]))
        if len(path) and (best is None or len(path) < len(best[0])):
            best = ([int(src[e]), *path[:-1]], [int(kind[e]), *steps])
    assert best is not None, "an edge inside a component lies on a circle"
    nodes, names = best
    pairs = zip(nodes, nodes[1:] + nodes[:1], names, strict=True)
    return nodes, names, [_witness(forced, a, b) if k == WW else -1 for a, b, k in pairs]


def _witness(forced: Forced, a: int, b: int) -> int:
    return int(forced[2][np.flatnonzero((forced[0] == a) & (forced[1] == b))[0]])

"""The strongly connected parts of a dependency graph, and which kinds of cycle each can hold.

All cycles lie inside strongly connected components ("tangles"), so everything after the first
pass works there. Which anomalies a tangle can hold is decided exactly and in linear time by
components of layered graphs:

- G0: an edge inside a component of ww; G1c: a wr edge inside a component of ww and wr;
- snapshot isolation: (ww ∪ wr) ; rw? must be acyclic (Cerone and Gotsman, PODC 2016). Each
  transaction is doubled into "entered by ww or wr" and "entered by rw"; rw leads only from the
  first copy, into the second. A component of that graph with an rw edge inside is a cycle without
  neighbouring rw edges;
- serializability: a component of all edges.

Process or real-time order joins ww and wr in a second set of layers. O(nodes + edges).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seatrial.checkers.transactions.edges import (
    CONT,
    PROCESS,
    RW,
    WR,
    WW,
    Edges,
    chain,
    components,
    compress,
    entangled,
)
from seatrial.checkers.transactions.table import I32, I64, U8, Bool, Table

#: Marks of a tangle, in bits: what the layers without order say, then those with order.
HAS_G0, HAS_G1C, HAS_SINGLE, HAS_SI, HAS_ANY = 1, 2, 4, 8, 16
ORDERED_SHIFT = 8


@dataclass(frozen=True, slots=True, eq=False)
class Core:
    """All tangles: nodes grouped by tangle, edges inside tangles only, one a pair and direction.

    `node` are the graph's nodes (a transaction below `txns`, else a helper); tangle c has
    `node[begin[c]:begin[c + 1]]`. `src` and `dst` index `node`. `inside[layer]` masks the edges
    that lie on a cycle of that layer; `flags[c]` sums them up.
    """

    txns: int
    node: I64
    begin: I64
    tangle: I32
    rank: I32
    after: I32
    src: I32
    dst: I32
    kind: U8
    inside: dict[tuple[str, bool], Bool]
    flags: I64
    realtime: bool

    def __len__(self) -> int:
        return len(self.begin) - 1


def core(txns: Table, edges: Edges, realtime: bool) -> Core | None:
    """The tangles of a graph, None if it is acyclic. O(nodes + edges)."""
    left = entangled(txns, edges, realtime)
    if not left.any():
        return None
    n = len(txns)
    node = np.flatnonzero(left)
    local = np.full(edges.nodes, -1, np.int32)
    local[node] = np.arange(len(node), dtype=np.int32)
    keep = left[edges.src] & left[edges.dst]
    src, dst = local[edges.src[keep]], local[edges.dst[keep]]
    kind = edges.kind[keep]
    rank, after = _clock(txns, node, n)
    component = _components(src, dst, rank, after, np.zeros(len(node), np.int32), realtime)
    size = np.bincount(component, minlength=1)
    tangled = np.flatnonzero(size[component] > 1)
    _, number = np.unique(component[tangled], return_inverse=True)
    order = np.argsort(number, kind="stable")
    picked = tangled[order]
    tangle = number[order].astype(np.int32)
    again = np.full(len(node), -1, np.int32)
    again[picked] = np.arange(len(picked), dtype=np.int32)
    a, b = again[src], again[dst]
    keep = (a >= 0) & (b >= 0)
    a, b, kind = a[keep], b[keep], kind[keep]
    keep = tangle[a] == tangle[b]
    a, b, kind = _one_a_pair(a[keep], b[keep], kind[keep], len(picked))
    picked_rank, picked_after = rank[picked].astype(np.int32), after[picked].astype(np.int32)
    begin = np.concatenate([[0], np.cumsum(np.bincount(tangle))]).astype(np.int64)
    inside, flags = _layers(a, b, kind, picked_rank, picked_after, tangle, realtime, len(begin) - 1)
    return Core(
        n,
        node[picked],
        begin,
        tangle,
        picked_rank,
        picked_after,
        a,
        b,
        kind,
        inside,
        flags,
        realtime,
    )


def _clock(txns: Table, node: I64, n: int) -> tuple[I32, I32]:
    real = node < n
    at = np.where(real, node, 0)
    rank = np.where(real, txns.rank[at], -1).astype(np.int32)
    after = np.where(real, txns.after[at], 0).astype(np.int32)
    return rank, after


def _components(src: I32, dst: I32, rank: I32, after: I32, group: I32, realtime: bool) -> I32:
    """Components of a graph, with real-time order if asked; helpers of time are cut off."""
    nodes = len(rank)
    total = nodes
    if realtime:
        s, d, total = chain(rank, after, group, nodes)
        src, dst = np.concatenate([src, s]), np.concatenate([dst, d])
    return components(total, src, dst)[:nodes]


def _one_a_pair(src: I32, dst: I32, kind: U8, nodes: int) -> tuple[I32, I32, U8]:
    """Of several edges between two nodes only the strongest kind."""
    code = (src.astype(np.int64) * nodes + dst) * 8 + kind
    code.sort()
    pair = code >> 3
    keep = np.ones(len(code), np.bool_)
    keep[1:] = pair[1:] != pair[:-1]
    code, pair = code[keep], pair[keep]
    return (
        (pair // nodes).astype(np.int32),
        (pair % nodes).astype(np.int32),
        (code & 7).astype(np.uint8),
    )


def _layers(
    src: I32,
    dst: I32,
    kind: U8,
    rank: I32,
    after: I32,
    tangle: I32,
    realtime: bool,
    tangles: int,
) -> tuple[dict[tuple[str, bool], Bool], I64]:
    inside: dict[tuple[str, bool], Bool] = {}
    flags = np.zeros(tangles, np.int64)
    for ordered in (False, True) if realtime or (kind == PROCESS).any() else (False,):
        chained = ordered and realtime
        low: NDArray[np.bool_] = np.isin(kind, (WW, PROCESS) if ordered else (WW,))
        mid = low | (kind == WR)
        data = mid | (kind == RW) | (kind == CONT)
        ww = _components(src[low], dst[low], rank, after, tangle, chained)
        g1 = _components(src[mid], dst[mid], rank, after, tangle, chained)
        whole = _components(src[data], dst[data], rank, after, tangle, chained)
        first, second = _doubled(src, dst, kind, mid, rank, after, tangle, chained)
        marks = {
            "G0": (kind == WW) & (ww[src] == ww[dst]),
            "G1c": (kind == WR) & (g1[src] == g1[dst]),
            "G-single": (kind == RW) & (g1[src] == g1[dst]),
            "G-nonadjacent": (kind == RW) & (first[src] == second[dst]),
            "G2-item": (kind == RW) & (whole[src] == whole[dst]),
        }
        for bit, (name, mask) in enumerate(marks.items()):
            inside[name, ordered] = mask
            shift = bit + (ORDERED_SHIFT if ordered else 0)
            flags[np.unique(tangle[src[mask]])] |= 1 << shift
    return inside, flags


def _doubled(
    src: I32,
    dst: I32,
    kind: U8,
    mid: Bool,
    rank: I32,
    after: I32,
    tangle: I32,
    chained: bool,
) -> tuple[I32, I32]:
    """Components of the doubled graph: of the copies entered by ww or wr, and by rw."""
    n = len(rank)
    rw, go_on = kind == RW, kind == CONT
    sources = [src[mid], src[mid] + n, src[rw], src[go_on] + n]
    targets = [dst[mid], dst[mid], dst[rw] + n, dst[go_on] + n]
    total = 2 * n
    if chained:
        s, d, total = chain(rank, after, tangle, 2 * n)
        entering = d >= 2 * n
        entering &= s < 2 * n
        sources += [s, s[entering] + n]
        targets += [d, d[entering]]
    component = components(
        total,
        np.concatenate(sources).astype(np.int32),
        np.concatenate(targets).astype(np.int32),
    )
    return component[:n], component[n : 2 * n]


@dataclass(frozen=True, slots=True, eq=False)
class Tangle:
    """One tangle, in compressed rows, with its own node numbers 0 … n − 1."""

    node: I64
    start: I64
    out: I32
    kind: U8
    rank: I32
    after: I32
    by_after: I32
    src: I32
    dst: I32
    edge_kind: U8
    marked: dict[tuple[str, bool], I64]
    flags: int
    realtime: bool

    def __len__(self) -> int:
        return len(self.node)


class Cutter:
    """Cuts single tangles out of a core; sorts its edges by tangle once."""

    def __init__(self, whole: Core) -> None:
        self._core = whole
        of = whole.tangle[whole.src]
        self._order = np.argsort(of, kind="stable")
        self._begin = np.searchsorted(of[self._order], np.arange(len(whole) + 1))

    def cut(self, c: int) -> Tangle:
        """Tangle c. O(its size)."""
        whole = self._core
        lo, hi = int(whole.begin[c]), int(whole.begin[c + 1])
        edge = self._order[self._begin[c] : self._begin[c + 1]]
        src = (whole.src[edge] - lo).astype(np.int32)
        dst = (whole.dst[edge] - lo).astype(np.int32)
        kind = whole.kind[edge]
        start, out, kinds = compress(hi - lo, src, dst, kind)
        after = whole.after[lo:hi]
        marked = {
            name: np.flatnonzero(mask[edge]).astype(np.int64) for name, mask in whole.inside.items()
        }
        return Tangle(
            whole.node[lo:hi],
            start,
            out,
            kinds,
            whole.rank[lo:hi],
            after,
            np.argsort(-after, kind="stable").astype(np.int32),
            src,
            dst,
            kind,
            marked,
            int(whole.flags[c]),
            whole.realtime,
        )

"""Dependency graphs in compressed rows, their acyclicity, and their strongly connected components.

Nodes below `txns` are transactions; those from there on are helpers that stand for many edges at
once. A valid history is recognised by Kahn's algorithm (CACM 1962) in which real-time order takes
part without an edge of its own: a transaction is free only when all that had completed before its
invocation are out. O(nodes + edges).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from seatrial.checkers.transactions.table import I32, U8, Bool, Table

#: Kinds of edges, the strongest first. `CONT` goes on from a helper after an rw edge into it.
WW, WR, RW, PROCESS, REALTIME, CONT = range(6)
KIND_NAMES = ("ww", "wr", "rw", "process", "realtime", "rw")


@dataclass(frozen=True, slots=True, eq=False)
class Edges:
    """Edges `src[i]` → `dst[i]` of `kind[i]` over `nodes` nodes (transactions, then helpers)."""

    nodes: int
    src: I32
    dst: I32
    kind: U8

    def __len__(self) -> int:
        return len(self.src)

    def plus(self, src: I32, dst: I32, kind: int) -> Edges:
        """With more edges of one kind."""
        return Edges(
            self.nodes,
            np.concatenate([self.src, src]),
            np.concatenate([self.dst, dst]),
            np.concatenate([self.kind, np.full(len(src), kind, np.uint8)]),
        )


def process_edges(txns: Table) -> tuple[I32, I32]:
    """From each committed transaction to the next one of its process (committed or unknown)."""
    rows = np.flatnonzero(txns.status != 2)
    order = rows[np.argsort(txns.process[rows], kind="stable")]
    a, b = order[:-1], order[1:]
    near = (txns.process[a] == txns.process[b]) & (txns.rank[a] >= 0)
    return a[near].astype(np.int32), b[near].astype(np.int32)


@njit(cache=True, nogil=True)
def compress(
    nodes: int, src: NDArray[np.int32], dst: NDArray[np.int32], kind: NDArray[np.uint8]
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.uint8]]:
    """Edges grouped by source: offsets, targets, kinds. A counting sort, O(nodes + edges)."""
    start = np.zeros(nodes + 1, np.int64)
    for i in range(len(src)):
        start[src[i] + 1] += 1
    for i in range(nodes):
        start[i + 1] += start[i]
    at = start[:-1].copy()
    out = np.empty(len(src), np.int32)
    kinds = np.empty(len(src), np.uint8)
    for i in range(len(src)):
        place = at[src[i]]
        at[src[i]] = place + 1
        out[place] = dst[i]
        kinds[place] = kind[i]
    return start, out, kinds


@njit(cache=True, nogil=True)
def _kahn(
    nodes: int,
    src: NDArray[np.int32],
    dst: NDArray[np.int32],
    rank: NDArray[np.int32],
    after: NDArray[np.int32],
    by_after: NDArray[np.int32],
    committed: int,
    realtime: bool,
) -> NDArray[np.bool_]:
    """Mask of the nodes that are on a cycle or behind one."""
    n = len(rank)
    start = np.zeros(nodes + 1, np.int64)
    waits = np.zeros(nodes, np.int32)
    for i in range(len(src)):
        start[src[i] + 1] += 1
        waits[dst[i]] += 1
    for i in range(nodes):
        start[i + 1] += start[i]
    out = np.empty(len(src), np.int32)
    at = start[:-1].copy()
    for i in range(len(src)):
        place = at[src[i]]
        at[src[i]] = place + 1
        out[place] = dst[i]
    if realtime:
        for t in range(n):
            if after[t] > 0:
                waits[t] += 1
    stack = np.empty(nodes, np.int32)
    top = 0
    for v in range(nodes - 1, -1, -1):
        if waits[v] == 0:
            stack[top] = v
            top += 1
    left = np.ones(nodes, np.bool_)
    done = np.zeros(committed + 1, np.bool_)
    prefix = 0
    released = 0
    while realtime and released < n and after[by_after[released]] == 0:
        released += 1
    while top > 0:
        top -= 1
        v = stack[top]
        left[v] = False
        for e in range(start[v], start[v + 1]):
            w = out[e]
            waits[w] -= 1
            if waits[w] == 0:
                stack[top] = w
                top += 1
        if realtime and v < n and rank[v] >= 0:
            done[rank[v]] = True
            while done[prefix]:
                prefix += 1
            while released < n and after[by_after[released]] <= prefix:
                w = by_after[released]
                released += 1
                waits[w] -= 1
                if waits[w] == 0:
                    stack[top] = w
                    top += 1
    return left


@njit(cache=True, nogil=True)
def _by_after(after: NDArray[np.int32], committed: int) -> NDArray[np.int32]:
    """Transactions ordered by `after`: a counting sort."""
    start = np.zeros(committed + 2, np.int64)
    for t in range(len(after)):
        start[after[t] + 1] += 1
    for i in range(committed + 1):
        start[i + 1] += start[i]
    out = np.empty(len(after), np.int32)
    for t in range(len(after)):
        out[start[after[t]]] = t
        start[after[t]] += 1
    return out


def entangled(txns: Table, edges: Edges, realtime: bool) -> Bool:
    """Mask of nodes on a cycle or behind one; all False means acyclic. O(nodes + edges)."""
    by_after = _by_after(txns.after, txns.committed) if realtime else np.zeros(0, np.int32)
    left: Bool = _kahn(
        edges.nodes,
        edges.src,
        edges.dst,
        txns.rank,
        txns.after,
        by_after,
        txns.committed,
        realtime,
    )
    return left


def chain(rank: I32, after: I32, group: I32, nodes: int) -> tuple[I32, I32, int]:
    """Edges that stand for real-time order, through a chain of time nodes. O(n log n).

    One time node a committed transaction, linked in order of completion within each `group`; a
    transaction enters its own node and leaves from the last node before its invocation. Time
    nodes are numbered from `nodes`. Returns sources, targets and the new number of nodes.
    """
    ok = np.flatnonzero(rank >= 0)
    width = int(max(rank.max(initial=0), after.max(initial=0))) + 2
    stamp = group[ok].astype(np.int64) * width + rank[ok]
    order = np.argsort(stamp)
    ok, stamp = ok[order], stamp[order]
    time_node = (nodes + np.arange(len(ok))).astype(np.int32)
    linked = group[ok[1:]] == group[ok[:-1]]
    mine = np.arange(len(rank))
    last = np.searchsorted(stamp, group.astype(np.int64) * width + after, side="left") - 1
    has = last >= 0
    has[has] = group[ok[last[has]]] == group[mine[has]]
    src = np.concatenate([ok, time_node[:-1][linked], time_node[last[has]]])
    dst = np.concatenate([time_node, time_node[1:][linked], mine[has]])
    return src.astype(np.int32), dst.astype(np.int32), nodes + len(ok)


@njit(cache=True, nogil=True)
def _tarjan(start: NDArray[np.int64], out: NDArray[np.int32]) -> NDArray[np.int32]:
    nodes = len(start) - 1
    component = np.full(nodes, -1, np.int32)
    low = np.full(nodes, -1, np.int32)
    stack = np.empty(nodes, np.int32)
    path = np.empty(nodes, np.int32)
    at = start[:-1].copy()
    top = 0
    clock = 0
    found = 0
    for root in range(nodes):
        if low[root] >= 0 or component[root] >= 0:
            continue
        depth = 1
        path[0] = root
        low[root] = clock
        clock += 1
        stack[top] = root
        top += 1
        while depth > 0:
            v = path[depth - 1]
            if at[v] < start[v + 1]:
                w = out[at[v]]
                at[v] += 1
                if low[w] < 0:
                    low[w] = clock
                    clock += 1
                    path[depth] = w
                    depth += 1
                    stack[top] = w
                    top += 1
            else:
                # All of v's targets are done: its low-link is theirs, while they are on the stack.
                best = low[v]
                for e in range(start[v], start[v + 1]):
                    w = out[e]
                    if component[w] < 0 and low[w] < best:
                        best = low[w]
                if best == low[v]:
                    while True:
                        top -= 1
                        w = stack[top]
                        component[w] = found
                        if w == v:
                            break
                    found += 1
                else:
                    low[v] = best
                depth -= 1
    return component


def components(nodes: int, src: I32, dst: I32) -> I32:
    """The strongly connected component of each node (Tarjan, SIAM J. Comput. 1972).

    Iterative, over compressed rows. O(nodes + edges).
    """
    start, out, _ = compress(nodes, src, dst, np.zeros(len(src), np.uint8))
    found: I32 = _tarjan(start, out)
    return found


def bigger_than_one(component: I32) -> Bool:
    """Mask of the nodes whose component has at least two nodes."""
    mask: Bool = np.bincount(component, minlength=1)[component] > 1
    return mask

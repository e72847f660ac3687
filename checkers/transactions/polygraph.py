"""Choosing an order for chains of versions so that no forbidden circle closes, with a SAT solver.

Papadimitriou's polygraphs (J. ACM 1979), as Cobra (OSDI 2020), PolySI (VLDB 2023) and VeriStrong
use them: one variable for each two chains of a key; the solver proposes, a graph search disposes:
each circle found becomes a clause that forbids its choices, until there is none or nothing is
left to propose. For snapshot isolation the graph is doubled, so that only circles without
neighbouring rw edges are found.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from pysat.solvers import Solver

from seatrial.checker import Budget
from seatrial.checkers.transactions.edges import CONT, RW, Edges, chain, components, compress
from seatrial.checkers.transactions.search import find_path
from seatrial.checkers.transactions.table import I32, Table

#: Proposals tried, and circles learnt from each.
ROUNDS_MAX, LEARNT_A_ROUND = 5_000, 48


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """Edges that hold if variable `literal` (negative: its negation) is true."""

    src: I32
    dst: I32
    rw: NDArrayBool
    literal: I32


NDArrayBool = np.ndarray[tuple[int], np.dtype[np.bool_]]


@dataclass(frozen=True, slots=True)
class Answer:
    """`possible`: True, False, or None if bounds were met. `involved`: nodes of learnt circles."""

    possible: bool | None
    rounds: int
    involved: tuple[int, ...] = ()


class _Graph:
    """The graph of known edges, to which chosen ones are added round by round."""

    def __init__(self, txns: Table, edges: Edges, *, realtime: bool, doubled: bool) -> None:
        self._n, self._doubled = edges.nodes, doubled
        self.nodes = 2 * self._n if doubled else self._n
        rw, go_on = edges.kind == RW, edges.kind == CONT
        src, dst = self._laid(edges.src, edges.dst, rw, go_on)
        if realtime:
            rank = np.full(self.nodes, -1, np.int32)
            after = np.zeros(self.nodes, np.int32)
            rank[: len(txns)], after[: len(txns)] = txns.rank, txns.after
            group = np.zeros(self.nodes, np.int32)
            s, d, total = chain(rank, after, group, self.nodes)
            entering = (d >= self.nodes) & (s < self.nodes)
            src, dst = np.concatenate([src, s]), np.concatenate([dst, d])
            if doubled:
                src = np.concatenate([src, s[entering] + self._n])
                dst = np.concatenate([dst, d[entering]])
            self.nodes = total
        self.src, self.dst = src.astype(np.int32), dst.astype(np.int32)

    def _laid(self, src: I32, dst: I32, rw: NDArrayBool, go_on: NDArrayBool) -> tuple[I32, I32]:
        if not self._doubled:
            return src, dst
        n, low = self._n, ~rw & ~go_on
        return (
            np.concatenate([src[low], src[low] + n, src[rw], src[go_on] + n]),
            np.concatenate([dst[low], dst[low], dst[rw] + n, dst[go_on] + n]),
        )

    def with_choice(self, choice: Choice, take: NDArrayBool) -> tuple[I32, I32, I32]:
        """All edges with those chosen; and each edge's literal, 0 for known ones."""
        src, dst, rw = choice.src[take], choice.dst[take], choice.rw[take]
        literal = choice.literal[take]
        if self._doubled:
            literal = np.concatenate([literal[~rw], literal[~rw], literal[rw]])
        s, d = self._laid(src, dst, rw, np.zeros(len(rw), np.bool_))
        return (
            np.concatenate([self.src, s]).astype(np.int32),
            np.concatenate([self.dst, d]).astype(np.int32),
            np.concatenate([np.zeros(len(self.src), np.int32), literal]).astype(np.int32),
        )

    def plain(self, node: int) -> int:
        """The transaction behind a node, −1 if none."""
        return node % self._n if node < (2 if self._doubled else 1) * self._n else -1


def solve(
    txns: Table,
    edges: Edges,
    choice: Choice,
    variables: int,
    *,
    realtime: bool,
    doubled: bool,
    budget: Budget,
) -> Answer:
    """Whether some choice closes no circle. Bounded by rounds and the budget's time."""
    graph = _Graph(txns, edges, realtime=realtime, doubled=doubled)
    involved: list[int] = []
    with Solver(name="glucose4") as solver:
        # Without any choice yet, prefer the order of time: it is mostly the right one.
        solver.set_phases(list(range(1, variables + 1)))
        for variable in range(1, variables + 1):
            solver.add_clause([variable, -variable])
        for turn in range(ROUNDS_MAX):
            if budget.left_s <= 0:
                return Answer(None, turn, tuple(involved))
            if not solver.solve():
                return Answer(False, turn, tuple(dict.fromkeys(involved)))
            truth = np.zeros(variables + 1, np.bool_)
            model = solver.get_model()
            truth[[x for x in model if x > 0]] = True
            take = truth[np.abs(choice.literal)] == (choice.literal > 0)
            learnt = _circles(graph, *graph.with_choice(choice, take), budget)
            if not learnt:
                return Answer(True, turn)
            for clause, nodes in learnt:
                involved += [graph.plain(node) for node in nodes if graph.plain(node) >= 0]
                if not clause:
                    return Answer(False, turn, tuple(dict.fromkeys(involved)))
                solver.add_clause(clause)
    return Answer(None, ROUNDS_MAX, tuple(dict.fromkeys(involved)))


def _circles(
    graph: _Graph, src: I32, dst: I32, literal: I32, budget: Budget
) -> list[tuple[list[int], list[int]]]:
    """Circles: a clause that forbids the choices on each, and its nodes."""
    component = components(graph.nodes, src, dst)
    inside = np.flatnonzero(component[src] == component[dst])
    if not len(inside):
        return []
    a, b, label = src[inside], dst[inside], literal[inside]
    start, out, _ = compress(graph.nodes, a, b, np.zeros(len(a), np.uint8))
    by_pair = {(int(x), int(y)): int(z) for x, y, z in zip(a, b, label, strict=True) if z}
    known = {(int(x), int(y)) for x, y, z in zip(a, b, label, strict=True) if not z}
    kinds = np.zeros(len(out), np.uint8)
    chosen = np.flatnonzero(label != 0)
    starts = chosen if len(chosen) else np.arange(1)
    step = max(1, len(starts) // LEARNT_A_ROUND)
    found: list[tuple[list[int], list[int]]] = []
    for e in starts[::step].tolist():
        if found and budget.left_s <= 0:
            break
        path, _ = find_path(start, out, kinds, int(b[e]), int(a[e]))
        nodes = [int(a[e]), *path[:-1]]
        pairs = zip(nodes, nodes[1:] + nodes[:1], strict=True)
        clause = {-by_pair[pair] for pair in pairs if pair not in known}
        found.append((sorted(clause), nodes))
    return found

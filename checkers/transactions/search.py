"""Finding, in each tangle, a short cycle of each class of anomaly that it holds.

What a tangle can hold is known from its layers (`tangles`), so that a search is only made where
there is something to find: breadth-first from the far end of a marked edge back to its near end.
Real-time order costs no edges: candidates are taken in order of invocation as soon as something
reached had completed before them. Every reported class comes with a concrete simple cycle.
O(nodes + edges) each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numba import njit
from numpy.typing import NDArray

from seatrial.checker import Budget
from seatrial.checkers.transactions import models
from seatrial.checkers.transactions.edges import CONT, PROCESS, REALTIME, RW, WR, WW
from seatrial.checkers.transactions.table import I64
from seatrial.checkers.transactions.tangles import HAS_SI, HAS_SINGLE, Core, Cutter, Tangle

#: Up to this many transactions, classes implied by a stronger one found in the same tangle are not
#: searched for: they would tell the same cycle again. In larger ones each class is named.
SMALL_TANGLE = 100
#: Marked edges tried for a shortest cycle, and for a certain class where the layers cannot tell.
TRIES, TRIES_EXACT = 6, 512
#: Nodes and edges that all searches for one class in one tangle may touch, beyond the first tries.
WORK = 30_000_000
#: Tangles with the same marks that are searched; the rest are counted with them.
ALIKE_SEARCHED, AMBIGUOUS_SEARCHED = 16, 2000

#: What leads from one transaction to another: its kind and a sentence; None if only order does.
Relation = Callable[[int, int], "tuple[int, str] | None"]


@dataclass(frozen=True, slots=True)
class Cycle:
    """A simple cycle: transactions, and the kind of the edge from each to the next."""

    name: str
    txns: tuple[int, ...]
    kinds: tuple[int, ...]


@dataclass(slots=True)
class Finding:
    """One class of cycle: how many tangles hold it, and examples, the shortest first."""

    name: str
    tangles: int
    cycles: list[Cycle]


@dataclass(frozen=True, slots=True)
class Found:
    """The classes found, those found only by bending order's precedence, and what was left out."""

    findings: dict[str, Finding]
    spare: dict[str, Finding]
    tangles: int
    largest: int
    unsearched: int


def name_of(kinds: tuple[int, ...]) -> str:
    """The class of a cycle from the kinds of its edges (Adya 1999; Kingsbury and Alvaro 2020)."""
    rw = sum(kind == RW for kind in kinds)
    touching = any(a == RW and b == RW for a, b in zip(kinds, kinds[1:] + kinds[:1], strict=True))
    if rw == 1:
        name = "G-single"
    elif rw > 1:
        name = "G2-item" if touching else "G-nonadjacent"
    else:
        name = "G1c" if WR in kinds else "G0"
    if REALTIME in kinds:
        return name + "-realtime"
    return name + "-process" if PROCESS in kinds else name


@njit(cache=True, nogil=True)
def _search(
    start: NDArray[np.int64],
    out: NDArray[np.int32],
    kind: NDArray[np.uint8],
    rank: NDArray[np.int32],
    after: NDArray[np.int32],
    by_after: NDArray[np.int32],
    origin: int,
    goal: int,
    banned: int,
    allowed: int,
    layered: bool,
    realtime: bool,
) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
    """A shortest path `origin` … `goal` as nodes, and the kind of each step; empty if none.

    `allowed` is a bit mask of kinds. If `layered`, the origin counts as entered by rw and no two
    rw edges follow each other, also around the goal.
    """
    n = len(rank)
    size = 2 * n if layered else n
    parent = np.full(size, -2, np.int32)
    by = np.zeros(size, np.uint8)
    queue = np.empty(size, np.int32)
    first = origin + n if layered else origin
    parent[first] = -1
    queue[0] = first
    head, tail = 0, 1
    taken = 0
    while head < tail and parent[goal] == -2:
        state = queue[head]
        head += 1
        v = state % n
        entered_by_rw = state >= n
        for e in range(start[v], start[v + 1]):
            k = kind[e]
            if (allowed >> k) & 1 == 0 or out[e] == banned:
                continue
            w = out[e]
            if layered:
                if k == RW and entered_by_rw:
                    continue
                if k in (RW, CONT):
                    w += n
            if parent[w] == -2:
                parent[w] = state
                by[w] = k
                queue[tail] = w
                tail += 1
        if realtime and rank[v] >= 0:
            while taken < n and after[by_after[taken]] > rank[v]:
                w = by_after[taken]
                taken += 1
                if w != banned and parent[w] == -2:
                    parent[w] = state
                    by[w] = REALTIME
                    queue[tail] = w
                    tail += 1
    if parent[goal] == -2:
        return np.empty(0, np.int32), np.empty(0, np.uint8)
    length = 1
    state = goal
    while parent[state] >= 0:
        state = parent[state]
        length += 1
    path = np.empty(length, np.int32)
    steps = np.empty(length - 1, np.uint8)
    state = goal
    for i in range(length - 1, -1, -1):
        path[i] = state % n
        if i > 0:
            steps[i - 1] = by[state]
            state = parent[state]
    return path, steps


def find_path(
    start: I64, out: NDArray[np.int32], kind: NDArray[np.uint8], origin: int, goal: int
) -> tuple[list[int], list[int]]:
    """A shortest path over edges in compressed rows: nodes and kinds; empty if none."""
    nodes = len(start) - 1
    none, zero = np.full(nodes, -1, np.int32), np.zeros(nodes, np.int32)
    path, steps = _search(start, out, kind, none, zero, zero, origin, goal, -1, 0xFF, False, False)
    return path.tolist(), steps.tolist()


_LOW = 1 << WW
_MID = _LOW | 1 << WR | 1 << CONT
_ALL = _MID | 1 << RW

Walk = tuple[list[int], list[int]]


class _Searcher:
    """Searches one tangle; turns paths over helpers and time into cycles of transactions."""

    def __init__(self, tangle: Tangle, txns: int, relation: Relation) -> None:
        self._t = tangle
        self._txns = txns
        self._relation = relation
        size = len(tangle.node) + len(tangle.out)
        self._exact = max(TRIES, min(TRIES_EXACT, WORK // size))

    def cycles(self, name: str, ordered: bool) -> Iterator[Cycle]:
        """Cycles that may be of class `name`, from short to long edges."""
        if name == "G2-item":
            yield from self._touching(ordered)
            return
        exact = name in ("G-single", "G-nonadjacent")
        bound = self._exact if exact else TRIES
        for u, v, kind in islice(self._marked(name, ordered), bound):
            allowed = _LOW if name == "G0" else _MID if name != "G-nonadjacent" else _ALL
            walk = self._back(u, v, kind, allowed, ordered, layered=name == "G-nonadjacent")
            if walk is not None:
                yield from self._simple(walk)

    def _marked(self, name: str, ordered: bool) -> Iterator[tuple[int, int, int]]:
        t = self._t
        marked = t.marked[name, ordered]
        if name == "G-single" and not len(marked):
            marked = t.marked["G-nonadjacent", ordered]
        far = np.abs(t.node[t.src[marked]] - t.node[t.dst[marked]])
        for e in marked[np.argsort(far, kind="stable")].tolist():
            yield int(t.src[e]), int(t.dst[e]), int(t.edge_kind[e])

    def _back(
        self,
        u: int,
        v: int,
        kind: int,
        allowed: int,
        ordered: bool,
        *,
        layered: bool = False,
    ) -> Walk | None:
        """The edge u → v and a shortest way back."""
        t = self._t
        if ordered:
            allowed |= 1 << PROCESS
        path, steps = _search(
            t.start,
            t.out,
            t.kind,
            t.rank,
            t.after,
            t.by_after,
            v,
            u,
            -1,
            allowed,
            layered,
            ordered and t.realtime,
        )
        if not len(path):
            return None
        return [u, *path.tolist()[:-1]], [kind, *steps.tolist()]

    def _touching(self, ordered: bool) -> Iterator[Cycle]:
        """Cycles through two rw edges in a row."""
        t = self._t
        into: dict[int, list[int]] = {}
        edges = [(u, v) for u, v, _ in self._marked("G2-item", ordered)]
        for u, v in edges:
            into.setdefault(u, []).append(v)
        for u, v in edges[: self._exact]:
            walk = self._back(u, v, RW, _ALL, ordered)
            if walk is not None:
                yield from self._simple(walk)
            if t.node[v] >= self._txns:
                continue
            for w in into.get(v, [])[:TRIES]:
                if w == u:
                    yield from self._simple(([u, v], [RW, RW]))
                    continue
                path = self._path(w, u, ordered, banned=v)
                if path is not None:
                    nodes, kinds = path
                    yield from self._simple(([u, v, *nodes[:-1]], [RW, RW, *kinds]))

    def _path(self, a: int, b: int, ordered: bool, banned: int) -> Walk | None:
        t = self._t
        path, steps = _search(
            t.start,
            t.out,
            t.kind,
            t.rank,
            t.after,
            t.by_after,
            a,
            b,
            banned,
            _ALL | (1 << PROCESS if ordered else 0),
            False,
            ordered and t.realtime,
        )
        return (path.tolist(), steps.tolist()) if len(path) else None

    def _simple(self, walk: Walk) -> Iterator[Cycle]:
        """The simple cycles that a closed walk is made of, without helpers, named as traversed."""
        for nodes, kinds in _split(*self._without_helpers(*walk)):
            txns = tuple(int(self._t.node[v]) for v in nodes)
            yield Cycle(name_of(tuple(kinds)), txns, tuple(kinds))

    def _without_helpers(self, nodes: list[int], kinds: list[int]) -> Walk:
        """rw into a helper and on to a transaction is one rw edge."""
        real = [i for i, v in enumerate(nodes) if self._t.node[v] < self._txns]
        return [nodes[i] for i in real], [kinds[i] for i in real]

    def told(self, cycle: Cycle) -> Cycle:
        """The cycle named by data wherever data relates two neighbours, and by order elsewhere."""
        after = cycle.txns[1:] + cycle.txns[:1]
        kinds = []
        for a, b, kind in zip(cycle.txns, after, cycle.kinds, strict=True):
            known = self._relation(a, b)
            kinds.append(known[0] if known is not None else kind)
        return Cycle(name_of(tuple(kinds)), cycle.txns, tuple(kinds))


def _split(nodes: list[int], kinds: list[int]) -> Iterator[Walk]:
    """A closed walk's simple cycles. O(length)."""
    place: dict[int, int] = {}
    trail: list[int] = []
    steps: list[int] = []
    for node, kind in zip(nodes, kinds, strict=True):
        if node in place:
            at = place[node]
            yield trail[at:], steps[at:]
            for gone in trail[at:]:
                del place[gone]
            del trail[at:], steps[at:]
        place[node] = len(trail)
        trail.append(node)
        steps.append(kind)
    if trail:
        yield trail, steps


def _classify(
    searcher: _Searcher, tangle: Tangle, suffix: str
) -> tuple[dict[str, Cycle], dict[str, Cycle]]:
    """One short cycle of each class that the tangle holds; and those told by order only."""
    found: dict[str, Cycle] = {}
    spare: dict[str, Cycle] = {}
    small = len(tangle) <= SMALL_TANGLE
    for order in ("", suffix) if suffix else ("",):
        for cycle_class in models.CYCLES:
            name = cycle_class + order
            if (cycle_class, bool(order)) not in tangle.marked:
                continue
            if name in models.implied(found) and (small or order or name in found):
                continue
            _look(searcher, cycle_class, order, found, spare)
    return found, spare


def _look(
    searcher: _Searcher,
    cycle_class: str,
    order: str,
    found: dict[str, Cycle],
    spare: dict[str, Cycle],
) -> None:
    best: Cycle | None = None
    tries = 0
    for cycle in searcher.cycles(cycle_class, bool(order)):
        if len(cycle.txns) < 2:
            continue
        told = searcher.told(cycle)
        if told.name != cycle_class + order:
            if cycle.name == cycle_class + order and cycle.name not in spare:
                spare[cycle.name] = cycle
            continue
        if best is None or len(told.txns) < len(best.txns):
            best = told
        tries += 1
        if tries >= TRIES or len(best.txns) == 2:
            break
    if best is not None:
        found[best.name] = best


def search(whole: Core, relation: Relation, suffix: str, budget: Budget) -> Found:
    """The classes of all tangles. `suffix` is `-process`, `-realtime` or empty."""
    cutter = Cutter(whole)
    found: dict[str, Finding] = {}
    spare: dict[str, Finding] = {}
    sizes = np.diff(whole.begin)
    unsearched = 0
    for alike in _alike(whole.flags, sizes):
        flags = int(whole.flags[alike[0]])
        limit = AMBIGUOUS_SEARCHED if _ambiguous(flags) else ALIKE_SEARCHED
        searched = 0
        names: set[str] | None = None
        for c in alike.tolist():
            if searched == limit or budget.left_s <= 0:
                break
            searched += 1
            tangle = cutter.cut(c)
            searcher = _Searcher(tangle, whole.txns, relation)
            cycles, others = _classify(searcher, tangle, suffix)
            names = set(cycles) if names is None else names & cycles.keys()
            _add(found, cycles)
            _add(spare, others)
        for name in names or ():  # what all searched ones hold
            found[name].tangles += len(alike) - searched
        if searched < min(len(alike), limit):  # out of time
            unsearched += len(alike) - searched
    for finding in (*found.values(), *spare.values()):
        finding.cycles.sort(key=lambda cycle: len(cycle.txns))
    real = np.bincount(whole.tangle[whole.node < whole.txns], minlength=1)
    return Found(found, spare, len(whole), int(real.max(initial=0)), unsearched)


def _ambiguous(flags: int) -> bool:
    """Whether the layers leave open if a nonadjacent cycle has one rw edge or more."""
    low = flags & 0xFF
    high = flags >> 8
    return any(bits & HAS_SI and not bits & HAS_SINGLE for bits in (low, high))


def _alike(flags: I64, sizes: I64) -> Iterator[I64]:
    """Tangles with the same marks, the smallest first and the largest right after it."""
    for value in np.unique(flags).tolist():
        group = np.flatnonzero(flags == value)
        group = group[np.argsort(sizes[group], kind="stable")]
        yield np.concatenate([group[:1], group[1:][::-1][:1], group[1:-1]]).astype(np.int64)


#: Example cycles kept a class.
CYCLES_KEPT = 8


def _add(into: dict[str, Finding], cycles: dict[str, Cycle]) -> None:
    for name, cycle in cycles.items():
        finding = into.setdefault(name, Finding(name, 0, []))
        finding.tangles += 1
        if len(finding.cycles) < CYCLES_KEPT:
            finding.cycles.append(cycle)

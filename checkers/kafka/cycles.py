"""Cycles between transactions on logs: G0 (sends alone) and G1c (with polls).

A `wr` edge goes from the sender of a message to each op that polled it; a `ww` edge (only if asked
for: logs interleave the sends of different transactions by design) from the sender of a message
to the sender of the next. Process and real-time edges give the variants `-process` and
`-realtime`. Real time is a chain of moments, one a completion: each op leads to the moment of its
completion, each moment to the next, and the last moment before an op's invocation to the op; so
there are O(n) edges instead of one a pair.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from seatrial.checkers.kafka.events import DATA, Event
from seatrial.checkers.kafka.orders import Orders
from seatrial.checkers.kafka.rules import Case
from seatrial.history import History
from seatrial.history.columns import I64
from seatrial.op import Type

Edges = list[tuple[int, int]]
#: So many ops of a cycle's component are searched for a shortest cycle to show.
SEARCH_MAX = 100_000


@dataclass(frozen=True, slots=True)
class Graph:
    """Ops are nodes 0 … n−1; nodes from n on are moments."""

    events: list[Event]
    nodes: int
    wr: Edges
    ww: Edges
    process: Edges
    realtime: Edges

    @property
    def empty(self) -> bool:
        """Whether no op depends on another."""
        return not (self.wr or self.ww or self.process or self._after())

    def _after(self) -> bool:
        n = len(self.events)
        return any(source >= n > target for source, target in self.realtime)


def build(history: History, events: list[Event], orders: Orders, *, ww: bool) -> Graph:
    """The dependencies of all completed ops. O(n log n)."""
    done = [e for e in events if e.type != Type.INVOKE and e.f in DATA]
    node = {event.row: number for number, event in enumerate(done)}
    wr: Edges = []
    for pair, readers in orders.readers.items():
        writer = orders.writer.get(pair)
        if writer is not None:
            wr += [(node[writer.row], node[e.row]) for e in readers if e is not writer]
    before: Edges = []
    for key, log in orders.logs.items() if ww else ():
        senders = [orders.writer.get((key, message)) for message in log.order]
        for first, second in pairwise(senders):
            if first is not None and second is not None and first is not second:
                before.append((node[first.row], node[second.row]))
    realtime, nodes = _realtime(history, done)
    return Graph(done, nodes, wr, before, _process(done), realtime)


def _process(done: list[Event]) -> Edges:
    last: dict[int, int] = {}
    edges = []
    for number, event in enumerate(done):
        if event.type == Type.FAIL:
            continue
        if event.process in last:
            edges.append((last[event.process], number))
        last[event.process] = number
    return edges


def _realtime(history: History, done: list[Event]) -> tuple[Edges, int]:
    ok = [number for number, event in enumerate(done) if event.type == Type.OK]
    n = len(done)
    moments = [done[number].row for number in ok]
    edges = [(number, n + place) for place, number in enumerate(ok)]
    edges += [(n + place, n + place + 1) for place in range(len(ok) - 1)]
    begun = history.pair[[event.row for event in done]] if done else np.zeros(0, np.int64)
    latest = np.searchsorted(np.array(moments, np.int64), begun) - 1
    for number, (row, place) in enumerate(zip(begun.tolist(), latest.tolist(), strict=True)):
        if row >= 0 and place >= 0 and done[number].type != Type.FAIL:
            edges.append((n + place, number))
    return edges, n + len(ok)


def find(graph: Graph) -> Iterator[Case]:
    """One case for each strong component that is cyclic with these edges and not with fewer."""
    told: set[int] = set()
    sources: list[tuple[str, Edges, Edges]] = []
    if graph.ww:
        sources.append(("G0", graph.ww, []))
    sources.append(("G1c", graph.wr, graph.ww))
    for name, must, may in sources:
        for variant, order in (
            ("", []),
            ("-process", graph.process),
            ("-realtime", graph.process + graph.realtime),
        ):
            for members in _components(graph.nodes, must + may + order):
                ops = {node for node in members.tolist() if node < len(graph.events)}
                inside = set(members.tolist())
                closing = [(a, b) for a, b in must if a in inside and b in inside]
                if closing and not ops & told:
                    told |= ops
                    yield _case(graph, name + variant, closing[0], must + may + order, inside)


def _components(nodes: int, edges: Edges) -> list[I64]:
    """The strong components of more than one node."""
    if not edges:
        return []
    pairs = np.array(edges, np.int64)
    matrix = coo_array((np.ones(len(pairs), np.int8), (pairs[:, 0], pairs[:, 1])), (nodes, nodes))
    _, label = connected_components(matrix.tocsr(), connection="strong")
    inside = np.flatnonzero(np.bincount(label)[label] > 1)
    order = inside[np.argsort(label[inside], kind="stable")]
    return np.split(order, np.flatnonzero(np.diff(label[order])) + 1) if len(order) else []


def _case(
    graph: Graph, name: str, closing: tuple[int, int], edges: Edges, inside: set[int]
) -> Case:
    follow: dict[int, list[int]] = {}
    for source, target in edges[: SEARCH_MAX * 10]:
        if source in inside and target in inside:
            follow.setdefault(source, []).append(target)
    path = [node for node in _way(follow, closing[1], closing[0]) if node < len(graph.events)]
    around = [graph.events[node] for node in path]
    said = " → ".join(f"op {event.index}" for event in [around[-1], *around])
    what = "sends" if name.startswith("G0") else "sends and polls"
    order = {"process": " with the order of each process", "realtime": " with real time"}
    extra = order.get(name.partition("-")[2], "")
    return Case(name, f"{what}{extra} form a cycle: {said}", tuple(around))


def _way(follow: dict[int, list[int]], start: int, goal: int) -> list[int]:
    """A shortest way from `start` to `goal`, both included (breadth first)."""
    came: dict[int, int] = {start: start}
    queue = deque([start])
    while queue and len(came) <= SEARCH_MAX:
        node = queue.popleft()
        if node == goal:
            break
        for target in follow.get(node, ()):
            if target not in came:
                came[target] = node
                queue.append(target)
    if goal not in came:
        return [start, goal]
    way = [goal]
    while way[-1] != start:
        way.append(came[way[-1]])
    return way[::-1]

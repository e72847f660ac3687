"""Session guarantees on registers with unique values (Terry et al., PDIS 1994).

Of two neighbouring ops of one process on one key, the later must not see or make an older version:

- `read-your-writes`: it wrote v, then read v': v' is v or newer;
- `monotonic-reads`: it read v, then v': v' is v or newer;
- `monotonic-writes`: it wrote v, then v': v' is newer;
- `writes-follow-reads`: it read v, then wrote v': v' is newer.

Nobody tells which version is newer, so all these demands together must at least be consistent:
they form a graph over the versions of a key, in which the initial value (null) comes first, and
a cycle is a violation. It is named after the latest of its demands, the one that contradicts the
rest. Ops are `read` and `write` (with an independent key or without), or transactions of `r` and
`w`. Ambiguous keys, where a value was written twice or null was written, are left out.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from seatrial.checker import Budget, CheckOptions
from seatrial.checkers.codes import codes, labels
from seatrial.checkers.wording import EXAMPLES_MAX, count, indexes, quote
from seatrial.history import NIL, History, Kind
from seatrial.history.columns import I64, Bool
from seatrial.op import Type
from seatrial.verdict import Anomaly, Json, Verdict

#: By (first is a write, second is a write).
NAMES = (("monotonic-reads", "writes-follow-reads"), ("read-your-writes", "monotonic-writes"))


@dataclass(frozen=True, slots=True)
class Sessions:
    """Judges all four guarantees together."""

    name: str = "sessions"

    def check(self, history: History, budget: Budget) -> Verdict:
        """O(m log m) for m reads and writes."""
        touches, left_out = _touches(history).judgeable()
        demands = _Demands.of(touches)
        judged = len(touches.row)
        details: dict[str, Json] = {"touches": judged, "keys_left_out": left_out}
        if not judged:
            said = f"; {count(left_out, 'key')} left out" if left_out else ""
            return Verdict.unknown(f"no read or write of unique values{said}", details=details)
        found = _violations(history, demands)
        if found:
            cause = found[0].explanation
            return Verdict.invalid(cause, judged=judged, anomalies=found, details=details)
        cause = f"{count(len(demands.source), 'demand')} of sessions are consistent"
        return Verdict.valid(cause, judged=judged, details=details)


def make(options: CheckOptions) -> Sessions:
    """The checker; it has no options."""
    return Sessions()


@dataclass(frozen=True, slots=True)
class _Touches:
    """Each read or write that a process surely did: its row, process, key and value."""

    row: I64
    process: I64
    key: I64
    value: I64
    write: Bool

    def take(self, which: I64 | Bool) -> _Touches:
        """Some of them."""
        return _Touches(
            self.row[which],
            self.process[which],
            self.key[which],
            self.value[which],
            self.write[which],
        )

    def judgeable(self) -> tuple[_Touches, int]:
        """Those on unambiguous keys, and how many keys are left out."""
        writes = self.take(self.write)
        order = np.lexsort((writes.value, writes.key))
        key, value = writes.key[order], writes.value[order]
        again = (np.diff(key) == 0) & (np.diff(value) == 0)
        bad = np.unique(np.concatenate([key[1:][again], key[value == NIL]]))
        return self.take(~np.isin(self.key, bad)), len(bad)


def _touches(history: History) -> _Touches:
    client = history.client
    done = client & ((history.type == Type.OK) | (history.type == Type.INFO))
    plain = np.flatnonzero(done & history.is_f("read", "write") & (history.kind != Kind.TXN))
    write = history.is_f("write")[plain]
    plain = plain[write | (history.type[plain] == Type.OK)]
    single = _Touches(
        plain,
        history.process[plain].astype(np.int64),
        history.key[plain],
        codes(history, plain),
        history.is_f("write")[plain],
    )
    micro = history.micro
    row = np.repeat(np.arange(len(history), dtype=np.int64), np.diff(micro.start))
    is_write = micro.f == history.name_code("w")
    is_read = (micro.f == history.name_code("r")) & (history.type[row] == Type.OK)
    j = np.flatnonzero(done[row] & (is_write | is_read) & (micro.kind != Kind.LIST))
    inside = _Touches(
        row[j],
        history.process[row[j]].astype(np.int64),
        micro.key[j],
        micro.arg[j],
        is_write[j],
    )
    return single if not len(j) else _joined(single, inside)


def _joined(one: _Touches, two: _Touches) -> _Touches:
    return _Touches(
        np.concatenate([one.row, two.row]),
        np.concatenate([one.process, two.process]),
        np.concatenate([one.key, two.key]),
        np.concatenate([one.value, two.value]),
        np.concatenate([one.write, two.write]),
    )


@dataclass(frozen=True, slots=True)
class _Demands:
    """Version `source` is older than version `target`; touches `first` and `second` say so."""

    source: I64
    target: I64
    first: I64
    second: I64
    versions: int
    touches: _Touches

    @classmethod
    def of(cls, touches: _Touches) -> _Demands:
        version = labels(touches.value, touches.key)
        order = np.lexsort((touches.row, touches.key, touches.process))
        first, second = order[:-1], order[1:]
        near = (touches.process[first] == touches.process[second]) & (
            touches.key[first] == touches.key[second]
        )
        near &= version[first] != version[second]
        first, second = first[near], second[near]
        versions = int(version.max()) + 1 if len(version) else 0
        return cls(version[first], version[second], first, second, versions, touches)


def _violations(history: History, demands: _Demands) -> list[Anomaly]:
    """Demands that go back to null, which is older than all; then cycles among the others."""
    to_null = demands.touches.value[demands.second] == NIL
    found: dict[str, list[list[int]]] = {}
    for edge in np.flatnonzero(to_null).tolist():
        found.setdefault(_name(demands, edge), []).append([edge])
    for cycle in _cycles(demands, ~to_null):
        latest = max(cycle, key=lambda edge: int(demands.touches.row[demands.second[edge]]))
        found.setdefault(_name(demands, latest), []).append(cycle)
    return [_anomaly(history, demands, name, cycles) for name, cycles in sorted(found.items())]


def _name(demands: _Demands, edge: int) -> str:
    write = demands.touches.write
    return NAMES[int(write[demands.first[edge]])][int(write[demands.second[edge]])]


def _cycles(demands: _Demands, use: Bool) -> list[list[int]]:
    """One cycle (as demands) of each strong component of more than one version."""
    edges = np.flatnonzero(use)
    if not len(edges):
        return []
    source, target = demands.source[edges], demands.target[edges]
    shape = (demands.versions, demands.versions)
    matrix = coo_array((np.ones(len(edges), np.int32), (source, target)), shape).tocsr()
    _, label = connected_components(matrix, connection="strong")
    inside = edges[label[source] == label[target]]
    groups: dict[int, list[int]] = {}
    for edge in inside.tolist():
        groups.setdefault(int(label[demands.source[edge]]), []).append(edge)
    return [_cycle(demands, group) for group in groups.values()]


def _cycle(demands: _Demands, edges: list[int]) -> list[int]:
    """A shortest cycle through the first demand of a strong component (breadth first)."""
    follow: dict[int, list[int]] = {}
    for edge in edges:
        follow.setdefault(int(demands.source[edge]), []).append(edge)
    goal, start = int(demands.source[edges[0]]), int(demands.target[edges[0]])
    came: dict[int, int] = {}
    queue = deque([start])
    while queue and goal not in came:
        version = queue.popleft()
        for edge in follow.get(version, ()):
            after = int(demands.target[edge])
            if after not in came and after != start:
                came[after] = edge
                queue.append(after)
    way = [edges[0]]
    version = goal
    while version != start:
        way.append(came[version])
        version = int(demands.source[came[version]])
    return way


def _anomaly(history: History, demands: _Demands, name: str, cycles: list[list[int]]) -> Anomaly:
    row = demands.touches.row

    def said(edge: int) -> str:
        first, second = int(row[demands.first[edge]]), int(row[demands.second[edge]])
        return f"{quote(history, first)} before {quote(history, second)}"

    told = sorted(cycles[0], key=lambda edge: int(row[demands.second[edge]]))
    if len(told) == 1:
        text = f"{said(told[0])}: it went back to the time before any write"
    else:
        text = f"{'; but '.join(said(edge) for edge in told)}: no order of the versions fits"
    more = "" if len(cycles) == 1 else f" ({count(len(cycles), 'case')})"
    rows = [
        int(row[end])
        for cycle in cycles[:EXAMPLES_MAX]
        for edge in cycle
        for end in (demands.first[edge], demands.second[edge])
    ]
    return Anomaly(name, text + more, ops=indexes(history, rows), count=len(cycles))

"""Replica agreement: after healing and quiescing, all replicas hold the same data.

Judged is the last `ok` op `fingerprint` of each node, a map:

- `node`: who speaks; `revision`: how many changes its store has seen;
- `index` (or `raft_applied`): the last entry of the replicated log that it applied;
- `hash`: over the data up to `revision`, comparable at equal `compact_revision` and `version`;
- `data` (optional): a digest of the current data alone, comparable at equal `revision`;
- `check` (optional): what the database's own consistency check found on this node, "" if nothing;
- `settled` (optional): whether index and revision stood still while all this was read.

A replicated state machine is deterministic: the same log index gives the same state (Schneider,
"Implementing fault-tolerant services using the state machine approach", ACM Computing Surveys
1990). So two nodes at the same log index with different revisions, or at the same revision with
different data, have diverged. Nodes at different log indexes are still catching up, which proves
nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass

import numpy as np

from seatrial.checker import Budget, CheckOptions
from seatrial.checkers.settings import names, whole
from seatrial.checkers.wording import count, listed
from seatrial.history import History
from seatrial.op import Type, Value
from seatrial.verdict import Anomaly, Json, Verdict

NAME = "replicas"


@dataclass(frozen=True, slots=True)
class Reading:
    """A node's last fingerprint, read by the op with index `op`."""

    node: str
    op: int
    revision: int
    index: int
    hash: str
    data: str
    hash_scope: str
    check: str | None
    settled: bool

    def said(self) -> str:
        """The numbers of this node for a sentence."""
        data = f", data {self.data}" if self.data else ""
        return (
            f"{self.node} is at revision {self.revision:,} with hash {self.hash}{data} "
            f"(raft index {self.index:,}, op {self.op})"
        )


@dataclass(frozen=True, slots=True)
class Replicas:
    """`nodes`: who must be heard from. Without it, at least `min_nodes` different nodes."""

    nodes: tuple[str, ...] = ()
    min_nodes: int = 2
    name: str = NAME

    def check(self, history: History, budget: Budget) -> Verdict:
        """O(n) to find the readings, O(nodes) to compare them."""
        found, malformed = _last_readings(history)
        readings = list(found.values())
        judged = len(readings)
        details: dict[str, Json] = {"readings": {r.node: _json(r) for r in readings}}
        anomalies = [*map(_defect, (one for one in readings if one.check))]
        anomalies += _divergences([reading for reading in readings if reading.settled])
        if anomalies:
            cause = anomalies[0].explanation
            return Verdict.invalid(cause, judged=judged, anomalies=anomalies, details=details)
        cause = malformed or self._silent(found) or _not_comparable(readings)
        if cause:
            return Verdict.unknown(cause, judged=judged, details=details)
        clean = sum(reading.check == "" for reading in readings)
        checks = f"; the database's own check found nothing on {count(clean, 'node')}"
        return Verdict.valid(
            f"{count(judged, 'node')} ({listed(found)}) agree at revision "
            f"{readings[0].revision:,}: hash {readings[0].hash}{checks if clean else ''}",
            judged=judged,
            details=details,
        )

    def _silent(self, found: Mapping[str, Reading]) -> str:
        missing = [node for node in self.nodes if node not in found]
        if missing:
            heard = f"; heard only from {listed(found)}" if found else ""
            return f"no fingerprint of {listed(missing)}{heard}"
        needed = max(self.min_nodes, 2)
        if len(found) < needed:
            return f"fingerprints of {count(len(found), 'node')}; {needed} are needed to compare"
        return ""


def make(options: CheckOptions) -> Replicas:
    """The checker; `options.extra` may name all `nodes` or set `min_nodes`."""
    return Replicas(
        nodes=names(options, NAME, "nodes") or (),
        min_nodes=whole(options, NAME, "min_nodes", 2),
    )


def _last_readings(history: History) -> tuple[dict[str, Reading], str]:
    """The last reading of each node, and what was malformed (the first one) or ""."""
    ok = history.client & (history.type == Type.OK) & history.is_f("fingerprint")
    found: dict[str, Reading] = {}
    malformed = ""
    for row in np.flatnonzero(ok).tolist():
        op = int(history.index[row])
        reading = _reading(history.value(row), op)
        if isinstance(reading, str):
            malformed = malformed or f"op {op} is no fingerprint: {reading}"
        else:
            found[reading.node] = reading
    return dict(sorted(found.items())), malformed


def _reading(value: Value, op: int) -> Reading | str:
    if not isinstance(value, Mapping):
        return "its value is not a map"
    node, revision = value.get("node"), value.get("revision")
    index = value.get("index", value.get("raft_applied"))
    if not isinstance(node, str):
        return "it names no node"
    if not isinstance(revision, int) or not isinstance(index, int) or "hash" not in value:
        return f"that of {node} lacks a revision, a raft index or a hash"
    return Reading(
        node=node,
        op=op,
        revision=revision,
        index=index,
        hash=str(value["hash"]),
        data=str(value.get("data", "")),
        hash_scope=f"{value.get('compact_revision')} {value.get('version')}",
        check=None if value.get("check") is None else str(value["check"]),
        settled=value.get("settled") is not False,
    )


def _divergences(readings: list[Reading]) -> list[Anomaly]:
    """First by log index, then by data and by hash at one revision; each group told once."""
    out: list[Anomaly] = []
    told: set[tuple[str, ...]] = set()
    for same, differ, where in _RULES:
        for group in _groups(readings, same):
            nodes = tuple(reading.node for reading in group)
            if len({differ(reading) for reading in group}) > 1 and nodes not in told:
                told.add(nodes)
                out.append(_anomaly(group, where(group[0])))
    return out


_Rule = tuple[
    Callable[[Reading], Hashable], Callable[[Reading], Hashable], Callable[[Reading], str]
]
#: What must be the same for what must not differ, and how the common part is said.
_RULES: tuple[_Rule, ...] = (
    (lambda r: r.index, lambda r: r.revision, lambda r: f"at the same raft index {r.index:,}"),
    (
        lambda r: (r.revision, bool(r.data)),
        lambda r: r.data,
        lambda r: f"at the same revision {r.revision:,}",
    ),
    (
        lambda r: (r.revision, r.hash_scope),
        lambda r: r.hash,
        lambda r: f"at the same revision {r.revision:,}",
    ),
)


def _groups(
    readings: list[Reading], by: Callable[[Reading], Hashable]
) -> list[tuple[Reading, ...]]:
    out: dict[Hashable, list[Reading]] = {}
    for reading in readings:
        out.setdefault(by(reading), []).append(reading)
    return [tuple(group) for group in out.values()]


def _anomaly(group: tuple[Reading, ...], where: str) -> Anomaly:
    return Anomaly(
        "replica-divergence",
        f"replicas hold different data {where}: {'; '.join(r.said() for r in group)}",
        ops=tuple(sorted(reading.op for reading in group)),
        steps=tuple(reading.said() for reading in group),
    )


def _defect(reading: Reading) -> Anomaly:
    return Anomaly(
        "failed-check",
        f"the database's own check on {reading.node} (op {reading.op}) says: {reading.check}",
        ops=(reading.op,),
        steps=(reading.said(),),
    )


def _not_comparable(readings: list[Reading]) -> str:
    """Why agreement is not proved though nothing contradicts it, or ""."""
    moving = [reading.node for reading in readings if not reading.settled]
    if moving:
        return f"the replicas were not at rest: {listed(moving)} moved while being read"
    if len({(reading.index, reading.revision) for reading in readings}) > 1:
        at = listed(f"{r.node} at raft index {r.index:,}" for r in readings)
        return f"the replicas were still catching up when they were last read: {at}"
    alike = len({reading.hash_scope for reading in readings}) == 1
    if not alike and not all(reading.data for reading in readings):
        return "the hashes cannot be compared: compaction or version differs between replicas"
    return ""


def _json(reading: Reading) -> dict[str, Json]:
    return {
        "revision": reading.revision,
        "index": reading.index,
        "hash": reading.hash,
        "data": reading.data,
        "settled": reading.settled,
        **({} if reading.check is None else {"check": reading.check}),
        "op": reading.op,
    }

"""Isolation of transactions over registers: writes and reads, judged as Elle does, in linear time.

Values tell who wrote what was read, if each is written to a key only once. They do not tell the
order of versions: that comes from assumptions which the caller names (`options.version_order`:
`wfr`, `sequential`, `linearizable`); the initial state (nil) always comes first. What is not
ordered is not judged, so `valid` means: no anomaly under the orders that could be inferred
(Kingsbury and Alvaro, VLDB 2020, §5).
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from seatrial.checker import Budget, Checker, CheckOptions
from seatrial.checkers.transactions.cycles import cycle_evidence, with_order
from seatrial.checkers.transactions.judge import Demand, Evidence, demand, judge
from seatrial.checkers.transactions.register_edges import register_edges, writers
from seatrial.checkers.transactions.register_order import SOURCES, touches, version_order
from seatrial.checkers.transactions.register_tell import RegisterRelations, tell_seen
from seatrial.checkers.transactions.register_versions import Versions, scan, versions
from seatrial.checkers.transactions.table import Table, table
from seatrial.errors import UnknownName
from seatrial.history import History
from seatrial.op import Value
from seatrial.verdict import Json, Verdict

#: Bytes of working memory a micro-op, and a transaction.
BYTES_MICRO, BYTES_TXN = 160, 80


def make(options: CheckOptions) -> Checker:
    """The checker `rw-register`.

    `options.consistency_model` (strict serializable by default) or `options.extra["anomalies"]` say
    what is judged, `options.version_order` what the order of versions may be inferred from,
    `options.initial` what a key holds at first, if not nil. Raises `UnknownName`.
    """
    for source in options.version_order:
        if source not in SOURCES:
            raise UnknownName("version order", source, SOURCES)
    return RwRegister(demand(options), tuple(options.version_order), options.initial)


@dataclass(frozen=True, slots=True)
class RwRegister:
    """Judges histories of `[w k v]` and `[r k v]`. O(micro-ops × overlap on a key)."""

    demand: Demand
    sources: tuple[str, ...] = ()
    initial: Value = None
    name: str = "rw-register"

    def check(self, history: History, budget: Budget) -> Verdict:
        """Judge `history`; `unknown` at the budget's bounds, with how far it got."""
        started = time.monotonic()
        return self._check(history, budget).took(time.monotonic() - started)

    def _check(self, history: History, budget: Budget) -> Verdict:
        txns = table(history)
        need = len(txns.history.micro.f) * BYTES_MICRO + len(txns) * BYTES_TXN
        if need > budget.memory_bytes:
            return Verdict.unknown(
                f"{len(txns):,} transactions need about {need >> 20:,} MiB, more than the "
                f"{budget.memory_bytes >> 20:,} MiB allowed; nothing was judged"
            )
        v = versions(txns, txns.history.atoms.encode(self.initial))
        seen = scan(txns, v)
        order = version_order(txns, v, touches(txns, v), self.sources)
        relations = RegisterRelations(txns, v, order, writers(v))
        tell, counts = tell_seen(txns, v, seen, order.cyclic, relations)
        doubts = _doubts(txns, v, order.too_many)
        details: dict[str, Json] = {"version_order": ["initial-state", *self.sources]}
        if seen.unwritten:
            details["unwritten_values"] = seen.unwritten
        if budget.left_s <= 0:
            late = "out of time after the order of versions; cycles were not searched"
            return judge(
                self.demand, Evidence(txns.committed, tell, {}, counts, (late, *doubts), details)
            )
        edges = with_order(txns, register_edges(txns, v, order), self.demand.order)
        cycles = cycle_evidence(txns, edges, self.demand.order, relations, budget)
        return judge(
            self.demand,
            Evidence(
                txns.committed,
                {**tell, **cycles.found},
                cycles.spare,
                {**counts, **cycles.counts},
                (*doubts, *cycles.doubts),
                {**details, **(cycles.details or {})},
            ),
        )


def _doubts(txns: Table, v: Versions, too_many: bool) -> tuple[str, ...]:
    """What keeps a history from being judged whole."""
    doubts = []
    if v.strange:
        doubts.append(f"{v.strange:,} micro-ops are neither `w` nor `r`")
    if v.malformed:
        doubts.append(f"{v.malformed:,} micro-ops hold a list, not a value of a register")
    if v.many:
        doubts.append(
            f"{v.many:,} values were written to their key by more than one transaction (or are its "
            "initial value): who wrote what was read is not known, and these were left out"
        )
    if txns.unreadable and txns.committed:
        doubts.append(f"{txns.unreadable:,} `ok` ops hold no transaction of micro-ops")
    if too_many:
        doubts.append("too many overlapping operations on a key: real-time order was left out")
    return tuple(doubts)

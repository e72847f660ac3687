"""Isolation of transactions over lists: appends and reads, judged as Elle does, in linear time.

A list's reads tell the order in which it was appended to, so dependencies between transactions
can be inferred from what clients saw, and anomalies named by Adya's cycles (Kingsbury and Alvaro,
"Elle", VLDB 2020). What each anomaly rules out is in `transactions.models`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from seatrial.checker import Budget, Checker, CheckOptions
from seatrial.checkers.transactions.append_edges import append_edges
from seatrial.checkers.transactions.append_order import Orders, orders
from seatrial.checkers.transactions.append_scan import scan
from seatrial.checkers.transactions.append_tell import (
    ListRelations,
    memory_estimate,
    tell_findings,
)
from seatrial.checkers.transactions.cycles import cycle_evidence, with_order
from seatrial.checkers.transactions.judge import Demand, Evidence, demand, judge
from seatrial.checkers.transactions.table import Table, table
from seatrial.history import History
from seatrial.verdict import Anomaly, Verdict


def make(options: CheckOptions) -> Checker:
    """The checker `list-append`.

    `options.consistency_model` (strict serializable by default; several joined by commas) or
    `options.extra["anomalies"]` say what is judged; raises `UnknownName` for names not known.
    """
    return ListAppend(demand(options))


@dataclass(frozen=True, slots=True)
class ListAppend:
    """Judges histories of `[append k v]` and `[r k [v …]]`. O(micro-ops + elements read)."""

    demand: Demand
    name: str = "list-append"

    def check(self, history: History, budget: Budget) -> Verdict:
        """Judge `history`; `unknown` at the budget's bounds, with how far it got."""
        started = time.monotonic()
        return _check(history, self.demand, budget).took(time.monotonic() - started)


def _check(history: History, asked: Demand, budget: Budget) -> Verdict:
    txns = table(history, lists=True)
    need = memory_estimate(txns)
    if need > budget.memory_bytes:
        return Verdict.unknown(
            f"{len(txns):,} transactions need about {need >> 20:,} MiB, more than the "
            f"{budget.memory_bytes >> 20:,} MiB allowed; nothing was judged"
        )
    order = orders(txns)
    findings = scan(txns, order)
    tell, counts = tell_findings(txns, order, findings)
    doubts = _doubts(txns, order)
    if budget.left_s <= 0:
        late = "out of time after the anomalies of single transactions; cycles were not searched"
        return judge(asked, Evidence(txns.committed, tell, {}, counts, (late, *doubts)))
    edges = with_order(txns, append_edges(txns, order), asked.order)
    relations: list[ListRelations] = []

    def relation(a: int, b: int) -> tuple[int, str] | None:
        if not relations:
            relations.append(ListRelations(txns, order))
        return relations[0](a, b)

    evidence = cycle_evidence(txns, edges, asked.order, relation, budget)
    found: dict[str, Callable[[], Anomaly]] = {**tell, **evidence.found}
    return judge(
        asked,
        Evidence(
            txns.committed,
            found,
            evidence.spare,
            {**counts, **evidence.counts},
            (*doubts, *evidence.doubts),
            evidence.details,
        ),
    )


def _doubts(txns: Table, order: Orders) -> tuple[str, ...]:
    """What keeps a history from being judged whole."""
    doubts = []
    if order.strange:
        doubts.append(f"{order.strange:,} micro-ops are neither `append` nor `r`")
    if order.malformed:
        doubts.append(f"{order.malformed:,} reads returned something that is not a list")
    shared = int(order.shared.sum())
    if shared:
        doubts.append(
            f"{shared:,} appends put an element where another transaction put the same one; "
            "the order of transactions needs unique elements"
        )
    if txns.unreadable and txns.committed:
        doubts.append(f"{txns.unreadable:,} `ok` ops hold no transaction of micro-ops")
    return tuple(doubts)

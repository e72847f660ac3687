"""From a dependency graph to evidence: order added, cycles searched, each class told once."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

import numpy as np

from seatrial.checker import Budget
from seatrial.checkers.transactions import models
from seatrial.checkers.transactions.edges import KIND_NAMES, PROCESS, Edges, process_edges
from seatrial.checkers.transactions.explain import cycle_anomaly
from seatrial.checkers.transactions.judge import Evidence
from seatrial.checkers.transactions.search import Relation, search
from seatrial.checkers.transactions.table import Table
from seatrial.checkers.transactions.tangles import ORDERED_SHIFT, Core, core
from seatrial.verdict import Anomaly, Json


def with_order(txns: Table, edges: Edges, order: str) -> Edges:
    """The graph with each process's order if `order` is `-process` (real time needs no edges)."""
    if order != "-process":
        return edges
    return edges.plus(*process_edges(txns), PROCESS)


def _empty(txns: Table, edges: Edges, order: str) -> bool:
    """Whether nothing orders any two transactions."""
    return not len(edges) and not (order == "-realtime" and bool((txns.after > 0).any()))


def _empty_anomaly() -> Anomaly:
    return Anomaly(
        "empty-transaction-graph",
        "no transaction could be ordered against another: nothing to judge cycles by",
    )


def _untold(whole: Core, order: str, told: Iterable[str]) -> list[str]:
    """Classes that the layers prove to be there and of which no example was found.

    A last line of defence: without an example nothing may be called valid.
    """
    bits = int(np.bitwise_or.reduce(whole.flags))
    known = models.implied(told)
    names = [
        models.CYCLES[bit] + suffix
        for shift, suffix in ((0, ""), (ORDERED_SHIFT, order))
        for bit in range(len(models.CYCLES))
        if bits >> (shift + bit) & 1
    ]
    return [name for name in dict.fromkeys(names) if name not in known]


def cycle_evidence(
    txns: Table, edges: Edges, order: str, relation: Relation, budget: Budget
) -> Evidence:
    """Every class of cycle in the graph, as evidence. O(nodes + edges) for a valid history."""
    per_kind = np.bincount(edges.kind, minlength=len(KIND_NAMES))
    details: dict[str, Json] = {
        "transactions": len(txns),
        "committed": txns.committed,
        "edges": {KIND_NAMES[k]: int(per_kind[k]) for k in range(3)},
    }
    if _empty(txns, edges, order):
        empty = {"empty-transaction-graph": _empty_anomaly} if txns.committed else {}
        return Evidence(txns.committed, dict(empty), {}, {}, (), details)
    whole = core(txns, edges, order == "-realtime")
    if whole is None:
        return Evidence(txns.committed, {}, {}, {}, (), details)
    found = search(whole, relation, order, budget)
    details["tangles"] = found.tangles
    details["largest_tangle"] = found.largest
    doubts = []
    if found.unsearched:
        doubts.append(
            f"out of time with {found.unsearched:,} of {found.tangles:,} groups of mutually "
            "dependent transactions left to search"
        )
    for name in _untold(whole, order, {*found.findings, *found.spare}):
        doubts.append(f"there is a cycle of class {name}, but no example of it was found")
    tell = {
        name: partial(cycle_anomaly, finding, txns, relation)
        for name, finding in found.findings.items()
    }
    spare = {
        name: partial(cycle_anomaly, finding, txns, relation)
        for name, finding in found.spare.items()
        if name in models.CYCLE_ANOMALIES
    }
    counts = {name: finding.tangles for name, finding in found.findings.items()}
    return Evidence(txns.committed, dict(tell), dict(spare), counts, tuple(doubts), details)

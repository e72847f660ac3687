"""Serializability and snapshot isolation of register transactions, whatever the order of versions.

Where `rw-register` judges only what assumptions on version orders let it infer, these two look
for an order: `valid` means that one was found that explains every read, `invalid` that there is
none. The problem is NP-complete in general (Papadimitriou 1979), so it is bounded; where every
write follows a read of its key it is linear (`transactions.chains`), and an order close to real
time is tried before any search.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from seatrial.checker import Budget, Checker, CheckOptions
from seatrial.checkers.transactions import models
from seatrial.checkers.transactions.chains import Chains, chains, choices, guessed
from seatrial.checkers.transactions.cycles import cycle_evidence, with_order
from seatrial.checkers.transactions.edges import Edges
from seatrial.checkers.transactions.judge import Demand, Evidence, demand, judge
from seatrial.checkers.transactions.polygraph import Choice, solve
from seatrial.checkers.transactions.register_edges import readers, register_edges, writers
from seatrial.checkers.transactions.register_order import Order, touches, version_order
from seatrial.checkers.transactions.register_tell import RegisterRelations, tell_seen
from seatrial.checkers.transactions.register_versions import Versions, scan, versions
from seatrial.checkers.transactions.table import I32, Table, table, txn_text
from seatrial.checkers.transactions.tangles import core
from seatrial.errors import UnknownName
from seatrial.history import History
from seatrial.op import Value
from seatrial.verdict import Anomaly, Json, Verdict

SERIAL = ("serializable", "strong-session-serializable", "strict-serializable")
SNAPSHOT = (
    "snapshot-isolation",
    "strong-session-snapshot-isolation",
    "strong-snapshot-isolation",
)
#: Pairs of chains given to the solver at most.
CHOICES_MAX = 100_000
#: Transactions of an unexplained history that are named.
SHOWN = 12


def make_serializable(options: CheckOptions) -> Checker:
    """The checker `serializable`: serializable (default), strong session or strict."""
    return _make("serializable", SERIAL, options)


def make_snapshot(options: CheckOptions) -> Checker:
    """The checker `snapshot-isolation`: plain (default), strong session or strong."""
    return _make("snapshot-isolation", SNAPSHOT, options)


def _make(name: str, levels: tuple[str, ...], options: CheckOptions) -> Checker:
    model = models.canonical(options.consistency_model or name)
    if model not in levels:
        raise UnknownName(f"consistency model of {name}", model, levels)
    asked = demand(CheckOptions(consistency_model=model))
    return KeyValue(name, asked, levels is SNAPSHOT, options.initial)


@dataclass(frozen=True, slots=True)
class KeyValue:
    """Looks for an order of versions that explains a history of `[w k v]` and `[r k v]`."""

    name: str
    demand: Demand
    snapshot: bool
    initial: Value = None

    def check(self, history: History, budget: Budget) -> Verdict:
        """Judge `history`; `unknown` at the budget's bounds, with what was left."""
        started = time.monotonic()
        return self._check(history, budget).took(time.monotonic() - started)

    def _check(self, history: History, budget: Budget) -> Verdict:
        txns = table(history)
        v = versions(txns, txns.history.atoms.encode(self.initial))
        if not txns.committed:
            return Verdict.unknown("no `ok` transaction to judge")
        seen = scan(txns, v)
        known = version_order(txns, v, touches(txns, v), ("wfr",))
        relations = RegisterRelations(txns, v, known, writers(v))
        tell, counts = tell_seen(txns, v, seen, known.cyclic, relations)
        doubts = _doubts(txns, v)
        if tell:
            return judge(self.demand, Evidence(txns.committed, tell, {}, counts, doubts))
        c = chains(txns, v, known.before, known.after, _over_initial(txns, v))
        order = Order(c.before, c.after, np.zeros(len(c.before), np.int32), (), False)
        relations = RegisterRelations(txns, v, order, writers(v))
        edges = self._edges(txns, v, order)
        evidence = cycle_evidence(txns, edges, self.demand.order, relations, budget)
        bad = {n: f for n, f in evidence.found.items() if n in self.demand.forbidden}
        details: dict[str, Json] = {**(evidence.details or {}), "chains": len(c.head)}
        if bad:
            found = Evidence(txns.committed, bad, {}, evidence.counts, doubts, details)
            return judge(self.demand, found)
        return self._choose(txns, v, c, edges, doubts, details, budget)

    def _edges(self, txns: Table, v: Versions, order: Order) -> Edges:
        return with_order(txns, register_edges(txns, v, order), self.demand.order)

    def _choose(
        self,
        txns: Table,
        v: Versions,
        c: Chains,
        edges: Edges,
        doubts: tuple[str, ...],
        details: dict[str, Json],
        budget: Budget,
    ) -> Verdict:
        before, after = guessed(c)
        order = Order(before, after, np.zeros(len(before), np.int32), (), False)
        details["decided_by"] = "an order close to real time"
        possible: bool | None = self._fits(txns, self._edges(txns, v, order))
        involved: tuple[int, ...] = ()
        left = 0
        if not possible:
            pairs = choices(c, CHOICES_MAX)
            left = len(pairs[0]) if pairs else CHOICES_MAX + 1
            details["choices"] = left
            details["decided_by"] = "search"
            possible = None
            if pairs is not None:
                answer = solve(
                    txns,
                    edges,
                    _choice(txns, v, c, *pairs),
                    left,
                    realtime=self.demand.order == "-realtime",
                    doubled=self.snapshot,
                    budget=budget,
                )
                possible, involved = answer.possible, answer.involved
                details["rounds"] = answer.rounds
        return self._answer(txns, possible, involved, left, doubts, details)

    def _fits(self, txns: Table, edges: Edges) -> bool:
        whole = core(txns, edges, self.demand.order == "-realtime")
        if whole is None:
            return True
        broken = 1 | 2 | 8  # G0, G1c, and circles without neighbouring rw edges
        return self.snapshot and not bool((whole.flags & (broken | broken << 8)).any())

    def _answer(
        self,
        txns: Table,
        possible: bool | None,
        involved: tuple[int, ...],
        left: int,
        doubts: tuple[str, ...],
        details: dict[str, Json],
    ) -> Verdict:
        label = self.demand.label
        if possible is False:
            shown = [t for t in involved if t < len(txns)][:SHOWN]
            steps = tuple(txn_text(txns, t) for t in shown)
            ops = tuple(txns.index(t) for t in shown)
            text = (
                f"no order of the writes explains all reads: each of the ways to order {left:,} "
                f"pairs of writes closes a circle, among them through these transactions"
            )
            anomaly = Anomaly(f"not-{self.demand.models[0]}", text, ops, steps)
            cause = f"this history is not {label}: no order of its writes explains its reads"
            return Verdict.invalid(
                cause, judged=txns.committed, anomalies=[anomaly], details=details
            )
        if possible is None:
            tried = details.get("rounds")
            bound = f"after {tried:,} proposals for" if tried is not None else "more than"
            pairs = left if tried is not None else CHOICES_MAX
            return Verdict.unknown(
                f"out of bounds: {bound} {pairs:,} pairs of writes whose order is open",
                judged=txns.committed,
                details=details,
            )
        if doubts:
            return Verdict.unknown(doubts[0], judged=txns.committed, details=details)
        return Verdict.valid(
            f"{txns.committed:,} transactions are {label}: an order that explains them was found",
            judged=txns.committed,
            details=details,
        )


def _over_initial(txns: Table, v: Versions) -> I32:
    """Versions written by transactions that read their key's initial state before."""
    t = touches(txns, v)
    chained = (t.first >= 0) & (t.first < v.keys) & (t.last >= v.keys)
    return t.last[chained]


def _choice(txns: Table, v: Versions, c: Chains, left: I32, right: I32) -> Choice:
    """The edges of both orders of each two chains: variable i + 1 puts `left[i]` first."""
    writer = writers(v)
    read_version, read_txn = readers(txns, v)
    by = np.argsort(read_version, kind="stable")
    begin = np.searchsorted(read_version[by], np.arange(len(v) + 1))
    parts: list[tuple[I32, I32, bool, I32]] = []
    variable = np.arange(1, len(left) + 1, dtype=np.int32)
    for first, second, literal in ((left, right, variable), (right, left, -variable)):
        tail, head = c.tail[first], writer[c.head[second]]
        parts.append((writer[tail], head, False, literal))
        count = begin[tail + 1] - begin[tail]
        at = np.repeat(begin[tail], count) + np.arange(int(count.sum()))
        at -= np.repeat(np.cumsum(count) - count, count)
        reader, target = read_txn[by][at], np.repeat(head, count)
        other = reader != target
        parts.append((reader[other], target[other], True, np.repeat(literal, count)[other]))
    return Choice(
        np.concatenate([p[0] for p in parts]).astype(np.int32),
        np.concatenate([p[1] for p in parts]).astype(np.int32),
        np.concatenate([np.full(len(p[0]), p[2], np.bool_) for p in parts]),
        np.concatenate([p[3] for p in parts]).astype(np.int32),
    )


def _doubts(txns: Table, v: Versions) -> tuple[str, ...]:
    doubts = []
    if v.strange or v.malformed:
        doubts.append(f"{v.strange + v.malformed:,} micro-ops are no writes or reads of a register")
    if v.many:
        doubts.append(f"{v.many:,} values were written more than once and were left out")
    if txns.unreadable:
        doubts.append(f"{txns.unreadable:,} `ok` ops hold no transaction of micro-ops")
    return tuple(doubts)

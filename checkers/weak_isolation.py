"""Read committed, read atomic and causal consistency of register transactions, in near-linear time.

Stronger than what single anomalies show, and without assumptions on version orders: a history
satisfies a level exactly when the commit order that the level forces is acyclic
(`transactions.weak`; AWDIT, PLDI 2025). A process is a session. Values must be unique per key.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from seatrial.checker import Budget, Checker, CheckOptions
from seatrial.checkers.transactions import models
from seatrial.checkers.transactions.edges import PROCESS, WR, WW
from seatrial.checkers.transactions.explain import picture
from seatrial.checkers.transactions.register_edges import writers
from seatrial.checkers.transactions.register_order import Order
from seatrial.checkers.transactions.register_tell import RegisterRelations, tell_seen
from seatrial.checkers.transactions.register_versions import Versions, scan, versions
from seatrial.checkers.transactions.search import Cycle
from seatrial.checkers.transactions.table import I32, Table, table, txn_text
from seatrial.checkers.transactions.weak import (
    Forced,
    Sessions,
    causal,
    clock_bytes,
    read_atomic,
    read_committed,
    sessions,
)
from seatrial.checkers.transactions.weak_graph import Forest, cycle_in, sorted_forest
from seatrial.errors import UnknownName
from seatrial.history import History
from seatrial.op import Value
from seatrial.verdict import Anomaly, Json, Validity, Verdict

LEVELS = ("read-committed", "read-atomic", "causal")
#: What breaks each level when its commit order runs in a circle.
CIRCLE = {
    "read-committed": "non-monotonic-read",
    "read-atomic": "fractured-read",
    "causal": "causality-violation",
}
#: Anomalies of single reads that break each level, beside those of the levels below.
SINGLE = {
    "read-committed": ("G1a", "G1b", "future-read", "garbage-read"),
    "read-atomic": ("internal",),
    "causal": (),
}
_WHY = {
    "read-committed": "had read from {a} before",
    "read-atomic": "sees {a} too",
    "causal": "depends on {a}",
}


def make(options: CheckOptions) -> Checker:
    """The checker `weak-isolation`; `options.consistency_model` is the strongest level judged."""
    level = options.consistency_model or "causal"
    level = {"causal-transactional": "causal"}.get(level, level)
    if level not in LEVELS:
        raise UnknownName("weak isolation level", level, LEVELS)
    return WeakIsolation(LEVELS[: LEVELS.index(level) + 1], options.initial)


@dataclass(frozen=True, slots=True)
class WeakIsolation:
    """Judges histories of `[w k v]` and `[r k v]` level by level. O(n^1.5 + n k)."""

    levels: tuple[str, ...] = LEVELS
    initial: Value = None
    name: str = "weak-isolation"

    def check(self, history: History, budget: Budget) -> Verdict:
        """Judge `history`, from the weakest level up; `unknown` at the budget's bounds."""
        started = time.monotonic()
        return self._check(history, budget).took(time.monotonic() - started)

    def _check(self, history: History, budget: Budget) -> Verdict:
        txns = table(history)
        v = versions(txns, txns.history.atoms.encode(self.initial))
        if not txns.committed:
            return Verdict.unknown("no `ok` transaction to judge")
        seen = scan(txns, v)
        none = np.empty(0, np.int32)
        relations = RegisterRelations(txns, v, Order(none, none, none, (), False), writers(v))
        tell, _ = tell_seen(txns, v, seen, (), relations)
        judge = _Judge(txns, v, budget)
        anomalies: list[Anomaly] = []
        levels: dict[str, Json] = {}
        stopped = ""
        for level in self.levels:
            anomalies += [tell[name]() for name in SINGLE[level] if name in tell]
            found, stopped = judge.level(level)
            anomalies += [a for a in found if a.name not in {b.name for b in anomalies}]
            levels[level] = "invalid" if anomalies else "unknown" if stopped else "valid"
        doubts = _doubts(txns, v) + ([stopped] if stopped else [])
        return _verdict(txns, levels, anomalies, doubts)


def _verdict(
    txns: Table, levels: dict[str, Json], anomalies: Sequence[Anomaly], doubts: Sequence[str]
) -> Verdict:
    details: dict[str, Json] = {"levels": levels, "transactions": len(txns)}
    if doubts:
        details["doubts"] = list(doubts)
    if anomalies:
        broken = next(level for level, answer in levels.items() if answer == "invalid")
        names = ", ".join(dict.fromkeys(a.name for a in anomalies))
        held = [level for level, answer in levels.items() if answer == Validity.VALID.value]
        rest = f"; it is {models.words(held[-1])}" if held else ""
        cause = f"this history is not {models.words(broken)} ({names}){rest}"
        return Verdict.invalid(cause, judged=txns.committed, anomalies=anomalies, details=details)
    if doubts:
        return Verdict.unknown(doubts[0], judged=txns.committed, details=details)
    strongest = models.words(list(levels)[-1])
    return Verdict.valid(
        f"{txns.committed:,} transactions are {strongest}", judged=txns.committed, details=details
    )


def _doubts(txns: Table, v: Versions) -> list[str]:
    doubts = []
    if v.strange or v.malformed:
        doubts.append(f"{v.strange + v.malformed:,} micro-ops are no writes or reads of a register")
    if v.many:
        doubts.append(f"{v.many:,} values were written more than once and were left out")
    if txns.unreadable:
        doubts.append(f"{txns.unreadable:,} `ok` ops hold no transaction of micro-ops")
    return doubts


class _Judge:
    """One history's sessions, judged level after level."""

    def __init__(self, txns: Table, v: Versions, budget: Budget) -> None:
        self._txns, self._v, self._budget = txns, v, budget
        self._s: Sessions = sessions(txns, v)
        self._forest: Forest = sorted_forest(self._s)
        self._circular = False

    def level(self, level: str) -> tuple[list[Anomaly], str]:
        """What breaks a level, and why it could not be judged (empty if it was)."""
        if self._circular:
            return [], ""
        if self._budget.left_s <= 0:
            return [], f"out of time before {models.words(level)} was judged"
        if self._forest.order is None:
            self._circular = True
            none = np.empty(0, np.int32)
            return [self._told("G1c-process", (none, none, none), level)], ""
        if level == "causal" and clock_bytes(self._s) > self._budget.memory_bytes:
            return [], (
                f"causal consistency of {self._s.n:,} transactions in {self._s.sessions:,} "
                "sessions needs more memory than allowed; it was not judged"
            )
        forced = self._forced(level, self._forest.order)
        if not self._forest.closed_by(forced):
            return [], ""
        return [self._told(CIRCLE[level], forced, level)], ""

    def _forced(self, level: str, order: I32) -> Forced:
        if level == "read-committed":
            return read_committed(self._s, self._v.keys)
        if level == "read-atomic":
            return read_atomic(self._s, self._v.keys)
        forest = self._forest
        return causal(self._s, self._v.keys, order, forest.into_begin, forest.into)

    def _told(self, name: str, forced: Forced, level: str) -> Anomaly:
        nodes, kinds, witness = cycle_in(self._forest, forced)
        labels = {t: "T0" if t == self._s.n else f"T{i + 1}" for i, t in enumerate(nodes)}
        steps = [
            "T0 = the initial state" if t == self._s.n else f"{labels[t]} = {self._quote(t)}"
            for t in nodes
        ]
        for a, b, kind, seen_by in zip(nodes, nodes[1:] + nodes[:1], kinds, witness, strict=True):
            steps.append(
                f"{labels[a]} < {labels[b]} because {self._why(a, b, kind, seen_by, labels, level)}"
            )
        ops = [self._txns.index(t) for t in nodes if t < self._s.n]
        ops += [self._txns.index(t) for t in witness if t >= 0 and t not in nodes]
        text = (
            f"the order in which {len(nodes)} transactions must have committed runs in a circle: "
            + " → ".join(labels[t] for t in nodes)
            + f" → {labels[nodes[0]]}"
        )
        cycle = Cycle(name, tuple(nodes), tuple(kinds))
        shown = ["initial" if t == self._s.n else f"op {self._txns.index(t)}" for t in nodes]
        explained = text[0].upper() + text[1:] + "."
        return Anomaly(name, explained, tuple(ops), tuple(steps), 1, picture(cycle, shown))

    def _quote(self, t: int) -> str:
        return txn_text(self._txns, t)

    def _why(
        self, a: int, b: int, kind: int, witness: int, labels: dict[int, str], level: str
    ) -> str:
        if a == self._s.n:
            return "the initial state precedes everything"
        if kind == PROCESS:
            return f"process {int(self._txns.process[a])} did {labels[a]} before {labels[b]}"
        if kind == WR:
            return f"{labels[b]} read what {labels[a]} wrote"
        assert kind == WW
        how = _WHY[level].replace("{a}", labels[a])
        return (
            f"{self._quote(witness)} {how}, which wrote a key that it read from {labels[b]}: so "
            f"{labels[b]} must have committed later"
        )

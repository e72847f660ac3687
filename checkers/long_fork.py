"""Long fork: two reads that saw two writes in opposite orders.

Each key is written once. A read of a group of keys shows which of them were written already, so
under snapshot isolation all reads of one group form a chain: of any two, one shows all that the
other shows. Parallel snapshot isolation lets them fork (Sovran et al., SOSP 2011; Jepsen,
`tests/long_fork.clj`).

Reads sorted by how much they show form a chain exactly if each shows all that its predecessor
shows, so neighbours are all that must be compared.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from seatrial.checker import Budget, CheckOptions
from seatrial.checkers.codes import labels
from seatrial.checkers.wording import EXAMPLES_MAX, count, indexes, listed, quote, show
from seatrial.history import NIL, History, Kind
from seatrial.history.columns import I64, Bool
from seatrial.op import Type
from seatrial.verdict import Anomaly, Verdict


@dataclass(frozen=True, slots=True)
class LongFork:
    """`group_size`: how many keys each read reads; None takes any."""

    group_size: int | None = None
    name: str = "long-fork"

    def check(self, history: History, budget: Budget) -> Verdict:
        """O(m log m) for m keys read."""
        twice = _written_twice(history)
        if twice:
            return Verdict.unknown(twice)
        reads = _reads(history)
        sizes = np.diff(history.micro.start)[reads]
        if self.group_size:
            odd = reads[sizes != self.group_size]
            if len(odd):
                return Verdict.unknown(
                    f"{quote(history, int(odd[0]))} does not read {self.group_size} keys, "
                    "the group size"
                )
        forks: list[tuple[int, int]] = []
        for size in np.unique(sizes).tolist():
            group = _Group.of(history, reads[sizes == size], size)
            wrong = group.wrong(history)
            if wrong:
                return Verdict.unknown(wrong, judged=len(reads))
            forks += group.forks()
        if not len(reads):
            return Verdict.unknown("no ok read of a group to judge")
        if forks:
            anomaly = _anomaly(history, sorted(forks))
            return Verdict.invalid(anomaly.explanation, judged=len(reads), anomalies=[anomaly])
        return Verdict.valid(f"{count(len(reads), 'read')} form chains", judged=len(reads))


def make(options: CheckOptions) -> LongFork:
    """The checker, with the group size of the options."""
    return LongFork(options.group_size)


def _written_twice(history: History) -> str:
    """A write is a transaction of one `w`; a key written twice makes orders ambiguous."""
    one = history.client & (history.type == Type.INVOKE) & (np.diff(history.micro.start) == 1)
    rows = np.flatnonzero(one)
    at = history.micro.start[rows]
    writes = history.micro.f[at] == history.name_code("w")
    rows, keys = rows[writes], history.micro.key[at[writes]]
    order = np.argsort(keys, kind="stable")
    again = np.flatnonzero(np.diff(keys[order]) == 0)
    if not len(again):
        return ""
    first, second = order[again[0]], order[again[0] + 1]
    return (
        f"{quote(history, int(rows[first]))} and {quote(history, int(rows[second]))} write the "
        "same key; a long fork can only be told where each key is written once"
    )


def _reads(history: History) -> I64:
    """Rows of the `ok` transactions that only read."""
    is_read = history.micro.f == history.name_code("r")
    running = np.concatenate([[0], np.cumsum(is_read)])
    start = history.micro.start
    size = np.diff(start)
    only = (running[start[1:]] - running[start[:-1]]) == size
    ok = history.client & (history.type == Type.OK) & (history.kind == Kind.TXN)
    return np.flatnonzero(ok & only & (size > 0))


@dataclass(frozen=True, slots=True)
class _Group:
    """Reads of the same number of keys, keys ascending: `row`, and (reads × keys) matrices."""

    row: I64
    key: I64
    value: I64
    same: I64

    @classmethod
    def of(cls, history: History, rows: I64, size: int) -> _Group:
        at = history.micro.start[rows][:, None] + np.arange(size)
        order = np.argsort(history.micro.key[at], axis=1, kind="stable")
        at = np.take_along_axis(at, order, axis=1)
        key = history.micro.key[at]
        same = labels(*(key[:, column] for column in range(size)))
        return cls(rows, key, history.micro.arg[at], same)

    def wrong(self, history: History) -> str:
        """Why these reads cannot be compared, or ""."""
        again = np.flatnonzero((np.diff(self.key, axis=1) == 0).any(axis=1))
        if len(again):
            return f"{quote(history, int(self.row[again[0]]))} reads a key twice"
        seen = self.value != NIL
        order = np.lexsort((self.same,))
        for column in range(self.key.shape[1]):
            part = order[seen[order, column]]
            value, group = self.value[part, column], self.same[part]
            other = np.flatnonzero((np.diff(group) == 0) & (np.diff(value) != 0))
            if len(other):
                first, second = self.row[part[other[0]]], self.row[part[other[0] + 1]]
                return (
                    f"{quote(history, int(first))} and {quote(history, int(second))} show "
                    "different values of one key, which should be written once"
                )
        return ""

    def forks(self) -> list[tuple[int, int]]:
        """Pairs of rows of incomparable reads, neighbours in the order of how much they show."""
        seen: Bool = self.value != NIL
        order = np.lexsort(
            (*(seen[:, i] for i in range(seen.shape[1])), seen.sum(axis=1), self.same)
        )
        less, more = order[:-1], order[1:]
        together = self.same[less] == self.same[more]
        fork = np.flatnonzero(together & (seen[less] & ~seen[more]).any(axis=1))
        pairs = zip(self.row[less[fork]].tolist(), self.row[more[fork]].tolist(), strict=True)
        return [(min(pair), max(pair)) for pair in pairs]


def _anomaly(history: History, forks: list[tuple[int, int]]) -> Anomaly:
    first, second = forks[0]
    a, b = _shown(history, first), _shown(history, second)
    more = "" if len(forks) == 1 else f" ({len(forks):,} such neighbours)"
    return Anomaly(
        "long-fork",
        f"{quote(history, first)} shows {listed(sorted(a - b))} but not {listed(sorted(b - a))}, "
        f"and {quote(history, second)} the other way round: the writes were seen in two orders"
        f"{more}",
        ops=indexes(history, [row for pair in forks[:EXAMPLES_MAX] for row in pair]),
        count=len(forks),
    )


def _shown(history: History, row: int) -> set[str]:
    span = slice(int(history.micro.start[row]), int(history.micro.start[row + 1]))
    key, value = history.micro.key[span], history.micro.arg[span]
    return {f"key {show(history.atoms.decode(code))}" for code in key[value != NIL].tolist()}

"""Differential: the same ops on two targets or versions, their answers compared (McKeeman,
"Differential testing for software", Digital Technical Journal 1998).

The k-th op of each process is the same op in both histories if `f`, key and invoked value agree.
Answers then must agree, save for what an oracle says may differ. Whatever nobody knows (`info`, or
an op without completion) agrees with everything.

Concurrent histories differ rightly: compare what one process at a time did, or read at rest, or
say with the oracle what may differ.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from seatrial.checker import Budget
from seatrial.checkers.wording import EXAMPLES_MAX, count, quote
from seatrial.history import History, Kind
from seatrial.history.columns import I64, Bool
from seatrial.op import Op, Type
from seatrial.verdict import Anomaly, Verdict

#: Whether two different completions of the same op may differ.
Oracle = Callable[[Op, Op], bool]


def nothing_differs(first: Op, second: Op) -> bool:
    """The strict oracle: any difference counts."""
    return False


@dataclass(frozen=True, slots=True)
class MayDiffer:
    """An oracle by kind of op: `values` may answer anything, `types` may succeed or fail,
    `unordered` may list the same elements in another order."""

    values: frozenset[str] = frozenset()
    types: frozenset[str] = frozenset()
    unordered: frozenset[str] = frozenset()

    def __call__(self, first: Op, second: Op) -> bool:
        """Whether these two completions may differ."""
        if first.type != second.type:
            return first.f in self.types
        if first.f in self.values:
            return True
        one, two = first.value, second.value
        if first.f in self.unordered and isinstance(one, tuple) and isinstance(two, tuple):
            return sorted(map(repr, one)) == sorted(map(repr, two))
        return False


@dataclass(frozen=True, slots=True)
class Differential:
    """Compares the history it is given with `other`."""

    other: History
    may_differ: Oracle = nothing_differs
    name: str = "differential"

    def check(self, history: History, budget: Budget) -> Verdict:
        """O(n log n), and one call of the oracle for each difference."""
        return compare(history, self.other, self.may_differ)


def compare(first: History, second: History, may_differ: Oracle = nothing_differs) -> Verdict:
    """Compare two histories of the same ops; anomalies name ops of the first by index."""
    one, two = _Calls.of(first), _Calls.of(second)
    if len(one.begun) != len(two.begun):
        return Verdict.unknown(
            f"not the same ops: {len(one.begun):,} in the first, {len(two.begun):,} in the second"
        )
    strange = _other_op(first, second, one, two)
    if strange:
        return Verdict.unknown(strange)
    known = one.known(first) & two.known(second)
    judged = int(np.count_nonzero(known))
    suspects = np.flatnonzero(known)[_differ(first, second, one.done[known], two.done[known])]
    bad = [
        at
        for at in suspects.tolist()
        if not may_differ(first.op(int(one.done[at])), second.op(int(two.done[at])))
    ]
    if bad:
        anomaly = _anomaly(first, second, one.done[bad], two.done[bad])
        return Verdict.invalid(anomaly.explanation, judged=judged, anomalies=[anomaly])
    excused = f", {count(len(suspects), 'allowed difference')}" if len(suspects) else ""
    return Verdict.valid(f"{count(judged, 'answer')} agree{excused}", judged=judged)


@dataclass(frozen=True, slots=True)
class _Calls:
    """Invocations by process and order, and the row of each completion (−1: none)."""

    begun: I64
    done: I64

    @classmethod
    def of(cls, history: History) -> _Calls:
        rows = np.flatnonzero(history.client & (history.type == Type.INVOKE))
        order = np.lexsort((rows, history.process[rows]))
        begun = rows[order]
        return cls(begun, history.pair[begun])

    def known(self, history: History) -> Bool:
        """Which have an outcome that somebody knows."""
        out: Bool = (self.done >= 0) & (history.type[self.done] != Type.INFO)
        return out


def _texts(history: History, rows: I64) -> list[tuple[str, str]]:
    """`f` and key of rows, comparable between histories."""
    decode, name = history.atoms.decode, history.names
    pairs = zip(history.f[rows].tolist(), history.key[rows].tolist(), strict=True)
    return [(name[f] if f >= 0 else "", repr(decode(key))) for f, key in pairs]


def _other_op(first: History, second: History, one: _Calls, two: _Calls) -> str:
    """Where the histories are not of the same ops, in words, or ""."""
    differs = _differ(first, second, one.begun, two.begun)
    same_process = first.process[one.begun] == second.process[two.begun]
    names = zip(_texts(first, one.begun), _texts(second, two.begun), strict=True)
    other = [at for at, (a, b) in enumerate(names) if a != b or not same_process[at]]
    at = min([*other, *differs.tolist()], default=-1)
    if at < 0:
        return ""
    return (
        f"not the same ops: {quote(first, int(one.begun[at]))} in the first, "
        f"{quote(second, int(two.begun[at]))} in the second"
    )


def _differ(first: History, second: History, one: I64, two: I64) -> I64:
    """Positions at which type or value differ.

    Whole numbers and nulls compare as columns; everything else is decoded.
    """
    plain = (Kind.NIL, Kind.ATOM)
    kinds = np.isin(first.kind[one], plain) & np.isin(second.kind[two], plain)
    base = 2**62
    easy = kinds & (first.atom[one] < base) & (second.atom[two] < base)
    other = (first.type[one] != second.type[two]) | (easy & (first.atom[one] != second.atom[two]))
    for at in np.flatnonzero(~easy & ~other).tolist():
        other[at] = first.value(int(one[at])) != second.value(int(two[at]))
    return np.flatnonzero(other)


def _anomaly(first: History, second: History, one: I64, two: I64) -> Anomaly:
    told = [
        f"{quote(first, int(a))} in the first, {quote(second, int(b))} in the second"
        for a, b in zip(one[:EXAMPLES_MAX], two[:EXAMPLES_MAX], strict=True)
    ]
    more = "" if len(one) == 1 else f" ({count(len(one), 'difference')})"
    return Anomaly(
        "different-answer",
        told[0] + more,
        ops=tuple(sorted({int(first.index[row]) for row in one[:EXAMPLES_MAX]})),
        steps=tuple(told) if len(told) > 1 else (),
        count=len(one),
    )

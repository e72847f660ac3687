"""A counter that only grows: each read must lie between what surely and what possibly was added.

A read may show no less than all that was acknowledged when it began, and no more than all that
had been attempted (and is not known to have failed) when it ended (Jepsen, `checker.clj`,
`counter`). Adds are not negative.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from seatrial.checker import Budget, CheckOptions
from seatrial.checkers import keyed
from seatrial.checkers.wording import EXAMPLES_MAX, count, indexes, quote
from seatrial.history import NIL, History
from seatrial.history.columns import ATOM_BASE, I64, Bool
from seatrial.op import Type
from seatrial.verdict import Anomaly, Json, Verdict


@dataclass(frozen=True, slots=True)
class Counter:
    """Judges each `ok` read of a counter that starts at zero."""

    name: str = "counter"

    def check(self, history: History, budget: Budget) -> Verdict:
        """O(n log n)."""
        return keyed.judge(history, _check)


def make(options: CheckOptions) -> Counter:
    """The checker; it has no options."""
    return Counter()


def _check(history: History) -> Verdict:
    adds = history.client & history.is_f("add")
    # What came back unknown or refused often comes without its value: the invocation has it.
    adds &= (history.type == Type.INVOKE) | (history.type == Type.OK)
    reads = np.flatnonzero(history.client & history.is_f("read") & (history.type == Type.OK))
    wrong = _malformed(history, adds, reads)
    if wrong:
        return Verdict.unknown(wrong)
    value = history.atom[reads]
    reads, value = reads[value != NIL], value[value != NIL]
    if not len(reads):
        return Verdict.unknown("no ok read to judge")
    low, high = _bounds(history, adds, reads)
    bad = np.flatnonzero((value < low) | (value > high))
    details: dict[str, Json] = {"reads": len(reads), "errors": len(bad)}
    if not len(bad):
        cause = f"{count(len(reads), 'read')} within the bounds"
        return Verdict.valid(cause, judged=len(reads), details=details)
    anomaly = _anomaly(history, reads[bad], low[bad], high[bad])
    return Verdict.invalid(
        anomaly.explanation, judged=len(reads), anomalies=[anomaly], details=details
    )


def _malformed(history: History, adds: Bool, reads: I64) -> str:
    rows = np.flatnonzero(adds)
    number = _whole(history, rows)
    negative = rows[number & (history.atom[rows] < 0)]
    if len(negative):
        return f"{quote(history, int(negative[0]))} adds less than nothing; this counter only grows"
    if not number.all():
        return f"{quote(history, int(rows[~number][0]))} adds no whole number"
    fine = _whole(history, reads) | (history.kind[reads] == 0)
    if not fine.all():
        return f"{quote(history, int(reads[~fine][0]))} shows no whole number"
    return ""


def _whole(history: History, rows: I64) -> Bool:
    code = history.atom[rows]
    out: Bool = (code != NIL) & (code < ATOM_BASE)
    return out


def _bounds(history: History, adds: Bool, reads: I64) -> tuple[I64, I64]:
    """Least and greatest right value of each read.

    An add counts from its invocation as possible, unless it failed, and from its `ok` as sure.
    One whose invocation is missing counts from its completion.
    """
    pair = history.pair
    failed = (pair >= 0) & (history.type[pair] == Type.FAIL)
    alone = (history.type == Type.OK) & (pair < 0)
    possible = adds & (((history.type == Type.INVOKE) & ~failed) | alone)
    sure = adds & (history.type == Type.OK)
    upper = np.concatenate([[0], np.cumsum(np.where(possible, history.atom, 0))])
    lower = np.concatenate([[0], np.cumsum(np.where(sure, history.atom, 0))])
    began = np.where(pair[reads] >= 0, pair[reads], reads)
    return lower[began], upper[reads]


def _anomaly(history: History, reads: I64, low: I64, high: I64) -> Anomaly:
    value = int(history.atom[reads[0]])
    if value < low[0]:
        why = f"less than the {int(low[0]):,} acknowledged before it began"
    else:
        why = f"more than the {int(high[0]):,} attempted before it ended"
    more = "" if len(reads) == 1 else f"; {count(len(reads) - 1, 'more read')} out of bounds"
    rows = [row for read in reads[:EXAMPLES_MAX].tolist() for row in (read, history.pair[read])]
    return Anomaly(
        "out-of-bounds",
        f"{quote(history, int(reads[0]))} shows {value:,}, {why}{more}",
        ops=indexes(history, rows),
        count=len(reads),
    )

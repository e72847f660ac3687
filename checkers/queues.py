"""Queues as multisets: what comes out must have gone in, and all that went in must come out.

`queue`: every dequeue came from an enqueue attempted before it, in order of events, assuming that
every enqueue that did not fail succeeded (Jepsen, `checker.clj`, `queue` over an unordered queue).
`total-queue`: after draining, every acknowledged enqueue was dequeued (`total-queue`). Order is
not judged; `linearizable` with a queue model does that.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from seatrial.checker import Budget, CheckOptions
from seatrial.checkers import keyed, nothing
from seatrial.checkers.codes import codes, members
from seatrial.checkers.wording import EXAMPLES_MAX, count, indexes, quote, values
from seatrial.history import History
from seatrial.history.columns import I64
from seatrial.op import Type
from seatrial.verdict import Anomaly, Json, Validity, Verdict

QUEUE, TOTAL_QUEUE = "queue", "total-queue"
_NOTHING = "nothing was enqueued and nothing came out"


@dataclass(frozen=True, slots=True)
class Queue:
    """Every dequeue came from somewhere. `as_jepsen`: no op at all is `valid`."""

    as_jepsen: bool = False
    name: str = QUEUE

    def check(self, history: History, budget: Budget) -> Verdict:
        """O(n log n)."""
        return keyed.judge(history, lambda part: _check_queue(part, self.as_jepsen))


@dataclass(frozen=True, slots=True)
class TotalQueue:
    """What goes in must come out; judges drained queues only. `as_jepsen`: as in `Queue`."""

    as_jepsen: bool = False
    name: str = TOTAL_QUEUE

    def check(self, history: History, budget: Budget) -> Verdict:
        """O(n log n)."""
        return keyed.judge(history, lambda part: _check_total(part, self.as_jepsen))


def make_queue(options: CheckOptions) -> Queue:
    """The checker `queue`; option `empty`."""
    return Queue(nothing.as_jepsen(options, QUEUE))


def make_total_queue(options: CheckOptions) -> TotalQueue:
    """The checker `total-queue`; option `empty`."""
    return TotalQueue(nothing.as_jepsen(options, TOTAL_QUEUE))


@dataclass(frozen=True, slots=True)
class _Out:
    """Elements that came out, by `dequeue` and `drain`, with the row of each."""

    row: I64
    code: I64


def _check_queue(history: History, as_jepsen: bool) -> Verdict:
    enqueues = history.client & history.is_f("enqueue")
    attempts = np.flatnonzero(enqueues & (history.type == Type.INVOKE))
    out, wrong = _taken(history)
    if wrong:
        return Verdict.unknown(wrong)
    judged = int(np.count_nonzero(enqueues)) + len(out.row)
    if not judged:
        return nothing.nothing(_NOTHING, Validity.VALID, wanted=as_jepsen)
    order, surplus = _surplus(codes(history, attempts), attempts, out)
    early = order[surplus]
    if not len(early):
        cause = f"{count(len(out.row), 'dequeue')} out of {count(len(attempts), 'enqueue')}"
        return Verdict.valid(cause, judged=judged)
    rows = np.sort(out.row[early])
    first = int(rows[0])
    anomaly = Anomaly(
        "unexpected",
        f"{quote(history, first)} returned an element that no enqueue begun before it can have "
        f"put there" + ("" if len(rows) == 1 else f"; so did {len(rows) - 1:,} more"),
        ops=indexes(history, rows[:EXAMPLES_MAX].tolist()),
        count=len(rows),
    )
    return Verdict.invalid(anomaly.explanation, judged=judged, anomalies=[anomaly])


def _surplus(code_in: I64, row_in: I64, out: _Out) -> tuple[I64, I64]:
    """Positions of `out` ordered by element and row, and which of them nothing can explain.

    For each element walk its events in order and keep the number inside: a dequeue is in surplus
    when it takes that number to a new low below zero (an earlier surplus took nothing out).
    """
    code = np.concatenate([code_in, out.code])
    row = np.concatenate([row_in, out.row])
    step = np.concatenate([np.ones(len(code_in), np.int64), -np.ones(len(out.code), np.int64)])
    order = np.lexsort((row, code))
    level = np.cumsum(step[order])
    first = np.flatnonzero(np.concatenate([[True], np.diff(code[order]) != 0]))[: len(code)]
    size = np.diff(np.append(first, len(code)))
    inside = level - np.repeat(np.concatenate([[0], level])[first], size)
    # One running minimum for all elements: each element's numbers lie below the one before.
    apart = inside - np.repeat(np.arange(len(first)), size) * (2 * len(code) + 1)
    lowest = np.minimum.accumulate(apart)
    record = np.concatenate([[True], apart[1:] < lowest[:-1]])[: len(code)]
    return order - len(code_in), np.flatnonzero(record & (inside < 0))


def _taken(history: History) -> tuple[_Out, str]:
    """What `ok` dequeues and drains returned; and what cannot be judged, or ""."""
    client, ok = history.client, history.type == Type.OK
    single = np.flatnonzero(client & history.is_f("dequeue") & ok)
    drains = history.client & history.is_f("drain")
    crashed = np.flatnonzero(drains & (history.type == Type.INFO))
    if len(crashed):
        said = quote(history, int(crashed[0]))
        return _Out(single, single), f"nobody knows what {said} drained"
    many = np.flatnonzero(drains & ok)
    start, elements, wrong = members(history, many)
    if len(wrong):
        return _Out(single, single), f"{quote(history, int(wrong[0]))} drained no list"
    row = np.concatenate([single, np.repeat(many, np.diff(start))])
    return _Out(row, np.concatenate([codes(history, single), elements])), ""


def _check_total(history: History, as_jepsen: bool) -> Verdict:
    enqueues = history.client & history.is_f("enqueue")
    attempts = np.flatnonzero(enqueues & (history.type == Type.INVOKE))
    acknowledged = np.flatnonzero(enqueues & (history.type == Type.OK))
    out, wrong = _taken(history)
    if wrong:
        return Verdict.unknown(wrong)
    element, tried = np.unique(codes(history, attempts), return_counts=True)
    tally = _Tally.of(element, tried, codes(history, acknowledged), out.code)
    judged = len(attempts) + len(out.row)
    details: dict[str, Json] = {
        "attempts": len(attempts),
        "acknowledged": len(acknowledged),
        "dequeued": len(out.row),
        "lost": int(tally.lost.sum()),
        "unexpected": int(tally.unexpected.sum()),
        "duplicated": int(tally.duplicated.sum()),
        "recovered": int(tally.recovered.sum()),
    }
    if not judged:
        return nothing.nothing(_NOTHING, Validity.VALID, wanted=as_jepsen, details=details)
    anomalies = _total_anomalies(history, tally, acknowledged, out)
    if anomalies:
        cause = "; ".join(anomaly.explanation for anomaly in anomalies)
        return Verdict.invalid(cause, judged=judged, anomalies=anomalies, details=details)
    cause = f"all {count(len(acknowledged), 'acknowledged element')} came out again"
    return Verdict.valid(cause, judged=judged, details=details)


@dataclass(frozen=True, slots=True)
class _Tally:
    """How often each element was lost, unexpected, duplicated, recovered (multisets)."""

    code: I64
    lost: I64
    unexpected: I64
    duplicated: I64
    recovered: I64

    @classmethod
    def of(cls, element: I64, tried: I64, acknowledged: I64, out: I64) -> _Tally:
        code = np.unique(np.concatenate([element, acknowledged, out]))
        attempts = np.zeros(len(code), np.int64)
        attempts[np.searchsorted(code, element)] = tried
        sure = np.bincount(np.searchsorted(code, acknowledged), minlength=len(code))
        taken = np.bincount(np.searchsorted(code, out), minlength=len(code))
        unexpected = np.where(attempts == 0, taken, 0)
        over = np.where(attempts > 0, np.maximum(taken - attempts, 0), 0)
        right = np.minimum(taken, attempts)
        return cls(code, np.maximum(sure - taken, 0), unexpected, over, np.maximum(right - sure, 0))


def _total_anomalies(
    history: History, tally: _Tally, acknowledged: I64, out: _Out
) -> list[Anomaly]:
    anomalies = []
    sure = codes(history, acknowledged)
    kinds: tuple[tuple[str, I64, I64, I64, str], ...] = (
        ("lost", tally.lost, acknowledged, sure, "acknowledged but never came out"),
        ("unexpected", tally.unexpected, out.row, out.code, "came out but nobody put in"),
    )
    for name, amount, rows, code, said in kinds:
        which = tally.code[amount > 0]
        if not len(which):
            continue
        proof = rows[np.isin(code, which)][:EXAMPLES_MAX].tolist()
        names = values(history, which)
        total = int(amount.sum())
        anomalies.append(
            Anomaly(
                name,
                f"{count(total, 'element')} ({names}) {said}",
                ops=indexes(history, proof),
                count=total,
            )
        )
    return anomalies

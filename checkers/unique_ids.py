"""Unique ids: no acknowledged id is given twice (Jepsen, `checker.clj`, `unique-ids`)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from seatrial.checker import Budget, CheckOptions
from seatrial.checkers import keyed
from seatrial.checkers.codes import codes
from seatrial.checkers.wording import EXAMPLES_MAX, count, indexes, quote, values
from seatrial.history import History
from seatrial.op import Type
from seatrial.verdict import Anomaly, Json, Verdict


@dataclass(frozen=True, slots=True)
class UniqueIds:
    """Judges the values of all `ok` ops `generate`."""

    name: str = "unique-ids"

    def check(self, history: History, budget: Budget) -> Verdict:
        """O(n log n)."""
        return keyed.judge(history, _check)


def make(options: CheckOptions) -> UniqueIds:
    """The checker; it has no options."""
    return UniqueIds()


def _check(history: History) -> Verdict:
    rows = np.flatnonzero(history.client & history.is_f("generate") & (history.type == Type.OK))
    if not len(rows):
        return Verdict.unknown("no id was generated")
    ids = codes(history, rows)
    order = np.argsort(ids, kind="stable")
    again = np.flatnonzero(np.diff(ids[order]) == 0) + 1
    twice = np.unique(ids[order][again])
    details: dict[str, Json] = {"acknowledged": len(rows), "duplicated": len(twice)}
    if not len(twice):
        cause = f"{count(len(rows), 'id')}, each given once"
        return Verdict.valid(cause, judged=len(rows), details=details)
    one = rows[ids == twice[0]]
    names = values(history, twice)
    anomaly = Anomaly(
        "duplicate",
        f"{count(len(twice), 'id')} given more than once ({names}): "
        f"{quote(history, int(one[0]))} and {quote(history, int(one[1]))} are the same",
        ops=indexes(history, rows[np.isin(ids, twice[:EXAMPLES_MAX])][: 2 * EXAMPLES_MAX].tolist()),
        count=len(twice),
    )
    return Verdict.invalid(
        anomaly.explanation, judged=len(rows), anomalies=[anomaly], details=details
    )

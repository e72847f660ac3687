"""Unique ids: no acknowledged id is given twice (Jepsen, `checker.clj`, `unique-ids`)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from seatrial.checker import Budget, CheckOptions
from seatrial.checkers import keyed, nothing
from seatrial.checkers.codes import codes
from seatrial.checkers.wording import EXAMPLES_MAX, count, indexes, quote, values
from seatrial.history import History
from seatrial.op import Type
from seatrial.verdict import Anomaly, Json, Validity, Verdict

NAME = "unique-ids"


@dataclass(frozen=True, slots=True)
class UniqueIds:
    """Judges the values of all `ok` ops `generate`. `as_jepsen`: none of them is `valid`."""

    as_jepsen: bool = False
    name: str = NAME

    def check(self, history: History, budget: Budget) -> Verdict:
        """O(n log n)."""
        return keyed.judge(history, lambda part: _check(part, self.as_jepsen))


def make(options: CheckOptions) -> UniqueIds:
    """The checker; option `empty`."""
    return UniqueIds(nothing.as_jepsen(options, NAME))


def _check(history: History, as_jepsen: bool) -> Verdict:
    rows = np.flatnonzero(history.client & history.is_f("generate") & (history.type == Type.OK))
    if not len(rows):
        return nothing.nothing("no id was generated", Validity.VALID, wanted=as_jepsen)
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

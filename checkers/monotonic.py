"""Monotonic: a value that only grows is never seen to go back.

Two workloads. *Rows* (Jepsen, `cockroach/monotonic.clj`): each `add` inserts one more than the
greatest value, as a row `{"val": …, "sts": timestamp, …}`; the last `read` lists all rows in order
of their timestamps. Then values grow along the timestamps (`value-reorder`), timestamps do not go
back (`timestamp-reorder`), no acknowledged row is missing (`lost`), none is there twice
(`duplicate`), none that failed is there (`revived`). *Numbers*: each `read` is a number; a process
must not see it go down (`nonmonotonic-read`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from seatrial.checker import Budget, CheckOptions
from seatrial.checkers import keyed
from seatrial.checkers.wording import EXAMPLES_MAX, count, indexes, listed, quote
from seatrial.history import NIL, History, Kind
from seatrial.history.columns import ATOM_BASE, I64
from seatrial.op import Type, Value
from seatrial.verdict import Anomaly, Verdict


@dataclass(frozen=True, slots=True)
class Monotonic:
    """Judges rows where the reads are lists, numbers where they are numbers."""

    name: str = "monotonic"

    def check(self, history: History, budget: Budget) -> Verdict:
        """O(n log n) for numbers; O(rows), decoding each, for rows."""
        return keyed.judge(history, _check)


def make(options: CheckOptions) -> Monotonic:
    """The checker; it has no options."""
    return Monotonic()


def _check(history: History) -> Verdict:
    reads = np.flatnonzero(history.client & history.is_f("read") & (history.type == Type.OK))
    reads = reads[history.kind[reads] != Kind.NIL]
    if not len(reads):
        return Verdict.unknown("no ok read to judge")
    if (history.kind[reads] == Kind.ATOM).all():
        return _numbers(history, reads)
    return _rows(history, int(reads[-1]))


def _numbers(history: History, reads: I64) -> Verdict:
    value = history.atom[reads]
    strange = reads[(value >= ATOM_BASE) | (value == NIL)]
    if len(strange):
        return Verdict.unknown(f"{quote(history, int(strange[0]))} shows no whole number")
    order = np.lexsort((reads, history.process[reads]))
    row, shown = reads[order], value[order]
    process = history.process[row]
    down = np.flatnonzero((np.diff(shown) < 0) & (np.diff(process) == 0))
    if not len(down):
        cause = f"{count(len(reads), 'read')}, never going down in any process"
        return Verdict.valid(cause, judged=len(reads))
    first, second = int(row[down[0]]), int(row[down[0] + 1])
    more = "" if len(down) == 1 else f" ({count(len(down), 'time')})"
    proof = [r for at in down[:EXAMPLES_MAX].tolist() for r in (row[at], row[at + 1])]
    anomaly = Anomaly(
        "nonmonotonic-read",
        f"{quote(history, first)} and then {quote(history, second)}: the value went down{more}",
        ops=indexes(history, proof),
        count=len(down),
    )
    return Verdict.invalid(anomaly.explanation, judged=len(reads), anomalies=[anomaly])


def _rows(history: History, final: int) -> Verdict:
    value = history.value(final)
    rows = [_row(item) for item in value] if isinstance(value, tuple) else [None]
    table = [row for row in rows if row is not None]
    if len(table) != len(rows):
        return Verdict.unknown(f"{quote(history, final)} is no list of rows with val and sts")
    values = [row[0] for row in table]
    acknowledged, failed = _adds(history, Type.OK), _adds(history, Type.FAIL)
    there = set(values)
    twice = sorted(value for value, times in Counter(values).items() if times > 1)
    found = [
        _named("value-reorder", "stands after a greater one", _back(values, strict=True)),
        _named("timestamp-reorder", "has an earlier timestamp than the row before",
               _back([row[1] for row in table], strict=False, say=values)),
        _named("duplicate", "stands there more than once", twice),
        _named("lost", "was acknowledged and is missing", sorted(set(acknowledged) - there)),
        _named("revived", "failed and is there all the same", sorted(set(failed) & there)),
    ]  # fmt: skip
    rows_of = {**acknowledged, **failed}
    anomalies = [
        Anomaly(
            name,
            f"in the last read (op {history.index[final]}), {said}",
            ops=indexes(history, [final, *(rows_of[v] for v in which if v in rows_of)]),
            count=len(which),
        )
        for name, said, which in found
        if which
    ]
    if anomalies:
        cause = anomalies[0].explanation
        return Verdict.invalid(cause, judged=max(1, len(values)), anomalies=anomalies)
    cause = f"{count(len(values), 'row')} in the order of their timestamps"
    return Verdict.valid(cause, judged=len(values))


def _row(item: Value) -> tuple[int, int] | None:
    if isinstance(item, Mapping):
        value, at = item.get("val"), item.get("sts")
        if isinstance(value, int) and isinstance(at, (int, str)):
            try:
                return value, int(at)
            except ValueError:
                return None
    return None


def _adds(history: History, kind: Type) -> dict[int, int]:
    """Values of the adds of one type, each with its row."""
    out = {}
    for row in np.flatnonzero(history.client & history.is_f("add") & (history.type == kind)):
        value = history.value(int(row))
        found = value.get("val") if isinstance(value, Mapping) else value
        if isinstance(found, int):
            out[found] = int(row)
    return out


def _back(values: Sequence[int], *, strict: bool, say: Sequence[int] | None = None) -> list[int]:
    """Those that are less than (or, strict, not greater than) the one before."""
    told = values if say is None else say
    return [
        told[at + 1] for at, (a, b) in enumerate(pairwise(values)) if (a >= b if strict else a > b)
    ]


def _named(name: str, said: str, which: list[int]) -> tuple[str, str, list[int]]:
    return name, f"value {listed(str(value) for value in which)} {said}", which

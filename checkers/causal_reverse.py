"""Causal reverse: a later write is visible and an earlier, acknowledged one is not.

Writes insert values blindly; a read shows all values there are. If a read shows w, it must show
every value whose write was acknowledged before w's began, or else the database is not strictly
serializable (Jepsen, `tests/causal_reverse.clj`; `comments` in `cockroach/comments.clj` is the
same rule).

What a read must show is a prefix of the acknowledgements: those before the latest beginning among
the writes it shows. So each read costs its own size.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from seatrial.checker import Budget, CheckOptions
from seatrial.checkers import keyed
from seatrial.checkers.codes import codes, distinct, members
from seatrial.checkers.wording import EXAMPLES_MAX, count, indexes, quote, show, values
from seatrial.history import History
from seatrial.history.columns import I64
from seatrial.op import Type
from seatrial.verdict import Anomaly, Verdict

_NEVER = 2**62


@dataclass(frozen=True, slots=True)
class CausalReverse:
    """Judges each `ok` read against the real-time order of the writes."""

    name: str = "causal-reverse"

    def check(self, history: History, budget: Budget) -> Verdict:
        """O(m log m) for m values written and read."""
        return keyed.judge(history, _check)


def make(options: CheckOptions) -> CausalReverse:
    """The checker `causal-reverse`; it has no options."""
    return CausalReverse()


def make_comments(options: CheckOptions) -> CausalReverse:
    """The checker `comments`; it has no options."""
    return CausalReverse("comments")


@dataclass(frozen=True, slots=True)
class _Writes:
    """Values ascending, the row at which each write began (the last) and was acknowledged."""

    code: I64
    began: I64
    acknowledged: I64

    @classmethod
    def of(cls, history: History) -> _Writes:
        rows = np.flatnonzero(history.client & history.is_f("write"))
        code, which = np.unique(codes(history, rows), return_inverse=True)
        kind = history.type[rows]
        began = np.full(len(code), -1, np.int64)
        begun = kind == Type.INVOKE
        np.maximum.at(began, which[begun], rows[begun])
        acknowledged = np.full(len(code), _NEVER, np.int64)
        ok = kind == Type.OK
        np.minimum.at(acknowledged, which[ok], rows[ok])
        return cls(code, began, acknowledged)


def _check(history: History) -> Verdict:
    reads = np.flatnonzero(history.client & history.is_f("read") & (history.type == Type.OK))
    start, elements, wrong = members(history, reads)
    if len(wrong):
        return Verdict.unknown(f"{quote(history, int(wrong[0]))} shows no collection")
    writes = _Writes.of(history)
    if not len(reads) or not len(writes.code):
        return Verdict.unknown("no ok read or no write to judge")
    bad, latest = _short(writes, start, elements)
    if not len(bad):
        cause = f"{count(len(reads), 'read')} show every write that came before one they show"
        return Verdict.valid(cause, judged=len(reads))
    anomaly = _anomaly(history, writes, reads, bad, latest, start, elements)
    return Verdict.invalid(anomaly.explanation, judged=len(reads), anomalies=[anomaly])


def _short(writes: _Writes, start: I64, elements: I64) -> tuple[I64, I64]:
    """Reads that show too little; and of each read the latest beginning of a write it shows."""
    n = len(start) - 1
    which = np.searchsorted(writes.code, elements)
    which[which == len(writes.code)] = 0
    known = writes.code[which] == elements
    read = np.repeat(np.arange(n, dtype=np.int64), np.diff(start))[known]
    which = which[known]
    pair = distinct(read * len(writes.code) + which)
    read, which = pair // len(writes.code), pair % len(writes.code)
    latest = np.full(n, -1, np.int64)
    np.maximum.at(latest, read, writes.began[which])
    shown = np.bincount(read[writes.acknowledged[which] < latest[read]], minlength=n)
    must = np.searchsorted(np.sort(writes.acknowledged), latest)
    return np.flatnonzero(shown < must), latest


def _anomaly(
    history: History,
    writes: _Writes,
    reads: I64,
    bad: I64,
    latest: I64,
    start: I64,
    elements: I64,
) -> Anomaly:
    rows = []
    for place in bad[:EXAMPLES_MAX].tolist():
        seen = elements[start[place] : start[place + 1]]
        must = writes.code[writes.acknowledged < latest[place]]
        missing = np.setdiff1d(must, seen)
        proof = writes.acknowledged[np.isin(writes.code, missing)][:EXAMPLES_MAX]
        rows += [int(reads[place]), int(latest[place]), *proof.tolist()]
    first = int(bad[0])
    missing = np.setdiff1d(
        writes.code[writes.acknowledged < latest[first]],
        elements[start[first] : start[first + 1]],
    )
    names = values(history, missing)
    more = "" if len(bad) == 1 else f" ({len(bad):,} reads do so)"
    value = show(history.value(int(latest[first])))
    return Anomaly(
        "causal-reverse",
        f"op {history.index[reads[first]]} shows {value} but not {names}, which had been "
        f"acknowledged before the write of {value} began at op {history.index[latest[first]]}"
        f"{more}",
        ops=indexes(history, rows),
        count=len(bad),
    )

"""A grow-only set: `add` one element, `read` them all (Jepsen, `checker.clj`, `set`).

`set` looks at the last `ok` read alone. An element that was acknowledged before this read began and
that it lacks is `lost`; an element that nobody tried to add is `unexpected`; one whose add was not
acknowledged but which is there is recovered, and in order. Jepsen takes it that the last read
comes after all adds; where it does not (a trial that was stopped before its final reads), a later
add is no loss, and only told.

`set-full` (the same shelf, `set_full`) follows each element through all reads.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from seatrial.checker import Budget, CheckOptions
from seatrial.checkers import keyed
from seatrial.checkers.codes import codes, distinct, members
from seatrial.checkers.set_full import SetFull
from seatrial.checkers.settings import flag
from seatrial.checkers.wording import EXAMPLES_MAX, count, indexes, values
from seatrial.history import History, Kind
from seatrial.history.columns import I64
from seatrial.op import Type
from seatrial.verdict import Anomaly, Json, Verdict

SET, SET_FULL = "set", "set-full"


@dataclass(frozen=True, slots=True)
class Set:
    """Judges the last read of each independent key against all adds."""

    name: str = SET

    def check(self, history: History, budget: Budget) -> Verdict:
        """O(n log n) for n adds and elements of the last read."""
        return keyed.judge(history, _check)


def make_set(options: CheckOptions) -> Set:
    """The checker `set`; it has no options."""
    return Set()


def make_set_full(options: CheckOptions) -> SetFull:
    """The checker `set-full`; `linearizable` (option, or consistency model) forbids stale reads."""
    strict = options.consistency_model == "linearizable"
    return SetFull(linearizable=strict or flag(options, SET_FULL, "linearizable"))


@dataclass(frozen=True, slots=True)
class _Found:
    """Codes of the elements in each class; `acknowledged` before the last read began.

    `later`: how many were acknowledged after that.
    """

    attempts: I64
    acknowledged: I64
    read: I64
    later: int

    @property
    def lost(self) -> I64:
        return np.setdiff1d(self.acknowledged, self.read, assume_unique=True)

    @property
    def unexpected(self) -> I64:
        return np.setdiff1d(self.read, self.attempts, assume_unique=True)

    @property
    def recovered(self) -> I64:
        there = np.intersect1d(self.read, self.attempts, assume_unique=True)
        return np.setdiff1d(there, self.acknowledged, assume_unique=True)


def _check(history: History) -> Verdict:
    adds = np.flatnonzero(history.client & history.is_f("add"))
    reads = np.flatnonzero(history.client & history.is_f("read") & (history.type == Type.OK))
    if not len(reads) or history.kind[reads[-1]] == Kind.NIL:
        return Verdict.unknown("the set was never read: no ok read at the end")
    final = reads[-1:]
    _, elements, wrong = members(history, final)
    if len(wrong):
        return Verdict.unknown(f"op {history.index[final[0]]} read no collection")
    added = codes(history, adds)
    ok = history.type[adds] == Type.OK
    begun = history.pair[final[0]] if history.pair[final[0]] >= 0 else final[0]
    before = ok & (adds < begun)
    found = _Found(
        attempts=distinct(added),
        acknowledged=distinct(added[before]),
        read=distinct(elements),
        later=int(np.count_nonzero(ok & ~before)),
    )
    judged = len(found.attempts) or len(found.read)
    return _verdict(history, found, adds, added, int(final[0]), judged)


def _verdict(
    history: History, found: _Found, adds: I64, added: I64, final: int, judged: int
) -> Verdict:
    details: dict[str, Json] = {
        "attempts": len(found.attempts),
        "acknowledged": len(found.acknowledged),
        "read": len(found.read),
        "lost": len(found.lost),
        "unexpected": len(found.unexpected),
        "recovered": len(found.recovered),
        "later": found.later,
    }
    anomalies = []
    if len(found.lost):
        anomalies.append(_lost(history, found.lost, adds, added, final))
    if len(found.unexpected):
        anomalies.append(_unexpected(history, found.unexpected, final))
    if anomalies:
        cause = "; ".join(anomaly.explanation for anomaly in anomalies)
        return Verdict.invalid(cause, judged=judged, anomalies=anomalies, details=details)
    kept = count(len(found.acknowledged), "acknowledged element")
    more = f"; {count(found.later, 'element')} came later and nobody looked" if found.later else ""
    return Verdict.valid(f"the last read holds all of {kept}{more}", judged=judged, details=details)


def _lost(history: History, lost: I64, adds: I64, added: I64, final: int) -> Anomaly:
    examples = lost[:EXAMPLES_MAX]
    proof = adds[np.isin(added, examples) & (history.type[adds] == Type.OK)].tolist()
    which = values(history, lost)
    verb = "was" if len(lost) == 1 else "were"
    return Anomaly(
        "lost",
        f"{count(len(lost), 'element')} ({which}) {verb} acknowledged, but the last read "
        f"(op {history.index[final]}) lacks {'it' if len(lost) == 1 else 'them'}",
        ops=indexes(history, [*proof, final]),
        count=len(lost),
    )


def _unexpected(history: History, unexpected: I64, final: int) -> Anomaly:
    which = values(history, unexpected)
    return Anomaly(
        "unexpected",
        f"the last read (op {history.index[final]}) shows {count(len(unexpected), 'element')} "
        f"({which}) that nobody tried to add",
        ops=indexes(history, [final]),
        count=len(unexpected),
    )

"""The checker `linearizable`: each key of a history against a model.

Linearizability (Herlihy and Wing, TOPLAS 12(3), 1990): every op takes effect at one instant between
its invocation and its completion, and the effects in that order are what the model allows.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np

from seatrial.checker import Budget
from seatrial.checkers.linearizable.calls import PENDING, Calls, Malformed, read_calls
from seatrial.checkers.linearizable.family import Family
from seatrial.checkers.linearizable.judge import Findings, judge
from seatrial.checkers.linearizable.modelled import ModelError
from seatrial.checkers.linearizable.story import tell
from seatrial.checkers.linearizable.witness import Witness, explain
from seatrial.history import History
from seatrial.history.columns import I64
from seatrial.op import Type
from seatrial.verdict import Anomaly, Json, Verdict

#: How many wrong keys are explained, and how many examples of one anomaly are shown.
_KEYS_EXPLAINED = 8
_EXAMPLES = 3


@dataclass(frozen=True, slots=True)
class Linearizable:
    """Judges linearizability of each key against a family's model."""

    family: Family
    name: str = "linearizable"

    def check(self, history: History, budget: Budget) -> Verdict:
        """Judge `history` within `budget`. Never raises for what a history can hold."""
        began = time.monotonic()
        try:
            verdict = self._check(history, budget)
        except MemoryError:
            verdict = Verdict.unknown("memory ran out while judging linearizability")
        except ModelError as error:
            verdict = Verdict.unknown(str(error))
        return verdict.took(time.monotonic() - began)

    def _check(self, history: History, budget: Budget) -> Verdict:
        family = self.family
        explained = family.replay(history) if family.replay is not None else None
        if explained is not None:
            return _valid(family, *explained)
        calls = read_calls(
            history,
            family.vocabulary,
            split_pairs=family.split_pairs,
            failed_code=3 if family.failed_cas else -1,
            failed_f=("cas", "compare-and-set") if family.failed_cas else (),
        )
        if not isinstance(calls, Malformed) and family.prepare is not None:
            calls = family.prepare(calls)
        if isinstance(calls, Malformed):
            return Verdict.unknown(
                f"this history cannot be judged: {calls.cause}", details={"index": calls.index}
            )
        judged = int((calls.res < PENDING).sum())
        if not judged:
            return _nothing_ok(history)
        return _verdict(family, calls, judge(family, calls, budget), judged, budget)


def _nothing_ok(history: History) -> Verdict:
    """No call succeeded. Failed ones claim to have had no effect: nothing contradicts that."""
    failed = int((history.client & (history.type == Type.FAIL)).sum())
    if failed and not (history.client & (history.type == Type.OK)).any():
        return Verdict.valid(
            f"no op succeeded; that the {failed} failed ones had no effect is not contradicted",
            judged=failed,
            details={"ok": 0},
        )
    return Verdict.unknown("no `ok` op to judge")


def _verdict(family: Family, calls: Calls, found: Findings, judged: int, budget: Budget) -> Verdict:
    bad = np.flatnonzero(found.code > 1)
    undecided = int((found.code == 1).sum())
    details: dict[str, Json] = {
        "model": family.name,
        "keys": calls.groups,
        "keys-invalid": len(bad),
        "keys-undecided": undecided,
    }
    if len(bad):
        return _invalid(family, calls, found, bad, judged, details, budget)
    if undecided:
        assert found.outcome is not None
        return Verdict.unknown(
            f"{undecided} of {calls.groups} keys were not judged to their end: "
            f"the search ran out of {found.outcome.why}; the key it was at is linearizable for its "
            f"first {found.outcome.reached} events",
            judged=judged,
            details=details,
        )
    return _valid(family, judged, calls.groups)


def _valid(family: Family, judged: int, keys: int) -> Verdict:
    said = "1 key" if keys == 1 else f"{keys:,} keys"
    return Verdict.valid(
        f"{judged:,} ops on {said} are linearizable as {family.name}",
        judged=judged,
        details={"model": family.name, "keys": keys, "keys-invalid": 0, "keys-undecided": 0},
    )


def _invalid(
    family: Family,
    calls: Calls,
    found: Findings,
    bad: I64,
    judged: int,
    details: dict[str, Json],
    budget: Budget,
) -> Verdict:
    told: list[Anomaly] = []
    keys: list[Json] = []
    for g in bad[:_KEYS_EXPLAINED].tolist():
        if told and budget.left_s <= 0:
            break
        first = int(calls.start[g])
        hint = np.where(found.shown[g] >= 0, found.shown[g] - first, -1)
        failed = -1 if found.outcome is None else int(found.outcome.failed[g])
        event = failed - int(calls.event_start[g]) if failed >= 0 else -1
        witness = explain(family, calls.group(g), hint, event, budget)
        told.append(tell(family, witness))
        keys.append(_key_details(calls, g, witness))
    details["keys-explained"] = keys
    anomalies = _grouped(told, len(bad))
    cause = f"not linearizable as {family.name}: {anomalies[0].explanation}"
    return Verdict.invalid(cause, judged=judged, anomalies=anomalies, details=details)


def _key_details(calls: Calls, g: int, witness: Witness) -> Json:
    key = calls.decode(int(calls.keys[g]))
    total = int(calls.event_start[g + 1] - calls.event_start[g])
    return {
        "key": key if isinstance(key, (str, int, float, bool)) else None,
        "ops": int(calls.start[g + 1] - calls.start[g]),
        "events": total,
        "longest-linearizable-prefix": witness.prefix if witness.prefix >= 0 else None,
        "witness-minimal": witness.minimal,
    }


def _grouped(told: list[Anomaly], keys: int) -> list[Anomaly]:
    """A few of each name; the first of the most frequent name also stands for what is not told."""
    out: list[Anomaly] = []
    names = [anomaly.name for anomaly in told]
    order = sorted(set(names), key=lambda name: (-names.count(name), names.index(name)))
    for place, name in enumerate(order):
        same = [anomaly for anomaly in told if anomaly.name == name]
        hidden = len(same) - len(same[:_EXAMPLES]) + (keys - len(told) if place == 0 else 0)
        out.append(replace(same[0], count=1 + hidden))
        out.extend(same[1:_EXAMPLES])
    return out

"""Availability: how many of the ops succeeded, and the longest time in which none did.

Judged over the whole history, by what was asked: `min_fraction` of completions that are `ok`
(rightly refused ops, `fail` without an error, count as answers), and `max_gap_s` between two `ok`
completions. For limits before, during and after faults, use steady states instead.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from seatrial.checker import Budget, CheckOptions
from seatrial.checkers.settings import number
from seatrial.checkers.wording import count, indexes
from seatrial.errors import UsageError
from seatrial.history import History
from seatrial.op import Type
from seatrial.verdict import Anomaly, Json, Verdict

NAME = "availability"


@dataclass(frozen=True, slots=True)
class Availability:
    """What must be reached; without any limit the answer is unknown."""

    min_fraction: float | None = None
    max_gap_s: float | None = None
    name: str = NAME

    def check(self, history: History, budget: Budget) -> Verdict:
        """O(n)."""
        done = history.client & (history.type != Type.INVOKE)
        total = int(np.count_nonzero(done))
        if not total:
            return Verdict.unknown("no op completed")
        refused = (history.type == Type.FAIL) & (history.error < 0)
        answered = int(np.count_nonzero(done & ((history.type == Type.OK) | refused)))
        gap_s, before, after = _longest_gap(history)
        details: dict[str, Json] = {"fraction": answered / total, "longest_gap_s": gap_s}
        anomalies = []
        if self.min_fraction is not None and answered / total < self.min_fraction:
            worst = np.flatnonzero(done & (history.type != Type.OK) & ~refused)[:1]
            anomalies.append(
                Anomaly(
                    "unavailable",
                    f"{answered:,} of {count(total, 'op')} were answered "
                    f"({answered / total:.2%}); at least {self.min_fraction:.2%} needed",
                    ops=indexes(history, worst.tolist()),
                )
            )
        if self.max_gap_s is not None and gap_s > self.max_gap_s:
            anomalies.append(
                Anomaly(
                    "unavailable",
                    f"no op succeeded for {gap_s:.3g} s; at most {self.max_gap_s:g} s allowed",
                    ops=indexes(history, [before, after]),
                )
            )
        if anomalies:
            cause = anomalies[0].explanation
            return Verdict.invalid(cause, judged=total, anomalies=anomalies, details=details)
        cause = (
            f"{answered / total:.2%} of {count(total, 'op')} answered, longest gap {gap_s:.3g} s"
        )
        if self.min_fraction is None and self.max_gap_s is None:
            said = f"{cause}; no limit was given (min_fraction, max_gap_s)"
            return Verdict.unknown(said, judged=total, details=details)
        return Verdict.valid(cause, judged=total, details=details)


def make(options: CheckOptions) -> Availability:
    """The checker; options `min_fraction` (0 to 1) and `max_gap_s`."""
    fraction, gap_s = number(options, NAME, "min_fraction"), number(options, NAME, "max_gap_s")
    for name, value, top in (("min_fraction", fraction, 1.0), ("max_gap_s", gap_s, math.inf)):
        if value is not None and not 0 <= value <= top:
            raise UsageError(
                f"checker {NAME!r}: option {name!r} is {value:g}\n\n"
                f"hint: from 0 {'up' if top > 1 else 'to 1, such as 0.99'}"
            )
    return Availability(fraction, gap_s)


def _longest_gap(history: History) -> tuple[float, int, int]:
    """Seconds, and the client rows at both ends: the first op, `ok` completions, the last op."""
    client = np.flatnonzero(history.client)
    ok = client[history.type[client] == Type.OK]
    marks = np.concatenate([client[:1], ok, client[-1:]])
    gaps = np.diff(history.time_ns[marks])
    at = int(np.argmax(gaps))
    return float(gaps[at]) / 1e9, int(marks[at]), int(marks[at + 1])

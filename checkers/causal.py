"""A causal register: a fixed causal order of ops on each key appears to run in that order.

One site issues, per key, `read-init, write 1, read, write 2, read`. Replayed in order of
completion, the first read sees 0, each write is the next number, and each read sees the last
write (Jepsen, `tests/causal.clj`). A value may be a map of `value`, `position` and `link`: then
each op must link to the position of the one before it (or to `init`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from seatrial.checker import Budget, CheckOptions
from seatrial.checkers import keyed
from seatrial.checkers.wording import count, indexes, quote, show
from seatrial.history import History
from seatrial.op import Type, Value
from seatrial.verdict import Anomaly, Verdict

READS, WRITE = ("read", "read-init"), "write"


@dataclass(frozen=True, slots=True)
class Causal:
    """Replays each key's ops."""

    name: str = "causal"

    def check(self, history: History, budget: Budget) -> Verdict:
        """O(n); decodes each op."""
        return keyed.judge(history, _check)


def make(options: CheckOptions) -> Causal:
    """The checker; it has no options."""
    return Causal()


@dataclass(slots=True)
class _Register:
    """What has been replayed: the last written number, and the last op with its position."""

    value: int = 0
    last: int = -1
    position: Value = None

    def step(self, f: str, value: Value) -> str:
        """Apply one op; what is wrong with it, or ""."""
        value, position, link = _split(value)
        if link is not None and link not in ("init", self.position):
            return f"it links to {show(link)}, but the last op was at {show(self.position)}"
        if f == WRITE:
            if value != self.value + 1:
                return f"it writes {show(value)} where {self.value + 1} comes next"
            self.value += 1
        elif value is not None and value != self.value:
            return f"it shows {show(value)}, but {self.value} is the last write before it"
        self.position = position
        return ""


def _split(value: Value) -> tuple[Value, Value, Value]:
    if isinstance(value, Mapping):
        return value.get("value"), value.get("position"), value.get("link")
    return value, None, None


def _check(history: History) -> Verdict:
    ok = history.client & (history.type == Type.OK) & history.is_f(*READS, WRITE)
    rows = np.flatnonzero(ok)
    register = _Register()
    codes, values = history.f[rows].tolist(), history.values(rows)
    for number, (row, f, value) in enumerate(zip(rows.tolist(), codes, values, strict=True)):
        wrong = register.step(history.names[f], value)
        if wrong:
            anomaly = Anomaly(
                "causal-violation",
                f"{quote(history, row)} is out of its causal order: {wrong}",
                ops=indexes(history, [register.last, row]),
            )
            return Verdict.invalid(anomaly.explanation, judged=number + 1, anomalies=[anomaly])
        register.last = row
    if not len(rows):
        return Verdict.unknown("no ok op to judge")
    return Verdict.valid(f"{count(len(rows), 'op')} in causal order", judged=len(rows))

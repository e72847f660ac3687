"""Sequential: one client's inserts become visible in the order in which it made them.

A client inserts the parts of a key in order; readers ask for the parts in reverse. Once a part
is seen, all parts inserted before it (which stand after it in the answer) must be there: a null
after a value is a violation (Jepsen, `cockroach/sequential.clj`; elle-cli, `sequential`).

The value of a read is `[key, parts]`, or `parts` where the key is the op's independent key.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from seatrial.checker import Budget, CheckOptions
from seatrial.checkers.wording import EXAMPLES_MAX, count, indexes, quote
from seatrial.history import NIL, History
from seatrial.op import Type, Value
from seatrial.verdict import Anomaly, Json, Verdict


@dataclass(frozen=True, slots=True)
class Sequential:
    """Judges each `ok` read by itself."""

    name: str = "sequential"

    def check(self, history: History, budget: Budget) -> Verdict:
        """O(n) for n parts read; decodes each read."""
        ok = history.client & history.is_f("read") & (history.type == Type.OK)
        reads = np.flatnonzero(ok)
        keyed = (history.key[reads] != NIL).tolist()
        seen: dict[str, int] = {"some": 0, "none": 0}
        bad = []
        for row, value, has_key in zip(reads.tolist(), history.values(reads), keyed, strict=True):
            parts = _parts(value, has_key)
            if parts is None:
                return Verdict.unknown(f"{quote(history, row)} is no pair of a key and its parts")
            seen["none" if all(part is None for part in parts) else "some"] += 1
            if _hole(parts):
                bad.append(row)
        return _verdict(history, len(reads), bad, {**seen, "bad": len(bad)})


def make(options: CheckOptions) -> Sequential:
    """The checker; it has no options."""
    return Sequential()


def _parts(value: Value, keyed: bool) -> tuple[Value, ...] | None:
    if not keyed:
        if not isinstance(value, tuple) or len(value) != 2:
            return None
        value = value[1]
    if value is None:
        return ()
    return value if isinstance(value, tuple) else None


def _hole(parts: tuple[Value, ...]) -> bool:
    """Whether a null stands after a value."""
    begun = False
    for part in parts:
        if part is None and begun:
            return True
        begun = begun or part is not None
    return False


def _verdict(history: History, judged: int, bad: list[int], details: dict[str, Json]) -> Verdict:
    if not judged:
        return Verdict.unknown("no ok read to judge")
    if not bad:
        cause = f"{count(judged, 'read')} show inserts in the order in which they were made"
        return Verdict.valid(cause, judged=judged, details=details)
    more = "" if len(bad) == 1 else f"; so do {count(len(bad) - 1, 'more read')}"
    anomaly = Anomaly(
        "nonsequential-read",
        f"{quote(history, bad[0])} shows a later insert of the client without an earlier one{more}",
        ops=indexes(history, bad[:EXAMPLES_MAX]),
        count=len(bad),
    )
    return Verdict.invalid(anomaly.explanation, judged=judged, anomalies=[anomaly], details=details)

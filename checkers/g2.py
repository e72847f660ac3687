"""G2: of two inserts guarded by a predicate on each other, at most one may succeed.

For each key two transactions each look for the other's row and insert their own only if there is
none. Both succeeding is an anti-dependency cycle through predicates, Adya's G2 (Adya, "Weak
Consistency", 1999; Jepsen, `tests/adya.clj`). The key is the op's independent key, or the first
part of a value `[key, [a, b]]`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from seatrial.checker import Budget, CheckOptions
from seatrial.checkers.wording import EXAMPLES_MAX, count, indexes, quote, values
from seatrial.history import NIL, History
from seatrial.op import Type
from seatrial.verdict import Anomaly, Json, Verdict


@dataclass(frozen=True, slots=True)
class G2:
    """Judges `ok` ops `insert`, key by key."""

    name: str = "g2"

    def check(self, history: History, budget: Budget) -> Verdict:
        """O(n log n)."""
        rows = np.flatnonzero(history.client & history.is_f("insert"))
        key = history.key[rows].copy()
        for at in np.flatnonzero(key == NIL).tolist():
            value = history.value(int(rows[at]))
            if not isinstance(value, tuple) or len(value) != 2:
                said = quote(history, int(rows[at]))
                return Verdict.unknown(f"{said} is no pair of a key and two ids")
            key[at] = history.atoms.encode(value[0])
        keys, which = np.unique(key, return_inverse=True)
        ok = history.type[rows] == Type.OK
        succeeded = np.bincount(which[ok], minlength=len(keys))
        bad = np.flatnonzero(succeeded > 1)
        details: dict[str, Json] = {
            "keys": len(keys),
            "inserted": int(np.count_nonzero(succeeded)),
            "illegal": len(bad),
        }
        judged = int(np.count_nonzero(succeeded))
        if not judged:
            return Verdict.unknown("no insert succeeded", details=details)
        if not len(bad):
            cause = f"{count(judged, 'key')}, each inserted once"
            return Verdict.valid(cause, judged=judged, details=details)
        proof = rows[ok & np.isin(which, bad[:EXAMPLES_MAX])]
        names = values(history, keys[bad])
        one = rows[ok & (which == bad[0])]
        anomaly = Anomaly(
            "G2",
            f"{count(len(bad), 'key')} ({names}) inserted more than once although each insert "
            f"requires that there is none: {quote(history, int(one[0]))} and "
            f"{quote(history, int(one[1]))}",
            ops=indexes(history, proof.tolist()),
            count=len(bad),
        )
        return Verdict.invalid(
            anomaly.explanation, judged=judged, anomalies=[anomaly], details=details
        )


def make(options: CheckOptions) -> G2:
    """The checker; it has no options."""
    return G2()

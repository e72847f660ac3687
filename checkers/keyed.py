"""Judging independent keys one by one (Jepsen's `independent`).

Ops of different keys have nothing to do with each other, so a history with keys is cut into one
history a key, each is judged, and the verdicts are joined: `invalid` beats `unknown` beats
`valid` (Jepsen, `independent.clj`, `checker`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from seatrial.checkers.wording import EXAMPLES_MAX, count, show
from seatrial.history import NIL, History
from seatrial.op import Value
from seatrial.verdict import Json, Validity, Verdict, join


def split(history: History) -> Iterator[tuple[Value, History]]:
    """Each independent key with its ops, in order of first appearance of the key. O(n log n)."""
    rows = np.flatnonzero(history.client & (history.key != NIL))
    order = rows[np.argsort(history.key[rows], kind="stable")]
    keys = history.key[order]
    cuts = np.flatnonzero(np.diff(keys)) + 1
    groups = np.split(order, cuts) if len(order) else []
    for group in sorted(groups, key=lambda part: int(part[0])):
        yield history.atoms.decode(int(history.key[group[0]])), history.take(group)


def judge(history: History, check: Callable[[History], Verdict]) -> Verdict:
    """`check` on the whole history, or on each key's own where it has independent keys."""
    if not bool(np.any(history.client & (history.key != NIL))):
        return check(history)
    return _joined([(key, check(part)) for key, part in split(history)])


def _joined(verdicts: list[tuple[Value, Verdict]]) -> Verdict:
    answer = join(verdict.verdict for _, verdict in verdicts)
    judged = sum(verdict.judged for _, verdict in verdicts)
    same = [(key, verdict) for key, verdict in verdicts if verdict.verdict == answer]
    key, first = same[0]
    cause = first.cause if len(verdicts) == 1 else f"key {show(key)}: {first.cause}"
    if len(verdicts) > 1:
        cause += f" ({len(same):,} of {count(len(verdicts), 'key')} {answer.value})"
    anomalies = [
        replace(anomaly, explanation=f"key {show(key)}: {anomaly.explanation}")
        for key, verdict in same[:EXAMPLES_MAX]
        for anomaly in verdict.anomalies
    ]
    tally: dict[str, Json] = {
        each.value: sum(verdict.verdict == each for _, verdict in verdicts) for each in Validity
    }
    return Verdict(answer, cause, judged, anomalies=tuple(anomalies), details={"keys": tally})

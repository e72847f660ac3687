"""Mutual exclusion: no two clients surely hold one lock at once, leases included.

A client surely holds a lock from the `ok` of its `acquire` until it invokes `release`; with a lease
of `ttl_s` at most until that long after it *invoked* the acquire, since the lease may run from then
(Gray and Cheriton, SOSP 1989). What is not sure is in favour of the database: a lock may be
handed on as soon as its release was attempted. Without a lease, a client that never releases
holds to the end.

The lock is the op's independent key (or one for all). An acquire's value may be a map with `ttl_s`
and with a fencing `token`, which must grow from holder to holder.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from seatrial.checker import Budget, CheckOptions
from seatrial.checkers import keyed
from seatrial.checkers.settings import number
from seatrial.checkers.wording import EXAMPLES_MAX, count, indexes, quote
from seatrial.history import History, Kind
from seatrial.history.columns import I64
from seatrial.op import Type
from seatrial.verdict import Anomaly, Json, Verdict

NAME = "lock"


@dataclass(frozen=True, slots=True)
class Lock:
    """`ttl_s`: the lease of every acquire that does not bring its own; None: no lease."""

    ttl_s: float | None = None
    name: str = NAME

    def check(self, history: History, budget: Budget) -> Verdict:
        """O(n log n); decodes acquires whose value is a map."""
        return keyed.judge(history, lambda part: _check(part, self.ttl_s))


def make(options: CheckOptions) -> Lock:
    """The checker; option `ttl_s`: the lease in seconds."""
    return Lock(number(options, NAME, "ttl_s"))


def _check(history: History, ttl_s: float | None) -> Verdict:
    acquired = np.flatnonzero(history.client & history.is_f("acquire") & (history.type == Type.OK))
    if not len(acquired):
        return Verdict.unknown("no lock was acquired")
    end = _ends(history, acquired, ttl_s)
    anomalies = [
        *_overlaps(history, acquired, end),
        *_tokens(history, acquired),
        *_strange_releases(history, acquired),
    ]
    details: dict[str, Json] = {"acquired": len(acquired)}
    if anomalies:
        cause = anomalies[0].explanation
        return Verdict.invalid(cause, judged=len(acquired), anomalies=anomalies, details=details)
    cause = f"{count(len(acquired), 'holder')}, never two at once"
    return Verdict.valid(cause, judged=len(acquired), details=details)


def _ends(history: History, acquired: I64, ttl_s: float | None) -> I64:
    """The row until which each holder surely held the lock (exclusive)."""
    release = np.flatnonzero(
        history.client & history.is_f("release") & (history.type == Type.INVOKE)
    )
    end = np.full(len(acquired), len(history), np.int64)
    order = np.lexsort((release, history.process[release]))
    by_process = history.process[release][order].astype(np.int64) * len(history) + release[order]
    wanted = history.process[acquired].astype(np.int64) * len(history) + acquired
    place = np.searchsorted(by_process, wanted)
    there = place < len(by_process)
    mine = release[order][place[there]]
    same = history.process[mine] == history.process[acquired[there]]
    end[np.flatnonzero(there)[same]] = mine[same]
    return np.minimum(end, _lease_ends(history, acquired, ttl_s))


def _lease_ends(history: History, acquired: I64, ttl_s: float | None) -> I64:
    lease = np.full(len(acquired), np.inf if ttl_s is None else ttl_s)
    for at in np.flatnonzero(history.kind[acquired] == Kind.MAP).tolist():
        value = history.value(int(acquired[at]))
        own = value.get("ttl_s") if isinstance(value, Mapping) else None
        if isinstance(own, (int, float)):
            lease[at] = own
    began = np.where(history.pair[acquired] >= 0, history.pair[acquired], acquired)
    end = np.full(len(acquired), len(history), np.int64)
    leased = np.isfinite(lease)
    until = history.time_ns[began[leased]] + (lease[leased] * 1e9).astype(np.int64)
    end[leased] = np.searchsorted(history.time_ns, until)
    return end


def _overlaps(history: History, acquired: I64, end: I64) -> list[Anomaly]:
    """Holders in order; each must begin after all before it have ended."""
    furthest = np.maximum.accumulate(end)
    clash = np.flatnonzero(acquired[1:] < furthest[:-1]) + 1
    if not len(clash):
        return []
    rows = []
    for at in clash[:EXAMPLES_MAX].tolist():
        holder = int(np.argmax(end[:at]))
        rows.append((int(acquired[holder]), int(acquired[at])))
    first, second = rows[0]
    more = "" if len(clash) == 1 else f" ({count(len(clash), 'time')})"
    return [
        Anomaly(
            "mutual-exclusion",
            f"{quote(history, second)} acquired the lock while {quote(history, first)} still "
            f"held it{more}",
            ops=indexes(history, [row for pair in rows for row in pair]),
            count=len(clash),
        )
    ]


def _tokens(history: History, acquired: I64) -> list[Anomaly]:
    """A holder that began after another had acquired must have a greater token."""
    last: tuple[int, int] | None = None
    for row in acquired[history.kind[acquired] == Kind.MAP].tolist():
        value = history.value(row)
        token = value.get("token") if isinstance(value, Mapping) else None
        if not isinstance(token, int):
            continue
        began = int(history.pair[row])
        if last is not None and token <= last[0] and began > last[1]:
            return [
                Anomaly(
                    "fencing-token",
                    f"{quote(history, row)} got a token that is not greater than that of "
                    f"{quote(history, last[1])}, which had acquired the lock before",
                    ops=indexes(history, [last[1], row]),
                )
            ]
        if last is None or token > last[0]:
            last = (token, row)
    return []


def _strange_releases(history: History, acquired: I64) -> list[Anomaly]:
    """An `ok` release by a process that has not acquired since its last release."""
    released = np.flatnonzero(history.client & history.is_f("release") & (history.type == Type.OK))
    unsure = np.flatnonzero(history.client & history.is_f("acquire") & (history.type == Type.INFO))
    row = np.concatenate([acquired, unsure, released])
    gain = np.concatenate([np.ones(len(acquired) + len(unsure)), np.zeros(len(released))])
    order = np.lexsort((row, history.process[row]))
    process, holds = history.process[row][order], gain[order] > 0
    before = np.concatenate([[False], holds[:-1] & (process[1:] == process[:-1])])[: len(row)]
    bad = np.sort(row[order][~holds & ~before])
    if not len(bad):
        return []
    more = "" if len(bad) == 1 else f" ({count(len(bad), 'time')})"
    return [
        Anomaly(
            "release-without-holding",
            f"{quote(history, int(bad[0]))} released a lock that it did not hold{more}",
            ops=indexes(history, bad[:EXAMPLES_MAX].tolist()),
            count=len(bad),
        )
    ]

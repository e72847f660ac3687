"""Watches: what a client is told about changes, against etcd's guarantees (etcd, "KV API
guarantees", section on watch APIs).

An `ok` `watch` is a map: `start` (the revision it was asked from; 0 or absent: from now), and
`events` in the order of delivery, each a map of `revision`, `key` and `value`, or a bookmark
`{"bookmark": revision}`. An `ok` `put` may be a map of `key`, `value` and `revision`: an event
that surely exists. All events of all watches and puts together are what is known to exist.

- `watch-unordered` (ordered): a revision smaller than the one before it;
- `watch-duplicate` (unique): the same revision and key twice in one watch;
- `watch-torn` (atomic): a revision of several keys delivered with a part of them, or interrupted;
- `watch-lost` (reliable): a known event between the first and the last delivered is missing;
- `watch-not-resumed` (resumable): so is one between the asked start and the first delivered;
- `watch-bookmark` (bookmarkable): an event up to a bookmark's revision after the bookmark, or a
  known one up to it that had not been delivered before.

A watch of a single key says so with `key`; then only that key's events are expected.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from seatrial.checker import Budget, CheckOptions
from seatrial.checkers.wording import EXAMPLES_MAX, count, quote, show
from seatrial.history import History
from seatrial.op import Type, Value
from seatrial.verdict import Anomaly, Verdict

#: A revision and the key that it changed (as JSON text).
Change = tuple[int, str]


@dataclass(frozen=True, slots=True)
class Watch:
    """Judges each watch against all that is known."""

    name: str = "watch"

    def check(self, history: History, budget: Budget) -> Verdict:
        """O(e log e) for e events; decodes each."""
        ok = history.client & (history.type == Type.OK)
        streams = []
        watches = np.flatnonzero(ok & history.is_f("watch"))
        for row, value in zip(watches.tolist(), history.values(watches), strict=True):
            stream = _stream(value, int(history.index[row]))
            if isinstance(stream, str):
                return Verdict.unknown(f"{quote(history, row)} is no watch: {stream}")
            streams.append(stream)
        judged = sum(len(stream.changes) for stream in streams)
        if not judged:
            return Verdict.unknown("no watch delivered an event")
        known = _Known.of(streams, _puts(history))
        found: dict[str, list[tuple[str, int]]] = {}
        for stream in streams:
            for name, said in _faults(stream, known):
                found.setdefault(name, []).append((said, stream.index))
        if found:
            anomalies = [_anomaly(name, cases) for name, cases in found.items()]
            cause = anomalies[0].explanation
            return Verdict.invalid(cause, judged=judged, anomalies=anomalies)
        cause = f"{count(judged, 'event')} of {count(len(streams), 'watch', 'watches')} in order"
        return Verdict.valid(cause, judged=judged)


def make(options: CheckOptions) -> Watch:
    """The checker; it has no options."""
    return Watch()


@dataclass(frozen=True, slots=True)
class _Stream:
    """One watch: its changes in order, and its bookmarks as (place among them, revision)."""

    index: int
    start: int
    key: str | None
    changes: list[Change]
    bookmarks: list[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class _Known:
    """All changes that surely exist, ascending, in whole and by key."""

    all: list[Change]
    by_key: Mapping[str, list[Change]]

    @classmethod
    def of(cls, streams: list[_Stream], puts: list[Change]) -> _Known:
        every = sorted({change for stream in streams for change in stream.changes} | set(puts))
        by_key: dict[str, list[Change]] = {}
        for change in every:
            by_key.setdefault(change[1], []).append(change)
        return cls(every, by_key)

    def between(self, stream: _Stream, low: int, high: int) -> list[Change]:
        """What the stream must have delivered with revisions from `low` to `high`."""
        among = self.all if stream.key is None else self.by_key.get(stream.key, [])
        return among[bisect_left(among, (low, "")) : bisect_right(among, (high, "\U0010ffff"))]


def _stream(value: Value, index: int) -> _Stream | str:
    if not isinstance(value, Mapping):
        return "its value is not a map"
    events, start = value.get("events"), value.get("start") or 0
    if not isinstance(events, (tuple, list)) or not isinstance(start, int):
        return "it lacks a list of events or a start that is a revision"
    key = None if value.get("key") is None else show(value["key"])
    stream = _Stream(index, start, key, [], [])
    for event in events:
        if not isinstance(event, Mapping):
            return f"{show(event)} is no event"
        revision, mark = event.get("revision"), event.get("bookmark")
        if isinstance(mark, int):
            stream.bookmarks.append((len(stream.changes), mark))
        elif isinstance(revision, int):
            stream.changes.append((revision, show(event.get("key"))))
        else:
            return f"{show(event)} has neither a revision nor a bookmark"
    return stream


def _puts(history: History) -> list[Change]:
    out = []
    ok = history.client & (history.type == Type.OK) & history.is_f("put")
    for value in history.values(np.flatnonzero(ok)):
        revision = value.get("revision") if isinstance(value, Mapping) else None
        if isinstance(value, Mapping) and isinstance(revision, int):
            out.append((revision, show(value.get("key"))))
    return out


def _faults(stream: _Stream, known: _Known) -> Iterator[tuple[str, str]]:
    """All that is wrong with one watch, as (name, sentence)."""
    yield from _order(stream)
    delivered = set(stream.changes)
    if stream.changes:
        first = min(revision for revision, _ in stream.changes)
        last = max(revision for revision, _ in stream.changes)
        for change in known.between(stream, first, last):
            if change not in delivered:
                beside = any(revision == change[0] for revision, _ in delivered)
                yield "watch-torn" if beside else "watch-lost", f"it never delivered {_say(change)}"
        if 0 < stream.start <= first:
            for change in known.between(stream, stream.start, first - 1):
                yield (
                    "watch-not-resumed",
                    f"asked from revision {stream.start}, it began at {first} without "
                    f"{_say(change)}",
                )
    yield from _bookmarks(stream, known)


def _order(stream: _Stream) -> Iterator[tuple[str, str]]:
    seen: set[Change] = set()
    closed: set[int] = set()
    last: Change | None = None
    for change in stream.changes:
        if change in seen:
            yield "watch-duplicate", f"it delivered {_say(change)} twice"
        elif last is not None and change[0] < last[0]:
            name = "watch-torn" if change[0] in closed else "watch-unordered"
            yield name, f"it delivered {_say(change)} after {_say(last)}"
        if last is not None and last[0] != change[0]:
            closed.add(last[0])
        seen.add(change)
        last = change


def _bookmarks(stream: _Stream, known: _Known) -> Iterator[tuple[str, str]]:
    for place, revision in stream.bookmarks:
        late = [change for change in stream.changes[place:] if change[0] <= revision]
        for change in late[:1]:
            said = f"it delivered {_say(change)} after a bookmark at revision {revision}"
            yield "watch-bookmark", said
        before = set(stream.changes[:place])
        low = stream.start or min((change[0] for change in before), default=revision + 1)
        for change in known.between(stream, low, revision):
            if change not in before and change not in late:
                said = f"a bookmark at revision {revision} came without {_say(change)}"
                yield "watch-bookmark", said


def _say(change: Change) -> str:
    return f"revision {change[0]} (key {change[1]})"


def _anomaly(name: str, cases: list[tuple[str, int]]) -> Anomaly:
    said, index = cases[0]
    more = "" if len(cases) == 1 else f" ({count(len(cases), 'case')})"
    return Anomaly(
        name,
        f"the watch of op {index}: {said}{more}",
        ops=tuple(sorted({index for _, index in cases[:EXAMPLES_MAX]})),
        steps=tuple(f"op {index}: {said}" for said, index in cases[:EXAMPLES_MAX]),
        count=len(cases),
    )

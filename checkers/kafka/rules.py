"""The anomalies of logs that one or two ops show, by Jepsen's names.

- `inconsistent-offsets`: one offset held two messages; `duplicate`: one message at two offsets;
- `lost-write`: a message that took effect was never polled, though a later one was;
- `unseen`: an acknowledged message was never polled by the end;
- `G1a`: a message of a failed send was polled; `garbage-read`: one that nobody sent;
- `precommitted-read`: a transaction polled its own message before it committed;
- `int-poll-skip`, `int-nonmonotonic-poll`, `int-send-skip`, `int-nonmonotonic-send`: inside one
  op, neighbouring polls or sends of a key leave out messages, or go back;
- `poll-skip`, `nonmonotonic-poll`, `nonmonotonic-send`: the same from one op of a process to the
  next, unless it has chosen other keys between. A consumer goes on from its last `ok` poll.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

from seatrial.checkers.kafka.events import CHOICE, Event, Key, Message, Pair
from seatrial.checkers.kafka.orders import Log, Orders
from seatrial.checkers.wording import listed
from seatrial.op import Type

_EMPTY = Log()


@dataclass(frozen=True, slots=True)
class Case:
    """One instance of an anomaly: its name, a sentence, the ops that prove it."""

    name: str
    said: str
    events: tuple[Event, ...]


def all_cases(events: list[Event], orders: Orders) -> Iterator[Case]:
    """Every instance of every rule. O(n log n)."""
    yield from _logs(orders)
    yield from _lost(orders)
    yield from _unseen(events)
    for event in events:
        if event.type != Type.INVOKE:
            yield from _inside(event, orders)
    yield from _between(events, orders)


def _messages(messages: Iterable[Message]) -> str:
    return listed(str(message) for message in messages)


def _witnesses(orders: Orders, key: Key, message: Message) -> tuple[Event, ...]:
    writer = orders.writer.get((key, message))
    readers = orders.readers.get((key, message), [])[:1]
    return (*([writer] if writer else []), *readers)


# ── whole logs ───────────────────────────────────────────────────────────────────────────────


def _logs(orders: Orders) -> Iterator[Case]:
    for key, log in orders.logs.items():
        offsets: dict[Message, list[int]] = {}
        for offset, messages in sorted(log.at.items()):
            for message in messages:
                offsets.setdefault(message, []).append(offset)
            if len(messages) > 1:
                yield Case(
                    "inconsistent-offsets",
                    f"offset {offset} of log {key} held {_messages(messages)}",
                    tuple(e for m in messages for e in _witnesses(orders, key, m)),
                )
        for message, places in offsets.items():
            if len(places) > 1:
                yield Case(
                    "duplicate",
                    f"message {message} of log {key} stood at offsets {_messages(places)}",
                    _witnesses(orders, key, message),
                )


def _lost(orders: Orders) -> Iterator[Case]:
    """Messages before the latest one polled that nobody polled.

    Contradicting logs are read in favour of the database: the latest polled is taken where it
    first stood, and a message is expected only from where it last stood.
    """
    polled: dict[Key, set[Message]] = {}
    for key, message in orders.seen:
        polled.setdefault(key, set()).add(message)
    for key, messages in polled.items():
        log = orders.logs.get(key, _EMPTY)
        first: dict[Message, int] = {}
        last: dict[Message, int] = {}
        for place, offset in enumerate(sorted(log.at)):
            for message in log.at[offset]:
                first.setdefault(message, place)
                last[message] = place
        known = [message for message in messages if message in first]
        if not known:
            continue
        top = max(known, key=lambda message: first[message])
        for message, place in last.items():
            writer = orders.writer.get((key, message))
            missing = message not in messages and place <= first[top]
            if missing and writer is not None and orders.took_effect(writer):
                reader = next(e for e in orders.readers[key, top] if e.type == Type.OK)
                yield Case(
                    "lost-write",
                    f"message {message} of log {key} was sent by op {writer.index} and never "
                    f"polled, though op {reader.index} polled {top}, which stands after it",
                    (writer, reader),
                )


def _unseen(events: list[Event]) -> Iterator[Case]:
    sent: dict[tuple[Key, Message], Event] = {}
    for event in events:
        if event.type == Type.OK:
            sent.update((pair, event) for pair in event.sent())
    for event in events:
        if event.type == Type.OK:
            for pair in event.polled():
                sent.pop(pair, None)
    for (key, message), event in sent.items():
        said = f"message {message} of log {key}, sent by op {event.index}, was never polled"
        yield Case("unseen", said, (event,))


# ── one op ───────────────────────────────────────────────────────────────────────────────────


def _inside(event: Event, orders: Orders) -> Iterator[Case]:
    own = set(event.sent())
    told: set[Key] = set()
    for key, message in event.polled():
        writer = orders.writer.get((key, message))
        what = f"op {event.index} polled message {message} of log {key}"
        if (key, message) in own and key not in told:
            told.add(key)
            said = f"{what}, which it sent itself and had not committed yet"
            yield Case("precommitted-read", said, (event,))
        if writer is None:
            yield Case("garbage-read", f"{what}, which nobody sent", (event,))
        elif writer.type == Type.FAIL and event.type == Type.OK:
            said = f"{what}, though its send (op {writer.index}) had failed"
            yield Case("G1a", said, (writer, event))
    yield from _steps(event, event.polls, "poll", orders)
    yield from _steps(event, event.sends, "send", orders)


def _steps(event: Event, source: Iterable[Key], what: str, orders: Orders) -> Iterator[Case]:
    lists = event.polls if what == "poll" else event.sends
    for key in source:
        log = orders.logs.get(key, _EMPTY)
        for (_, first), (_, second) in pairwise(lists[key]):
            delta = log.delta(first, second)
            said = f"op {event.index} {what}ed {first} and then {second} of log {key}"
            if delta > 1:
                skipped = _messages(log.between(first, second))
                yield Case(f"int-{what}-skip", f"{said}; {skipped} stood between", (event,))
            elif delta < 1:
                back = "the same again" if not delta else "which stands before it"
                yield Case(f"int-nonmonotonic-{what}", f"{said}, {back}", (event,))


# ── one process ──────────────────────────────────────────────────────────────────────────────


def _between(events: list[Event], orders: Orders) -> Iterator[Case]:
    polled: dict[int, dict[Key, Event]] = {}
    sent: dict[int, dict[Key, Event]] = {}
    for event in events:
        mine = polled.setdefault(event.process, {}), sent.setdefault(event.process, {})
        if event.f in CHOICE:
            if event.type in (Type.OK, Type.INFO):
                for last in mine:
                    for key in [key for key in last if key not in event.chosen]:
                        del last[key]
            continue
        if event.type == Type.INVOKE:
            continue
        yield from _onward(event, mine[0], "poll", orders)
        if event.type == Type.OK:
            mine[0].update((key, event) for key in event.polls)
        if event.type != Type.FAIL:
            yield from _onward(event, mine[1], "send", orders)
            mine[1].update((key, event) for key in event.sends)


def _onward(event: Event, last: dict[Key, Event], what: str, orders: Orders) -> Iterator[Case]:
    for key, pairs in (event.polls if what == "poll" else event.sends).items():
        before = last.get(key)
        former: list[Pair] = []
        if before is not None:
            former = (before.polls if what == "poll" else before.sends)[key]
        if before is None or not former or not pairs:
            continue
        log = orders.logs.get(key, _EMPTY)
        first, second = former[-1][1], pairs[0][1]
        delta = log.delta(first, second)
        said = (
            f"process {event.process} {what}ed {first} of log {key} (op {before.index}) and "
            f"next {second} (op {event.index})"
        )
        if delta > 1 and what == "poll":
            skipped = _messages(log.between(first, second))
            yield Case("poll-skip", f"{said}, leaving out {skipped}", (before, event))
        elif delta < 1:
            back = "the same again" if not delta else "which stands before it"
            yield Case(f"nonmonotonic-{what}", f"{said}, {back}", (before, event))

"""What stood at each offset of each log, and who sent and polled each message.

Sends count only if they surely took effect: `ok`, or `info` with a message that an `ok` poll saw.
Polls count always, even of aborted transactions: a consumer must never be given wrong messages.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from seatrial.checkers.kafka.events import Event, Key, Message
from seatrial.op import Type


@dataclass(slots=True)
class Log:
    """One key's log. `at[offset]` are the messages seen there (one, unless they contradict).

    `order` lists a message for each offset that holds any, gaps removed; `place` is its inverse.
    """

    at: dict[int, list[Message]] = field(default_factory=dict)
    order: list[Message] = field(default_factory=list)
    place: dict[Message, int] = field(default_factory=dict)

    def put(self, offset: int, message: Message) -> None:
        """Note that `message` was seen at `offset`."""
        there = self.at.setdefault(offset, [])
        if message not in there:
            there.append(message)

    def settle(self) -> None:
        """Fix the order once all is noted. O(n log n)."""
        self.order = [self.at[offset][0] for offset in sorted(self.at)]
        self.place = {message: place for place, message in enumerate(self.order)}

    def delta(self, first: Message, second: Message) -> int:
        """How far `second` stands behind `first`; 1 (in order) if either place is unknown."""
        one, two = self.place.get(first), self.place.get(second)
        return 1 if one is None or two is None else two - one

    def between(self, first: Message, second: Message) -> list[Message]:
        """The messages that stand between two."""
        return self.order[self.place[first] + 1 : self.place[second]]


@dataclass(frozen=True, slots=True)
class Orders:
    """All logs by key; who sent (the last completion) and who polled each (key, message)."""

    logs: dict[Key, Log]
    writer: dict[tuple[Key, Message], Event]
    readers: dict[tuple[Key, Message], list[Event]]
    seen: set[tuple[Key, Message]]

    def took_effect(self, event: Event) -> bool:
        """Whether the op's sends surely took effect."""
        return took_effect(event, self.seen)


def took_effect(event: Event, seen: set[tuple[Key, Message]]) -> bool:
    """`ok`, or `info` with a message that an `ok` poll saw."""
    if event.type == Type.OK:
        return True
    return event.type == Type.INFO and any(pair in seen for pair in event.sent())


def find_orders(events: Iterable[Event]) -> Orders:
    """Build the logs. O(n log n) for n messages sent and polled."""
    done = [event for event in events if event.type != Type.INVOKE]
    seen = {pair for event in done if event.type == Type.OK for pair in event.polled()}
    logs: dict[Key, Log] = {}
    writer: dict[tuple[Key, Message], Event] = {}
    readers: dict[tuple[Key, Message], list[Event]] = {}
    for event in done:
        sources = [event.polls]
        if took_effect(event, seen):
            sources.append(event.sends)
        for source in sources:
            for key, pairs in source.items():
                log = logs.setdefault(key, Log())
                for offset, message in pairs:
                    if offset is not None:
                        log.put(offset, message)
        writer.update((pair, event) for pair in event.sent())
        for pair in event.polled():
            readers.setdefault(pair, []).append(event)
    for log in logs.values():
        log.settle()
    return Orders(logs, writer, readers, seen)

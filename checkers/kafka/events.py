"""Ops on logs, read from a history: what each sent and polled, by key.

A micro-op is `["send", key, message]`, completed as `["send", key, [offset, message]]`; or
`["poll"]`, completed as `["poll", {key: [[offset, message], …]}]`.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from seatrial.checker import Budget
from seatrial.history import History
from seatrial.op import Type, Value

Key: TypeAlias = Hashable
Message: TypeAlias = Hashable
#: An offset (None: unknown) and the message there.
Pair: TypeAlias = tuple[int | None, Message]

_Lists: TypeAlias = dict[Key, list[Pair]]

#: The clock is looked at once in so many ops.
CLOCK_OPS = 4096
#: Kinds of op that send or poll.
DATA = ("send", "poll", "txn")
#: Kinds of op that choose what a consumer reads.
CHOICE = ("assign", "subscribe")


@dataclass(frozen=True, slots=True)
class Event:
    """One op: what it sent and polled by key, in order; or the keys that it chose."""

    row: int
    index: int
    type: Type
    process: int
    f: str
    sends: Mapping[Key, list[Pair]] = field(default_factory=dict)
    polls: Mapping[Key, list[Pair]] = field(default_factory=dict)
    chosen: frozenset[Key] = frozenset()

    def sent(self) -> Iterator[tuple[Key, Message]]:
        """Each (key, message) that this op sent."""
        return ((key, message) for key, pairs in self.sends.items() for _, message in pairs)

    def polled(self) -> Iterator[tuple[Key, Message]]:
        """Each (key, message) that this op polled."""
        return ((key, message) for key, pairs in self.polls.items() for _, message in pairs)


class Malformed(Exception):
    """An op's value is not what the workload says; the message names the op's index."""


class OutOfTime(Exception):
    """The budget ended while ops were read; the message says how far it got."""


def read_events(history: History, budget: Budget) -> list[Event]:
    """All client ops on logs, in order. O(size of the history), one object for each op."""
    rows = np.flatnonzero(history.client & history.is_f(*DATA, *CHOICE))
    names, types = history.names, list(Type)
    columns = (rows, history.index[rows], history.type[rows], history.process[rows])
    events: list[Event] = []
    for row, index, kind, process, f, value in zip(
        *(column.tolist() for column in columns),
        history.f[rows].tolist(),
        history.values(rows),
        strict=True,
    ):
        if len(events) % CLOCK_OPS == 0 and budget.left_s <= 0:
            raise OutOfTime(f"out of time after reading {len(events):,} of {len(rows):,} ops")
        sends, polls, chosen = _read(names[f], value, index)
        events.append(Event(row, index, types[kind], process, names[f], sends, polls, chosen))
    return events


def _read(f: str, value: Value, index: int) -> tuple[_Lists, _Lists, frozenset[Key]]:
    """What an op sent, polled and chose."""
    sends: dict[Key, list[Pair]] = {}
    polls: dict[Key, list[Pair]] = {}
    chosen: frozenset[Key] = frozenset()
    try:
        if f in CHOICE:
            chosen = frozenset(_key(key) for key in _items(value))
        else:
            for micro_op in _items(value):
                _read_micro(_items(micro_op), sends, polls)
    except ValueError as error:
        raise Malformed(f"op {index} ({f}) cannot be read: {error}") from None
    return sends, polls, chosen


def _read_micro(
    micro_op: tuple[Value, ...], sends: dict[Key, list[Pair]], polls: dict[Key, list[Pair]]
) -> None:
    if micro_op[:1] == ("send",) and len(micro_op) == 3:
        key, message = _key(micro_op[1]), micro_op[2]
        pair: Pair = (None, _message(message))
        if isinstance(message, (tuple, list)):
            pair = _pair(message)
        sends.setdefault(key, []).append(pair)
    elif micro_op[:1] == ("poll",):
        for name, pairs in _map(micro_op[1] if len(micro_op) > 1 else None).items():
            polls.setdefault(_key(name), []).extend(_pair(_items(pair)) for pair in _items(pairs))
    else:
        raise ValueError(f"{micro_op!r} is neither a send nor a poll")


def _items(value: Value) -> tuple[Value, ...]:
    if value is None:
        return ()
    if not isinstance(value, (tuple, list)):
        raise ValueError(f"{value!r} is no list")
    return tuple(value)


def _map(value: Value) -> Mapping[str, Value]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ValueError(f"{value!r} is no map from keys to messages")
    return value


def _pair(pair: tuple[Value, ...] | list[Value]) -> Pair:
    if len(pair) != 2 or not (pair[0] is None or (type(pair[0]) is int and pair[0] >= 0)):
        raise ValueError(f"{pair!r} is no pair of an offset and a message")
    return pair[0], _message(pair[1])


def _key(key: Value) -> Key:
    """A key as maps and sends both write it: the text `"7"` is 7."""
    if isinstance(key, str) and key.lstrip("-").isdigit():
        return int(key)
    return _message(key)


def _message(value: Value) -> Message:
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return json.dumps(value)

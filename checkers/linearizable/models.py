"""What an object is allowed to do: models of the general search, and how their ops are read.

A model says, for a state, an `f` and a value, which state comes after, or that it cannot happen
(None). The user's own is a small class:

    class Toggle:
        initial = False
        reads = frozenset({"read"})

        def step(self, state, f, value):
            if f == "flip":
                return not state
            return state if value is state else None
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from seatrial.op import Value


class Unseen(Enum):
    """The answer of a call that nobody saw end: it may have been anything."""

    UNSEEN = "?"


UNSEEN = Unseen.UNSEEN
Answer = Value | Unseen


class Model(Protocol):
    """The rules of one object.

    `initial`: its first state. `reads`: the `f`s that never change the state; their value is the
    completion's. `step(state, f, value)`: the state afterwards, or None if it cannot happen. States
    are hashable, never None and never changed in place.
    """

    @property
    def initial(self) -> Hashable: ...
    @property
    def reads(self) -> frozenset[str]: ...
    def step(self, state: Hashable, f: str, value: Answer) -> Hashable | None: ...


State = Hashable
Step = Callable[[State, str, Answer], State | None]


@dataclass(frozen=True, slots=True)
class Rules:
    """A built-in model: its first state, its reads, its answering `f`s, its step.

    `answers`: the `f`s whose completion carries what they returned (reads are among them).
    `owned`: the value becomes `(process, value)`, because who does it matters.
    """

    initial: Hashable
    reads: frozenset[str]
    answers: frozenset[str]
    fs: frozenset[str]
    rule: Step
    owned: bool = False

    def step(self, state: Hashable, f: str, value: Answer) -> Hashable | None:
        """The state afterwards, or None if it cannot happen."""
        return self.rule(state, f, value)


def _as_tuple(value: Answer) -> tuple[Value, ...] | None:
    return value if isinstance(value, tuple) else None


def _kv(state: State, f: str, value: Answer) -> State | None:
    """State: a 1-tuple of the key's value. `append` to what is not there starts from nothing."""
    assert isinstance(state, tuple)
    if f in ("put", "write"):
        return (value,)
    if f == "delete":
        return (None,)
    if f == "append":
        old = state[0]
        if isinstance(old, tuple):
            return ((*old, value),)
        return (("" if old is None else str(old)) + str(value),)
    same = state[0] == value or (state[0] in (None, "") and value in (None, ""))
    return state if same else None


def _fifo(state: State, f: str, value: Answer) -> State | None:
    assert isinstance(state, tuple)
    if f == "enqueue":
        return (*state, value)
    return _taken(state, value, 0)


def _taken(state: tuple[Value, ...], value: Answer, place: int) -> State | None:
    """The queue or stack without its next element, if that is what was returned."""
    if not state:
        return state if value is None or value is UNSEEN else None
    if value is not UNSEEN and state[place] != value:
        return None
    return state[1:] if place == 0 else state[:-1]


def _stack(state: State, f: str, value: Answer) -> State | None:
    assert isinstance(state, tuple)
    if f in ("push", "enqueue"):
        return (*state, value)
    if f == "peek":
        return state if (state[-1] if state else None) == value else None
    return _taken(state, value, -1)


def _sort_key(value: Value) -> tuple[int, float, str]:
    if isinstance(value, (bool, int, float)):
        return (0, float(value), "")
    return (1, 0.0, str(value))


def _priority(largest_first: bool) -> Step:
    def step(state: State, f: str, value: Answer) -> State | None:
        assert isinstance(state, tuple)
        if f in ("enqueue", "add", "push", "insert"):
            return tuple(sorted((*state, value), key=_sort_key, reverse=largest_first))
        return _taken(state, value, 0)

    return step


def _bag(state: State, f: str, value: Answer) -> State | None:
    """State: the elements with their counts, as a frozen set of pairs."""
    assert isinstance(state, frozenset)
    counts: dict[Value, int] = dict(state)
    if f in ("enqueue", "add"):
        assert value is not UNSEEN
        counts[value] = counts.get(value, 0) + 1
        return frozenset(counts.items())
    if value is None or value is UNSEEN:
        return state if not state or value is UNSEEN else None
    left = counts.get(value, 0)
    if not left:
        return None
    counts[value] = left - 1
    return frozenset((item, n) for item, n in counts.items() if n)


def _set(state: State, f: str, value: Answer) -> State | None:
    """`add` and `remove` take x, or `[x done]` where they tell; `contains` takes `[x there]`."""
    assert isinstance(state, frozenset)
    if f == "read":
        seen = _as_tuple(value)
        return state if frozenset(seen or ()) == state and len(seen or ()) == len(state) else None
    pair = _as_tuple(value)
    x, told = pair if pair is not None and len(pair) == 2 else (value, None)
    there = x in state
    if f == "contains":
        return state if told is None or told == there else None
    if told is not None and told == (there if f == "add" else not there):
        return None
    return state | {x} if f == "add" else state - {x}


def _registers(nil_reads_any: bool) -> Step:
    """State: a frozen set of (key, value) pairs; an absent key holds nil."""

    def step(state: State, f: str, value: Answer) -> State | None:
        assert isinstance(state, frozenset)
        held: dict[Value, Value] = dict(state)
        unseen = f.endswith("?")
        micro_ops = _as_tuple(value)
        for micro_op in micro_ops or ():
            if not isinstance(micro_op, tuple) or len(micro_op) != 3:
                return None
            name, key, argument = micro_op
            if name in ("w", "write"):
                held[key] = argument
            elif unseen or (argument is None and nil_reads_any):
                continue
            elif held.get(key) != argument:
                return None
        return frozenset(held.items())

    return step


def _owner_of(value: Answer) -> tuple[Hashable, Value]:
    """Who acts (the value's `client`, else the process) and what they said."""
    assert isinstance(value, tuple)
    process, said = value
    if isinstance(said, Mapping):
        token = said.get("fence", said.get("token"))
        return (said.get("client", process), token)
    return (process, said)


def _owner_mutex(state: State, f: str, value: Answer) -> State | None:
    """State: `(owner,)` or `()`."""
    who, _ = _owner_of(value)
    if f in ("acquire", "lock"):
        return (who,) if state == () else None
    return () if state == (who,) else None


def _reentrant(limit: int) -> Step:
    """State: `(owner, holds)` or `()`; at most `limit` holds by one owner."""

    def step(state: State, f: str, value: Answer) -> State | None:
        assert isinstance(state, tuple)
        who, _ = _owner_of(value)
        if f in ("acquire", "lock"):
            if not state:
                return (who, 1)
            return (who, state[1] + 1) if state[0] == who and state[1] < limit else None
        if not state or state[0] != who:
            return None
        return (who, state[1] - 1) if state[1] > 1 else ()

    return step


def _fenced(state: State, f: str, value: Answer) -> State | None:
    """State: `(owner or None, highest fence given)`; each acquire must give a higher fence."""
    assert isinstance(state, tuple)
    owner, fence = state
    who, token = _owner_of(value)
    if f in ("acquire", "lock"):
        if owner is not None:
            return None
        if token is None or not isinstance(token, (int, float)):
            return ((who,), fence)
        return ((who,), token) if token > fence else None
    return (None, fence) if owner == (who,) else None


def _rules(
    initial: Hashable, fs: str, reads: str, answers: str, rule: Step, owned: bool = False
) -> Rules:
    read = frozenset(reads.split())
    return Rules(
        initial,
        read,
        read | frozenset(answers.split()),
        read | frozenset(answers.split()) | frozenset(fs.split()),
        rule,
        owned,
    )


def _queue_state(initial: Value) -> tuple[Value, ...]:
    return initial if isinstance(initial, tuple) else ()


def kv(initial: Value) -> Rules:
    """One key of a store: get, put, append, delete. Absent and the empty text are one."""
    return _rules((initial,), "put write append delete", "get read", "", _kv)


def fifo_queue(initial: Value) -> Rules:
    """enqueue, dequeue (nil: it was empty)."""
    return _rules(_queue_state(initial), "enqueue", "", "dequeue", _fifo)


def stack(initial: Value) -> Rules:
    """push, pop (nil: it was empty), peek."""
    return _rules(_queue_state(initial), "push enqueue", "peek", "pop dequeue", _stack)


def priority_queue(initial: Value, largest_first: bool) -> Rules:
    """add, poll (nil: it was empty)."""
    start = tuple(sorted(_queue_state(initial), key=_sort_key, reverse=largest_first))
    fs = "enqueue add push insert"
    return _rules(start, fs, "", "dequeue poll pop remove", _priority(largest_first))


def unordered_queue(initial: Value) -> Rules:
    """enqueue, dequeue in any order (nil: it was empty)."""
    counts: dict[Value, int] = {}
    for value in _queue_state(initial):
        counts[value] = counts.get(value, 0) + 1
    return _rules(frozenset(counts.items()), "enqueue add", "", "dequeue poll", _bag)


def whole_set(initial: Value) -> Rules:
    """add, remove, contains, and a read of the whole."""
    return _rules(frozenset(_queue_state(initial)), "add remove", "read contains", "", _set)


def multi_register(initial: Value, nil_reads_any: bool) -> Rules:
    """Transactions of reads and writes over several registers."""
    start = frozenset(initial.items()) if isinstance(initial, Mapping) else frozenset()
    return _rules(start, "txn read write", "", "txn", _registers(nil_reads_any))


def owner_mutex() -> Rules:
    """A lock that only its holder can release."""
    return _rules((), "acquire lock release unlock", "", "", _owner_mutex, owned=True)


def reentrant_mutex(limit: int) -> Rules:
    """A lock that its holder can take again, up to `limit` times."""
    return _rules((), "acquire lock release unlock", "", "", _reentrant(limit), owned=True)


def fenced_mutex() -> Rules:
    """A lock whose acquisitions return ever higher fence numbers."""
    return _rules((None, -1), "release unlock", "", "acquire lock", _fenced, owned=True)

"""A tiny language for histories, and a brute-force judge to compare with.

One event a word: `0:w1` process 0 invokes write 1, `0.` it completes, `0=5` it completes with the
value 5, `0?` nobody knows, `0!` it failed. `r` read, `w` write, `c` compare-and-set (`0:c1,2`); any
other name is written out: `0:enqueue3`, `0:dequeue`. `nil` is nil. A `@k` after the event gives its
key: `0:w1@x`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

from seatrial.history import History, HistoryBuilder
from seatrial.op import Op, Type, Value

_EVENT = re.compile(r"(\d+)(:|\.|=|\?|!)([a-z-]*?)(nil|-?\d+(?:,-?\d+)*|true|false|)(?:@(\w+))?$")
_SHORT = {"r": "read", "w": "write", "c": "cas"}
_MARK = {".": Type.OK, "=": Type.OK, "?": Type.INFO, "!": Type.FAIL}


def _value(text: str) -> Value:
    if text in ("", "nil"):
        return None
    if text in ("true", "false"):
        return text == "true"
    numbers = tuple(int(part) for part in text.split(","))
    return numbers[0] if len(numbers) == 1 else numbers


def ops(text: str) -> list[Op]:
    """The ops of a history in the tiny language."""
    out: list[Op] = []
    opened: dict[int, Op] = {}
    for word in text.split():
        match = _EVENT.match(word)
        if match is None:
            raise ValueError(f"no event: {word}")
        process, mark, f, value, key = match.groups()
        if mark == ":":
            op = Op(Type.INVOKE, int(process), _SHORT.get(f, f), _value(value), key=key)
            opened[int(process)] = op
        else:
            before = opened.get(int(process))
            said = _value(value) if mark == "=" else before.value if before else None
            f, at = (before.f, before.key) if before else ("read", None)
            op = Op(_MARK[mark], int(process), f, said, key=at)
        out.append(op)
    return out


def history(text: str) -> History:
    """The history that the text tells."""
    return HistoryBuilder().extend(ops(text)).history()


@dataclass(frozen=True, slots=True)
class Done:
    """A call for the brute-force judge: when, what, and whether it may be left out."""

    begin: int
    end: float
    f: str
    value: Value
    process: int = 0
    pending: bool = False


Step = Callable[[Hashable, Done], Hashable | None]


def calls(events: Sequence[Op], answers: frozenset[str]) -> list[Done]:
    """Pair the events; failed calls and pending answers-only calls are left out."""
    out: list[Done] = []
    opened: dict[int, tuple[int, Op]] = {}
    for at, op in enumerate(events):
        if op.type == Type.INVOKE:
            opened[op.process] = (at, op)
            continue
        begin, call = opened.pop(op.process)
        if op.type == Type.FAIL:
            continue
        value = op.value if call.f in answers and op.type == Type.OK else call.value
        pending = op.type == Type.INFO
        end = float("inf") if pending else at
        out.append(Done(begin, end, call.f, value, op.process, pending))
    for begin, call in opened.values():
        out.append(Done(begin, float("inf"), call.f, call.value, call.process, True))
    return out


def brute_force(todo: Sequence[Done], initial: Hashable, step: Step) -> bool:
    """Whether some order of the calls (pending ones if need be) is legal. Exponential."""
    seen: set[tuple[frozenset[int], Hashable]] = set()

    def search(left: frozenset[int], state: Hashable) -> bool:
        if all(todo[i].pending for i in left):
            return True
        if (left, state) in seen:
            return False
        seen.add((left, state))
        first_end = min(todo[i].end for i in left)
        for i in left:
            if todo[i].begin < first_end or todo[i].end == first_end:
                after = step(state, todo[i])
                if after is not None and search(left - {i}, after):
                    return True
        return False

    return search(frozenset(range(len(todo))), initial)


def register_step(state: Hashable, call: Done) -> Hashable | None:
    """A register whose state is a 1-tuple."""
    assert isinstance(state, tuple)
    if call.f == "write":
        return (call.value,)
    if call.f == "cas":
        assert isinstance(call.value, tuple)
        return (call.value[1],) if state[0] == call.value[0] else None
    if call.pending:
        return state
    return state if state[0] == call.value else None

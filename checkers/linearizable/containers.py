"""Queues, stacks, bags, priority queues and sets."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace

import numpy as np

from seatrial.checker import CheckOptions
from seatrial.checkers.linearizable import frontier, models
from seatrial.checkers.linearizable.calls import (
    PENDING,
    Calls,
    Form,
    Malformed,
    Shape,
    keep,
    regroup,
)
from seatrial.checkers.linearizable.family import Family, Fast, Prepare, pure_mask
from seatrial.checkers.linearizable.matching import PEEK, PUT, TAKE
from seatrial.checkers.linearizable.modelled import ModelSteps
from seatrial.checkers.linearizable.priorities import judge_priorities
from seatrial.checkers.linearizable.queues import judge_queues
from seatrial.checkers.linearizable.scalars import SCALAR_PURE
from seatrial.checkers.linearizable.search import Machine
from seatrial.checkers.linearizable.stacks import judge_stacks
from seatrial.errors import UsageError
from seatrial.history import NIL
from seatrial.history.columns import I64, U8

_PUTS = ("enqueue", "add", "push", "put", "insert", "offer", "send")
_TAKES = ("dequeue", "poll", "pop", "take", "remove", "receive")


def _container(
    name: str, rules: models.Rules, fs: tuple[str, str, str], fast: Fast, prepare: Prepare | None
) -> Family:
    """A thing that values are put in and taken out of; `fs`: what the model calls it."""
    vocabulary = {
        **dict.fromkeys(_PUTS, Form(PUT)),
        **dict.fromkeys(_TAKES, Form(TAKE, output=True)),
        "peek": Form(PEEK, output=True, pure=True),
    }

    def machine(calls: Calls) -> Machine:
        return Machine(pure_mask(calls, (PEEK,)), steps=ModelSteps(rules, fs))

    def fast_if_empty(calls: Calls) -> tuple[U8, I64]:
        """The fast paths know things that are empty at first."""
        if rules.initial not in ((), frozenset()):
            return np.ones(calls.groups, np.uint8), np.full((calls.groups, 2), -1, np.int64)
        return fast(calls)

    return Family(
        name, vocabulary, machine, fast_if_empty, prepare, units=True, puts=(PUT,),
        takes=(TAKE,), told=_contents,
    )  # fmt: skip


def _contents(state: Hashable, calls: Calls) -> str:
    if isinstance(state, (tuple, frozenset)) and len(state) > 8:
        return f"holding {len(state)} values"
    if isinstance(state, frozenset):
        return "holding " + (", ".join(sorted(map(str, state))) or "nothing")
    assert isinstance(state, tuple)
    return "holding " + (", ".join(map(str, state)) or "nothing")


def fifo_queue(options: CheckOptions) -> Family:
    """First in, first out."""
    rules = models.fifo_queue(options.initial)
    names = ("enqueue", "dequeue", "peek")
    return _container("fifo-queue", rules, names, lambda c: judge_queues(c, True), None)


def unordered_queue(options: CheckOptions) -> Family:
    """What is put in comes out once, in any order."""
    rules = models.unordered_queue(options.initial)
    names = ("enqueue", "dequeue", "peek")
    return _container(
        "unordered-queue", rules, names, lambda c: judge_queues(c, False), _without_pending_takes
    )


def _without_pending_takes(calls: Calls) -> Calls | Malformed:
    """A pending take only makes fewer things be there: without empty answers it says nothing."""
    pending = (calls.op == TAKE) & (calls.res >= PENDING)
    empty = (calls.op == TAKE) & (calls.a == NIL)
    if not pending.any():
        return calls
    if empty.any():
        index = int(calls.history.index[calls.inv[np.flatnonzero(pending)[0]]])
        return Malformed(
            f"op {index} is a dequeue that nobody saw end, and others found the queue empty: "
            "for an unordered queue this is not decided",
            index,
        )
    return keep(calls, ~pending)


def stack(options: CheckOptions) -> Family:
    """Last in, first out."""
    rules = models.stack(options.initial)
    return _container("stack", rules, ("push", "pop", "peek"), judge_stacks, None)


def priority_queue(options: CheckOptions) -> Family:
    """The smallest comes out first; with `extra["order"]` = `largest`, the largest."""
    order = options.extra.get("order", "smallest")
    if order not in ("smallest", "largest"):
        raise UsageError(f"order is {order!r}\n\nhint: `smallest` or `largest` comes out first")
    largest = order == "largest"
    rules = models.priority_queue(options.initial, largest)
    names = ("add", "poll", "peek")
    return _container("priority-queue", rules, names, lambda c: judge_priorities(c, largest), None)


# ── sets: element by element, unless somebody read the whole ────────────────────────────────────

_ADD, _REMOVE, _CONTAINS, _WHOLE = 16, 17, 18, 19
_ABSENT, _PRESENT = 0, 1


def whole_set(options: CheckOptions, name: str) -> Family:
    """A set: add, remove, contains; a read of the whole couples all elements."""
    rules = models.whole_set(options.initial)
    fs = ("",) * _ADD + ("add", "remove", "contains", "read")
    vocabulary = {
        "add": Form(_ADD, Shape.TOLD),
        "insert": Form(_ADD, Shape.TOLD),
        "remove": Form(_REMOVE, Shape.TOLD),
        "contains": Form(_CONTAINS, Shape.TOLD, output=True, pure=True),
        "read": Form(_WHOLE, output=True, pure=True),
    }
    if name == "grow-only-set":
        del vocabulary["remove"]

    def machine(calls: Calls) -> Machine:
        if not (calls.op >= _ADD).any():
            return Machine(pure_mask(calls, SCALAR_PURE), _ABSENT)
        return Machine(pure_mask(calls, (_CONTAINS, _WHOLE)), steps=ModelSteps(rules, fs))

    def prepare(calls: Calls) -> Calls | Malformed:
        untold = np.flatnonzero((calls.op == _CONTAINS) & (calls.b == NIL))
        if len(untold):
            index = int(calls.history.index[calls.res[untold[0]]])
            return Malformed(f"op {index}: contains must answer [x true] or [x false]", index)
        if options.initial or (calls.op == _WHOLE).any() or calls.groups > 1:
            return calls
        return _by_element(calls)

    return Family(name, vocabulary, machine, None, prepare, told=_told)


def _told(state: Hashable, calls: Calls) -> str:
    if isinstance(state, int):
        return ("absent", "present")[state]
    return _contents(state, calls)


def _by_element(calls: Calls) -> Calls:
    """Each element is an object of its own: absent or present.

    An add that was told it did nothing saw the element there; a remove likewise saw it absent.
    """
    atoms = calls.history.atoms
    yes, no = calls.b == atoms.encode(True), calls.b == atoms.encode(False)
    add, remove, look = (calls.op == code for code in (_ADD, _REMOVE, _CONTAINS))
    op = np.full(len(calls), frontier.WRITE, np.uint8)
    op[(add | remove) & yes] = frontier.CAS
    op[((add | remove) & no) | look] = frontier.READ
    bit = np.where(add, _PRESENT, _ABSENT)
    a = np.where(op == frontier.CAS, 1 - bit, bit)
    a[look] = yes[look]
    b = np.where(op == frontier.CAS, bit, NIL)
    return regroup(replace(calls, op=op, a=a, b=b), calls.a)

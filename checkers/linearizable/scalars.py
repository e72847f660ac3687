"""Models whose state is one number: registers, counters, locks without an owner."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import replace

import numpy as np

from seatrial.checker import CheckOptions
from seatrial.checkers.linearizable import frontier
from seatrial.checkers.linearizable.calls import (
    UNSEEN,
    Calls,
    Form,
    Malformed,
    Shape,
    Vocabulary,
    keep,
)
from seatrial.checkers.linearizable.family import Family, pure_mask
from seatrial.checkers.linearizable.search import Machine
from seatrial.checkers.linearizable.zones import judge_zones
from seatrial.errors import UsageError
from seatrial.history import NIL, Atoms
from seatrial.history.columns import ATOM_BASE, I64, U8
from seatrial.op import Value

SCALAR_PURE = (frontier.READ, frontier.NOT_EQUAL)
_READ = Form(frontier.READ, output=True, pure=True)
_WRITE = Form(frontier.WRITE)
_CAS = Form(frontier.CAS, Shape.PAIR)
_REGISTER: Vocabulary = {
    **dict.fromkeys(("read", "r", "get"), _READ),
    **dict.fromkeys(("write", "w", "put"), _WRITE),
    **dict.fromkeys(("cas", "compare-and-set"), _CAS),
}


def _code(value: Value, atoms: Atoms) -> int:
    return atoms.encode(value)


def _scalar(initial: Callable[[Calls], int]) -> Callable[[Calls], Machine]:
    return lambda calls: Machine(pure_mask(calls, SCALAR_PURE), initial(calls))


def register(options: CheckOptions) -> Family:
    """A register: read, write, compare-and-set of `[old new]`."""

    def initial(calls: Calls) -> int:
        return _code(options.initial, calls.history.atoms)

    def fast(calls: Calls) -> tuple[U8, I64]:
        if (calls.op > frontier.CAS).any():
            return np.ones(calls.groups, np.uint8), np.full((calls.groups, 2), -1, np.int64)
        return judge_zones(calls, initial(calls))

    def prepare(calls: Calls) -> Calls:
        return _without_nil_reads(calls) if _nil_reads_any(calls, options) else calls

    return Family(
        "cas-register",
        _REGISTER,
        _scalar(initial),
        fast,
        prepare,
        failed_cas=bool(options.extra.get("failed-cas", False)),
        units=True,
        chains=True,
        told=lambda state, calls: _show(calls, state),
    )


def _show(calls: Calls, state: Hashable) -> str:
    assert isinstance(state, int)
    value = calls.decode(state)
    return "nil" if value is None else str(value)


def nil_reads_any(options: CheckOptions, nil_is_written: bool) -> bool:
    """Whether a read of nil says nothing (Knossos' convention).

    By `extra["nil-reads"]`: `any` or `value`. Not said: `any` where the register has an initial
    value and nobody ever writes nil, so that nil cannot be one of its values.
    """
    chosen = options.extra.get("nil-reads", "auto")
    if chosen not in ("any", "value", "auto"):
        raise UsageError(
            f"nil-reads is {chosen!r}\n\n"
            "hint: `any` (a read of nil says nothing), `value` or `auto`"
        )
    if chosen == "auto":
        return options.initial is not None and not nil_is_written
    return chosen == "any"


def _nil_reads_any(calls: Calls, options: CheckOptions) -> bool:
    written = ((calls.op == frontier.WRITE) & (calls.a == NIL)).any()
    swapped = ((calls.op == frontier.CAS) & (calls.b == NIL)).any()
    return nil_reads_any(options, bool(written or swapped))


def _without_nil_reads(calls: Calls) -> Calls:
    nil = (calls.op == frontier.READ) & (calls.a == NIL)
    return keep(calls, ~nil) if nil.any() else calls


def _number(calls: Calls, a: I64) -> Malformed | None:
    wrong = np.flatnonzero((a <= UNSEEN) | (a >= ATOM_BASE))
    if not len(wrong):
        return None
    index = int(calls.history.index[calls.inv[wrong[0]]])
    return Malformed(f"op {index}: a whole number is needed", index)


def counter(options: CheckOptions) -> Family:
    """A counter: add n (or increment, decrement: 1 if nothing is said), read."""
    down = 9

    def prepare(calls: Calls) -> Calls | Malformed:
        a = calls.a.copy()
        adds = calls.op != frontier.READ
        a[adds & (a == NIL)] = 1
        wrong = _number(calls, a)
        if wrong:
            return wrong
        a[calls.op == down] *= -1
        op = np.where(adds, frontier.ADD, frontier.READ).astype(np.uint8)
        return _changed(calls, op, a, np.full(len(a), NIL))

    vocabulary = {
        **dict.fromkeys(("add", "inc", "increment"), Form(frontier.ADD)),
        **dict.fromkeys(("dec", "decrement", "subtract"), Form(down)),
        **dict.fromkeys(("read", "r", "get"), _READ),
    }
    start = whole_number(options.initial, 0, "a counter's initial value")
    told = lambda state, calls: str(state)  # noqa: E731
    return Family("counter", vocabulary, _scalar(lambda _: start), None, prepare, told=told)


def whole_number(value: object, otherwise: int, what: str) -> int:
    """The whole number that was given, or `otherwise` if none was; raises `UsageError`."""
    if value is None:
        return otherwise
    if not isinstance(value, int) or isinstance(value, bool):
        raise UsageError(f"{what} is {value!r}\n\nhint: give a whole number")
    return value


def _changed(calls: Calls, op: U8, a: I64, b: I64) -> Calls:
    return replace(calls, op=op, a=a, b=b)


_ACQUIRE, _RELEASE = 0, 1
_LOCK: Vocabulary = {
    **dict.fromkeys(("acquire", "lock"), Form(_ACQUIRE)),
    **dict.fromkeys(("release", "unlock"), Form(_RELEASE)),
}


def mutex(options: CheckOptions) -> Family:
    """A lock without an owner: acquire when free, release when held."""

    def prepare(calls: Calls) -> Calls:
        taking = (calls.op == _ACQUIRE).astype(np.int64)
        op = np.full(len(calls), frontier.CAS, np.uint8)
        return _changed(calls, op, 1 - taking, taking)

    start = 1 if options.initial in ("locked", True, 1) else 0
    told = lambda state, calls: "locked" if state else "free"  # noqa: E731
    return Family("mutex", _LOCK, _scalar(lambda _: start), None, prepare, told=told)


def semaphore(options: CheckOptions) -> Family:
    """A semaphore of `extra["permits"]` permits (1 if not said); acquire and release n (or 1)."""
    permits = whole_number(options.extra.get("permits", options.initial), 1, "permits")

    def prepare(calls: Calls) -> Calls | Malformed:
        a = np.where(calls.a == NIL, 1, calls.a)
        wrong = _number(calls, a)
        if wrong:
            return wrong
        a = np.where(calls.op == _ACQUIRE, -a, a)
        return _changed(
            calls, np.full(len(a), frontier.ADD, np.uint8), a, np.full(len(a), permits, np.int64)
        )

    told = lambda state, calls: f"{state} permits left"  # noqa: E731
    return Family("semaphore", _LOCK, _scalar(lambda _: permits), None, prepare, told=told)

"""Linearizability: histories of registers, queues, stacks, sets, locks, stores, and your own model.

from seatrial.checkers.linearizable import make
verdict = make(CheckOptions(model="cas-register", initial=0)).check(history, Budget.start())
"""

from __future__ import annotations

from collections.abc import Collection

from seatrial.checker import Budget, Checker, CheckOptions
from seatrial.checkers.linearizable.checker import Linearizable
from seatrial.checkers.linearizable.families import FAMILIES, family
from seatrial.checkers.linearizable.modelled import user_family
from seatrial.checkers.linearizable.models import UNSEEN, Model
from seatrial.history import HistoryBuilder
from seatrial.op import Op, Type, Value

__all__ = ["FAMILIES", "UNSEEN", "Model", "make", "make_with_model", "warm_up"]


def make(options: CheckOptions) -> Checker:
    """The checker for `options.model` (cas-register if none is said), from `options.initial`.

    Raises `UnknownName` for an unknown model and `UsageError` for a setting it cannot take.
    """
    return Linearizable(family(options))


def make_with_model(name: str, model: Model, fs: Collection[str]) -> Checker:
    """The checker for a user's own model, which knows the `f`s `fs`."""
    return Linearizable(user_family(name, model, frozenset(fs)))


def warm_up() -> None:
    """Compile all that judging needs: a minute once a machine, then a second from Numba's cache."""
    for model, put, take in (
        ("cas-register", "write", "read"),
        ("fifo-queue", "enqueue", "dequeue"),
        ("stack", "push", "pop"),
        ("priority-queue", "add", "poll"),
    ):
        for value in (1, 2):
            ops: list[tuple[Type, int, str, Value]] = [
                (Type.INVOKE, 0, put, 1),
                (Type.OK, 0, put, 1),
                (Type.INVOKE, 0, put, 1),
                (Type.INFO, 0, put, 1),
                (Type.INVOKE, 1, take, None),
                (Type.OK, 1, take, value),
            ]
            history = HistoryBuilder().extend(Op(*op) for op in ops).history()
            make(CheckOptions(model=model)).check(history, Budget.start())
            once = history.take(history.index < 2)
            make(CheckOptions(model=model)).check(once, Budget.start())

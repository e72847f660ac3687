"""Models whose steps are Python: the built-in ones of `models` and the user's own."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

import numpy as np

from seatrial.checker import CheckOptions
from seatrial.checkers.linearizable import models, texts
from seatrial.checkers.linearizable.calls import PENDING, UNSEEN, Calls, Form
from seatrial.checkers.linearizable.family import Family, pure_mask
from seatrial.checkers.linearizable.replay import replay
from seatrial.checkers.linearizable.scalars import nil_reads_any, whole_number
from seatrial.checkers.linearizable.search import Machine
from seatrial.errors import SeatrialError
from seatrial.history import NIL
from seatrial.history.columns import I64


class ModelError(SeatrialError):
    """A model's step raised instead of answering."""


@dataclass(slots=True, eq=False)
class ModelSteps:
    """Steps of a model, for the search."""

    model: models.Model
    fs: tuple[str, ...]
    owned: bool = False
    marks_pending: bool = False
    _known: list[tuple[str, models.Answer]] | None = None

    @property
    def initial(self) -> Hashable:
        """The model's first state."""
        return self.model.initial

    @initial.setter
    def initial(self, value: Hashable) -> None:
        raise AttributeError("the model sets it")

    def classify(self, calls: Calls) -> tuple[I64, int]:
        """One class a distinct (f, value), and process or pendingness where they matter."""
        columns = [calls.op.astype(np.int64), calls.a, calls.b]
        if self.owned:
            columns.append(calls.process.astype(np.int64))
        if self.marks_pending:
            columns.append((calls.res >= PENDING).astype(np.int64))
        order = np.lexsort(columns)
        new = np.zeros(len(order), np.bool_)
        new[:1] = True
        for column in columns:
            new[1:] |= column[order][1:] != column[order][:-1]
        number = np.empty(len(order), np.int64)
        number[order] = np.cumsum(new) - 1
        self._known = [self._call(calls, c) for c in order[new].tolist()]
        return number, max(len(self._known), 1)

    def _call(self, calls: Calls, c: int) -> tuple[str, models.Answer]:
        a, b = int(calls.a[c]), int(calls.b[c])
        value: models.Answer = models.UNSEEN if a == UNSEEN else calls.decode(a)
        if b != NIL:
            value = (calls.decode(a), calls.decode(b))
        if self.owned:
            value = (int(calls.process[c]), value)  # type: ignore[assignment]  # steps take it
        f = self.fs[int(calls.op[c])]
        pending = self.marks_pending and calls.res[c] >= PENDING
        return (f + "?" if pending else f), value

    def answer(self, state: Hashable, call_class: int) -> Hashable | None:
        """Ask the model."""
        assert self._known is not None
        f, value = self._known[call_class]
        try:
            return self.model.step(state, f, value)
        except Exception as error:
            raise ModelError(
                f"the model failed at {f} of {value!r} in state {state!r}: {error!r}"
            ) from error


def modelled(
    name: str,
    model: models.Model,
    fs: frozenset[str],
    answers: frozenset[str],
    *,
    owned: bool = False,
    marks_pending: bool = False,
    **more: object,
) -> Family:
    """The family of a model; its `f`s are numbered in the order of their names."""
    order = tuple(sorted(fs))
    vocabulary = {
        f: Form(code, output=f in answers, pure=f in model.reads) for code, f in enumerate(order)
    }
    pure = tuple(code for code, f in enumerate(order) if f in model.reads)

    def machine(calls: Calls) -> Machine:
        return Machine(pure_mask(calls, pure), steps=ModelSteps(model, order, owned, marks_pending))

    return Family(name, vocabulary, machine, **more)  # type: ignore[arg-type]  # Family's own


def built_in(name: str, rules: models.Rules, **more: object) -> Family:
    """The family of one of the built-in models."""
    return modelled(name, rules, rules.fs, rules.answers, owned=rules.owned, **more)  # type: ignore[arg-type]


def user_family(name: str, model: models.Model, fs: frozenset[str]) -> Family:
    """A user's model; its vocabulary is what the history's clients say."""
    return modelled(name, model, fs, model.reads)


def multi_register(options: CheckOptions) -> Family:
    """Several registers, read and written by transactions."""
    rules = models.multi_register(options.initial, nil_reads_any(options, False))
    return built_in("multi-register", rules, marks_pending=True)


def kv(options: CheckOptions) -> Family:
    """A store of keys, judged key by key: get, put, append, delete."""
    rules = models.kv(options.initial)
    known = {"append": texts.APPEND, "delete": texts.DELETE, "get": texts.GET, "read": texts.GET}
    opcodes = tuple(known.get(f, texts.PUT) for f in sorted(rules.fs))
    return built_in(
        "kv",
        rules,
        split_pairs=True,
        reduce=lambda calls: texts.as_register(calls, opcodes, options.initial),
        replay=lambda history: replay(history, options.initial),
    )


def reentrant_mutex(options: CheckOptions) -> Family:
    """A lock that its holder can take again, at most `extra["holds"]` times."""
    holds = whole_number(options.extra.get("holds"), 2**31, "holds")
    return built_in("reentrant-mutex", models.reentrant_mutex(holds))

"""The catalogue of models: how each one's ops are read, its fast path, its general search.

A family turns a history's calls into what can be judged: opcodes of the scalar machine where a
state is one number, or steps of a model; and names the near-linear algorithm that decides most keys
without searching.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from seatrial.checker import CheckOptions
from seatrial.checkers.linearizable import frontier, models
from seatrial.checkers.linearizable.calls import (
    PENDING,
    UNSEEN,
    Calls,
    Form,
    Malformed,
    Shape,
    Vocabulary,
    keep,
)
from seatrial.checkers.linearizable.search import Machine
from seatrial.checkers.linearizable.zones import judge_zones
from seatrial.errors import UnknownName, UsageError
from seatrial.history import NIL, Atoms
from seatrial.history.columns import ATOM_BASE, I64, U8, Bool
from seatrial.op import Value

Fast = Callable[[Calls], tuple[U8, I64]]
Prepare = Callable[[Calls], Calls | Malformed]


@dataclass(frozen=True, slots=True)
class Family:
    """One model, ready to judge calls.

    `fast`: per key 0 valid, 1 undecided, more: invalid. `machine`: what the search runs.
    `prepare`: a last rewriting of the calls. `notes`: what a reader must know of the judgement.
    `units`: whether all ops on one value may be left out of a history together without making it
    wrong, which is what makes a small witness. `chains`: opcodes are a register's. `puts`, `takes`:
    the opcodes that put a value in and take one out.
    """

    name: str
    vocabulary: Vocabulary
    machine: Callable[[Calls], Machine]
    fast: Fast | None = None
    prepare: Prepare | None = None
    split_pairs: bool = False
    failed_cas: bool = False
    units: bool = False
    chains: bool = False
    puts: tuple[int, ...] = ()
    takes: tuple[int, ...] = ()
    told: Callable[[Hashable, Calls], str] = lambda state, calls: repr(state)


def _pure(calls: Calls, codes: tuple[int, ...]) -> Bool:
    table = np.zeros(256, np.bool_)
    table[list(codes)] = True
    return table[calls.op]


# ── one number: registers, counters, locks ──────────────────────────────────────────────────────

_SCALAR_PURE = (frontier.READ, frontier.NOT_EQUAL)
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
    return lambda calls: Machine(_pure(calls, _SCALAR_PURE), initial(calls))


def _register(options: CheckOptions) -> Family:
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


def _counter(options: CheckOptions) -> Family:
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
    start = _whole(options.initial, 0, "a counter's initial value")
    told = lambda state, calls: str(state)  # noqa: E731
    return Family("counter", vocabulary, _scalar(lambda _: start), None, prepare, told=told)


def _whole(value: object, otherwise: int, what: str) -> int:
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


def _mutex(options: CheckOptions) -> Family:
    """A lock without an owner: acquire when free, release when held."""

    def prepare(calls: Calls) -> Calls:
        taking = (calls.op == _ACQUIRE).astype(np.int64)
        op = np.full(len(calls), frontier.CAS, np.uint8)
        return _changed(calls, op, 1 - taking, taking)

    start = 1 if options.initial in ("locked", True, 1) else 0
    told = lambda state, calls: "locked" if state else "free"  # noqa: E731
    return Family("mutex", _LOCK, _scalar(lambda _: start), None, prepare, told=told)


def _semaphore(options: CheckOptions) -> Family:
    """A semaphore of `extra["permits"]` permits (1 if not said); acquire and release n (or 1)."""
    permits = _whole(options.extra.get("permits", options.initial), 1, "permits")

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


# ── models with steps ───────────────────────────────────────────────────────────────────────────


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
        return self.model.step(state, f, value)


def _modelled(
    name: str,
    model: models.Model,
    fs: frozenset[str],
    answers: frozenset[str],
    *,
    owned: bool = False,
    marks_pending: bool = False,
    **more: object,
) -> Family:
    order = tuple(sorted(fs))
    vocabulary = {
        f: Form(code, output=f in answers, pure=f in model.reads) for code, f in enumerate(order)
    }
    pure = tuple(code for code, f in enumerate(order) if f in model.reads)

    def machine(calls: Calls) -> Machine:
        return Machine(_pure(calls, pure), steps=ModelSteps(model, order, owned, marks_pending))

    return Family(name, vocabulary, machine, **more)  # type: ignore[arg-type]  # Family's own


def _built_in(name: str, rules: models.Rules, **more: object) -> Family:
    return _modelled(name, rules, rules.fs, rules.answers, owned=rules.owned, **more)  # type: ignore[arg-type]


def user_family(name: str, model: models.Model, fs: frozenset[str]) -> Family:
    """A user's model; its vocabulary is what the history's clients say."""
    return _modelled(name, model, fs, model.reads)


def _multi_register(options: CheckOptions) -> Family:
    rules = models.multi_register(options.initial, nil_reads_any(options, False))
    return _built_in("multi-register", rules, marks_pending=True)


def _kv(options: CheckOptions) -> Family:
    return _built_in("kv", models.kv(options.initial), split_pairs=True)


FAMILIES: Mapping[str, Callable[[CheckOptions], Family]] = {
    "register": _register,
    "cas-register": _register,
    "counter": _counter,
    "mutex": _mutex,
    "semaphore": _semaphore,
    "multi-register": _multi_register,
    "kv": _kv,
    "fifo-queue": lambda o: _built_in("fifo-queue", models.fifo_queue(o.initial)),
    "stack": lambda o: _built_in("stack", models.stack(o.initial)),
    "owner-mutex": lambda o: _built_in("owner-mutex", models.owner_mutex()),
    "reentrant-mutex": lambda o: _built_in(
        "reentrant-mutex",
        models.reentrant_mutex(_whole(o.extra.get("holds"), 2**31, "holds")),
    ),
    "fenced-mutex": lambda o: _built_in("fenced-mutex", models.fenced_mutex()),
}


def family(options: CheckOptions) -> Family:
    """The family of `options.model` (cas-register if none is said); raises `UnknownName`."""
    name = options.model or "cas-register"
    if name not in FAMILIES:
        raise UnknownName("model", name, FAMILIES)
    return FAMILIES[name](options)

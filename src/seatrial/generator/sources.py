"""Generators that make ops out of nothing but a seed, a state and the context."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Generic, NamedTuple, TypeAlias, TypeVar

from seatrial.generator.contract import PENDING, Answer, Context, Generator
from seatrial.generator.draw import BLOCK, Draws, derive, draws
from seatrial.op import Atom, Op, Type, Value

S = TypeVar("S")

Body: TypeAlias = tuple[str, Value, Atom]
"""What an op asks for: its `f`, its value and its independent key (None where there is none)."""

_INVOKE = Type.INVOKE


class _Ops(NamedTuple):
    make: Callable[[int, Context], Body | None]
    key: Atom
    draws: Draws
    at: int

    def op(self, context: Context) -> Answer:
        free = context.free
        if not free:
            return PENDING, self
        make, own, drawn, at = self
        body = make(drawn.block[at], context)
        if body is None:
            return None, _NOTHING
        f, value, key = body
        if key is None:
            key = own
        at += 1
        if at == BLOCK:
            drawn, at = drawn.after(), 0
        op = Op(_INVOKE, context.processes[free[0]], f, value, key, context.time_ns)
        return op, _Ops(make, own, drawn, at)

    def update(self, context: Context, event: Op) -> Generator:
        return self

    @property
    def heeds(self) -> bool:
        """No: nothing that happens changes what comes next."""
        return False


class _Unfold(NamedTuple, Generic[S]):
    make: Callable[[S, int, Context], tuple[Body, S] | None]
    state: S
    draws: Draws
    at: int

    def op(self, context: Context) -> Answer:
        free = context.free
        if not free:
            return PENDING, self
        make, state, drawn, at = self
        made = make(state, drawn.block[at], context)
        if made is None:
            return None, _NOTHING
        (f, value, key), state = made
        at += 1
        if at == BLOCK:
            drawn, at = drawn.after(), 0
        op = Op(_INVOKE, context.processes[free[0]], f, value, key, context.time_ns)
        return op, _Unfold(make, state, drawn, at)

    def update(self, context: Context, event: Op) -> Generator:
        return self

    @property
    def heeds(self) -> bool:
        """No: nothing that happens changes what comes next."""
        return False


class _Unroll(NamedTuple, Generic[S]):
    make: Callable[[S, int], tuple[Body, S]]
    bodies: tuple[Body, ...]
    at: int
    state: S  # after the last of `bodies`
    draws: Draws  # those of `bodies`

    def op(self, context: Context) -> Answer:
        free = context.free
        if not free:
            return PENDING, self
        make, bodies, at, state, drawn = self
        f, value, key = bodies[at]
        at += 1
        if at == BLOCK:
            drawn, at = drawn.after(), 0
            bodies, state = _block(make, state, drawn)
        op = Op(_INVOKE, context.processes[free[0]], f, value, key, context.time_ns)
        return op, _Unroll(make, bodies, at, state, drawn)

    def update(self, context: Context, event: Op) -> Generator:
        return self

    @property
    def heeds(self) -> bool:
        """No: nothing that happens changes what comes next."""
        return False


def _block(
    make: Callable[[S, int], tuple[Body, S]], state: S, drawn: Draws
) -> tuple[tuple[Body, ...], S]:
    bodies = []
    for draw in drawn.block:
        body, state = make(state, draw)
        bodies.append(body)
    return tuple(bodies), state


class _Each(NamedTuple):
    bodies: tuple[Body, ...]
    at: int

    def op(self, context: Context) -> Answer:
        if self.at >= len(self.bodies):
            return None, self
        free = context.free
        if not free:
            return PENDING, self
        f, value, key = self.bodies[self.at]
        op = Op(_INVOKE, context.processes[free[0]], f, value, key, context.time_ns)
        return op, _Each(self.bodies, self.at + 1)

    def update(self, context: Context, event: Op) -> Generator:
        return self

    @property
    def heeds(self) -> bool:
        """No: nothing that happens changes what comes next."""
        return False


class _Nothing(NamedTuple):
    def op(self, context: Context) -> Answer:
        return None, self

    def update(self, context: Context, event: Op) -> Generator:
        return self

    @property
    def heeds(self) -> bool:
        """No: nothing that happens changes what comes next."""
        return False


_NOTHING = _Nothing()


def nothing() -> Generator:
    """No op at all: exhausted from the start."""
    return _NOTHING


def ops(make: Callable[[int, Context], Body | None], seed: int = 0, key: Atom = None) -> Generator:
    """Ops without end, each from a fresh 64-bit draw and the context.

    `make` must be pure; it takes more randomness from its draw with `again`. None ends it. `key`
    is the independent key of bodies that name none.
    """
    return _Ops(make, key, draws(derive(seed, "ops")), 0)


def unfold(
    make: Callable[[S, int, Context], tuple[Body, S] | None], state: S, seed: int = 0
) -> Generator:
    """Ops from a state that each op moves on: counters, values never written twice, keys in use.

    `make(state, draw, context)` gives the body and the next state, or None at the end. The state
    must be immutable, or at least never changed in place.
    """
    return _Unfold(make, state, draws(derive(seed, "unfold")), 0)


def unroll(make: Callable[[S, int], tuple[Body, S]], state: S, seed: int = 0) -> Generator:
    """The ops of `unfold`, for a `make` without end that looks at no context.

    Bodies are made a block at a time: between the calls of a real client, which empty the
    processor's caches, one by one costs several times as much.
    """
    drawn = draws(derive(seed, "unfold"))
    bodies, after = _block(make, state, drawn)
    return _Unroll(make, bodies, 0, after, drawn)


def constant(f: str, value: Value = None, key: Atom = None) -> Generator:
    """The same op without end (Jepsen's map as a generator, repeated)."""
    body = (f, value, key)
    return _Ops(lambda draw, context: body, None, draws(0), 0)


def each_of(bodies: Iterable[Body]) -> Generator:
    """The given ops, one after another, then exhausted."""
    return _Each(tuple(bodies), 0)


def one(f: str, value: Value = None, key: Atom = None) -> Generator:
    """A single op (Jepsen's map as a generator)."""
    return _Each(((f, value, key),), 0)

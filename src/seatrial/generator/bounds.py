"""How many ops: limits, repetition, and going on until something has worked."""

from __future__ import annotations

from typing import Final, NamedTuple

from seatrial.generator.contract import PENDING, Answer, Context, Generator, heeds
from seatrial.generator.sources import nothing
from seatrial.op import Op, Type

_ENDLESS: Final = -1


class _Limit(NamedTuple):
    left: int
    gen: Generator

    def op(self, context: Context) -> Answer:
        if self.left <= 0:
            return None, nothing()
        op, gen = self.gen.op(context)
        if op is None or op is PENDING:
            return op, self if gen is self.gen else _Limit(self.left, gen)
        return op, _Limit(self.left - 1, gen)

    def update(self, context: Context, event: Op) -> Generator:
        gen = self.gen.update(context, event)
        return self if gen is self.gen else _Limit(self.left, gen)

    @property
    def heeds(self) -> bool:
        """Whether what is inside heeds."""
        return heeds(self.gen)


class _ProcessLimit(NamedTuple):
    most: int
    seen: frozenset[int]
    gen: Generator

    def op(self, context: Context) -> Answer:
        op, gen = self.gen.op(context)
        if op is None or op is PENDING:
            return op, self if gen is self.gen else _ProcessLimit(self.most, self.seen, gen)
        seen = self.seen
        if op.process not in seen:
            seen = seen.union(context.processes.values())
            if len(seen) > self.most:
                return None, nothing()
        return op, _ProcessLimit(self.most, seen, gen)

    def update(self, context: Context, event: Op) -> Generator:
        gen = self.gen.update(context, event)
        return self if gen is self.gen else _ProcessLimit(self.most, self.seen, gen)

    @property
    def heeds(self) -> bool:
        """Whether what is inside heeds."""
        return heeds(self.gen)


class _Repeat(NamedTuple):
    left: int
    gen: Generator

    def op(self, context: Context) -> Answer:
        if self.left == 0:
            return None, nothing()
        op, gen = self.gen.op(context)
        if op is None:
            return None, nothing()
        if op is PENDING:
            return op, self if gen is self.gen else _Repeat(self.left, gen)
        return op, self if self.left == _ENDLESS else _Repeat(self.left - 1, self.gen)

    def update(self, context: Context, event: Op) -> Generator:
        gen = self.gen.update(context, event)
        return self if gen is self.gen else _Repeat(self.left, gen)

    @property
    def heeds(self) -> bool:
        """Whether what is inside heeds."""
        return heeds(self.gen)


class _Cycle(NamedTuple):
    left: int
    original: Generator
    gen: Generator

    def op(self, context: Context) -> Answer:
        if self.left == 0:
            return None, nothing()
        op, gen = self.gen.op(context)
        if op is not None:
            return op, self if gen is self.gen else _Cycle(self.left, self.original, gen)
        left = self.left if self.left == _ENDLESS else self.left - 1
        if left == 0:
            return None, nothing()
        op, gen = self.original.op(context)
        if op is None:  # It gives nothing even when it is new: it never will.
            return None, nothing()
        return op, _Cycle(left, self.original, gen)

    def update(self, context: Context, event: Op) -> Generator:
        gen = self.gen.update(context, event)
        return self if gen is self.gen else _Cycle(self.left, self.original, gen)

    @property
    def heeds(self) -> bool:
        """Whether what is inside heeds."""
        return heeds(self.gen)


class _UntilOk(NamedTuple):
    done: bool
    mine: frozenset[int]
    gen: Generator

    def op(self, context: Context) -> Answer:
        if self.done:
            return None, nothing()
        op, gen = self.gen.op(context)
        if op is None or op is PENDING:
            return op, self if gen is self.gen else _UntilOk(False, self.mine, gen)
        return op, _UntilOk(False, self.mine | {op.process}, gen)

    def update(self, context: Context, event: Op) -> Generator:
        gen = self.gen.update(context, event)
        if event.process in self.mine and event.type != Type.INVOKE:
            return _UntilOk(self.done or event.type == Type.OK, self.mine - {event.process}, gen)
        return self if gen is self.gen else _UntilOk(self.done, self.mine, gen)

    @property
    def heeds(self) -> bool:
        """Yes: completions are what it waits for."""
        return True


def limit(count: int, gen: Generator) -> Generator:
    """At most `count` ops."""
    return _Limit(count, gen)


def once(gen: Generator) -> Generator:
    """At most one op."""
    return _Limit(1, gen)


def process_limit(most: int, gen: Generator) -> Generator:
    """Ops from at most `most` distinct processes, counting those that could have been chosen.

    Processes multiply as ops end in `info`; this bounds the width of what a checker must search.
    """
    return _ProcessLimit(most, frozenset(), gen)


def repeat(gen: Generator, times: int | None = None) -> Generator:
    """The first op of `gen` over and over (`times` ops, or without end): `gen` never moves on."""
    return _Repeat(_ENDLESS if times is None else max(0, times), gen)


def cycle(gen: Generator, times: int | None = None) -> Generator:
    """`gen` from its beginning again whenever it is exhausted; `times` rounds, or without end.

    A round that gives no op at all ends it.
    """
    return _Cycle(_ENDLESS if times is None else max(0, times), gen, gen)


def until_ok(gen: Generator) -> Generator:
    """Ops until one of them has completed `ok`. Some may still be invoked while others run."""
    return _UntilOk(False, frozenset(), gen)

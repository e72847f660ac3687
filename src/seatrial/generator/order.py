"""One after another: sequences, phases, and taking turns."""

from __future__ import annotations

from typing import NamedTuple

from seatrial.generator.contract import PENDING, Answer, Context, Generator, heeds
from seatrial.generator.sources import nothing
from seatrial.generator.timing import Sleep
from seatrial.op import Op


class _Sequence(NamedTuple):
    gens: tuple[Generator, ...]

    def op(self, context: Context) -> Answer:
        gens = self.gens
        while gens:  # Each round drops one generator.
            op, head = gens[0].op(context)
            if op is None:
                gens = gens[1:]
                continue
            if head is gens[0] and isinstance(head, Sleep) and len(gens) > 1:
                return _after_sleep(head, gens[1:], context)
            if head is gens[0] and gens is self.gens:
                return op, self
            return op, _Sequence((head, *gens[1:]))
        return None, nothing()

    def update(self, context: Context, event: Op) -> Generator:
        if not self.gens:
            return self
        head = self.gens[0].update(context, event)
        return self if head is self.gens[0] else _Sequence((head, *self.gens[1:]))

    @property
    def heeds(self) -> bool:
        """Whether any of them heeds."""
        return any(map(heeds, self.gens))


def _after_sleep(pause: Sleep, rest: tuple[Generator, ...], context: Context) -> Answer:
    """What comes after a pause that has begun, asked now for the moment at which it ends.

    Else a pause would end whenever somebody happens to ask again.
    """
    later = Context(max(context.time_ns, pause.until_ns), context.free, context.processes)
    op, following = _Sequence(rest).op(later)
    if op is PENDING and isinstance(following, _Sequence):
        return PENDING, _Sequence((pause, *following.gens))
    if op is None or op is PENDING:
        return PENDING, pause
    return op, following


class _Synchronize(NamedTuple):
    gen: Generator

    def op(self, context: Context) -> Answer:
        if len(context.free) < len(context.processes):
            return PENDING, self
        return self.gen.op(context)

    def update(self, context: Context, event: Op) -> Generator:
        gen = self.gen.update(context, event)
        return self if gen is self.gen else _Synchronize(gen)

    @property
    def heeds(self) -> bool:
        """Whether what is inside heeds."""
        return heeds(self.gen)


class _FlipFlop(NamedTuple):
    gens: tuple[Generator, ...]
    at: int

    def op(self, context: Context) -> Answer:
        at, gens = self.at, self.gens
        op, gen = gens[at].op(context)
        if op is None:
            return None, nothing()
        if gen is not gens[at]:
            gens = (*gens[:at], gen, *gens[at + 1 :])
        if op is PENDING:
            return op, self if gens is self.gens else _FlipFlop(gens, at)
        return op, _FlipFlop(gens, (at + 1) % len(gens))

    def update(self, context: Context, event: Op) -> Generator:
        gens = tuple(gen.update(context, event) for gen in self.gens)
        if all(map(_same, gens, self.gens)):
            return self
        return _FlipFlop(gens, self.at)

    @property
    def heeds(self) -> bool:
        """Whether any of them heeds."""
        return any(map(heeds, self.gens))


def _same(a: object, b: object) -> bool:
    return a is b


def sequence(*gens: Generator) -> Generator:
    """All ops of the first, then of the second, and so on, without waiting in between."""
    return _Sequence(gens)


def synchronize(gen: Generator) -> Generator:
    """`gen` once every thread is free; from then on `gen` alone."""
    return _Synchronize(gen)


def phases(*gens: Generator) -> Generator:
    """As `sequence`, but each begins only when all ops of the one before have completed."""
    return _Sequence(tuple(_Synchronize(gen) for gen in gens))


def then(first: Generator, second: Generator) -> Generator:
    """`first`; when it is exhausted and all its ops have completed, `second`."""
    return _Sequence((first, _Synchronize(second)))


def flip_flop(*gens: Generator) -> Generator:
    """An op of the first, of the second, …, of the first again; ends when one is exhausted."""
    return _FlipFlop(gens, 0) if gens else nothing()

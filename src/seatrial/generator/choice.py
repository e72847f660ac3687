"""One of several: by lot, or whichever is soonest."""

from __future__ import annotations

from itertools import accumulate
from typing import NamedTuple

from seatrial.errors import UsageError
from seatrial.generator.contract import PENDING, Answer, Context, Generator, heeds
from seatrial.generator.draw import derive, step
from seatrial.generator.sources import nothing
from seatrial.op import Op


class _Mix(NamedTuple):
    lots: tuple[int, ...]  # generator of each lot: 0 0 0 1 for weights 3 and 1
    gens: tuple[Generator | None, ...]  # None where exhausted
    draws: int
    heeds: bool

    def op(self, context: Context) -> Answer:
        if not context.free:
            return PENDING, self
        lots, gens, draws = self.lots, self.gens, self.draws
        while lots:  # Each round drops one exhausted generator.
            at = lots[(draws * len(lots)) >> 64]
            draws = step(draws)
            gen = gens[at]
            assert gen is not None, "an exhausted generator has no lot"
            op, after = gen.op(context)
            if op is PENDING:
                return self._another(at, lots, _put(gens, at, after), draws, context)
            if op is not None:
                return op, _Mix(
                    lots, gens if after is gen else _put(gens, at, after), draws, self.heeds
                )
            lots, gens = tuple(lot for lot in lots if lot != at), _put(gens, at, None)
        return None, nothing()

    def _another(
        self,
        pending: int,
        lots: tuple[int, ...],
        gens: tuple[Generator | None, ...],
        draws: int,
        context: Context,
    ) -> Answer:
        """The drawn one has nothing now: the next in order that has, so that none waits in vain."""
        for offset in range(1, len(gens)):
            at = (pending + offset) % len(gens)
            gen = gens[at]
            if gen is None:
                continue
            op, after = gen.op(context)
            if op is None:
                lots = tuple(lot for lot in lots if lot != at)
                gens = _put(gens, at, None)
                continue
            gens = _put(gens, at, after)
            if op is not PENDING:
                return op, _Mix(lots, gens, draws, self.heeds)
        return PENDING, _Mix(lots, gens, draws, self.heeds)

    def update(self, context: Context, event: Op) -> Generator:
        if not self.heeds:
            return self
        gens = self.gens
        for at, gen in enumerate(self.gens):
            if gen is not None:
                after = gen.update(context, event)
                if after is not gen:
                    gens = _put(gens, at, after)
        return self if gens is self.gens else _Mix(self.lots, gens, self.draws, True)


def _put(
    gens: tuple[Generator | None, ...], at: int, gen: Generator | None
) -> tuple[Generator | None, ...]:
    return (*gens[:at], gen, *gens[at + 1 :])


class _AnyOf(NamedTuple):
    gens: tuple[Generator, ...]
    turn: int

    def op(self, context: Context) -> Answer:
        gens, best, best_at = list(self.gens), None, 0
        dead: list[int] = []
        chosen: Generator = self
        for offset in range(len(gens)):
            at = (self.turn + offset) % len(gens)
            op, after = gens[at].op(context)
            if op is None:
                dead.append(at)
            elif op is PENDING:
                gens[at] = after
            elif best is None or op.time_ns < best.time_ns:
                best, best_at, chosen = op, at, after
                if op.time_ns <= context.time_ns:
                    break
        if best is not None:
            gens[best_at] = chosen
            return best, _AnyOf(tuple(gens), (best_at + 1) % len(gens))
        if len(dead) == len(gens):
            return None, nothing()
        kept = tuple(gen for at, gen in enumerate(gens) if at not in dead)
        return PENDING, _AnyOf(kept, 0 if dead else self.turn)

    def update(self, context: Context, event: Op) -> Generator:
        gens = tuple(gen.update(context, event) for gen in self.gens)
        if all(after is before for after, before in zip(gens, self.gens, strict=True)):
            return self
        return _AnyOf(gens, self.turn)

    @property
    def heeds(self) -> bool:
        """Whether any of them heeds."""
        return any(map(heeds, self.gens))


def mix(*gens: Generator, seed: int = 0) -> Generator:
    """Each op from one of `gens` by lot; one that is exhausted drops out.

    Where the drawn one is pending, the next in order takes its place.
    """
    return weighted_mix(*((1, gen) for gen in gens), seed=seed)


def weighted_mix(*gens: tuple[int, Generator], seed: int = 0) -> Generator:
    """As `mix`, each pair `(weight, generator)` drawn as often as its whole weight says."""
    weights = [weight for weight, _ in gens]
    if any(weight < 0 for weight in weights) or (gens and sum(weights) == 0):
        raise UsageError(
            f"weights {weights} of a mix\n\nhint: give whole numbers, 0 or more, one above 0"
        )
    ends = list(accumulate(weights, initial=0))
    lots = tuple(
        at for at, weight in enumerate(weights) for _ in range(ends[at], ends[at] + weight)
    )
    inside = tuple(gen for _, gen in gens)
    return _Mix(lots, inside, derive(seed, "mix"), any(map(heeds, inside)))


def any_of(*gens: Generator) -> Generator:
    """Whichever of `gens` has an op soonest; of those that have one now, in turn."""
    return _AnyOf(gens, 0) if gens else nothing()

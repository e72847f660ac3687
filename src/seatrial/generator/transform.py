"""The ops of another generator, changed or sifted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from seatrial.errors import SeatrialError
from seatrial.generator.contract import PENDING, Answer, Context, Generator, heeds
from seatrial.op import Op

#: How many ops in a row a filter may refuse before it is taken for one that lets nothing through.
REFUSED_MAX: Final = 100_000


class _Map(NamedTuple):
    change: Callable[[Op], Op]
    gen: Generator

    def op(self, context: Context) -> Answer:
        op, gen = self.gen.op(context)
        if op is not None and op is not PENDING:
            op = self.change(op)
        return op, self if gen is self.gen else _Map(self.change, gen)

    def update(self, context: Context, event: Op) -> Generator:
        gen = self.gen.update(context, event)
        return self if gen is self.gen else _Map(self.change, gen)

    @property
    def heeds(self) -> bool:
        """Whether what is inside heeds."""
        return heeds(self.gen)


class _Filter(NamedTuple):
    keep: Callable[[Op], bool]
    gen: Generator

    def op(self, context: Context) -> Answer:
        gen = self.gen
        for _ in range(REFUSED_MAX):
            op, gen = gen.op(context)
            if op is None or op is PENDING or self.keep(op):
                return op, self if gen is self.gen else _Filter(self.keep, gen)
        raise SeatrialError(
            f"filter_ops refused {REFUSED_MAX} ops in a row\n\n"
            "hint: the filter lets nothing through; make such ops in the first place"
        )

    def update(self, context: Context, event: Op) -> Generator:
        gen = self.gen.update(context, event)
        return self if gen is self.gen else _Filter(self.keep, gen)

    @property
    def heeds(self) -> bool:
        """Whether what is inside heeds."""
        return heeds(self.gen)


def map_ops(change: Callable[[Op], Op], gen: Generator) -> Generator:
    """Each op as `change` makes it; `change` must be pure and leave process and time alone."""
    return _Map(change, gen)


def filter_ops(keep: Callable[[Op], bool], gen: Generator) -> Generator:
    """Only the ops that `keep` lets through; raises if it refuses `REFUSED_MAX` in a row."""
    return _Filter(keep, gen)

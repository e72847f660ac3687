"""When ops are invoked: gaps between them, pauses, and an end.

A combinator that holds an op back asks the generator inside for an op *at that later time*, so
that what is inside sees the moment at which its op will be invoked.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from seatrial.errors import UsageError
from seatrial.generator.contract import PENDING, Answer, Context, Generator, Pending, heeds
from seatrial.generator.draw import derive, step
from seatrial.generator.sources import nothing
from seatrial.op import Op

SECOND_NS: Final = 1_000_000_000
#: How late an op may be and the next gap still count from when it was due. Timers are late by a
#: millisecond or two; a rate of thousands a second would sink by half if gaps counted from there.
LATE_NS: Final = 100_000_000
_NEVER: Final = -1


class _Stagger(NamedTuple):
    span_ns: int
    next_ns: int
    draws: int
    gen: Generator

    def op(self, context: Context) -> Answer:
        span_ns, next_ns, draws, before = self
        if next_ns > context.time_ns:
            context = Context(next_ns, context.free, context.processes)
        op, gen = before.op(context)
        if op is None or op is PENDING:
            return op, self if gen is before else _Stagger(span_ns, next_ns, draws, gen)
        from_ns = op.time_ns
        if next_ns != _NEVER and from_ns - next_ns <= LATE_NS:
            from_ns = next_ns
        return op, _Stagger(span_ns, from_ns + ((draws * span_ns) >> 64), step(draws), gen)

    def update(self, context: Context, event: Op) -> Generator:
        gen = self.gen.update(context, event)
        if gen is self.gen:
            return self
        return _Stagger(self.span_ns, self.next_ns, self.draws, gen)

    @property
    def heeds(self) -> bool:
        """Whether what is inside heeds."""
        return heeds(self.gen)


class _Delay(NamedTuple):
    gap_ns: int
    next_ns: int
    gen: Generator

    def op(self, context: Context) -> Answer:
        gap_ns, next_ns, before = self
        if next_ns > context.time_ns:
            context = Context(next_ns, context.free, context.processes)
        op, gen = before.op(context)
        if op is None or op is PENDING:
            return op, self if gen is before else _Delay(gap_ns, next_ns, gen)
        from_ns = op.time_ns
        if next_ns != _NEVER and from_ns - next_ns <= LATE_NS:
            from_ns = next_ns
        return op, _Delay(gap_ns, from_ns + gap_ns, gen)

    def update(self, context: Context, event: Op) -> Generator:
        gen = self.gen.update(context, event)
        return self if gen is self.gen else _Delay(self.gap_ns, self.next_ns, gen)

    @property
    def heeds(self) -> bool:
        """Whether what is inside heeds."""
        return heeds(self.gen)


class _TimeLimit(NamedTuple):
    limit_ns: int
    end_ns: int
    gen: Generator

    def op(self, context: Context) -> Answer:
        end_ns = self.end_ns
        if end_ns != _NEVER and context.time_ns >= end_ns:
            return None, nothing()
        op, gen = self.gen.op(context)
        if op is None:
            return None, nothing()
        if op is PENDING:
            return op, self if gen is self.gen else _TimeLimit(self.limit_ns, end_ns, gen)
        if end_ns == _NEVER:
            end_ns = op.time_ns + self.limit_ns
        if op.time_ns >= end_ns:
            return None, nothing()
        return op, _TimeLimit(self.limit_ns, end_ns, gen)

    def update(self, context: Context, event: Op) -> Generator:
        gen = self.gen.update(context, event)
        return self if gen is self.gen else _TimeLimit(self.limit_ns, self.end_ns, gen)

    @property
    def heeds(self) -> bool:
        """Whether what is inside heeds."""
        return heeds(self.gen)


class Sleep(NamedTuple):
    """A pause: exhausted `length_ns` after it was first asked (see `sleep`)."""

    length_ns: int
    until_ns: int

    def op(self, context: Context) -> tuple[Pending | None, Generator]:
        """`PENDING` until the pause is over, then exhausted."""
        if self.until_ns == _NEVER:
            if self.length_ns == 0:
                return None, nothing()
            return PENDING, Sleep(self.length_ns, context.time_ns + self.length_ns)
        if context.time_ns >= self.until_ns:
            return None, nothing()
        return PENDING, self

    def update(self, context: Context, event: Op) -> Generator:
        """Itself: nothing that happens shortens a pause."""
        return self

    @property
    def heeds(self) -> bool:
        """No: nothing that happens changes what comes next."""
        return False


def stagger(mean_s: float, gen: Generator, seed: int = 0) -> Generator:
    """Gaps drawn uniformly from 0 to 2 · `mean_s` seconds, over all threads together.

    Gaps count from when an op was due. An op that is more than 100 ms late (no thread was free) is
    not made up for: the next gap counts from the op itself.
    """
    return _Stagger(2 * _span_ns("stagger", mean_s), _NEVER, derive(seed, "stagger"), gen)


def rate(ops_per_s: float, gen: Generator, seed: int = 0) -> Generator:
    """At most `ops_per_s` on average, with random gaps as in `stagger`."""
    if not ops_per_s > 0:
        raise UsageError(f"rate {ops_per_s} ops/s\n\nhint: give a rate above 0, or leave it out")
    return stagger(1.0 / ops_per_s, gen, seed)


def delay(gap_s: float, gen: Generator) -> Generator:
    """Exactly `gap_s` seconds from one op to the next; late ones as in `stagger`."""
    return _Delay(_span_ns("delay", gap_s), _NEVER, gen)


def time_limit(limit_s: float, gen: Generator) -> Generator:
    """Ops for `limit_s` seconds from the first one; exhausted then, pending or not."""
    return _TimeLimit(_span_ns("time_limit", limit_s), _NEVER, gen)


def sleep(length_s: float) -> Generator:
    """No op for `length_s` seconds: for use between others in `sequence` and `phases`.

    What follows is invoked exactly at the end of the pause.
    """
    return Sleep(_span_ns("sleep", length_s), _NEVER)


def _span_ns(what: str, seconds: float) -> int:
    if not seconds >= 0:
        raise UsageError(f"{what} of {seconds} s\n\nhint: give seconds, 0 or more")
    return round(seconds * SECOND_NS)

"""What a generator is, and what it is told."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Final, Literal, NamedTuple, Protocol, TypeAlias

from seatrial.errors import SeatrialError
from seatrial.op import Op, Type


class Pending(Enum):
    """The one value that means: nothing now, ask again after something has happened."""

    PENDING = "pending"


PENDING: Final = Pending.PENDING


#: How often in a row a generator that moved on while it was pending is asked again at once.
ASK_AGAIN_MAX: Final = 4


class Context(NamedTuple):
    """What a generator may look at.

    `time_ns` is now; `free` are the threads that can take an op, the one that has been free for
    longest first; `processes` maps each thread (0 … concurrency−1) to the process it now plays.
    A mapping is never changed once it has been shown in a context: a process that moves on brings
    a new mapping. So a generator may compare mappings by identity.
    """

    time_ns: int
    free: tuple[int, ...]
    processes: Mapping[int, int]


class Generator(Protocol):
    """A pure source of ops."""

    def op(self, context: Context) -> Answer:
        """The next op and the generator after it.

        The op is an invocation with `process` of a free thread and `time_ns` at or after now
        (later: it is to be invoked at that time). `PENDING`: none now, though there may be one
        later. None: exhausted for ever.

        Whoever asks keeps the generator that comes with `PENDING`, but that which comes with an op
        only if the op is invoked: if something happens before its time, it asks anew.
        """
        ...

    def update(self, context: Context, event: Op) -> Generator:
        """The generator after `event` (an invocation or a completion) has happened.

        At a completion the context still maps the thread to the process that completed.
        """
        ...


Answer: TypeAlias = tuple[Op | Literal[Pending.PENDING] | None, Generator]
"""What `Generator.op` answers: the op, and the generator after it."""


def heeds(gen: Generator) -> bool:
    """Whether what happens may change `gen`; one that has no `heeds` is taken to.

    Where it is False, `update` may be left out, now and for all generators that come after.
    """
    return bool(getattr(gen, "heeds", True))


def ask(
    gen: Generator, context: Context
) -> tuple[Op | Literal[Pending.PENDING] | None, Generator, Generator]:
    """The next op, the generator if it is not invoked after all, and the generator if it is.

    Asks again at once where `gen` only moved on, as when a pause has begun.
    """
    for _ in range(ASK_AGAIN_MAX):
        op, after = gen.op(context)
        if op is not PENDING:
            return op, gen, after
        if after is gen:
            break
        gen = after
    return PENDING, gen, gen


def thread_of(op: Op, concurrency: int, free: tuple[int, ...]) -> int:
    """The thread that plays the op's process; raises `SeatrialError` unless it is free."""
    thread = op.process % concurrency
    if thread not in free or op.type is not Type.INVOKE:
        raise SeatrialError(
            f"a generator gave {op} while threads {free} of {concurrency} were free\n\n"
            "hint: an op must be an invocation by the process of a free thread"
        )
    return thread

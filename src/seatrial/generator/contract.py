"""What a generator is, and what it is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final, Literal, Protocol

from seatrial.op import Op


class Pending(Enum):
    """The one value that means: nothing now, ask again after something has happened."""

    PENDING = "pending"


PENDING: Final = Pending.PENDING


@dataclass(frozen=True, slots=True)
class Context:
    """What a generator may look at.

    `time_ns` is now; `free` are the threads that can take an op, in a fixed order; `processes`
    maps each thread (0 … concurrency−1) to the process it now plays.
    """

    time_ns: int
    free: tuple[int, ...]
    processes: Mapping[int, int]


class Generator(Protocol):
    """A pure source of ops."""

    def op(self, context: Context) -> tuple[Op | Literal[Pending.PENDING] | None, Generator]:
        """The next op and the generator after it.

        The op is an invocation with `process` of a free thread and `time_ns` at or after now
        (later: it is to be invoked at that time). `PENDING`: none now, though there may be one
        later. None: exhausted for ever.
        """
        ...

    def update(self, context: Context, event: Op) -> Generator:
        """The generator after `event` (an invocation or a completion) has happened."""
        ...

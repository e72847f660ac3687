"""Which faults act now, and on whom: what a fault must know of the others.

Two faults of the same touch never hold one victim at a time, nor do two of which one would end the
other (`seatrial.faults.together`), and a measurement of recovery that
another fault came across is taken again. In `seatrial run` all faults are tasks of one process; as
steps they are processes of their own, and meet on the trial's board.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from seatrial.faults.together import Clash, nowhere


@dataclass(frozen=True, slots=True)
class Acting:
    """A fault that acts: its kind, what that touches, and its victims.

    `most_s`: how long it can act at the most. One whose process died cannot say that it has ended.
    """

    kind: str
    touches: str
    victims: tuple[str, ...]
    most_s: float = math.inf


class Company(Protocol):
    """The faults of one trial that act now."""

    async def acting(self) -> Mapping[str, Acting]:
        """All of them, by id."""
        ...

    async def begun(self) -> int:
        """How many have begun so far."""
        ...

    async def join(self, fault: str, acting: Acting) -> bool:
        """Begin, unless another fault of the same touch holds a victim; whether it may.

        One that has begun already may: it was told so, and did not hear it.
        """
        ...

    async def leave(self, fault: str) -> None:
        """End: it has been healed. Doing so twice is harmless."""
        ...

    async def change(self) -> None:
        """Wait until another one has left (or for a while: look again)."""
        ...


def collides(acting: Mapping[str, Acting], one: Acting, clash: Clash = nowhere) -> bool:
    """Whether a fault of the same touch holds a victim of `one`, or one that it clashes with."""
    for other in acting.values():
        where = "victim" if other.touches == one.touches else clash(other.kind, one.kind)
        if where == "anywhere" or (where and set(other.victims) & set(one.victims)):
            return True
    return False


def taken(acting: Mapping[str, Acting], touches: str) -> set[str]:
    """The victims of the faults of this touch."""
    return {name for other in acting.values() if other.touches == touches for name in other.victims}


class InProcess:
    """`Company` of tasks in one event loop."""

    def __init__(self) -> None:
        self._acting: dict[str, Acting] = {}
        self._left = asyncio.Event()
        self._begun = 0

    async def acting(self) -> Mapping[str, Acting]:
        """All that act now."""
        return dict(self._acting)

    async def begun(self) -> int:
        """How many have begun."""
        return self._begun

    async def join(self, fault: str, acting: Acting) -> bool:
        """Begin if no victim is taken; no other task runs in between."""
        if fault in self._acting:
            return True
        if collides(self._acting, acting):
            return False
        self._acting[fault] = acting
        self._begun += 1
        return True

    async def leave(self, fault: str) -> None:
        """End."""
        self._acting.pop(fault, None)
        self._left.set()

    async def change(self) -> None:
        """Until some fault has been healed."""
        self._left.clear()
        await self._left.wait()

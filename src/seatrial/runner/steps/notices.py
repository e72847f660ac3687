"""What steps tell each other while they run, as notices on the trial's board.

Each notice has one writer. The faults that act are one notice that all faults write, each on top
of what it read (the board refuses a version that is not the newest).
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Mapping
from typing import Literal, TypeVar

from pydantic import BaseModel, ConfigDict

from seatrial.engine.site import Board
from seatrial.errors import CannotCreate, Unavailable
from seatrial.faults.together import Clash, nowhere
from seatrial.runner.company import Acting, collides
from seatrial.runner.steps.rooms import LoadClock

WORKLOAD, HEAL, STOP, ACTING = "workload", "heal", "stop", "acting"
#: How often a board is looked at.
POLL_S = 0.1
#: A notice that many write is tried again so often before it is given up.
WRITES_MAX = 200


class _Notice(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


N = TypeVar("N", bound=BaseModel)


class WorkloadNotice(_Notice):
    """The load: where its line is, and how far it has got.

    `load_start_ns` is when it began, `faults_from_ns` where the moments of faults count from, both
    on the axis; None before that. `ops` is how many were completed, for those who watch.
    """

    state: Literal["running", "ended"]
    line: str
    clock: LoadClock
    phase: str = ""
    load_start_ns: int | None = None
    faults_from_ns: int | None = None
    ops: int = 0


class StepNotice(_Notice):
    """A step that must not begin twice has begun; `state` says how far it is."""

    state: Literal["starting", "ready", "over"]


class HealNotice(_Notice):
    """Everything is mended, as far as it can be; `unhealed`: what did not end in order."""

    leaks: int
    unhealed: tuple[str, ...] = ()


class StopNotice(_Notice):
    """Somebody wants the trial to end: heal, then judge what there is."""

    reason: str


class _Acting(_Notice):
    """One fault; `until` is when it is over by any means (Unix time in s; None: nobody knows)."""

    kind: str
    touches: str
    victims: tuple[str, ...]
    until: float | None = None


class ActingNotice(_Notice):
    """The faults that act now, by id, and how many have begun so far."""

    begun: int = 0
    acting: Mapping[str, _Acting] = {}


async def post(board: Board, name: str, notice: BaseModel) -> None:
    """Put a notice up in place of the one before."""
    await board.post(name, notice.model_dump(mode="json"))


async def find(board: Board, name: str, model: type[N]) -> N | None:
    """The notice of that name, None if there is none."""
    found = await board.read(name)
    return None if found is None else model.model_validate(found.document)


async def begin_once(board: Board, name: str, notice: BaseModel) -> None:
    """Put up the first notice of that name; raises `CannotCreate` if there is one already.

    A retry of a step that puts load on the target, or breaks it, would repeat it silently.
    """
    if not await board.post(name, notice.model_dump(mode="json"), version=0):
        raise CannotCreate(
            f"{name} has begun before in this trial and is not repeated\n\n"
            "hint: a new trial: seatrial step provision in a new folder"
        )


async def wait_for(board: Board, name: str, model: type[N], timeout_s: float) -> N:
    """The notice as soon as it is there; raises `Unavailable` after the timeout."""
    deadline = time.monotonic() + timeout_s
    while (found := await find(board, name, model)) is None:
        if time.monotonic() > deadline:
            raise Unavailable(f"no word of {name} within {timeout_s:g} s")
        await asyncio.sleep(POLL_S)
    return found


class BoardCompany:
    """`seatrial.runner.company.Company` of faults that are processes of their own."""

    def __init__(self, board: Board, clash: Clash = nowhere) -> None:
        self._board, self._clash = board, clash

    async def acting(self) -> Mapping[str, Acting]:
        """All that act now."""
        return _acting((await self._read())[0])

    async def begun(self) -> int:
        """How many have begun."""
        return (await self._read())[0].begun

    async def join(self, fault: str, acting: Acting) -> bool:
        """Begin if no victim is taken, by the newest version of the notice."""
        until = None if math.isinf(acting.most_s) else time.time() + acting.most_s
        mine = _Acting(
            kind=acting.kind, touches=acting.touches, victims=acting.victims, until=until
        )
        for _ in range(WRITES_MAX):
            notice, version = await self._read()
            if fault in notice.acting:
                return True  # written, and the answer was lost on the way
            if collides(_acting(notice), acting, self._clash):
                return False
            new = ActingNotice(begun=notice.begun + 1, acting={**notice.acting, fault: mine})
            if await self._write(new, version):
                return True
        raise Unavailable(f"the board refused {fault} {WRITES_MAX} times")

    async def leave(self, fault: str) -> None:
        """End."""
        for _ in range(WRITES_MAX):
            notice, version = await self._read()
            rest = {name: one for name, one in notice.acting.items() if name != fault}
            if await self._write(ActingNotice(begun=notice.begun, acting=rest), version):
                return
        raise Unavailable(f"the board refused the end of {fault} {WRITES_MAX} times")

    async def change(self) -> None:
        """For a while."""
        await asyncio.sleep(POLL_S)

    async def _read(self) -> tuple[ActingNotice, int]:
        found = await self._board.read(ACTING)
        if found is None:
            return ActingNotice(), 0
        return ActingNotice.model_validate(found.document), found.version

    async def _write(self, notice: ActingNotice, version: int) -> bool:
        return await self._board.post(ACTING, notice.model_dump(mode="json"), version=version)


def _acting(notice: ActingNotice) -> Mapping[str, Acting]:
    """Those that may still act: not those of a process that died, whose time is over."""
    now = time.time()
    return {
        name: Acting(one.kind, one.touches, one.victims)
        for name, one in notice.acting.items()
        if one.until is None or now < one.until
    }

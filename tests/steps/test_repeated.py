"""Steps that a workflow begins again after a lost pod: the second time changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, cast

import pytest

from seatrial.engine.lab.board import MemoryBoard
from seatrial.op import NEMESIS, Op, Type
from seatrial.runner.steps import notices
from seatrial.runner.steps import step as steps
from seatrial.runner.steps.closing import heal, quiesce
from seatrial.runner.steps.line import LineServer, monotonic_ns
from seatrial.runner.steps.notices import HealNotice, WorkloadNotice
from seatrial.runner.steps.rooms import LoadClock, Rooms
from seatrial.runner.steps.step import Outcome, Step
from seatrial.runner.steps.stretch import steady
from tests.steps.plans import short_plan
from tests.steps.test_assemble import write


class Near:
    """Site and engine in one, with nothing to heal and nodes that answer."""

    nodes = ("n1", "n2", "n3")
    heal_timeout_s = 5.0

    def __init__(self) -> None:
        self.board, self.world = MemoryBoard(), self

    async def open(self, *_: object) -> Near:
        return self

    async def heal_everything(self) -> tuple[str, ...]:
        return ()

    async def audit(self) -> tuple[str, ...]:
        return ()

    async def ready(self, *_: object) -> bool:
        return True

    async def close(self) -> None: ...


def twice(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    function: Callable[[Step], Awaitable[Outcome]],
) -> tuple[list[Outcome], dict[str, object]]:
    """What the step says each time, in a room of its own, and what is on the board then.

    The load has gone on to its next stretch by the second time.
    """
    site = Near()
    monkeypatch.setattr(steps, "engine_of", lambda _: cast(Any, site))
    path = tmp_path / "history.arrow"
    ops = [Op(Type.INFO, NEMESIS, "phase", "steady-before", time_ns=0)]
    for number in range(10):
        ops.append(Op(Type.INVOKE, 0, "read", None, 0, time_ns=number * 10**8))
        ops.append(Op(Type.OK, 0, "read", 1, 0, time_ns=number * 10**8 + 1))
    ops.append(Op(Type.INFO, NEMESIS, "phase", "workload", time_ns=1_500_000_000))
    write(path, ops)

    async def main() -> tuple[list[Outcome], dict[str, object]]:
        line = LineServer(monotonic_ns, path, lambda: None)
        address = f"unix:{tmp_path}/l"
        await line.listen(address)
        told = WorkloadNotice(
            state="running",
            line=address,
            clock=LoadClock(identity="", zero_ns=0),
            phase="steady-before",
            load_start_ns=0,
        )
        outcomes = []
        for turn, phase in enumerate(("steady-before", "workload")):
            now = told.model_copy(update={"phase": phase})
            await notices.post(site.board, notices.WORKLOAD, now)
            rooms = Rooms(tmp_path / str(turn))
            rooms.room(name).mkdir(parents=True)
            async with asyncio.timeout(20):
                outcomes.append(await function(Step(name, short_plan(), rooms, wait_s=5.0)))
        await line.close()
        board = await site.board.read_all()
        return outcomes, {one: notice.document for one, notice in board.items()}

    return asyncio.run(main())


def test_healing_twice_says_the_same_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outcomes, board = twice(tmp_path, monkeypatch, "heal", heal)

    assert outcomes == [Outcome.done("everything is healed")] * 2
    assert board[notices.HEAL] == HealNotice(leaks=0).model_dump(mode="json")


def test_quiescing_twice_says_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outcomes, board = twice(tmp_path, monkeypatch, "quiesce", quiesce)

    assert outcomes == [Outcome.done("all 3 nodes answer without load")] * 2
    assert set(board) == {notices.WORKLOAD}


def test_the_stretch_before_is_judged_the_same_though_the_load_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And it says nothing on the board: whoever waits for it waits for its node."""
    outcomes, board = twice(tmp_path, monkeypatch, "steady-before", steady)

    assert outcomes == [Outcome.done("steady before the faults: 1 of 1 hold")] * 2
    assert set(board) == {notices.WORKLOAD}

"""Final reads that were not done keep a trial from being green, in the lab and in steps."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from seatrial.engine.interpreter import Completion, InterpretSummary, interpret
from seatrial.engine.lab.board import MemoryBoard
from seatrial.engine.lab.world import Lab
from seatrial.generator import Generator, constant, limit
from seatrial.op import Op, Type
from seatrial.runner.inside import Session
from seatrial.runner.load import Load
from seatrial.runner.steps import reads
from seatrial.runner.steps import step as steps
from seatrial.runner.steps.rooms import LoadClock, LoadRecord, Rooms
from seatrial.runner.steps.step import Step
from seatrial.runner.stretches import bounded_reads
from seatrial.trial import TrialFolder
from seatrial.verdict import Validity
from tests.steps.plans import short_plan

ENDLESS = constant("read")


class Reads:
    """A load of one client whose last reads are these; each takes a millisecond."""

    def __init__(self, final: Generator | None) -> None:
        self.final = final
        self.next_process = 0

    def final_reads(self) -> Generator | None:
        return self.final

    async def read_finally(self, final: Generator, end: asyncio.Event) -> InterpretSummary:
        return await interpret(
            final,
            concurrency=1,
            invoke=self._invoke,
            record=lambda op: 0,
            clock=time.monotonic_ns,
            stop=end,
            outstanding_wait_s=0.05,
        )

    async def _invoke(self, thread: int, op: Op) -> Completion:
        await asyncio.sleep(0.001)
        return Type.OK, op.value, None


class Hanging(Reads):
    """The same, and none is ever answered."""

    async def _invoke(self, thread: int, op: Op) -> Completion:
        await asyncio.sleep(3600)
        return Type.OK, op.value, None


def done(load: Reads, timeout_s: float = 60.0, *, stopped: bool = False) -> bool:
    async def main() -> bool:
        stop = asyncio.Event()
        if stopped:
            stop.set()
        return await bounded_reads(cast(Load, load), timeout_s, stop)

    return asyncio.run(main())


def test_reads_that_come_to_their_end_are_done() -> None:
    assert done(Reads(limit(3, ENDLESS)))
    assert done(Reads(None)), "there is nothing to read"


@pytest.mark.parametrize(
    ("load", "timeout_s", "stopped"),
    [
        (lambda: Reads(ENDLESS), 0.05, False),
        (lambda: Reads(ENDLESS), 60.0, True),
        (lambda: Hanging(limit(1, ENDLESS)), 0.05, False),
    ],
    ids=["out of time", "stopped", "without an answer"],
)
def test_reads_that_had_no_end_are_not_done(
    load: Callable[[], Reads], timeout_s: float, stopped: bool
) -> None:
    assert not done(load(), timeout_s, stopped=stopped)


@pytest.mark.parametrize(
    ("final", "status"),
    [(ENDLESS, "interrupted"), (limit(3, ENDLESS), "finished"), (None, "finished")],
)
def test_a_trial_in_the_lab_without_its_last_reads_has_not_finished(
    tmp_path: Path, final: Generator | None, status: str
) -> None:
    plan = short_plan()
    phases = plan.phases.model_copy(update={"final_timeout_s": 0.2})
    plan = plan.model_copy(update={"phases": phases})
    folder = TrialFolder(tmp_path)

    class Ready:
        nodes = ("n1",)

        async def ready(self, *_: object) -> bool:
            return True

    class Near:
        world = Ready()

    async def main() -> dict[str, Any]:
        session = Session(plan, folder, keep=False)
        session.load = cast(Load, Reads(final))
        await session._finish(cast(Lab, Near()))
        session.writer.close()
        return dict(session.ending())

    ending = asyncio.run(main())

    assert ending["status"] == status
    told = "final-reads: the last reads were not over within 0.2 s"
    assert ending.get("reason", "") == (told if status == "interrupted" else "")


@pytest.mark.parametrize(
    ("final", "validity", "told"),
    [
        (ENDLESS, Validity.UNKNOWN, "the last reads were not over within 0.2 s"),
        (limit(3, ENDLESS), Validity.VALID, "final ops"),
    ],
)
def test_the_step_says_when_its_reads_had_no_end(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    final: Generator,
    validity: Validity,
    told: str,
) -> None:
    plan = short_plan()
    phases = plan.phases.model_copy(update={"final_timeout_s": 0.2})
    plan = plan.model_copy(update={"phases": phases})
    rooms = Rooms(tmp_path)
    clock = LoadClock(identity="", zero_ns=0)
    before = LoadRecord(
        clock=clock,
        versions={},
        host={},
        next_process=0,
        memory={"newest_key": 0},
        healed=True,
    )
    rooms.write("workload", "load.json", before)

    class Near:
        board, nodes = MemoryBoard(), ()

        async def open(self, *_: object) -> Near:
            return self

        async def close(self) -> None: ...

    class Given(Load):
        async def connect(self, nodes: object) -> None: ...

        def final_reads(self) -> Generator | None:
            return final

        async def _invoke(self, thread: int, op: Op) -> Completion:
            await asyncio.sleep(0.001)
            return Type.OK, op.value, None

    site = Near()
    monkeypatch.setattr(steps, "engine_of", lambda _: cast(Any, site))
    monkeypatch.setattr(reads, "Load", Given)
    rooms.room("final-reads").mkdir(parents=True)
    outcome = asyncio.run(reads.final_reads(Step("final-reads", plan, rooms)))

    assert outcome.validity is validity
    assert told in outcome.sentence

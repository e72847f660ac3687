"""The step `fault` beside a real line and board, with a kind of fault that does nothing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from seatrial.clock import ClockRecord
from seatrial.engine.lab.board import MemoryBoard
from seatrial.errors import Unavailable
from seatrial.fault import FaultKind, PlannedFault, Proof, World
from seatrial.runner.steps import notices
from seatrial.runner.steps import step as steps
from seatrial.runner.steps.fault import fault
from seatrial.runner.steps.line import LineServer, monotonic_ns
from seatrial.runner.steps.notices import StopNotice, WorkloadNotice
from seatrial.runner.steps.rooms import EventsRecord, LoadClock, Rooms
from seatrial.runner.steps.step import Outcome, Step
from seatrial.trial import Evidence
from seatrial.verdict import Json, Validity
from tests.steps.plans import short_plan


def planned(duration_s: float) -> PlannedFault:
    return PlannedFault(
        id="fault-1",
        kind="still",
        victims="one",
        nodes=("n1",),
        start_s=0.0,
        duration_s=duration_s,
    )


async def nothing() -> None: ...


class Still:
    """A kind whose effect is always seen; `acting` and `healing` happen then."""

    touches = "network"

    def __init__(self) -> None:
        self.acting: Callable[[], Awaitable[None]] = nothing
        self.healing: Callable[[], Awaitable[None]] = nothing

    async def inject(self, *_: object) -> None: ...

    async def heal(self, *_: object) -> None:
        await self.healing()

    async def prove_injected(self, *_: object) -> Proof:
        await self.acting()
        return Proof(True, "acts")

    async def prove_healed(self, *_: object) -> Proof:
        return Proof(True, "ended")


class Deaf(MemoryBoard):
    """A board that takes no word of the end."""

    async def post(
        self, name: str, document: Mapping[str, Json], *, version: int | None = None
    ) -> bool:
        if document.get("state") == "over":
            raise Unavailable("the board refused")
        return await super().post(name, document, version=version)


class Near:
    """Site and engine in one, in this process."""

    act_timeout_s = recovery_timeout_s = 5.0
    world = cast(World, object())

    def __init__(self, board: MemoryBoard, kind: Still) -> None:
        self.board, self._kind = board, kind

    async def open(self, *_: object) -> Near:
        return self

    def kind(self, _: str) -> FaultKind:
        return cast(FaultKind, self._kind)

    async def locate(self) -> Mapping[str, Sequence[str]]:
        return {}

    async def close(self) -> None: ...


class Trial:
    """One fault in a trial whose load is a line and a notice."""

    def __init__(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch, board: MemoryBoard | None = None
    ) -> None:
        self.rooms, self.board = Rooms(folder), board or MemoryBoard()
        self.kind = Still()
        site = Near(self.board, self.kind)
        monkeypatch.setattr(steps, "engine_of", lambda _: cast(Any, site))
        self.line = LineServer(monotonic_ns, folder / "none", lambda: None)

    def carry_out(self, duration_s: float) -> Outcome:
        """Do the step, for a fault of that length."""
        asked = short_plan().model_copy(update={"faults": (planned(duration_s),)})
        step = Step("fault", asked, self.rooms, fault="fault-1", wait_s=5.0)

        async def main() -> Outcome:
            address = f"unix:{self.rooms.folder.root}/l"
            await self.line.listen(address)
            running = WorkloadNotice(
                state="running",
                line=address,
                clock=LoadClock(identity="", zero_ns=0),
                faults_from_ns=time.monotonic_ns(),
            )
            await notices.post(self.board, notices.WORKLOAD, running)
            try:
                async with asyncio.timeout(20):
                    return await fault(step)
            finally:
                await self.line.close()

        return asyncio.run(main())

    def evidence(self) -> Evidence:
        path = self.rooms.room("fault-1") / "evidence" / "fault-1.json"
        return Evidence.model_validate_json(path.read_text(encoding="utf-8"))


def test_a_fault_whose_load_is_lost_is_cut_short_and_proves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only its own connection is gone: the load goes on and ends in order."""
    trial = Trial(tmp_path, monkeypatch)
    trial.kind.acting = trial.line.close

    outcome = trial.carry_out(60.0)

    assert outcome.validity is Validity.UNKNOWN
    assert " s of 60 s: the load's line was" in outcome.sentence


def test_a_fault_that_somebody_stops_says_who(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial = Trial(tmp_path, monkeypatch)

    async def stop() -> None:
        await notices.post(trial.board, notices.STOP, StopNotice(reason="its exit handler heals"))

    trial.kind.acting = stop
    outcome = trial.carry_out(60.0)

    assert outcome.validity is Validity.UNKNOWN
    assert outcome.sentence.endswith(" s of 60 s: its exit handler heals")


def test_evidence_is_not_on_the_axis_until_its_moments_are_placed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever kills the step before leaves evidence that says so."""
    trial = Trial(tmp_path, monkeypatch)
    bounds: list[int | None] = []

    async def look() -> None:
        bounds.append(trial.evidence().clock_bound_ns)

    trial.kind.healing = look
    outcome = trial.carry_out(0.3)

    assert outcome.validity is Validity.VALID, outcome.sentence
    assert bounds == [None]
    assert trial.evidence().clock_bound_ns is not None


def test_a_word_of_the_end_that_nobody_hears_costs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its events and its clock are there: the history knows when it acted."""
    trial = Trial(tmp_path, monkeypatch, Deaf())

    outcome = trial.carry_out(0.3)

    assert outcome.validity is Validity.VALID, outcome.sentence
    assert len(trial.rooms.read("fault-1", "events.json", EventsRecord).events) == 4
    assert trial.rooms.read("fault-1", "clock.json", ClockRecord).exchanges

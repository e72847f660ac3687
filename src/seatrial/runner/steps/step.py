"""One step from its beginning to its end: its room, its one sentence, its exit status."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import shutil
import signal
import time
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from seatrial.clock import identity
from seatrial.engine.site import ClusterRecord, Engine, Site, engine_of
from seatrial.errors import CannotCreate, SeatrialError, UsageError
from seatrial.fault import PlannedFault
from seatrial.plan import Plan
from seatrial.runner.steps.rooms import Rooms, StepRecord
from seatrial.trial import write_text
from seatrial.verdict import Validity

#: A lab that no step is connected to for so long ends itself.
LEASE_S = 120.0
#: How long a step waits for what another one is to do, beyond what the plan says it takes.
WAIT_S = 300.0
#: Exit status of a defect of the tool (EX_SOFTWARE).
DEFECT = 70
#: How much of an error's text is a step's sentence.
SENTENCE_CHARS = 400
#: Steps that put load on the target or break it: they never begin twice.
ONCE = ("workload", "fault", "final-reads")

Status = Literal["done", "invalid", "unproven", "failed"]
STATUS: dict[Validity, Status] = {
    Validity.VALID: "done",
    Validity.INVALID: "invalid",
    Validity.UNKNOWN: "unproven",
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a step ended: `VALID` is done and nothing against it."""

    validity: Validity
    sentence: str

    @classmethod
    def done(cls, sentence: str) -> Outcome:
        """It did what it is for."""
        return cls(Validity.VALID, sentence)

    @classmethod
    def unproven(cls, sentence: str) -> Outcome:
        """It did not, or something speaks against a green verdict."""
        return cls(Validity.UNKNOWN, sentence)


@dataclass(frozen=True, slots=True)
class Step:
    """What a step was called with."""

    name: str
    plan: Plan
    rooms: Rooms
    fault: str | None = None
    checker: str | None = None
    exit: bool = False
    lease_s: float = LEASE_S
    wait_s: float = WAIT_S
    keep: bool = False
    #: How the workflow ended, as Argo says it; "" where nobody says.
    ended: str = ""
    say: Callable[[str], None] = lambda _: None

    @property
    def room(self) -> str:
        """The name of its room."""
        if self.name == "fault":
            return self.planned_fault().id
        if self.name == "check":
            return f"check-{self.checker}"
        return f"exit-{self.name}" if self.exit else self.name

    @property
    def path(self) -> Path:
        """Its room."""
        return self.rooms.room(self.room)

    @property
    def engine(self) -> Engine:
        """The engine of the plan."""
        return engine_of(self.plan.engine)

    def planned_fault(self) -> PlannedFault:
        """The fault that it is about; raises `UsageError`."""
        for fault in self.plan.faults:
            if fault.id == self.fault:
                return fault
        known = ", ".join(fault.id for fault in self.plan.faults) or "none"
        raise UsageError(f"the plan has no fault {self.fault!r}\n\nhint: --fault one of: {known}")

    def cluster(self) -> ClusterRecord:
        """What `provision` made; raises `NoInput`."""
        return self.rooms.read("provision", "cluster.json", ClusterRecord)

    @contextlib.asynccontextmanager
    async def site(self) -> AsyncIterator[Site]:
        """The cluster, as long as the block lasts; raises `Unavailable`."""
        found = self.rooms.find("provision", "cluster.json", ClusterRecord)
        site = await self.engine.open(found, self.plan, self.rooms.folder.root)
        try:
            yield site
        finally:
            await site.close()


def carry_out(step: Step, function: Callable[[Step], Awaitable[Outcome]]) -> StepRecord:
    """Do a step and keep what it says of itself; raises only what keeps it from beginning.

    A step that was done before is done again in an emptied room, save those of `ONCE`.
    """
    _open_room(step)
    started = datetime.datetime.now(datetime.UTC)
    began = time.monotonic()
    outcome: Outcome | None = None
    try:
        outcome = asyncio.run(_run(step, function))
        code, status = outcome.validity.exit_code, STATUS[outcome.validity]
        sentence = outcome.sentence
    except SeatrialError as error:
        code, status, sentence = error.exit_code, "failed", str(error)
        step.say(f"seatrial: {sentence}")
    except BaseExceptionGroup as group:
        known = _leaf(group)
        code = known.exit_code if isinstance(known, SeatrialError) else DEFECT
        status, sentence = "failed", f"{type(known).__name__}: {known}"
        step.say("".join(traceback.format_exception(group)))
    except Exception as defect:  # the room must say what became of it
        code, status = DEFECT, "failed"
        sentence = f"a defect of seatrial: {type(defect).__name__}: {defect}"
        step.say(traceback.format_exc())
    record = StepRecord(
        step=step.name,
        room=step.room,
        status=status,
        exit_code=code,
        sentence=" ".join(sentence.partition("\n\nhint:")[0].split())[:SENTENCE_CHARS],
        started=started.isoformat(timespec="milliseconds"),
        seconds=round(time.monotonic() - began, 3),
        clock=identity(),
    )
    step.rooms.write(step.room, "step.json", record)
    write_text(step.path / "message", record.sentence + "\n")
    return record


def _open_room(step: Step) -> None:
    if (step.path / "step.json").exists():
        if step.name in ONCE:
            raise CannotCreate(
                f"{step.room} has begun before in {step.rooms.folder.root} and is not repeated\n\n"
                "hint: a new trial in a new folder"
            )
        shutil.rmtree(step.path)
    record = StepRecord(
        step=step.name,
        room=step.room,
        status="running",
        exit_code=2,
        sentence="it was killed before it could end",
        started=datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds"),
    )
    step.rooms.write(step.room, "step.json", record)
    write_text(step.path / "message", record.sentence + "\n")


async def _run(step: Step, function: Callable[[Step], Awaitable[Outcome]]) -> Outcome:
    return await function(step)


@contextlib.contextmanager
def asked_to_stop(stop: asyncio.Event) -> Iterator[None]:
    """Set `stop` on SIGINT and SIGTERM while the block lasts."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    try:
        yield
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


def _leaf(group: BaseExceptionGroup[BaseException]) -> BaseException:
    first = group.exceptions[0]
    return _leaf(first) if isinstance(first, BaseExceptionGroup) else first

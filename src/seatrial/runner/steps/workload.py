"""The step `workload`: one load through all stretches, whose clock is the trial's axis."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time

from seatrial.clock import identity
from seatrial.engine.site import Board, Notice, Site
from seatrial.errors import Unavailable
from seatrial.history.stream import HistoryWriter
from seatrial.op import NEMESIS, Op, Type
from seatrial.plan import Plan
from seatrial.runner import store
from seatrial.runner.load import Load
from seatrial.runner.lookout import until_pulled
from seatrial.runner.probing import Probing
from seatrial.runner.steps import figures, notices
from seatrial.runner.steps.line import LineServer, monotonic_ns
from seatrial.runner.steps.notices import HealNotice, StepNotice, StopNotice, WorkloadNotice
from seatrial.runner.steps.rooms import LoadClock, LoadRecord
from seatrial.runner.steps.step import Outcome, Step, asked_to_stop
from seatrial.runner.stretches import run_stretches
from seatrial.workload import Remembering

#: Faults due so soon after the beginning of their stretch must be there before it begins.
SOON_S = 60.0
#: So long before their moment faults are told of it: a write to the board and a look at it.
LEAD_S = 2.0
#: How often what waits is written to disk.
FLUSH_S = 0.25
#: Every so many times the board is told how many ops there were.
TOLD_EVERY = 8


class Voice:
    """Keeps the notice `workload` up to date; the newest state wins."""

    def __init__(self, board: Board, first: WorkloadNotice) -> None:
        self._board, self.notice = board, first
        self._news = asyncio.Event()

    def say(self, **changes: object) -> None:
        """Change the notice soon."""
        self.notice = self.notice.model_copy(update=changes)
        self._news.set()

    async def speak(self) -> None:
        """Post each change until cancelled."""
        while True:
            await self._news.wait()
            self._news.clear()
            await notices.post(self._board, notices.WORKLOAD, self.notice)


class HarmElsewhere:
    """`seatrial.runner.stretches.Harm` of faults that are steps of their own."""

    def __init__(self, board: Board, step: Step, voice: Voice, stop: asyncio.Event) -> None:
        self._board, self._voice, self._stop = board, voice, stop
        self._plan: Plan = step.plan
        self._wait_s = step.wait_s
        self.late: tuple[str, ...] = ()
        self.none = ""
        self.said = False

    async def ready(self) -> str:
        """Wait for the faults that are due soon, or for the word that there will be none."""
        due = [f.id for f in self._plan.faults if f.start_s <= self._plan.phases.before_s + SOON_S]
        deadline = time.monotonic() + self._wait_s
        while not self._stop.is_set():
            there = await self._board.read_all()
            self.late = tuple(fault for fault in due if not _is_ready(there.get(fault)))
            if notices.HEAL in there:
                self.none = "no fault was begun: what comes before the faults went wrong"
            if self.none or not self.late or time.monotonic() > deadline:
                return self.none
            await asyncio.sleep(notices.POLL_S)
        return ""

    @property
    def lead_s(self) -> float:
        """How long before the stretch of faults they are told of it, as the first is so near."""
        phases = self._plan.phases
        first_s = min((f.start_s for f in self._plan.faults), default=math.inf) - phases.before_s
        return max(0.0, LEAD_S - max(0.0, first_s))

    def begin(self, from_ns: int) -> None:
        """Tell the faults where their moments count from."""
        self._voice.say(faults_from_ns=from_ns)

    async def healed(self) -> bool:
        """Wait for the step `heal`; False if it does not speak in time."""
        deadline = time.monotonic() + self._wait_s
        while not self._stop.is_set() and time.monotonic() < deadline:
            if await notices.find(self._board, notices.HEAL, HealNotice) is not None:
                self.said = True
                return True
            await asyncio.sleep(notices.POLL_S)
        return False

    async def cancel(self) -> None:
        """Nothing here is ours to end."""


def _is_ready(found: Notice | None) -> bool:
    """Whether a fault waits for its moment and for nothing else."""
    return found is not None and StepNotice.model_validate(found.document).state != "starting"


class Carried:
    """The state of the step while it runs."""

    def __init__(self, step: Step, site: Site) -> None:
        self.step, self.site = step, site
        self.zero_ns = monotonic_ns()
        self.stop = asyncio.Event()
        self.why = ""
        self.writer = HistoryWriter(step.path / "history.arrow")
        self.load = Load(step.plan, record=self.writer.append, clock=self.clock)
        line = step.engine.line(step.rooms.folder.root)
        self.listen = line.listen
        self.clock_record = LoadClock(identity=identity(), zero_ns=self.zero_ns)
        first = WorkloadNotice(state="running", line=line.advertise, clock=self.clock_record)
        self.voice = Voice(site.board, first)
        self.probing = Probing(
            step.plan,
            self.clock,
            samples=step.path / "samples.jsonl",
            scratch=step.path / "prometheus",
            log=step.path / "prometheus.log",
            places=("lab", "host"),
        )
        self.harm = HarmElsewhere(site.board, step, self.voice, self.stop)
        self.phase = ""

    def clock(self) -> int:
        """The axis."""
        return monotonic_ns() - self.zero_ns

    def enter(self, phase: str, seconds: float | None = None) -> None:
        """Begin a phase: said in the history and on the board."""
        now = self.clock()
        self.phase = phase
        self.writer.append(Op(Type.INFO, NEMESIS, "phase", phase, time_ns=now))
        self.writer.flush()
        if self.voice.notice.load_start_ns is None and phase != "warm-up":
            self.voice.say(load_start_ns=now)
        self.voice.say(phase=phase)
        self.step.say(phase if seconds is None else f"{phase} ({seconds:g} s)")

    async def warm_up(self) -> None:
        """Wait until what is sampled has answered once."""
        for silent in await self.probing.warm_up():
            self.step.say(f"nothing read yet: {silent}")

    def halt(self, why: str) -> None:
        """End the load soon."""
        self.why = self.why or why
        self.stop.set()

    async def watch(self) -> None:
        """Look whether anybody wants an end, or the cluster is gone; write what waits."""
        beats = 0
        while True:
            await asyncio.sleep(FLUSH_S)
            self.writer.tick()
            self.probing.flush()
            beats += 1
            if beats % TOLD_EVERY == 0:
                self.voice.say(ops=self.load.counters.completed)
            try:
                wish = await notices.find(self.site.board, notices.STOP, StopNotice)
            except Unavailable as gone:
                self.halt(str(gone))
                continue
            if wish is not None:
                self.halt(wish.reason)


async def workload(step: Step) -> Outcome:
    """Carry the load. Runs where clients reach the nodes."""
    async with step.site() as site:
        carried = Carried(step, site)
        line = LineServer(carried.clock, step.path / "history.arrow", carried.writer.flush)
        asked = asyncio.Event()
        with asked_to_stop(asked):
            await line.listen(carried.listen)
            helpers = [
                asyncio.create_task(carried.voice.speak(), name="voice"),
                asyncio.create_task(carried.watch(), name="watch"),
                asyncio.create_task(_asked(asked, carried), name="asked"),
                asyncio.create_task(_obey_lever(carried), name="lever"),
            ]
            try:
                await notices.begin_once(site.board, notices.WORKLOAD, carried.voice.notice)
                await _carry(carried)
            finally:
                for helper in helpers:
                    helper.cancel()
                await asyncio.gather(*helpers, return_exceptions=True)
                await carried.load.close()
                carried.writer.close()
                await line.close()
        return _end(carried)


async def _carry(carried: Carried) -> None:
    """Connect, and run through the stretches."""
    try:
        await carried.load.connect(carried.site.nodes)
        await carried.probing.start(carried.load.target, carried.site.nodes)
        await run_stretches(
            carried.load,
            carried.harm,
            carried.step.plan.phases,
            enter=carried.enter,
            clock=carried.clock,
            stop=carried.stop,
            warm_up=carried.warm_up if carried.probing.asks else None,
        )
        await carried.probing.end_of_load()
        carried.enter("quiesce")
    finally:
        await carried.probing.close()
        ended = carried.voice.notice.model_copy(update={"state": "ended"})
        with contextlib.suppress(Unavailable):
            await notices.post(carried.site.board, notices.WORKLOAD, ended)


async def _obey_lever(carried: Carried) -> None:
    """End a trial with faults when somebody pulls the safety lever of this machine."""
    if carried.step.plan.faults:
        carried.halt((await until_pulled()).sentence)


async def _asked(asked: asyncio.Event, carried: Carried) -> None:
    await asked.wait()
    carried.halt("a signal")


def _end(carried: Carried) -> Outcome:
    step, load, harm = carried.step, carried.load, carried.harm
    memory = load.workload.memory() if isinstance(load.workload, Remembering) else {}
    stopped = f"stopped in the phase {carried.phase}: {carried.why}" if carried.why else ""
    if not stopped and not harm.said:
        stopped = harm.none or (
            f"no word of healing within {step.wait_s:g} s: the stretch after was left out"
        )
    record = LoadRecord(
        clock=carried.clock_record,
        versions=store.own_versions(),
        host=store.host(),
        next_process=load.next_process,
        memory=memory,
        healed=harm.said,
        stopped=stopped,
        late=harm.late,
    )
    step.rooms.write(step.room, "load.json", record)
    figures.keep(step, {"ops": load.counters.completed})
    told = f"{load.counters.completed:,} ops of {step.plan.workload.name}"
    if stopped:
        return Outcome.unproven(f"{told}, then {stopped}")
    if harm.late:
        return Outcome.done(f"{told}; {', '.join(harm.late)} came late")
    return Outcome.done(told)

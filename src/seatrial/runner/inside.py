"""What runs inside a trial's sandbox: the cluster, the load and the nemesis, on one clock.

Started by `seatrial.runner.outside` with the trial's folder; tells its progress on standard
output, one JSON document a line (`Event`), and writes the history and the evidence as they
happen, so that whatever kills it leaves a folder that can be judged.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
import time
from collections.abc import Coroutine, Mapping, Sequence
from pathlib import Path

from seatrial import faults as shelf
from seatrial import targets, workloads
from seatrial.engine.counters import OpCounters
from seatrial.engine.interpreter import interpret
from seatrial.engine.lab.world import Lab
from seatrial.errors import SeatrialError
from seatrial.generator import Generator
from seatrial.generator import rate as paced
from seatrial.history.stream import HistoryWriter
from seatrial.op import NEMESIS, Op, Type
from seatrial.plan import Plan
from seatrial.runner.nemesis import Nemesis
from seatrial.target import Client, Node, OpFailed, OpRefused, OpUnknown, Target
from seatrial.trial import TrialFolder
from seatrial.verdict import Json
from seatrial.workload import Workload

TICK_S = 1.0
FLUSH_S = 0.25
CONNECT_TIMEOUT_S = 10.0


def emit(event: str, **fields: Json) -> None:
    """One event to the outer program."""
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.write(json.dumps({"event": event, **fields}) + "\n")
        sys.stdout.flush()


class Session:
    """One trial in the making."""

    def __init__(self, plan: Plan, folder: TrialFolder, *, keep: bool) -> None:
        self.plan = plan
        self.folder = folder
        self.keep = keep
        self.stop = asyncio.Event()
        self.stopped_in = ""
        self.started_ns = time.monotonic_ns()
        self.writer = HistoryWriter(folder.history)
        self.counters = OpCounters()
        self.target: Target = targets.make(plan.target.name, plan.target.settings)
        self.workload: Workload = workloads.make(plan.workload.name, plan.workload.settings)
        self.phase = ""
        self.phase_ends_ns: int | None = None
        self.nemesis: Nemesis | None = None
        self.clients: list[Client] = []
        #: What happened to nodes that nobody planned, in sentences.
        self.unplanned: list[str] = []

    def clock(self) -> int:
        """Nanoseconds since the start of the trial."""
        return time.monotonic_ns() - self.started_ns

    def enter(self, phase: str, seconds: float | None = None) -> None:
        """Begin a phase: said in the history and to the outer program."""
        now = self.clock()
        self.phase = phase
        self.phase_ends_ns = None if seconds is None else now + int(seconds * 1e9)
        self.writer.append(Op(Type.INFO, NEMESIS, "phase", phase, time_ns=now))
        self.writer.flush()
        emit("phase", name=phase, seconds=seconds, at_s=now / 1e9)

    # ── the phases ───────────────────────────────────────────────────────────────────────────

    async def run(self) -> tuple[str, ...]:
        """All phases; returns what the leak audit found. Always heals and tears down."""
        self.enter("provision")
        lab = Lab(
            self.target,
            self.plan.target.nodes,
            scratch=self.folder.data,
            logs=self.folder.logs,
            isolation=self.plan.isolation,
            volumes=shelf.volume_need(self.plan.faults),
        )
        leaks: tuple[str, ...] = ()
        ticker = asyncio.create_task(self._tick(), name="ticker")
        try:
            if await self._unless_stopped(lab.start()):
                emit("nodes", nodes={node.name: node.address for node in lab.nodes})
                await self._with_cluster(lab)
        finally:
            with contextlib.suppress(SeatrialError):  # a full disk must not keep it from healing
                self.enter("teardown")
            for client in self.clients:
                await client.close()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(lab.heal_everything(), 20)
            leaks = lab.audit()
            self.unplanned += [end.sentence for end in lab.exits if not end.planned]
            await lab.stop(keep=self.folder.nodes if self.keep else None)
            ticker.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await ticker
            self.writer.close()
        return leaks

    async def _with_cluster(self, lab: Lab) -> None:
        plan = self.plan
        self.enter("prepare")
        self.clients = await self._connect(lab.nodes)
        self.nemesis = Nemesis(
            lab.world,
            lambda: self.target.locate(lab.nodes),
            record=self.writer.append,
            clock=self.clock,
            evidence=self.folder.evidence,
        )
        end_of_load = asyncio.Event()
        load = asyncio.create_task(self._load(end_of_load), name="load")
        watcher = asyncio.create_task(_relay(self.stop, end_of_load))
        nemesis: asyncio.Task[None] | None = None
        try:
            start_ns = self.clock()
            self.enter("steady-before", plan.phases.before_s)
            if await self._until(start_ns + int(plan.phases.before_s * 1e9), load):
                return
            self.enter("workload", plan.phases.faults_s)
            nemesis = asyncio.create_task(
                self.nemesis.run(plan.faults, start_ns, self.stop), name="nemesis"
            )
            ends = start_ns + int((plan.phases.before_s + plan.phases.faults_s) * 1e9)
            await self._until(ends, load)
            self.enter("heal")
            await nemesis
            await lab.heal_everything()
            if not self.stop.is_set():
                self.enter("steady-after", plan.phases.after_s)
                await self._until(self.clock() + int(plan.phases.after_s * 1e9), load)
        finally:
            end_of_load.set()
            watcher.cancel()
            if nemesis is not None and not nemesis.done():
                nemesis.cancel()
                await asyncio.wait({nemesis})
            await load
        await self._finish(lab)

    async def _finish(self, lab: Lab) -> None:
        """Quiesce and the final reads."""
        phases = self.plan.phases
        if self.stop.is_set():
            return
        self.enter("quiesce", phases.quiesce_timeout_s)
        if not await self._unless_stopped(self._quiesce(lab)):
            return
        final = self.workload.final_generator(
            self.plan.seed, self.plan.workload.concurrency, len(lab.nodes)
        )
        if final is None or self.stop.is_set():
            return
        self.enter("final-reads", phases.final_timeout_s)
        end = asyncio.Event()
        timer = asyncio.get_running_loop().call_later(phases.final_timeout_s, end.set)
        watcher = asyncio.create_task(_relay(self.stop, end))
        try:
            await self._interpret(final, end, first_process=self._next_process)
        finally:
            timer.cancel()
            watcher.cancel()

    async def _quiesce(self, lab: Lab) -> None:
        """Wait until every node answers, all within one bound; who does not is remembered."""
        timeout_s = self.plan.phases.quiesce_timeout_s
        ready = await asyncio.gather(*(lab.world.ready(node.name, timeout_s) for node in lab.nodes))
        for node, answers in zip(lab.nodes, ready, strict=True):
            if not answers:
                silent = f"{node.name} did not answer within {timeout_s:g} s of healing"
                emit("note", text=silent)
                self.unplanned.append(silent)

    # ── the load ─────────────────────────────────────────────────────────────────────────────

    async def _load(self, end: asyncio.Event) -> None:
        plan = self.plan.workload
        generator = self.workload.generator(
            self.plan.seed, plan.concurrency, len(self.plan.target.nodes)
        )
        if plan.rate is not None:
            generator = paced(plan.rate, generator, self.plan.seed)
        self._next_process = await self._interpret(generator, end, first_process=0)

    async def _interpret(
        self, generator: Generator, stop: asyncio.Event, *, first_process: int
    ) -> int:
        summary = await interpret(
            generator,
            concurrency=self.plan.workload.concurrency,
            invoke=self._invoke,
            record=self.writer.append,
            clock=self.clock,
            stop=stop,
            counters=self.counters,
            first_process=first_process,
        )
        return summary.next_process

    async def _invoke(self, thread: int, op: Op) -> Op:
        kind, value, error = Type.OK, op.value, None
        try:
            value = await self.workload.invoke(self.clients[thread], op)
        except OpRefused:
            kind = Type.FAIL
        except OpFailed as failure:
            kind, error = Type.FAIL, str(failure) or type(failure).__name__
        except OpUnknown as unknown:
            kind, error = Type.INFO, str(unknown) or type(unknown).__name__
        return Op(kind, op.process, op.f, value, op.key, self.clock(), error)

    async def _connect(self, nodes: Sequence[Node]) -> list[Client]:
        threads = range(self.plan.workload.concurrency)
        timeout_s = self.plan.workload.op_timeout_s
        return [
            await self.target.connect(nodes[thread % len(nodes)], timeout_s=timeout_s)
            for thread in threads
        ]

    # ── waiting and telling ──────────────────────────────────────────────────────────────────

    async def _until(self, at_ns: int, load: asyncio.Task[None]) -> bool:
        """Wait for a moment, or until the trial is stopped (True) or the load breaks (raises)."""
        stopped = asyncio.create_task(self.stop.wait())
        try:
            left_s = max(0.0, (at_ns - self.clock()) / 1e9)
            await asyncio.wait({stopped, load}, timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopped.cancel()
        if load.done():
            load.result()
        return self.stop.is_set()

    async def _unless_stopped(self, work: Coroutine[object, object, None]) -> bool:
        """Do `work` unless the trial is stopped meanwhile; whether it was done."""
        task = asyncio.create_task(work)
        stopped = asyncio.create_task(self.stop.wait())
        await asyncio.wait({task, stopped}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if task.done():
            task.result()
            return not self.stop.is_set()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        return False

    async def _tick(self) -> None:
        beat = 0
        while True:
            await asyncio.sleep(FLUSH_S)
            self.writer.tick()
            beat += 1
            if beat % int(TICK_S / FLUSH_S) == 0:
                emit("tick", **self._reading())

    def _reading(self) -> Mapping[str, Json]:
        left = None if self.phase_ends_ns is None else (self.phase_ends_ns - self.clock()) / 1e9
        reading = self.counters.read(self.clock())
        alive = self.nemesis.alive if self.nemesis is not None else ()
        return {
            "phase": self.phase,
            "left_s": left,
            "ops": reading.completed,
            "ops_s": reading.ops_per_s,
            "error_rate": reading.error_rate,
            "p99_ms": reading.p99_ms,
            "faults": [
                {"id": fault.id, "kind": fault.kind, "victims": list(victims)}
                for fault, victims in alive
            ],
        }


async def _relay(source: asyncio.Event, destination: asyncio.Event) -> None:
    await source.wait()
    destination.set()


async def _run(plan: Plan, folder: TrialFolder, *, keep: bool) -> None:
    session = Session(plan, folder, keep=keep)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, _stop, session)
    leaks = await session.run()
    if session.stop.is_set():
        reason = f"stopped by a signal in the phase {session.stopped_in}"
        ending: Mapping[str, Json] = {"status": "interrupted", "reason": reason}
    else:
        ending = {"status": "finished"}
    emit("done", **ending, leaks=list(leaks), unplanned=list(session.unplanned))


def _stop(session: Session) -> None:
    if not session.stop.is_set():
        session.stopped_in = session.phase
        session.stop.set()
        emit("note", text="stopping: heal, then judge what there is (again: at once)")


def main(argv: list[str]) -> int:
    """`python -m seatrial.runner.inside FOLDER [--keep]`."""
    folder = TrialFolder(Path(argv[0]))
    plan = Plan.model_validate_json(folder.plan.read_text(encoding="utf-8"))
    try:
        asyncio.run(_run(plan, folder, keep="--keep" in argv))
    except BaseExceptionGroup as group:
        known = group.subgroup(SeatrialError)
        if known is None:
            raise
        first = _leaf(known)
        emit("error", text=str(first), exit_code=first.exit_code)
        return first.exit_code
    except SeatrialError as error:
        emit("error", text=str(error), exit_code=error.exit_code)
        return error.exit_code
    return 0


def _leaf(group: BaseExceptionGroup[SeatrialError]) -> SeatrialError:
    first = group.exceptions[0]
    return _leaf(first) if isinstance(first, BaseExceptionGroup) else first


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

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
from collections.abc import Mapping, Sequence
from pathlib import Path

from seatrial import faults as shelf
from seatrial.engine.lab.elsewhere import Elsewhere
from seatrial.engine.lab.world import Lab
from seatrial.errors import SeatrialError
from seatrial.fault import PlannedFault
from seatrial.history.stream import HistoryWriter
from seatrial.op import NEMESIS, Op, Type
from seatrial.plan import Plan
from seatrial.runner import audit
from seatrial.runner.breaker import Breaker
from seatrial.runner.cleared import clear
from seatrial.runner.halts import Halts, forbidden
from seatrial.runner.load import Load
from seatrial.runner.lookout import Lookout, until_pulled, watched
from seatrial.runner.nemesis import Nemesis
from seatrial.runner.probing import Probing
from seatrial.runner.quiesce import quiesce
from seatrial.runner.remembered import read_budget
from seatrial.runner.roles import watch_roles
from seatrial.runner.spending import Spending
from seatrial.runner.stretches import bounded_reads, run_stretches, unfinished, unless_stopped
from seatrial.runner.target_options import runs_already
from seatrial.runner.watch import Watch
from seatrial.trial import TrialFolder
from seatrial.verdict import Json

TICK_S = 1.0
FLUSH_S = 0.25


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
        #: Why the trial was stopped; "" while it was not.
        self.reason = ""
        #: Why the final reads were not done; "" if they were, or there are none.
        self.unread = ""
        self.started_ns = time.monotonic_ns()
        self.writer = HistoryWriter(folder.history)
        seen = watched(plan)
        self.watch = Watch(seen, plan.phases.before_s) if seen or _aborts(plan) else None
        self.lookout: Lookout | None = None
        left = read_budget(folder) if plan.slo is not None else None
        self.spending = None if left is None else Spending(left, self._abort)
        self.load = Load(plan, record=self.record, clock=self.clock)
        self.phase = ""
        self.phase_ends_ns: int | None = None
        self.nemesis: Nemesis | None = None
        self.breaker = Breaker(plan, self._abort, lambda: bool(self.nemesis and self.nemesis.alive))
        self.probing = Probing(
            plan,
            self.clock,
            samples=folder.samples,
            scratch=folder.data / "prometheus",
            log=folder.logs / "prometheus.log",
            on_sample=self.breaker.hear,
        )
        #: What happened to nodes that nobody planned, in sentences.
        self.unplanned: list[str] = []

    def clock(self) -> int:
        """Nanoseconds since the start of the trial."""
        return time.monotonic_ns() - self.started_ns

    def record(self, op: Op) -> int:
        """Take one op into the history, and show it to who watches."""
        if self.watch is not None:
            self.watch.note(op)
        if self.spending is not None:
            self.spending.note(op)
        return self.writer.append(op)

    def end(self, reason: str) -> None:
        """Stop the trial for a reason, once: heal, then judge what there is."""
        if not self.stop.is_set():
            self.reason = f"{reason} in the phase {self.phase}"
            self.stop.set()
            emit("note", text=f"{reason}: heal, then judge what there is (again: at once)")

    def ending(self) -> Mapping[str, Json]:
        """How it ended, as `trial.json` says it."""
        if self.stop.is_set():
            return {"status": "interrupted", "reason": self.reason}
        if self.lookout is not None and self.lookout.reason:
            return {"status": "aborted", "reason": self.lookout.reason}
        if self.unread:
            return {"status": "interrupted", "reason": self.unread}
        return {"status": "finished"}

    def _abort(self, words: str) -> None:
        """Heal all and end, because a sample broke its tolerance."""
        if self.lookout is not None:
            self.lookout.abort(words)

    def enter(self, phase: str, seconds: float | None = None) -> None:
        """Begin a phase: said in the history and to the outer program."""
        now = self.clock()
        self.phase = phase
        self.breaker.enter(phase)
        self.phase_ends_ns = None if seconds is None else now + int(seconds * 1e9)
        self.writer.append(Op(Type.INFO, NEMESIS, "phase", phase, time_ns=now))
        self.writer.flush()
        emit("phase", name=phase, seconds=seconds, at_s=now / 1e9)

    # ── the phases ───────────────────────────────────────────────────────────────────────────

    async def run(self) -> tuple[str, ...]:
        """All phases; returns what the leak audit found. Always heals and tears down."""
        self.enter("provision")
        lab = self._lab()
        leaks: tuple[str, ...] = ()
        beside = [asyncio.create_task(self._tick()), asyncio.create_task(self._obey_lever())]
        try:
            if await unless_stopped(lab.start(), self.stop):
                emit("nodes", nodes={node.name: node.address for node in lab.nodes})
                await self._with_cluster(lab)
        finally:
            with contextlib.suppress(SeatrialError):  # a full disk must not keep it from healing
                self.enter("teardown")
            await self.load.close()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(lab.heal_everything(), 20)
            self.unplanned += await self.probing.close()
            leaks = audit.in_the_lab(lab.audit(), self.plan.isolation)
            self.unplanned += [end.sentence for end in lab.exits if not end.planned]
            for end in lab.exits:
                if end.why:
                    emit("note", text=end.sentence)
            await lab.stop(keep=self.folder.nodes if self.keep else None)
            for task in beside:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
            self.writer.close()
        return leaks

    def _lab(self) -> Lab | Elsewhere:
        """The cluster of the trial: made here, or one that runs already."""
        target, names = self.load.target, self.plan.target.nodes
        if runs_already(self.plan.target.settings):
            return Elsewhere(target, names)
        return Lab(
            target,
            names,
            scratch=self.folder.data,
            logs=self.folder.logs,
            isolation=self.plan.isolation,
            seed=self.plan.seed,
            volumes=shelf.volume_need(self.plan.faults),
        )

    async def _with_cluster(self, lab: Lab | Elsewhere) -> None:
        self.enter("prepare")
        if isinstance(lab, Elsewhere):
            await clear(self.load.target, lab.nodes)
            await lab.start()
        await self.load.connect(lab.nodes)
        await self.probing.start(self.load.target, lab.nodes)
        halts = Halts(lambda: forbidden(self.plan))
        self.nemesis = Nemesis(
            lab.world,
            lambda: self.load.target.locate(lab.nodes),
            record=self.writer.append,
            clock=self.clock,
            evidence=self.folder.evidence,
            halts=halts,
        )
        if self.watch is not None:
            self.lookout = Lookout(self.plan, self.watch, self.nemesis, halts, self.clock)
        harm = _NemesisBeside(self.nemesis, lab, self.plan.faults, self.stop, self.lookout)
        watcher = self._watch_roles(lab)
        await run_stretches(
            self.load,
            harm,
            self.plan.phases,
            enter=self.enter,
            clock=self.clock,
            stop=self.stop,
            warm_up=self._warm_up if self.probing.asks else None,
            over=None if self.lookout is None else self.lookout.aborted,
        )
        if watcher is not None:
            watcher.cancel()
        await self.probing.end_of_load()
        await self._finish(lab)

    def _watch_roles(self, lab: Lab | Elsewhere) -> asyncio.Task[None] | None:
        """Ask who leads, where somebody leads and faults are planned."""
        target, nemesis = self.load.target, self.nemesis
        if "leader" not in target.roles or not self.plan.faults or nemesis is None:
            return None
        work = watch_roles(
            lambda: target.locate(lab.nodes),
            self.folder.roles,
            self.clock,
            lambda: bool(nemesis.alive),
        )
        return asyncio.create_task(work, name="roles")

    async def _warm_up(self) -> None:
        for silent in await self.probing.warm_up():
            emit("note", text=f"nothing read yet: {silent}")

    async def _obey_lever(self) -> None:
        """End a trial with faults when somebody pulls the safety lever."""
        if self.plan.faults:
            self.end((await until_pulled()).sentence)

    async def _finish(self, lab: Lab | Elsewhere) -> None:
        """Quiesce and the final reads."""
        phases = self.plan.phases
        if self.stop.is_set():
            return
        self.enter("quiesce", phases.quiesce_timeout_s)
        if not await unless_stopped(self._quiesce(lab), self.stop):
            return
        if self.plan.workload.final_reads and not self.stop.is_set():
            self.enter("final-reads", phases.final_timeout_s)
            if not await bounded_reads(self.load, phases.final_timeout_s, self.stop):
                self.unread = f"final-reads: {unfinished(phases.final_timeout_s)}"

    async def _quiesce(self, lab: Lab | Elsewhere) -> None:
        """Wait until every node answers, all within one bound; who does not is remembered."""
        for silent in await quiesce(lab.world, self.plan.phases.quiesce_timeout_s):
            emit("note", text=silent)
            self.unplanned.append(silent)

    async def _tick(self) -> None:
        beat = 0
        while True:
            await asyncio.sleep(FLUSH_S)
            self.writer.tick()
            beat += 1
            self.probing.flush()
            if self.spending is not None:
                self.spending.tick(self.clock(), self.phase)
            if beat % int(TICK_S / FLUSH_S) == 0:
                emit("tick", **self._reading())

    def _reading(self) -> Mapping[str, Json]:
        left = None if self.phase_ends_ns is None else (self.phase_ends_ns - self.clock()) / 1e9
        reading = self.load.counters.read(self.clock())
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


def _aborts(plan: Plan) -> bool:
    """Whether something besides the ops may abort the trial."""
    return any(state.on_break == "abort" for state in plan.steady_states) or plan.slo is not None


class _NemesisBeside:
    """`Harm` of a nemesis in the same process."""

    def __init__(
        self,
        nemesis: Nemesis,
        lab: Lab | Elsewhere,
        faults: Sequence[PlannedFault],
        stop: asyncio.Event,
        lookout: Lookout | None,
    ) -> None:
        self._nemesis, self._lab, self._faults, self._stop = nemesis, lab, faults, stop
        self._lookout = lookout
        self._task: asyncio.Task[None] | None = None
        self._looking: asyncio.Task[None] | None = None

    async def ready(self) -> str:
        return ""

    @property
    def lead_s(self) -> float:
        return 0.0

    def begin(self, from_ns: int) -> None:
        self._task = asyncio.create_task(
            self._nemesis.run(self._faults, from_ns, self._stop), name="nemesis"
        )
        if self._lookout is not None:
            self._looking = asyncio.create_task(self._lookout.run(), name="lookout")

    async def healed(self) -> bool:
        await self._stop_looking()
        if self._lookout is not None and self._lookout.reason:
            emit("note", text=f"aborted: {self._lookout.reason}")
        if self._task is not None:
            await self._task
        await self._lab.heal_everything()
        return True

    async def _stop_looking(self) -> None:
        """End the lookout; raises what broke it: a trial unwatched is not the one planned."""
        if self._looking is not None:
            self._looking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._looking

    async def cancel(self) -> None:
        if self._looking is not None:
            self._looking.cancel()
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait({self._task})


async def _run(plan: Plan, folder: TrialFolder, *, keep: bool) -> None:
    session = Session(plan, folder, keep=keep)
    emit("began", monotonic_ns=session.started_ns)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, session.end, "stopped by a signal")
    leaks = await session.run()
    lookout = session.lookout
    outcomes = lookout.outcomes() if lookout is not None else ()
    ramps: list[Json] = [outcome.model_dump(mode="json") for outcome in outcomes]
    emit(
        "done",
        **session.ending(),
        leaks=list(leaks),
        unplanned=list(session.unplanned),
        ramps=ramps,
    )


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

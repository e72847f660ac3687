"""The steps after the faults: `heal`, `quiesce`, `final-reads`."""

from __future__ import annotations

import asyncio
import contextlib

from seatrial.clock import identity
from seatrial.errors import NoInput, SeatrialError
from seatrial.history.stream import HistoryWriter
from seatrial.op import NEMESIS, Op, Type
from seatrial.runner.load import Load
from seatrial.runner.quiesce import quiesce as quiesced
from seatrial.runner.steps import notices
from seatrial.runner.steps.line import monotonic_ns
from seatrial.runner.steps.notices import ActingNotice, HealNotice, StepNotice, StopNotice
from seatrial.runner.steps.rooms import AuditRecord, LoadClock, LoadRecord
from seatrial.runner.steps.step import Outcome, Step, asked_to_stop
from seatrial.runner.stretches import bounded_reads
from seatrial.workload import Remembering

#: How long healing everything may take.
HEAL_TIMEOUT_S = 60.0
FLUSH_S = 0.25


async def heal(step: Step) -> Outcome:
    """Undo all that faults did, say so, and look what is still broken.

    As exit handler it asks the steps that still run to end first, and a cluster that is not there
    needs no healing.
    """
    try:
        async with step.site() as site:
            if step.exit:
                wish = StopNotice(reason="the trial ends: its exit handler heals")
                await notices.post(site.board, notices.STOP, wish)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(site.heal_everything(), HEAL_TIMEOUT_S)
            await notices.post(site.board, notices.ACTING, ActingNotice())
            leaks = await site.audit()
            await notices.post(site.board, notices.HEAL, HealNotice(leaks=len(leaks)))
    except SeatrialError as error:
        if not step.exit:
            raise
        return Outcome.done(f"nothing to heal: {error}".partition("\n")[0])
    step.rooms.write(step.room, "heal.json", AuditRecord(leaks=leaks))
    if leaks:
        return Outcome.unproven(f"still broken after healing: {'; '.join(leaks)}")
    return Outcome.done("everything is healed")


async def quiesce(step: Step) -> Outcome:
    """Wait until every node answers."""
    async with step.site() as site:
        silent = await quiesced(site.world, step.plan.phases.quiesce_timeout_s)
    step.rooms.write(step.room, "quiesce.json", AuditRecord(unplanned=silent))
    if silent:
        return Outcome.unproven("; ".join(silent))
    return Outcome.done(f"all {len(step.plan.target.nodes)} nodes answer without load")


async def final_reads(step: Step) -> Outcome:
    """Read what must be there once more, and look for leaks. Runs where clients reach the nodes."""
    before = step.rooms.read("workload", "load.json", LoadRecord)
    zero_ns = monotonic_ns()
    stop = asyncio.Event()
    writer = HistoryWriter(step.path / "history.arrow")

    def clock() -> int:
        return monotonic_ns() - zero_ns

    load = Load(step.plan, record=writer.append, clock=clock)
    load.next_process = before.next_process
    if isinstance(load.workload, Remembering):
        load.workload.recall(before.memory)
    phases = step.plan.phases
    async with step.site() as site:
        await notices.begin_once(site.board, step.room, StepNotice(state="ready"))
        ticker = asyncio.create_task(_tick(writer))
        try:
            with asked_to_stop(stop):
                if step.plan.workload.final_reads:
                    await load.connect(site.nodes)
                    writer.append(Op(Type.INFO, NEMESIS, "phase", "final-reads", time_ns=clock()))
                    await bounded_reads(load, phases.final_timeout_s, stop)
                writer.append(Op(Type.INFO, NEMESIS, "phase", "teardown", time_ns=clock()))
            audit = AuditRecord(leaks=await site.audit(), unplanned=await site.unplanned())
        finally:
            ticker.cancel()
            await asyncio.gather(ticker, return_exceptions=True)
            await load.close()
            writer.close()
    own = LoadClock(identity=identity(), zero_ns=zero_ns)
    step.rooms.write(step.room, "clock.json", own)
    step.rooms.write(step.room, "audit.json", audit)
    if not step.plan.workload.final_reads:
        return Outcome.done(f"{step.plan.workload.name} has no final reads")
    told = f"{load.counters.completed:,} final ops"
    if stop.is_set():
        return Outcome.unproven(f"{told}, then stopped by a signal")
    return Outcome.done(told)


async def _tick(writer: HistoryWriter) -> None:
    while True:
        await asyncio.sleep(FLUSH_S)
        writer.tick()


async def audit(step: Step) -> Outcome:
    """What is still broken, and what happened that nobody planned; at the very end."""
    try:
        async with step.site() as site:
            found = AuditRecord(leaks=await site.audit(), unplanned=await site.unplanned())
    except SeatrialError as error:
        return Outcome.done(f"nothing to audit: {error}".partition("\n")[0])
    step.rooms.write(step.room, "audit.json", found)
    if found.leaks:
        return Outcome.unproven(f"left behind: {'; '.join(found.leaks)}")
    return Outcome.done("nothing is left of any fault")


async def collect(step: Step) -> Outcome:
    """Bring the nodes' logs into the room."""
    try:
        async with step.site() as site:
            names = await site.collect(step.path / "logs")
    except SeatrialError as error:
        return Outcome.done(f"nothing to collect: {error}".partition("\n")[0])
    return Outcome.done(f"{len(names)} files collected" if names else "all logs are here already")


async def teardown(step: Step) -> Outcome:
    """Take the cluster down; what is gone already is fine."""
    keep = step.rooms.folder.nodes if step.keep else None
    try:
        async with step.site() as site:
            left = await site.teardown(keep)
    except (SeatrialError, NoInput) as error:
        return Outcome.done(f"nothing to take down: {error}".partition("\n")[0])
    step.rooms.write(step.room, "teardown.json", AuditRecord(leaks=left))
    if left:
        return Outcome.unproven(f"not taken down: {'; '.join(left)}")
    return Outcome.done("the cluster is gone")

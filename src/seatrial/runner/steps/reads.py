"""The step `final-reads`: what must be there is read once more, without load and faults."""

from __future__ import annotations

import asyncio

from seatrial.clock import identity
from seatrial.history.stream import HistoryWriter
from seatrial.op import NEMESIS, Op, Type
from seatrial.runner.load import Load
from seatrial.runner.steps import notices
from seatrial.runner.steps.line import monotonic_ns
from seatrial.runner.steps.notices import StepNotice
from seatrial.runner.steps.rooms import LoadClock, LoadRecord
from seatrial.runner.steps.step import Outcome, Step, asked_to_stop
from seatrial.runner.stretches import bounded_reads, unfinished
from seatrial.workload import Remembering

#: How often what waits is written to disk.
FLUSH_S = 0.25


async def final_reads(step: Step) -> Outcome:
    """Read what must be there once more. Runs where clients reach the nodes, with their rights."""
    before = step.rooms.read("workload", "load.json", LoadRecord)
    zero_ns = monotonic_ns()
    stop, done = asyncio.Event(), False
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
                    done = await bounded_reads(load, phases.final_timeout_s, stop)
                writer.append(Op(Type.INFO, NEMESIS, "phase", "teardown", time_ns=clock()))
        finally:
            ticker.cancel()
            await asyncio.gather(ticker, return_exceptions=True)
            await load.close()
            writer.close()
    own = LoadClock(identity=identity(), zero_ns=zero_ns)
    step.rooms.write(step.room, "clock.json", own)
    if not step.plan.workload.final_reads:
        return Outcome.done(f"{step.plan.workload.name} has no final reads")
    told = f"{load.counters.completed:,} final ops"
    if stop.is_set():
        return Outcome.unproven(f"{told}, then stopped by a signal")
    if not done:
        return Outcome.unproven(f"{told}: {unfinished(phases.final_timeout_s)}")
    return Outcome.done(told)


async def _tick(writer: HistoryWriter) -> None:
    while True:
        await asyncio.sleep(FLUSH_S)
        writer.tick()

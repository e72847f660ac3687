"""One load through all stretches: before the faults, with them, until healed, and after.

The load never stops in between (docs/adr/0002-steady-after-under-load.md). Who breaks the cluster
meanwhile is not known here: in `seatrial run` a nemesis beside it, in steps other processes.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine
from typing import Protocol

from seatrial.plan import PlannedPhases
from seatrial.runner.load import Load


class Harm(Protocol):
    """What breaks the cluster during the stretch of faults, and mends it."""

    async def ready(self) -> str:
        """Wait until the faults that are due first can begin; why there are to be none, or ""."""
        ...

    @property
    def lead_s(self) -> float:
        """How long before the stretch of faults begins `begin` is to be called."""
        ...

    def begin(self, from_ns: int) -> None:
        """The stretch of faults begins; their moments count from `from_ns`.

        That is the load's start, save that a load that had to wait for `ready` does not count the
        wait.
        """
        ...

    async def healed(self) -> bool:
        """Returns when all faults have ended and everything is mended; False if nobody says so."""
        ...

    async def cancel(self) -> None:
        """End what is left of it; harmless after `healed`."""
        ...


class Enter(Protocol):
    """Begin a phase."""

    def __call__(self, phase: str, seconds: float | None = None) -> None:
        """`seconds`: how long it is planned to last."""
        ...


async def run_stretches(
    load: Load,
    harm: Harm,
    phases: PlannedPhases,
    *,
    enter: Enter,
    clock: Callable[[], int],
    stop: asyncio.Event,
    over: asyncio.Event | None = None,
    warm_up: Callable[[], Awaitable[None]] | None = None,
) -> None:
    """Carry the load through its stretches, or until `stop`; the load has ended on return.

    `over` ends the stretch of faults before its time (an abort); what comes after it stays.
    `warm_up` runs under the load before its first stretch: what is measured needs something to
    measure.

    Without a word of healing the stretch after is left out: it would be judged as healed.
    """
    end_of_load = asyncio.Event()
    running = asyncio.create_task(load.run(end_of_load), name="load")
    watcher = asyncio.create_task(relay(stop, end_of_load))

    async def until(at_ns: int, early: asyncio.Event | None = None) -> bool:
        return await _until((at_ns - clock()) / 1e9, running, stop, early)

    try:
        if warm_up is not None:
            enter("warm-up")
            if not await unless_stopped(_wait_for(warm_up), stop):
                return
        start_ns = clock()
        enter("steady-before", phases.before_s)
        if await until(start_ns + int(phases.before_s * 1e9)) or await harm.ready():
            return
        lead_ns = int(harm.lead_s * 1e9)
        from_ns = clock() + lead_ns - int(phases.before_s * 1e9)
        if lead_ns:
            harm.begin(from_ns)
            if await until(from_ns + int(phases.before_s * 1e9)):
                return
        enter("workload", phases.faults_s)
        if not lead_ns:
            harm.begin(from_ns)
        await until(from_ns + int((phases.before_s + phases.faults_s) * 1e9), over)
        enter("heal")
        healed = await harm.healed()
        if healed and not stop.is_set():
            enter("steady-after", phases.after_s)
            await until(clock() + int(phases.after_s * 1e9))
    finally:
        end_of_load.set()
        watcher.cancel()
        await harm.cancel()
        await running


async def _wait_for(work: Callable[[], Awaitable[None]]) -> None:
    await work()


async def _until(
    left_s: float, load: asyncio.Task[None], stop: asyncio.Event, early: asyncio.Event | None
) -> bool:
    """Wait so long, or until `early`, or until the trial is stopped (True) or the load raises."""
    events = [stop] if early is None else [stop, early]
    waits = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait(
            {*waits, load}, timeout=max(0.0, left_s), return_when=asyncio.FIRST_COMPLETED
        )
    finally:
        for wait in waits:
            wait.cancel()
    if load.done():
        load.result()
    return stop.is_set()


async def unless_stopped(work: Coroutine[object, object, object], stop: asyncio.Event) -> bool:
    """Do `work` unless the trial is stopped meanwhile; whether it was done."""
    task = asyncio.create_task(work)
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait({task, stopped}, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if task.done():
        task.result()
        return not stop.is_set()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    return False


def unfinished(timeout_s: float) -> str:
    """What is said of final reads that had no end."""
    return f"the last reads were not over within {timeout_s:g} s"


async def bounded_reads(load: Load, timeout_s: float, stop: asyncio.Event) -> bool:
    """The final reads, at most `timeout_s` of them; nothing where the workload has none.

    Whether they were done: neither stopped nor out of time, and none was left without an answer.
    """
    final = load.final_reads()
    if final is None:
        return True
    end = asyncio.Event()
    timer = asyncio.get_running_loop().call_later(timeout_s, end.set)
    watcher = asyncio.create_task(relay(stop, end))
    try:
        summary = await load.read_finally(final, end)
    finally:
        timer.cancel()
        watcher.cancel()
    return summary.exhausted and not summary.abandoned


async def relay(source: asyncio.Event, destination: asyncio.Event) -> None:
    """Set one event when another is set."""
    await source.wait()
    destination.set()

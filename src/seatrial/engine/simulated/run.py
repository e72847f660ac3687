"""One simulated trial: a workload against the reference database, on a virtual clock.

Everything is drawn from one seed, and nothing reads the time or the environment: one seed gives
one history, byte for byte.
"""

from __future__ import annotations

from typing import Final

from seatrial.engine.simulated.bugs import BUGS
from seatrial.engine.simulated.chaos import Chaos
from seatrial.engine.simulated.clients import Clients
from seatrial.engine.simulated.cluster import MS, NODES, Cluster, Simulation
from seatrial.engine.simulated.machine import Machine
from seatrial.engine.simulated.workloads import WORKLOADS
from seatrial.errors import SeatrialError, UnknownName, UsageError
from seatrial.generator import PENDING, Context, Generator, ask, limit, thread_of
from seatrial.history import History, HistoryBuilder
from seatrial.op import Op, Type, Value

CONCURRENCY: Final = 10
QUIESCE_NS: Final = 100 * MS
#: Events of one simulation before it is taken to hang: thousands an op.
EVENTS_MAX: Final = 50_000_000


def simulate(
    workload: str,
    *,
    seed: int,
    ops: int,
    bug: str | None = None,
    concurrency: int = CONCURRENCY,
    isolation: str | None = None,
    faults: bool = True,
) -> History:
    """The history of `ops` requests (final reads besides) with `bug` planted, or none.

    `isolation` is the workload's strongest one unless said otherwise. Raises `UnknownName` for a
    name that is in no table. O(ops).
    """
    if workload not in WORKLOADS:
        raise UnknownName("simulated workload", workload, WORKLOADS)
    if bug is not None and bug not in BUGS:
        raise UnknownName("bug", bug, BUGS)
    spec = WORKLOADS[workload]
    isolation = isolation or spec.isolations[0]
    if isolation not in spec.isolations:
        raise UnknownName(f"isolation of workload {workload!r}", isolation, spec.isolations)
    if ops < 0 or concurrency < 1:
        raise UsageError(f"{ops} ops by {concurrency} threads\n\nhint: give 1 thread or more")
    trial = _Trial(workload, seed, bug, isolation, concurrency)
    favoured = BUGS[bug].fault if bug is not None else None
    chaos = Chaos(trial.sim, trial.cluster, favoured) if faults else None
    trial.run(limit(ops, spec.main(seed)))
    if chaos is not None:
        chaos.stop()
    trial.rest(QUIESCE_NS)
    if spec.final is not None:
        trial.run(spec.final(seed))
    return trial.builder.history()


class _Trial:
    """The load's side of a simulation: threads, processes, and the record."""

    def __init__(
        self, workload: str, seed: int, bug: str | None, isolation: str, concurrency: int
    ) -> None:
        self.sim = Simulation(seed)
        machines = [Machine(seed, bug, isolation) for _ in range(NODES)]
        self.cluster = Cluster(self.sim, machines, bug)
        self._clients = Clients(self.sim, self.cluster, workload, isolation, bug)
        self.builder = HistoryBuilder()
        self._concurrency = concurrency
        self._free = tuple(range(concurrency))
        self._processes = {thread: thread for thread in range(concurrency)}
        self._gen: Generator = limit(0, WORKLOADS[workload].main(seed))

    def run(self, gen: Generator) -> None:
        """All ops of `gen`, each with its completion."""
        self._gen = gen
        for _ in range(EVENTS_MAX):
            if self._free:
                context = Context(self.sim.now, self._free, self._processes)
                op, self._gen, after = ask(self._gen, context)
                if op is None and len(self._free) == self._concurrency:
                    return
                if op is not None and op is not PENDING and op.time_ns <= self.sim.now:
                    self._begin(op, after)
                    continue
            self.sim.turn()
        raise SeatrialError(f"a simulation did not end within {EVENTS_MAX} events")

    def rest(self, length_ns: int) -> None:
        """Let time pass without requests."""
        until_ns = self.sim.now + length_ns
        while (due := self.sim.next_ns()) is not None and due <= until_ns:
            self.sim.turn()

    def _begin(self, op: Op, after: Generator) -> None:
        thread = thread_of(op, self._concurrency, self._free)
        self._free = tuple(t for t in self._free if t != thread)
        self.builder.append(op)
        context = Context(self.sim.now, self._free, self._processes)
        self._gen = after.update(context, op)

        def finish(kind: Type, value: Value, error: str | None) -> None:
            self._end(thread, op, kind, value, error)

        self._clients.invoke(thread, op, finish)

    def _end(self, thread: int, op: Op, kind: Type, value: Value, error: str | None) -> None:
        done = Op(kind, op.process, op.f, value, op.key, self.sim.now, error)
        if kind is not Type.OK:
            done = Op(kind, op.process, op.f, op.value, op.key, self.sim.now, error)
        self.builder.append(done)
        self._free = (*self._free, thread)
        context = Context(self.sim.now, self._free, self._processes)
        self._gen = self._gen.update(context, done)
        if kind is Type.INFO:
            self._processes = {**self._processes, thread: op.process + self._concurrency}

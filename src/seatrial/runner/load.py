"""The clients' side of a trial: one load from a workload, and the final reads after it.

It knows nodes and a clock, and neither who made the cluster nor who breaks it: `seatrial run` and
the step `workload` carry their load with the same functions.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import cast

from seatrial import targets, workloads
from seatrial.engine.counters import OpCounters
from seatrial.engine.interpreter import Completion, InterpretSummary, interpret
from seatrial.generator import Generator, phases
from seatrial.generator import rate as paced
from seatrial.op import Op, Type
from seatrial.plan import Plan
from seatrial.target import (
    Client,
    Node,
    OpFailed,
    OpRefused,
    OpUnknown,
    ReplicaClient,
    Target,
)
from seatrial.verdict import Json
from seatrial.workload import Workload
from seatrial.workloads.replicas import fingerprints

FINGERPRINT = "fingerprint"
REPLICAS = "replicas"


def last_reads(
    workload: Workload,
    checkers: Mapping[str, Mapping[str, Json]],
    seed: int,
    concurrency: int,
    nodes: int,
) -> Generator | None:
    """The workload's last reads; then each node's fingerprint, if the checker `replicas` is to
    judge and the workload takes none by itself."""
    reads = workload.final_generator(seed, concurrency, nodes)
    if REPLICAS not in checkers or REPLICAS in workload.checkers():
        return reads
    prints = fingerprints(nodes, concurrency)
    return prints if reads is None else phases(reads, prints)


class Load:
    """The clients of one trial. `record` takes each op, `clock` is the trial's axis."""

    def __init__(
        self, plan: Plan, *, record: Callable[[Op], int], clock: Callable[[], int]
    ) -> None:
        self.plan = plan
        self.target: Target = targets.make(plan.target.name, plan.target.settings)
        self.workload: Workload = workloads.make(plan.workload.name, plan.workload.settings)
        self.counters = OpCounters()
        #: The process that the next load begins with: one that ended in `info` never returns.
        self.next_process = 0
        self._record, self._clock = record, clock
        self._clients: list[Client] = []

    async def connect(self, nodes: Sequence[Node]) -> None:
        """One client a thread; thread t talks to node t mod nodes."""
        timeout_s = self.plan.workload.op_timeout_s
        for thread in range(self.plan.workload.concurrency):
            node = nodes[thread % len(nodes)]
            self._clients.append(await self.target.connect(node, timeout_s=timeout_s))

    async def close(self) -> None:
        """Free the connections."""
        for client in self._clients:
            await client.close()

    async def run(self, end: asyncio.Event) -> None:
        """The main load, until `end`."""
        plan = self.plan.workload
        generator = self.workload.generator(
            self.plan.seed, plan.concurrency, len(self.plan.target.nodes)
        )
        if plan.rate is not None:
            generator = paced(plan.rate, generator, self.plan.seed)
        await self._interpret(generator, end)

    async def read_finally(self, final: Generator, end: asyncio.Event) -> InterpretSummary:
        """The final reads, until they are done or `end`."""
        return await self._interpret(final, end)

    def final_reads(self) -> Generator | None:
        """What is read after healing and quiescing; None where nothing is to be read."""
        plan, nodes = self.plan, len(self.plan.target.nodes)
        return last_reads(self.workload, plan.checkers, plan.seed, plan.workload.concurrency, nodes)

    async def _interpret(self, generator: Generator, stop: asyncio.Event) -> InterpretSummary:
        summary = await interpret(
            generator,
            concurrency=self.plan.workload.concurrency,
            invoke=self._invoke,
            record=self._record,
            clock=self._clock,
            stop=stop,
            counters=self.counters,
            first_process=self.next_process,
        )
        self.next_process = summary.next_process
        return summary

    async def _invoke(self, thread: int, op: Op) -> Completion:
        kind, value, error = Type.OK, op.value, None
        client = self._clients[thread]
        try:
            if op.f == FINGERPRINT:
                value = await cast(ReplicaClient, client).fingerprint()
            else:
                value = await self.workload.invoke(client, op)
        except OpRefused:
            kind = Type.FAIL
        except OpFailed as failure:
            kind, error = Type.FAIL, str(failure) or type(failure).__name__
        except OpUnknown as unknown:
            kind, error = Type.INFO, str(unknown) or type(unknown).__name__
        return kind, value, error

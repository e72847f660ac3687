"""Fault `failure`: nodes end in an orderly way and stay down for the fault's duration.

What an operator or a kubelet does: SIGTERM, and SIGKILL after a grace. `kill` is the crash: it
gives no notice, so nothing is handed over, flushed or closed. In Chaos Mesh this is PodChaos
`pod-failure`, which swaps the pod's image for one that only sleeps: the kubelet ends the node's
container with SIGTERM first, and the pod stays without the node for the duration.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import Field

from seatrial.fault import PlannedFault, Proof, World
from seatrial.faults import down
from seatrial.faults.chaos import experiment, pods
from seatrial.faults.chaos.pod import PodFailure
from seatrial.faults.options import Options, problem, read
from seatrial.verdict import Json


class FailureOptions(Options):
    """`grace_s`: from SIGTERM to SIGKILL."""

    grace_s: float = Field(default=5.0, ge=0.1, le=15.0)


@dataclass(frozen=True, slots=True)
class Failure:
    """`seatrial.fault.FaultKind`."""

    name: str = "failure"
    touches: str = "process"

    def unavailable(self, isolation: str, nodes: Sequence[str], options: Mapping[str, Json]) -> str:
        """Always possible."""
        return problem(self.name, FailureOptions, options)

    async def inject(self, world: World, fault: PlannedFault, victims: Sequence[str]) -> None:
        """Ask all victims to end at once, and end those that do not."""
        grace_s = read(self.name, FailureOptions, fault.options).grace_s
        down.take(world, fault, victims)
        await asyncio.gather(*(world.end(node, grace_s) for node in victims))

    async def heal(self, world: World, fault: PlannedFault, victims: Sequence[str]) -> None:
        """Start those again that no other fault holds down."""
        await down.release(world, fault)

    async def prove_injected(
        self, world: World, fault: PlannedFault, victims: Sequence[str]
    ) -> Proof:
        """The kernel has no such process, and nobody answers."""
        return await down.prove_gone(world, fault, victims)

    async def prove_healed(
        self, world: World, fault: PlannedFault, victims: Sequence[str]
    ) -> Proof:
        """A new process runs and answers (or something else that is broken explains why not)."""
        return await down.prove_back(world, fault, victims)

    def manifest(
        self, fault: PlannedFault, victims: Sequence[str], nodes: Sequence[str], namespace: str
    ) -> dict[str, Json]:
        """PodChaos `pod-failure` on the victims, for the fault's duration."""
        return experiment(fault, namespace, PodFailure(), pods(namespace, victims)).manifest()


FAILURE = Failure()

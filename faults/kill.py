"""Fault `kill`: SIGKILL, held down for the fault's duration, then started again with its data.

The process gets no chance to write anything, but what it wrote before stays in the page cache:
this is a crash of the process, not of the machine (`lost-writes` is that). In Chaos Mesh it is
PodChaos `pod-failure`, which keeps the pod down for a duration (`pod-kill` is over at once).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from seatrial.fault import PlannedFault, Proof, World
from seatrial.faults import down
from seatrial.faults.chaos import experiment, pods
from seatrial.faults.chaos.pod import PodFailure
from seatrial.verdict import Json


@dataclass(frozen=True, slots=True)
class Kill:
    """`seatrial.fault.FaultKind`."""

    name: str = "kill"
    touches: str = "process"

    def unavailable(self, isolation: str, nodes: Sequence[str], options: Mapping[str, Json]) -> str:
        """Always possible; options there are none."""
        return f"kill takes no option: {', '.join(options)}" if options else ""

    async def inject(self, world: World, fault: PlannedFault, victims: Sequence[str]) -> None:
        """Kill all victims at once."""
        down.take(world, fault, victims)
        await asyncio.gather(*(world.kill(node) for node in victims))

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


KILL = Kill()

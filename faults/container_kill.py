"""Fault `container-kill`: SIGKILL, and the supervisor starts the process again at once.

One turn of a crash loop, as with a container whose `restartPolicy` is Always. In Chaos Mesh it is
PodChaos `container-kill`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from seatrial.fault import PlannedFault, Proof, World
from seatrial.faults import down
from seatrial.faults.chaos import experiment, pods
from seatrial.faults.chaos.pod import ContainerKill as ContainerChaos
from seatrial.verdict import Json

#: How long a process may take to be another one after SIGKILL was sent.
GONE_TIMEOUT_S = 5.0
_POLL_S = 0.01
#: The container that Chaos Mesh is to kill: the one that runs the node.
CONTAINER = "node"


@dataclass(frozen=True, slots=True)
class ContainerKill:
    """`seatrial.fault.FaultKind`."""

    name: str = "container-kill"
    touches: str = "process"

    def unavailable(self, isolation: str, nodes: Sequence[str], options: Mapping[str, Json]) -> str:
        """Always possible; options there are none."""
        return f"container-kill takes no option: {', '.join(options)}" if options else ""

    async def inject(self, world: World, fault: PlannedFault, victims: Sequence[str]) -> None:
        """Kill all victims at once, and leave their return to the supervisor."""
        down.take(world, fault, victims)
        for node in victims:
            down.DOWN.give_back(world, fault.id, node)  # the note stays; nothing is held
        await asyncio.gather(*(world.kill(node, hold=False) for node in victims))

    async def heal(self, world: World, fault: PlannedFault, victims: Sequence[str]) -> None:
        """Nothing is held; the supervisor's next try is only brought forward."""
        for node in victims:
            if not down.DOWN.is_held(world, node):
                await world.restart(node)

    async def prove_injected(
        self, world: World, fault: PlannedFault, victims: Sequence[str]
    ) -> Proof:
        """The old process is gone: the kernel has none, or one that began later."""
        deadline = time.monotonic() + GONE_TIMEOUT_S
        while (same := _same(world, fault, victims)) and time.monotonic() < deadline:
            await asyncio.sleep(_POLL_S)
        measured: dict[str, Json] = {
            node: {
                "start_time_before": down.DOWN.note(world, fault.id, node),
                "start_time": world.start_time(node),
            }
            for node in victims
        }
        if same or not victims:
            said = f"{', '.join(same)}: was down before, or the old process runs"
            return Proof(False, said if same else "no victim", measured)
        return Proof(True, f"{', '.join(victims)}: the old process is gone", measured)

    async def prove_healed(
        self, world: World, fault: PlannedFault, victims: Sequence[str]
    ) -> Proof:
        """A new process runs and answers (or something else that is broken explains why not)."""
        return await down.prove_back(world, fault, victims)

    def manifest(
        self, fault: PlannedFault, victims: Sequence[str], nodes: Sequence[str], namespace: str
    ) -> dict[str, Json]:
        """PodChaos `container-kill` of the victims' container `node`."""
        action = ContainerChaos(container_names=(CONTAINER,))
        return experiment(fault, namespace, action, pods(namespace, victims)).manifest()


def _same(world: World, fault: PlannedFault, victims: Sequence[str]) -> list[str]:
    """Victims that had no process before, or still have the same one."""
    found = []
    for node in victims:
        before = down.DOWN.note(world, fault.id, node)
        if before is None or world.start_time(node) == before:
            found.append(node)
    return found


CONTAINER_KILL = ContainerKill()

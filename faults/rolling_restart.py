"""Fault `rolling-restart`: one victim after another ends in an orderly way and starts again.

What a change of configuration or of the machines' kernel does to a cluster. The next victim's turn
comes when the one before answers again, so no more than one is down at a time; a victim that does
not come back ends the roll, and the fault says so. On Kubernetes the step deletes one pod after
another, and waits until the next one of the name is ready.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pydantic import Field

from seatrial.errors import Unavailable
from seatrial.fault import PlannedFault, Proof, World
from seatrial.faults import down
from seatrial.faults.leases import Leases
from seatrial.faults.options import Options, problem, read
from seatrial.verdict import Json

NO_EQUAL = (
    "fault 'rolling-restart' has no equal in Chaos Mesh, which acts on all pods at once\n\n"
    "hint: on a cluster the step deletes one pod after another itself"
)


class RollingRestartOptions(Options):
    """`grace_s`: from SIGTERM to SIGKILL. `pause_s`: from one node's answer to the next's turn.

    `ready_s`: how long a node of the lab may take until it answers; a pod has two minutes.
    """

    grace_s: float = Field(default=3.0, ge=0.1, le=10.0)
    pause_s: float = Field(default=0.2, ge=0, le=5.0)
    ready_s: float = Field(default=10.0, ge=1.0, le=15.0)


@dataclass(frozen=True, slots=True)
class RollingRestart:
    """`seatrial.fault.FaultKind`."""

    name: str = "rolling-restart"
    touches: str = "process"
    #: Node → how long it was away, from SIGTERM until it answered.
    _away_s: Leases[str, float] = field(default_factory=Leases)
    _rolls: Leases[str, asyncio.Task[None]] = field(default_factory=Leases)

    def unavailable(self, isolation: str, nodes: Sequence[str], options: Mapping[str, Json]) -> str:
        """Always possible."""
        return problem(self.name, RollingRestartOptions, options)

    async def inject(self, world: World, fault: PlannedFault, victims: Sequence[str]) -> None:
        """Begin the roll; it goes on by itself, and `prove_injected` waits for its end."""
        chosen = read(self.name, RollingRestartOptions, fault.options)
        roll = asyncio.create_task(self._roll(world, fault, victims, chosen), name=fault.id)
        self._rolls.take(world, fault.id, "roll", roll)

    async def _roll(
        self,
        world: World,
        fault: PlannedFault,
        victims: Sequence[str],
        chosen: RollingRestartOptions,
    ) -> None:
        loop = asyncio.get_running_loop()
        for node in victims:
            begin = loop.time()
            down.take(world, fault, [node])
            await world.end(node, chosen.grace_s)
            await down.release(world, fault)
            if not await world.ready(node, chosen.ready_s):
                raise Unavailable(
                    f"{node} did not answer within {chosen.ready_s:g} s of its restart; "
                    "the roll ends there"
                )
            self._away_s.take(world, fault.id, node, loop.time() - begin)
            await asyncio.sleep(chosen.pause_s)

    async def heal(self, world: World, fault: PlannedFault, victims: Sequence[str]) -> None:
        """Stop the roll where it is, and start the one whose turn it was."""
        roll = self._rolls.note(world, fault.id, "roll")
        if roll is not None:
            roll.cancel()
            await asyncio.gather(roll, return_exceptions=True)
        await down.release(world, fault)

    async def prove_injected(
        self, world: World, fault: PlannedFault, victims: Sequence[str]
    ) -> Proof:
        """Once the roll is over, every victim has a process that began later than before."""
        roll = self._rolls.note(world, fault.id, "roll")
        if roll is not None:
            await roll
        measured: dict[str, Json] = {}
        old = []
        for node in victims:
            before, now = down.DOWN.note(world, fault.id, node), world.start_time(node)
            away_s = self._away_s.note(world, fault.id, node)
            measured[node] = {
                "start_time_before": before,
                "start_time": now,
                "away_s": None if away_s is None else round(away_s, 3),
            }
            if before is None or now is None or now <= before:
                old.append(node)
        if old or not victims:
            return Proof(False, f"{', '.join(old) or 'no victim'}: not restarted", measured)
        return Proof(True, f"{', '.join(victims)}: restarted in turn", measured)

    async def prove_healed(
        self, world: World, fault: PlannedFault, victims: Sequence[str]
    ) -> Proof:
        """A new process of each runs and answers."""
        return await down.prove_back(world, fault, victims)

    def manifest(
        self, fault: PlannedFault, victims: Sequence[str], nodes: Sequence[str], namespace: str
    ) -> dict[str, Json]:
        """Always raises: Chaos Mesh has nothing that waits for a pod before the next one."""
        raise Unavailable(NO_EQUAL)


ROLLING_RESTART = RollingRestart()

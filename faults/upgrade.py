"""Faults `upgrade` and `downgrade`: nodes change over to another binary, one after another.

Each victim ends in an orderly way and starts on its own data with the other binary; the next one's
turn comes when it answers. `upgrade` stays; what a trial looks at is the stretch in which versions
are mixed, and what became of the data after it. `downgrade` goes up, and back once the duration is
over: it is on fewer than all nodes, because what all of them agreed on stays (etcd: "cluster
cannot be downgraded" once every member ran the newer version). Chaos Mesh has nothing like it:
on Kubernetes the step changes the image of the StatefulSet and deletes one pod after another.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pydantic import Field

from seatrial.errors import SeatrialError, Unavailable
from seatrial.fault import CLUSTER, PlannedFault, Proof, World
from seatrial.faults import down
from seatrial.faults.leases import Leases
from seatrial.faults.options import Options, problem, read
from seatrial.target import Images, Target, Versions
from seatrial.verdict import Json

WHEEL = "wheel"


class UpgradeOptions(Options):
    """`binary`: the other binary, as the target's own setting names one. `image`: the same where
    nodes are pods; one of the two, as the engine takes it.

    `grace_s`: from SIGTERM to SIGKILL. `pause_s`: from one node's answer to the next's turn.
    `ready_s`: how long a node of the lab may take; a pod has two minutes.
    """

    binary: str = Field(default=WHEEL, min_length=1)
    image: str = Field(default="", pattern=r"^([a-zA-Z0-9][-a-zA-Z0-9_./:@]*)?$")
    grace_s: float = Field(default=3.0, ge=0.1, le=10.0)
    pause_s: float = Field(default=0.2, ge=0, le=5.0)
    ready_s: float = Field(default=10.0, ge=1.0, le=15.0)


@dataclass(frozen=True, slots=True)
class Upgrade:
    """`seatrial.fault.FaultKind`; `back`: the victims return to the binary they had."""

    name: str
    back: bool
    touches: str = "process"
    #: Node → the version that it ran before.
    _versions: Leases[str, str] = field(default_factory=Leases)
    _rolls: Leases[str, asyncio.Task[None]] = field(default_factory=Leases)

    def unavailable(self, isolation: str, nodes: Sequence[str], options: Mapping[str, Json]) -> str:
        """Not without another binary, or image; going back, not on a cluster of one."""
        if bad := problem(self.name, UpgradeOptions, options):
            return bad
        chosen = read(self.name, UpgradeOptions, options)
        if isolation == CLUSTER and not chosen.image:
            return (
                f"{self.name} changes pods over to another image, and none is given\n\n"
                f"hint: --fault-option {self.name}.image=IMAGE"
            )
        if isolation == CLUSTER and chosen.binary != WHEEL:
            return f"{self.name} of pods takes an image, no binary"
        if isolation != CLUSTER and chosen.image:
            return f"{self.name} in the lab takes a binary, no image"
        if self.back and len(nodes) < 2:
            return f"{self.name} needs a node that stays as it is, and there is one node"
        return ""

    def lacking(
        self,
        target: Target,
        nodes: Sequence[str],
        victims: Sequence[str],
        options: Mapping[str, Json],
    ) -> str:
        """Not where the target does not go from its version to that of the binary."""
        if self.back and "all" in victims:
            return f"{self.name} of all nodes: what all of them agreed on cannot be taken back"
        chosen = read(self.name, UpgradeOptions, options)
        if chosen.image:
            if not isinstance(target, Images):
                return f"{target.name} does not say which version a node runs"
            return target.image_may_follow(chosen.image)
        if not isinstance(target, Versions):
            return f"{target.name} has no binary to choose"
        try:
            return target.may_follow(chosen.binary)
        except SeatrialError as error:
            return str(error)

    async def inject(self, world: World, fault: PlannedFault, victims: Sequence[str]) -> None:
        """Begin the roll; it goes on by itself, and `prove_injected` waits for its end."""
        if self.back and set(victims) == set(world.nodes):
            raise Unavailable(f"{self.name} of all nodes cannot be taken back")
        chosen = read(self.name, UpgradeOptions, fault.options)
        roll = asyncio.create_task(self._roll(world, fault, victims, chosen), name=fault.id)
        self._rolls.take(world, fault.id, "roll", roll)

    async def _roll(
        self, world: World, fault: PlannedFault, victims: Sequence[str], chosen: UpgradeOptions
    ) -> None:
        for node in victims:
            self._versions.take(world, fault.id, node, await world.running_version(node))
            await self._change(world, fault, node, chosen, chosen.binary)

    async def _change(
        self,
        world: World,
        fault: PlannedFault,
        node: str,
        chosen: UpgradeOptions,
        binary: str | None,
    ) -> None:
        down.take(world, fault, [node])
        await world.end(node, chosen.grace_s)
        await world.use_binary(node, binary)
        await down.release(world, fault)
        if not await world.ready(node, chosen.ready_s):
            raise Unavailable(f"{node} did not answer within {chosen.ready_s:g} s of the change")
        await asyncio.sleep(chosen.pause_s)

    async def heal(self, world: World, fault: PlannedFault, victims: Sequence[str]) -> None:
        """End the roll where it is; `downgrade` then goes back, one node after another."""
        roll = self._rolls.note(world, fault.id, "roll")
        if roll is not None:
            roll.cancel()
            await asyncio.gather(roll, return_exceptions=True)
        await down.release(world, fault)
        if self.back:
            chosen = read(self.name, UpgradeOptions, fault.options)
            for node in self._versions.of(world, fault.id):
                await self._change(world, fault, node, chosen, None)
                self._versions.give_back(world, fault.id, node)

    async def prove_injected(
        self, world: World, fault: PlannedFault, victims: Sequence[str]
    ) -> Proof:
        """Once the roll is over, each victim says of itself that it runs another version."""
        roll = self._rolls.note(world, fault.id, "roll")
        if roll is not None:
            await roll
        measured, same = await self._compare(world, fault, victims)
        if same or not victims:
            return Proof(
                False, f"{', '.join(same) or 'no victim'}: the version is the same", measured
            )
        return Proof(True, f"{', '.join(victims)}: run another version", measured)

    async def prove_healed(
        self, world: World, fault: PlannedFault, victims: Sequence[str]
    ) -> Proof:
        """New processes run and answer, with the version that they are to have in the end."""
        back = await down.prove_back(world, fault, victims)
        versions, same = await self._compare(world, fault, victims)
        measured = {**back.measured, "versions": versions}
        wrong = [node for node in victims if (node in same) is not self.back]
        if wrong or not back.seen:
            said = f"{', '.join(wrong)}: not the version it should have" if wrong else back.sentence
            return Proof(False, said, measured)
        said = "back at the version before" if self.back else "stay at the new version"
        return Proof(True, f"{', '.join(victims)}: {said}, and answer", measured)

    async def _compare(
        self, world: World, fault: PlannedFault, victims: Sequence[str]
    ) -> tuple[dict[str, Json], list[str]]:
        """Versions before and now, and who has the same."""
        measured: dict[str, Json] = {}
        same = []
        for node in victims:
            before = self._versions.note(world, fault.id, node)
            now = await world.running_version(node)
            measured[node] = {"before": before, "now": now}
            if now == before:
                same.append(node)
        return measured, same

    def manifest(
        self, fault: PlannedFault, victims: Sequence[str], nodes: Sequence[str], namespace: str
    ) -> dict[str, Json]:
        """Always raises: Chaos Mesh has nothing like it."""
        raise Unavailable(_no_equal(self.name))


def _no_equal(name: str) -> str:
    return (
        f"fault {name!r} has no equal in Chaos Mesh: it knows no versions\n\n"
        "hint: on a cluster the step changes the image itself"
    )


UPGRADE = Upgrade("upgrade", back=False)
DOWNGRADE = Upgrade("downgrade", back=True)

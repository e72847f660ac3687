"""Fault `lost-writes`: a node loses its power: what no `fsync` had brought to its disk is gone.

After LazyFS (Ramos and others, "LazyFS: a FUSE file system to find crash-consistency bugs", 2024).
The disk's power goes first (no `fsync` returns from then on), then the process is killed, then
everything falls back to what the disk holds, and the node stays down for the fault's duration. The
model of what the disk holds is the strictest that the file system allows: *nothing* reaches it by
itself. A database that acknowledges only what an `fsync` covered loses nothing; one that does not
may lose what it acknowledged.

`metadata` says what makes a name durable (a file created, renamed or removed): `journalled` any
later `fsync` on the volume, as on ext4 and XFS; `strict` only one of the directory, which is all
that POSIX promises. Chaos Mesh has nothing like it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from seatrial.errors import Unavailable
from seatrial.fault import CLUSTER, PlannedFault, Proof, VolumeNeed, World
from seatrial.faults import down
from seatrial.faults.leases import Leases
from seatrial.faults.options import Options, problem, read
from seatrial.faults.volume import no_fuse
from seatrial.verdict import Json

KEPT, LOST = ".seatrial-synced", ".seatrial-unsynced"
MARK = "written before the power went\n"

NO_EQUAL = (
    "fault 'lost-writes' has no equal in Chaos Mesh: it cannot take back what a page "
    "cache holds\n\nhint: in the lab it works (with FUSE)"
)


class LostWritesOptions(Options):
    """`metadata`: what makes names durable."""

    metadata: Literal["journalled", "strict"] = "journalled"


@dataclass(frozen=True, slots=True)
class LostWrites:
    """`seatrial.fault.FaultKind`."""

    name: str = "lost-writes"
    touches: str = "process"
    #: Node without power; and what it lost, by the file system's own count.
    _cut: Leases[str, None] = field(default_factory=Leases)
    _lost: Leases[str, Mapping[str, Json]] = field(default_factory=Leases)

    def unavailable(self, isolation: str, nodes: Sequence[str], options: Mapping[str, Json]) -> str:
        """Not without FUSE, nor without volumes of the nodes' own."""
        if isolation == CLUSTER:
            return NO_EQUAL
        return problem(self.name, LostWritesOptions, options) or no_fuse(self.name, isolation)

    def volume_need(self, options: Mapping[str, Json]) -> VolumeNeed:
        """The lab's own file system, with the metadata asked for."""
        return VolumeNeed("fuse", read(self.name, LostWritesOptions, options).metadata)

    async def inject(self, world: World, fault: PlannedFault, victims: Sequence[str]) -> None:
        """Power off, all victims at once: disk, process, and what the disk did not have."""
        down.take(world, fault, victims)
        await asyncio.gather(*(_leave_marks(world, node) for node in victims))
        for node in victims:
            self._cut.take(world, fault.id, node, None)
        await asyncio.gather(*(world.cut_disk_power(node) for node in victims))
        await asyncio.gather(*(world.kill(node) for node in victims))
        await self._restore(world, fault)

    async def _restore(self, world: World, fault: PlannedFault) -> None:
        for node in self._cut.of(world, fault.id):
            lost = await world.restore_disk_power(node)
            self._lost.take(world, fault.id, node, lost)
            self._cut.give_back(world, fault.id, node)

    async def heal(self, world: World, fault: PlannedFault, victims: Sequence[str]) -> None:
        """Power on, and start those again that no other fault holds down."""
        await self._restore(world, fault)
        for node in victims:
            await world.remove_file(node, KEPT)
            await world.remove_file(node, LOST)
        await down.release(world, fault)

    async def prove_injected(
        self, world: World, fault: PlannedFault, victims: Sequence[str]
    ) -> Proof:
        """Process gone; a file that was synced is whole, one that was not has lost its content."""
        gone = await down.prove_gone(world, fault, victims)
        measured, problems = dict(gone.measured), [] if gone.seen else [gone.sentence]
        for node in victims:
            kept, lost = await world.get_file(node, KEPT), await world.get_file(node, LOST)
            seen = measured.get(node)
            measured[node] = {
                **(seen if isinstance(seen, dict) else {}),
                "synced_file": "whole" if kept == MARK else "damaged",
                "unsynced_file": "gone" if lost is None else f"{len(lost)} bytes",
                "lost": dict(self._lost.note(world, fault.id, node) or {}),
            }
            if kept != MARK:
                problems.append(f"{node}: what was synced is damaged too")
            if lost:
                problems.append(f"{node}: what was not synced is still there")
        if problems:
            return Proof(False, "; ".join(problems), measured)
        said = f"{', '.join(victims)}: process gone, unsynced content lost, synced content whole"
        return Proof(True, said, measured)

    async def prove_healed(
        self, world: World, fault: PlannedFault, victims: Sequence[str]
    ) -> Proof:
        """A new process runs and answers."""
        return await down.prove_back(world, fault, victims)

    def manifest(
        self, fault: PlannedFault, victims: Sequence[str], nodes: Sequence[str], namespace: str
    ) -> dict[str, Json]:
        """Always raises: Chaos Mesh has nothing like it."""
        raise Unavailable(NO_EQUAL)


async def _leave_marks(world: World, node: str) -> None:
    """One file that is on the disk with its name, one that is not."""
    await world.put_file(node, KEPT, MARK, True)
    await world.put_file(node, LOST, MARK, False)


LOST_WRITES = LostWrites()

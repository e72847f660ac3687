"""Fault `disk-full`: no space is left on a node's volume.

The volume (a tmpfs of the node's own) is made as small as what it holds, plus `free_bytes`: to the
process it is the same as a neighbour's file that fills the disk, and takes no memory. What the
process frees by itself, by removing a file, it may use again. A database that ends because of it
is started again and again, as in a cluster. Chaos Mesh has nothing like it (IOChaos `fault` with
ENOSPC refuses every write, also into space that is allocated already: `io-error` is that).
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import Field

from seatrial.errors import Unavailable
from seatrial.fault import CLUSTER, DiskCall, PlannedFault, Proof, VolumeNeed, World
from seatrial.faults.options import Options, problem, read
from seatrial.faults.volume import back_again, no_volume
from seatrial.verdict import Json

#: How much more than is left a probe tries to write.
MORE_BYTES = 4 << 20

NO_EQUAL = (
    "fault 'disk-full' has no equal in Chaos Mesh, which takes no space away\n\n"
    "hint: 'io-error' with errno ENOSPC is IOChaos; in the lab 'disk-full' works"
)


class DiskFullOptions(Options):
    """`free_bytes`: what is left."""

    free_bytes: int = Field(default=0, ge=0, le=1 << 28)


@dataclass(frozen=True, slots=True)
class DiskFull:
    """`seatrial.fault.FaultKind`."""

    name: str = "disk-full"
    touches: str = "disk"

    def unavailable(self, isolation: str, nodes: Sequence[str], options: Mapping[str, Json]) -> str:
        """Not without volumes of the nodes' own."""
        if isolation == CLUSTER:
            return NO_EQUAL
        return problem(self.name, DiskFullOptions, options) or no_volume(self.name, isolation)

    def volume_need(self, options: Mapping[str, Json]) -> VolumeNeed:
        """A file system whose size can be changed."""
        return VolumeNeed("sized")

    async def inject(self, world: World, fault: PlannedFault, victims: Sequence[str]) -> None:
        """Take the space away."""
        chosen = read(self.name, DiskFullOptions, fault.options)
        for node in victims:
            world.excuse(node, fault.id, True)
            await world.limit_disk(node, fault.id, chosen.free_bytes)

    async def heal(self, world: World, fault: PlannedFault, victims: Sequence[str]) -> None:
        """Give it back."""
        for node in victims:
            await world.limit_disk(node, fault.id, None)

    async def prove_injected(
        self, world: World, fault: PlannedFault, victims: Sequence[str]
    ) -> Proof:
        """A file that is written on the volume ends with ENOSPC."""
        free = read(self.name, DiskFullOptions, fault.options).free_bytes
        readings = await _fill(world, victims, free + MORE_BYTES)
        roomy = [node for node, call in readings.items() if call.errno != errno.ENOSPC]
        if roomy or not victims:
            said = f"{', '.join(roomy)}: there is space left" if roomy else "no victim"
            return Proof(False, said, _measured(readings))
        said = f"{', '.join(victims)}: writing ends with ENOSPC"
        return Proof(True, said, _measured(readings))

    async def prove_healed(
        self, world: World, fault: PlannedFault, victims: Sequence[str]
    ) -> Proof:
        """A file of the same size can be written, and the node answers."""
        free = read(self.name, DiskFullOptions, fault.options).free_bytes
        problems, measured = await back_again(world, victims)
        readings = await _fill(world, victims, free + MORE_BYTES)
        for node, call in readings.items():
            world.excuse(node, fault.id, False)
            if call.errno:
                problems.append(f"{node}: writing still ends with {errno.errorcode[call.errno]}")
        measured |= _measured(readings)
        if problems:
            return Proof(False, "; ".join(problems), measured)
        return Proof(True, f"{', '.join(victims)}: there is space again", measured)

    def manifest(
        self, fault: PlannedFault, victims: Sequence[str], nodes: Sequence[str], namespace: str
    ) -> dict[str, Json]:
        """Always raises: Chaos Mesh has nothing like it."""
        raise Unavailable(NO_EQUAL)


async def _fill(world: World, victims: Sequence[str], size: int) -> dict[str, DiskCall]:
    found = await asyncio.gather(*(world.fill_disk(node, size) for node in victims))
    return dict(zip(victims, found, strict=True))


def _measured(readings: Mapping[str, DiskCall]) -> dict[str, Json]:
    return {
        node: {"written_bytes": call.written, "error": errno.errorcode.get(call.errno, "")}
        for node, call in readings.items()
    }


DISK_FULL = DiskFull()

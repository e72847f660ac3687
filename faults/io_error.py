"""Fault `io-error`: a node's disk answers with an error.

Carried out by the lab's own file system under the node's data (FUSE). Most databases end at an
error of `fsync`, and rightly so: what the page cache holds afterwards, nobody can say. While the
fault acts such an end is part of the plan; the supervisor tries again, as a cluster would. In
Chaos Mesh it is IOChaos `fault`.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from seatrial.fault import DiskCall, DiskRule, PlannedFault, Proof, VolumeNeed, World
from seatrial.faults.chaos import experiment, pods
from seatrial.faults.chaos.io import Fault
from seatrial.faults.io_latency import samples
from seatrial.faults.options import Options, problem, read
from seatrial.faults.volume import (
    VOLUME_PATH,
    Method,
    back_again,
    calls,
    no_fuse,
)
from seatrial.verdict import Json

Errno = Literal["EIO", "ENOSPC", "EROFS", "EDQUOT", "EACCES"]


class IoErrorOptions(Options):
    """The error `errno` for `percent` of the calls of `methods`."""

    errno: Errno = "EIO"
    percent: float = Field(default=100.0, gt=0.0, le=100.0)
    methods: tuple[Method, ...] = Field(default=("read", "write", "fsync"), min_length=1)

    @property
    def number(self) -> int:
        """The error as the kernel counts it."""
        return int(getattr(errno, self.errno))


@dataclass(frozen=True, slots=True)
class IoError:
    """`seatrial.fault.FaultKind`."""

    name: str = "io-error"
    touches: str = "disk"

    def unavailable(self, isolation: str, nodes: Sequence[str], options: Mapping[str, Json]) -> str:
        """Not without FUSE, nor without volumes of the nodes' own."""
        return problem(self.name, IoErrorOptions, options) or no_fuse(self.name, isolation)

    def volume_need(self, options: Mapping[str, Json]) -> VolumeNeed:
        """The lab's own file system."""
        return VolumeNeed("fuse")

    async def inject(self, world: World, fault: PlannedFault, victims: Sequence[str]) -> None:
        """Make the victims' disks fail."""
        chosen = read(self.name, IoErrorOptions, fault.options)
        rule = DiskRule(methods=chosen.methods, errno=chosen.number, percent=chosen.percent)
        for node in victims:
            world.excuse(node, fault.id, True)
            await world.rule_disk(node, fault.id, (rule,))

    async def heal(self, world: World, fault: PlannedFault, victims: Sequence[str]) -> None:
        """Make them work again."""
        for node in victims:
            await world.rule_disk(node, fault.id, ())

    async def prove_injected(
        self, world: World, fault: PlannedFault, victims: Sequence[str]
    ) -> Proof:
        """Calls on the volume end with the planned error."""
        chosen = read(self.name, IoErrorOptions, fault.options)
        readings = await self._read(world, victims, chosen)
        well = [
            f"{node}: {method} failed {len(_failed(tried, chosen.number))} of {len(tried)} times"
            for node, reading in readings.items()
            for method, tried in reading.items()
            if not _failed(tried, chosen.number)
        ]
        if well or not victims:
            return Proof(False, "; ".join(well) or "no victim", _measured(readings))
        said = f"{', '.join(victims)}: {', '.join(chosen.methods)} end with {chosen.errno}"
        return Proof(True, said, _measured(readings))

    async def prove_healed(
        self, world: World, fault: PlannedFault, victims: Sequence[str]
    ) -> Proof:
        """No call on the volume fails any more, and the node answers."""
        chosen = read(self.name, IoErrorOptions, fault.options)
        problems, measured = await back_again(world, victims)
        readings = await self._read(world, victims, chosen)
        for node, reading in readings.items():
            world.excuse(node, fault.id, False)
            problems += [
                f"{node}: {method} still fails"
                for method, tried in reading.items()
                if any(call.errno for call in tried)
            ]
        measured |= _measured(readings)
        if problems:
            return Proof(False, "; ".join(problems), measured)
        return Proof(True, f"{', '.join(victims)}: nothing fails any more", measured)

    async def _read(
        self, world: World, victims: Sequence[str], chosen: IoErrorOptions
    ) -> dict[str, Mapping[str, tuple[DiskCall, ...]]]:
        times = samples(chosen.percent)
        found = await asyncio.gather(
            *(world.try_disk(node, chosen.methods, times) for node in victims)
        )
        return dict(zip(victims, found, strict=True))

    def manifest(
        self, fault: PlannedFault, victims: Sequence[str], nodes: Sequence[str], namespace: str
    ) -> dict[str, Json]:
        """IOChaos `fault`."""
        chosen = read(self.name, IoErrorOptions, fault.options)
        action = Fault(
            volume_path=VOLUME_PATH,
            errno=chosen.number,
            methods=calls(chosen.methods),
            percent=max(1, round(chosen.percent)),
        )
        return experiment(fault, namespace, action, pods(namespace, victims)).manifest()


def _failed(tried: Sequence[DiskCall], number: int) -> list[DiskCall]:
    return [call for call in tried if call.errno == number]


def _measured(readings: Mapping[str, Mapping[str, tuple[DiskCall, ...]]]) -> dict[str, Json]:
    return {
        node: {
            method: {
                "calls": len(tried),
                "errors": [*sorted({errno.errorcode[call.errno] for call in tried if call.errno})],
                "failed": sum(1 for call in tried if call.errno),
            }
            for method, tried in reading.items()
        }
        for node, reading in readings.items()
    }


IO_ERROR = IoError()

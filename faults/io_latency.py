"""Fault `io-latency`: what a node's disk is asked to do takes longer.

Carried out by the lab's own file system under the node's data (FUSE), so the process needs nothing
of its own. What the page cache answers is not late: a read reaches the disk only for a page that
nobody has read or written before. In Chaos Mesh it is IOChaos `latency`.
"""

from __future__ import annotations

import asyncio
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import Field, model_validator

from seatrial.fault import DiskCall, DiskRule, PlannedFault, Proof, VolumeNeed, World
from seatrial.faults.chaos import experiment, pods
from seatrial.faults.chaos.io import Latency
from seatrial.faults.options import Options, problem, read
from seatrial.faults.volume import (
    VOLUME_PATH,
    Method,
    back_again,
    calls,
    no_fuse,
)
from seatrial.verdict import Json

#: How sure a probe wants to be that it meets one late call among many.
MISS_MAX = 1e-4
SAMPLES_MIN, SAMPLES_MAX = 3, 100
#: The share of the shortest delay from which on a call counts as late.
LATE = 0.9


class IoLatencyOptions(Options):
    """`latency_ms` ± `jitter_ms` (even) for `percent` of the calls of `methods`."""

    latency_ms: float = Field(default=50.0, ge=1.0, le=5000.0)
    jitter_ms: float = Field(default=0.0, ge=0.0, le=2500.0)
    percent: float = Field(default=100.0, gt=0.0, le=100.0)
    methods: tuple[Method, ...] = Field(default=("read", "write", "fsync"), min_length=1)

    @model_validator(mode="after")
    def _jitter_is_less(self) -> IoLatencyOptions:
        if self.jitter_ms >= self.latency_ms:
            raise ValueError(f"jitter_ms {self.jitter_ms:g} must be less than latency_ms")
        return self


@dataclass(frozen=True, slots=True)
class IoLatency:
    """`seatrial.fault.FaultKind`."""

    name: str = "io-latency"
    touches: str = "disk"

    def unavailable(self, isolation: str, nodes: Sequence[str], options: Mapping[str, Json]) -> str:
        """Not without FUSE, nor without volumes of the nodes' own."""
        return problem(self.name, IoLatencyOptions, options) or no_fuse(self.name, isolation)

    def volume_need(self, options: Mapping[str, Json]) -> VolumeNeed:
        """The lab's own file system."""
        return VolumeNeed("fuse")

    async def inject(self, world: World, fault: PlannedFault, victims: Sequence[str]) -> None:
        """Make the victims' disks slow."""
        chosen = read(self.name, IoLatencyOptions, fault.options)
        rule = DiskRule(
            methods=chosen.methods,
            latency_s=chosen.latency_ms / 1000,
            jitter_s=chosen.jitter_ms / 1000,
            percent=chosen.percent,
        )
        for node in victims:
            await world.rule_disk(node, fault.id, (rule,))

    async def heal(self, world: World, fault: PlannedFault, victims: Sequence[str]) -> None:
        """Make them as fast as before."""
        for node in victims:
            await world.rule_disk(node, fault.id, ())

    async def prove_injected(
        self, world: World, fault: PlannedFault, victims: Sequence[str]
    ) -> Proof:
        """Calls on the volume take as long as planned, as often as planned."""
        chosen = read(self.name, IoLatencyOptions, fault.options)
        times = samples(chosen.percent)
        readings = await _read(world, victims, chosen.methods, times)
        floor_s = LATE * (chosen.latency_ms - chosen.jitter_ms) / 1000
        measured, quick = _measured(readings), []
        for node, reading in readings.items():
            for method, tried in reading.items():
                late = [call for call in tried if call.took_s >= floor_s]
                wanted = len(tried) if chosen.percent == 100 else 1
                if not tried or len(late) < wanted:
                    quick.append(f"{node}: {method} late {len(late)} of {len(tried)} times")
        if quick or not victims:
            return Proof(False, "; ".join(quick) or "no victim", measured)
        said = ", ".join(chosen.methods)
        return Proof(True, f"{', '.join(victims)}: {said} take {floor_s:.3g} s and more", measured)

    async def prove_healed(
        self, world: World, fault: PlannedFault, victims: Sequence[str]
    ) -> Proof:
        """No call on the volume takes that long any more, and the node answers."""
        chosen = read(self.name, IoLatencyOptions, fault.options)
        problems, measured = await back_again(world, victims)
        readings = await _read(world, victims, chosen.methods, samples(chosen.percent))
        floor_s = LATE * (chosen.latency_ms - chosen.jitter_ms) / 1000
        for node, reading in readings.items():
            for method, tried in reading.items():
                middle_s = statistics.median(call.took_s for call in tried) if tried else math.inf
                if middle_s >= floor_s:
                    problems.append(f"{node}: {method} still takes {middle_s:.3g} s")
        measured |= _measured(readings)
        if problems:
            return Proof(False, "; ".join(problems), measured)
        return Proof(True, f"{', '.join(victims)}: as fast as before", measured)

    def manifest(
        self, fault: PlannedFault, victims: Sequence[str], nodes: Sequence[str], namespace: str
    ) -> dict[str, Json]:
        """IOChaos `latency`; it knows no jitter."""
        chosen = read(self.name, IoLatencyOptions, fault.options)
        action = Latency(
            volume_path=VOLUME_PATH,
            latency_ms=chosen.latency_ms,
            methods=calls(chosen.methods),
            percent=max(1, round(chosen.percent)),
        )
        return experiment(fault, namespace, action, pods(namespace, victims)).manifest()


def samples(percent: float) -> int:
    """How many calls a probe makes so that it hardly ever misses `percent` of them."""
    if percent >= 100:
        return SAMPLES_MIN
    enough = math.ceil(math.log(MISS_MAX) / math.log(1 - percent / 100))
    return min(max(enough, SAMPLES_MIN), SAMPLES_MAX)


async def _read(
    world: World, victims: Sequence[str], methods: Sequence[str], times: int
) -> dict[str, Mapping[str, tuple[DiskCall, ...]]]:
    found = await asyncio.gather(*(world.try_disk(node, methods, times) for node in victims))
    return dict(zip(victims, found, strict=True))


def _measured(readings: Mapping[str, Mapping[str, tuple[DiskCall, ...]]]) -> dict[str, Json]:
    return {
        node: {
            method: {
                "calls": len(tried),
                "median_ms": round(statistics.median(call.took_s for call in tried) * 1000, 3),
                "max_ms": round(max(call.took_s for call in tried) * 1000, 3),
            }
            for method, tried in reading.items()
            if tried
        }
        for node, reading in readings.items()
    }


IO_LATENCY = IoLatency()

"""Faults `stress-cpu` and `stress-memory`: something else takes the processor or the memory.

Burner processes live where the node lives and end with the fault, with the lab, and after a bound
of their own. `stress-cpu` confines the node and the burners to the same few processors of those
that the node may use, so they fight with each other and not with the clients or the host.
`stress-memory` holds memory beside the node; without a limit of the node's own it is the machine's,
and never more than half of what is available. In Chaos Mesh both are StressChaos.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pydantic import Field

from seatrial.fault import CLUSTER, Burn, Burnt, PlannedFault, Proof, World, memory_left
from seatrial.faults.chaos import experiment, pods
from seatrial.faults.chaos.stress import Cpu, Memory
from seatrial.faults.leases import Leases
from seatrial.faults.options import Options, problem, read
from seatrial.faults.volume import back_again
from seatrial.verdict import Json

#: How long what burners take is measured.
OVER_S = 0.5
#: How long burners may take to take what they are to hold.
FULL_TIMEOUT_S = 15.0
#: The share of what was asked for from which on the effect counts as seen.
ENOUGH = 0.7


class StressCpuOptions(Options):
    """`workers` that each compute for `load_percent` of a processor; node and workers on `cpus`."""

    workers: int = Field(default=1, ge=1, le=16)
    load_percent: float = Field(default=100.0, ge=1.0, le=100.0)
    cpus: int = Field(default=1, ge=1, le=64)


class StressMemoryOptions(Options):
    """`workers` that each hold `size_bytes`."""

    workers: int = Field(default=1, ge=1, le=16)
    size_bytes: int = Field(default=256 << 20, ge=1 << 20, le=1 << 40)


@dataclass(frozen=True, slots=True)
class StressCpu:
    """`seatrial.fault.FaultKind`."""

    name: str = "stress-cpu"
    touches: str = "cpu"
    #: Node → how many processors it could use before.
    _could_use: Leases[str, int] = field(default_factory=Leases)

    def unavailable(self, isolation: str, nodes: Sequence[str], options: Mapping[str, Json]) -> str:
        """Possible everywhere."""
        return problem(self.name, StressCpuOptions, options)

    async def inject(self, world: World, fault: PlannedFault, victims: Sequence[str]) -> None:
        """Start the workers beside each victim."""
        chosen = read(self.name, StressCpuOptions, fault.options)
        burn = Burn(chosen.workers, load_percent=chosen.load_percent, cpus=chosen.cpus)
        for node in victims:
            before = await world.burnt(node, fault.id, 0.0)
            self._could_use.take(world, fault.id, node, before.node_cpus)
            await world.burn(node, fault.id, burn)

    async def heal(self, world: World, fault: PlannedFault, victims: Sequence[str]) -> None:
        """End the workers; the node may use all that it could before."""
        for node in victims:
            await world.burn(node, fault.id, None)

    async def prove_injected(
        self, world: World, fault: PlannedFault, victims: Sequence[str]
    ) -> Proof:
        """The workers run, or wait for a processor, as much as asked for (the kernel's count)."""
        chosen = read(self.name, StressCpuOptions, fault.options)
        readings = await _taken(world, fault, victims)
        measured = {node: _json(burnt) for node, burnt in readings.items()}
        weak = []
        for node, burnt in readings.items():
            wanted_s = chosen.workers * burnt.over_s * chosen.load_percent / 100
            if burnt.ran_s <= 0 or burnt.ran_s + burnt.waited_s < ENOUGH * wanted_s:
                weak.append(f"{node}: {burnt.ran_s:.2f} s run and {burnt.waited_s:.2f} s waited")
            elif burnt.node_cpus > chosen.cpus:
                weak.append(f"{node}: may still use {burnt.node_cpus} processors")
        if weak or not victims:
            return Proof(False, "; ".join(weak) or "no victim", measured)
        ran_s = sum(burnt.ran_s for burnt in readings.values())
        said = f"{', '.join(victims)}: workers took {ran_s:.2f} s of processor in {OVER_S:g} s"
        return Proof(True, said, measured)

    async def prove_healed(
        self, world: World, fault: PlannedFault, victims: Sequence[str]
    ) -> Proof:
        """No worker is left, the node may use what it could before, and it answers."""
        problems, measured = await back_again(world, victims)
        for node, burnt in (await _taken(world, fault, victims)).items():
            measured[node] = _json(burnt)
            before = self._could_use.note(world, fault.id, node) or 0
            if burnt.processes:
                problems.append(f"{node}: {burnt.processes} workers are left")
            if burnt.node_cpus < before:
                problems.append(f"{node}: may use {burnt.node_cpus} processors, not {before}")
        if problems:
            return Proof(False, "; ".join(problems), measured)
        return Proof(True, f"{', '.join(victims)}: no worker is left", measured)

    def manifest(
        self, fault: PlannedFault, victims: Sequence[str], nodes: Sequence[str], namespace: str
    ) -> dict[str, Json]:
        """StressChaos; there the pod's own limits confine, so `cpus` has no equal."""
        chosen = read(self.name, StressCpuOptions, fault.options)
        action = Cpu(workers=chosen.workers, load_percent=round(chosen.load_percent))
        return experiment(fault, namespace, action, pods(namespace, victims)).manifest()


@dataclass(frozen=True, slots=True)
class StressMemory:
    """`seatrial.fault.FaultKind`."""

    name: str = "stress-memory"
    touches: str = "memory"

    def unavailable(self, isolation: str, nodes: Sequence[str], options: Mapping[str, Json]) -> str:
        """Not for more than half of the memory that is available here."""
        if bad := problem(self.name, StressMemoryOptions, options):
            return bad
        chosen, left = read(self.name, StressMemoryOptions, options), memory_left()
        if isolation == CLUSTER or chosen.workers * chosen.size_bytes <= left:
            return ""
        return (
            f"{self.name} of {chosen.workers} × {chosen.size_bytes} bytes: no more than half of "
            f"the available memory is taken, which is {left} bytes\n\nhint: a smaller size_bytes"
        )

    async def inject(self, world: World, fault: PlannedFault, victims: Sequence[str]) -> None:
        """Start the workers beside each victim."""
        chosen = read(self.name, StressMemoryOptions, fault.options)
        for node in victims:
            await world.burn(node, fault.id, Burn(chosen.workers, memory_bytes=chosen.size_bytes))

    async def heal(self, world: World, fault: PlannedFault, victims: Sequence[str]) -> None:
        """End the workers; the kernel takes the memory back."""
        for node in victims:
            await world.burn(node, fault.id, None)

    async def prove_injected(
        self, world: World, fault: PlannedFault, victims: Sequence[str]
    ) -> Proof:
        """The workers' resident memory is what was asked for (the kernel's count)."""
        chosen = read(self.name, StressMemoryOptions, fault.options)
        wanted = chosen.workers * chosen.size_bytes
        deadline = asyncio.get_running_loop().time() + FULL_TIMEOUT_S
        while True:
            readings = await _taken(world, fault, victims)
            less = [node for node, burnt in readings.items() if burnt.memory_bytes < wanted]
            if not less or asyncio.get_running_loop().time() > deadline:
                break
        measured = {node: _json(burnt) for node, burnt in readings.items()}
        if less or not victims:
            said = f"{', '.join(less) or 'no victim'}: less than {wanted} bytes are taken"
            return Proof(False, said, measured)
        return Proof(True, f"{', '.join(victims)}: {wanted} bytes are taken beside it", measured)

    async def prove_healed(
        self, world: World, fault: PlannedFault, victims: Sequence[str]
    ) -> Proof:
        """No worker is left, and the node answers."""
        problems, measured = await back_again(world, victims)
        for node, burnt in (await _taken(world, fault, victims)).items():
            measured[node] = _json(burnt)
            if burnt.processes or burnt.memory_bytes:
                problems.append(f"{node}: {burnt.processes} workers are left")
        if problems:
            return Proof(False, "; ".join(problems), measured)
        return Proof(True, f"{', '.join(victims)}: no worker is left", measured)

    def manifest(
        self, fault: PlannedFault, victims: Sequence[str], nodes: Sequence[str], namespace: str
    ) -> dict[str, Json]:
        """StressChaos."""
        chosen = read(self.name, StressMemoryOptions, fault.options)
        action = Memory(workers=chosen.workers, size_bytes=chosen.size_bytes)
        return experiment(fault, namespace, action, pods(namespace, victims)).manifest()


async def _taken(world: World, fault: PlannedFault, victims: Sequence[str]) -> dict[str, Burnt]:
    found = await asyncio.gather(*(world.burnt(node, fault.id, OVER_S) for node in victims))
    return dict(zip(victims, found, strict=True))


def _json(burnt: Burnt) -> dict[str, Json]:
    return {
        "processes": burnt.processes,
        "over_s": round(burnt.over_s, 3),
        "ran_s": round(burnt.ran_s, 3),
        "waited_s": round(burnt.waited_s, 3),
        "memory_bytes": burnt.memory_bytes,
        "node_cpus": burnt.node_cpus,
    }


STRESS_CPU = StressCpu()
STRESS_MEMORY = StressMemory()

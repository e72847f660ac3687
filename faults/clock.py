"""Fault `clock`: the wall clock of a node's process is ahead or behind.

The process's own clock functions are replaced while it runs (`seatrial.vdso`), so it needs no
preparation and Go programs are deceived too, which ignore libfaketime. Only the wall clock is off:
timeouts and leases that a program measures with the monotonic clock are not. A program that asks
the kernel by a system call sees the right time, so the effect is read from the node itself, by
what it says in an answer. In Chaos Mesh it is TimeChaos.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import Field, model_validator

from seatrial import vdso
from seatrial.fault import CLUSTER, PlannedFault, Proof, World
from seatrial.faults.chaos import experiment, pods
from seatrial.faults.chaos.time import ClockOffset
from seatrial.faults.options import Options, problem, read
from seatrial.faults.volume import back_again
from seatrial.target import Clock, Target
from seatrial.verdict import Json

#: What a node says of the time is exact to a second, and the answer takes a moment.
TOLERANCE_S = 1.5
#: The least offset that can be told from that.
OFFSET_MS_MIN = 2000.0


class ClockOptions(Options):
    """`offset_ms`: ahead, or behind if negative."""

    offset_ms: float = Field(default=60_000.0, ge=-3.0e11, le=3.0e11)

    @model_validator(mode="after")
    def _can_be_seen(self) -> ClockOptions:
        if abs(self.offset_ms) < OFFSET_MS_MIN:
            raise ValueError(
                f"offset_ms {self.offset_ms:g} could not be seen: a node's answer is exact to a "
                f"second, so at least {OFFSET_MS_MIN:g} either way"
            )
        return self


@dataclass(frozen=True, slots=True)
class ClockFault:
    """`seatrial.fault.FaultKind`."""

    name: str = "clock"
    touches: str = "process"  # the process stands still for a moment, so nobody else may stop it

    def unavailable(self, isolation: str, nodes: Sequence[str], options: Mapping[str, Json]) -> str:
        """Not on a machine where the functions cannot be replaced."""
        if bad := problem(self.name, ClockOptions, options):
            return bad
        if isolation == CLUSTER or not (reason := vdso.why_not()):
            return ""
        return f"{reason}\n\nhint: on a cluster 'clock' is TimeChaos"

    def lacking(
        self,
        target: Target,
        nodes: Sequence[str],
        victims: Sequence[str],
        options: Mapping[str, Json],
    ) -> str:
        """Not where a node does not tell the time: nobody could see the effect."""
        return "" if isinstance(target, Clock) else f"{target.name} does not tell the time"

    async def inject(self, world: World, fault: PlannedFault, victims: Sequence[str]) -> None:
        """Put the victims' clocks off."""
        offset_ms = read(self.name, ClockOptions, fault.options).offset_ms
        for node in victims:
            await world.shift_clock(node, fault.id, round(offset_ms * 1e6))

    async def heal(self, world: World, fault: PlannedFault, victims: Sequence[str]) -> None:
        """Put them right."""
        for node in victims:
            await world.shift_clock(node, fault.id, None)

    async def prove_injected(
        self, world: World, fault: PlannedFault, victims: Sequence[str]
    ) -> Proof:
        """The node says another time than it is, by the offset."""
        offset_s = read(self.name, ClockOptions, fault.options).offset_ms / 1000
        readings = {node: await world.clock_offset(node) for node in victims}
        measured: dict[str, Json] = {node: {"offset_s": seen} for node, seen in readings.items()}
        right = [n for n, seen in readings.items() if abs(seen - offset_s) > TOLERANCE_S]
        if right or not victims:
            said = f"{', '.join(right) or 'no victim'}: not off by {offset_s:g} s"
            return Proof(False, said, measured)
        return Proof(True, f"{', '.join(victims)}: off by {offset_s:g} s", measured)

    async def prove_healed(
        self, world: World, fault: PlannedFault, victims: Sequence[str]
    ) -> Proof:
        """The node says what time it is."""
        problems, measured = await back_again(world, victims)
        for node in victims:
            seen = await world.clock_offset(node)
            measured[node] = {"offset_s": seen}
            if abs(seen) > TOLERANCE_S:
                problems.append(f"{node}: still off by {seen:.1f} s")
        if problems:
            return Proof(False, "; ".join(problems), measured)
        return Proof(True, f"{', '.join(victims)}: right again", measured)

    def manifest(
        self, fault: PlannedFault, victims: Sequence[str], nodes: Sequence[str], namespace: str
    ) -> dict[str, Json]:
        """TimeChaos of CLOCK_REALTIME."""
        offset_ms = read(self.name, ClockOptions, fault.options).offset_ms
        action = ClockOffset(offset_ms=offset_ms)
        return experiment(fault, namespace, action, pods(namespace, victims)).manifest()


CLOCK = ClockFault()

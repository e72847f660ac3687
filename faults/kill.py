"""Fault `kill`: SIGKILL, held down for the fault's duration, then started again with its data.

The process gets no chance to write anything, but what it wrote before stays in the page cache:
this is a crash of the process, not of the machine. In Chaos Mesh it is PodChaos `pod-failure`,
which keeps the pod down for a duration (`pod-kill` is over at once).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from seatrial.fault import PlannedFault, Proof, World
from seatrial.faults.broken import elsewhere
from seatrial.faults.chaos import experiment, pods
from seatrial.faults.chaos.pod import PodFailure
from seatrial.faults.leases import Leases
from seatrial.verdict import Json

#: How long a killed node is given to answer all the same.
SILENCE_S = 0.3
#: How long a node that was started again may take until it answers.
READY_TIMEOUT_S = 15.0


@dataclass(frozen=True, slots=True)
class Kill:
    """`seatrial.fault.FaultKind`."""

    name: str = "kill"
    touches: str = "process"
    #: Node held down → the start time of the process that was killed (None: it was down).
    _down: Leases[str, int | None] = field(default_factory=Leases)

    def unavailable(self, isolation: str, nodes: Sequence[str], options: Mapping[str, Json]) -> str:
        """Always possible; options there are none."""
        return f"kill takes no option: {', '.join(options)}" if options else ""

    async def inject(self, world: World, fault: PlannedFault, victims: Sequence[str]) -> None:
        """Kill all victims at once."""
        for node in victims:
            self._down.take(world, fault.id, node, world.start_time(node))
        await asyncio.gather(*(world.kill(node) for node in victims))

    async def heal(self, world: World, fault: PlannedFault, victims: Sequence[str]) -> None:
        """Start those again that no other kill holds down."""
        for node in self._down.of(world, fault.id):
            if not self._down.is_held(world, node, besides=fault.id):
                await world.restart(node)
            self._down.give_back(world, fault.id, node)  # last: a restart that failed is tried anew

    async def prove_injected(
        self, world: World, fault: PlannedFault, victims: Sequence[str]
    ) -> Proof:
        """The kernel has no such process, and nobody answers."""
        answers = await asyncio.gather(*(world.ready(node, SILENCE_S) for node in victims))
        measured: dict[str, Json] = {}
        gone = []
        for node, answer in zip(victims, answers, strict=True):
            pid, before = world.pid(node), self._down.note(world, fault.id, node)
            measured[node] = {"start_time_before": before, "pid": pid, "answers": answer}
            gone.append(before is not None and pid is None and not answer)
        if gone and all(gone):
            return Proof(True, f"{_list(victims)}: process gone, no answer", measured)
        left = [node for node, is_gone in zip(victims, gone, strict=True) if not is_gone]
        return Proof(
            False,
            f"{_list(left)}: was down before, or still runs or answers" if left else "no victim",
            measured,
        )

    async def prove_healed(
        self, world: World, fault: PlannedFault, victims: Sequence[str]
    ) -> Proof:
        """A new process runs and answers (or something else that is broken explains why not)."""
        begin = asyncio.get_running_loop().time()
        others = elsewhere(world, victims)
        answers = await asyncio.gather(*(world.ready(node, READY_TIMEOUT_S) for node in victims))
        waited_s = asyncio.get_running_loop().time() - begin
        others += elsewhere(world, victims)
        measured: dict[str, Json] = {"waited_s": round(waited_s, 3), "also_broken": [*others]}
        problems = []
        for node, answer in zip(victims, answers, strict=True):
            before, now = self._down.note(world, fault.id, node), world.start_time(node)
            measured[node] = {
                "start_time_before": before,
                "start_time": now,
                "state": world.process_state(node),
                "answers": answer,
            }
            problems += self._problem(world, node, before, now, answer)
        if problems:
            return Proof(False, "; ".join(problems), measured)
        return Proof(True, f"{_list(victims)}: a new process runs and answers", measured)

    def _problem(
        self, world: World, node: str, before: int | None, now: int | None, excused: bool
    ) -> list[str]:
        if self._down.is_held(world, node):
            return []  # another kill has it; its own healing is proved in its turn
        if now is None:
            return [f"{node}: no process"]
        if before is not None and now <= before:
            return [f"{node}: still the old process"]
        return [] if excused else [f"{node}: no answer within {READY_TIMEOUT_S:.0f} s"]

    def manifest(
        self, fault: PlannedFault, victims: Sequence[str], nodes: Sequence[str], namespace: str
    ) -> dict[str, Json]:
        """PodChaos `pod-failure` on the victims, for the fault's duration."""
        return experiment(fault, namespace, PodFailure(), pods(namespace, victims)).manifest()


def _list(nodes: Sequence[str]) -> str:
    return ", ".join(nodes)


KILL = Kill()

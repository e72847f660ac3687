"""Fault `pause`: SIGSTOP, then SIGCONT: a node that neither works nor knows that time went by.

The kernel goes on to acknowledge packets for it, so peers see an open connection without an
answer: the shape of a long garbage collection or of a virtual machine being moved.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from seatrial.errors import Unavailable
from seatrial.fault import PlannedFault, Proof, World
from seatrial.faults.broken import elsewhere
from seatrial.faults.leases import Leases
from seatrial.verdict import Json

#: How long the kernel may take to stop a process (one in an uninterruptible call finishes it).
STOP_TIMEOUT_S = 2.0
#: How long a stopped node is given to answer all the same.
SILENCE_S = 0.5
#: How long a node may take until it answers again.
READY_TIMEOUT_S = 15.0
_POLL_S = 0.01
NO_EQUAL = (
    "'pause' has no equal in Chaos Mesh: it stops no process with SIGSTOP\n\n"
    "hint: on a cluster the step sends the signal itself, inside of the pod"
)


@dataclass(frozen=True, slots=True)
class Pause:
    """`seatrial.fault.FaultKind`."""

    name: str = "pause"
    touches: str = "process"
    #: Node stopped → the number of the process that was stopped.
    _stopped: Leases[str, int | None] = field(default_factory=Leases)

    def unavailable(self, isolation: str, nodes: Sequence[str], options: Mapping[str, Json]) -> str:
        """Possible wherever the nodes are processes that can be signalled; no option."""
        return f"pause takes no option: {', '.join(options)}" if options else ""

    async def inject(self, world: World, fault: PlannedFault, victims: Sequence[str]) -> None:
        """Stop all victims."""
        for node in victims:
            self._stopped.take(world, fault.id, node, world.pid(node))
            await world.signal(node, signal.SIGSTOP)

    async def heal(self, world: World, fault: PlannedFault, victims: Sequence[str]) -> None:
        """Let those run on that no other pause holds."""
        for node in self._stopped.of(world, fault.id):
            if not self._stopped.is_held(world, node, besides=fault.id):
                await world.signal(node, signal.SIGCONT)
            self._stopped.give_back(world, fault.id, node)

    async def prove_injected(
        self, world: World, fault: PlannedFault, victims: Sequence[str]
    ) -> Proof:
        """The kernel says stopped (state T), and the node does not answer."""
        still = await asyncio.gather(*(_comes_to(world, node, "T") for node in victims))
        answers = await asyncio.gather(*(world.ready(node, SILENCE_S) for node in victims))
        measured: dict[str, Json] = {}
        bad = []
        for node, stands, answer in zip(victims, still, answers, strict=True):
            measured[node] = {"state": world.process_state(node), "answers": answer}
            if not stands or answer:
                bad.append(node)
        if bad or not victims:
            return Proof(False, f"{', '.join(bad) or 'no victim'}: not stopped", measured)
        return Proof(True, f"{', '.join(victims)}: stopped (state T), no answer", measured)

    async def prove_healed(
        self, world: World, fault: PlannedFault, victims: Sequence[str]
    ) -> Proof:
        """The kernel says running, and the node answers (or something else explains why not)."""
        others = elsewhere(world, victims)
        answers = await asyncio.gather(*(self._answers(world, node) for node in victims))
        others += elsewhere(world, victims)
        measured: dict[str, Json] = {"also_broken": [*others]}
        problems = []
        for node, answer in zip(victims, answers, strict=True):
            state = world.process_state(node)
            measured[node] = {"state": state, "answers": answer}
            if self._stopped.is_held(world, node):
                continue  # another pause has it; its own healing is proved in its turn
            if state in ("T", "t"):
                problems.append(f"{node}: still stopped")
            elif state and not answer:
                problems.append(f"{node}: no answer within {READY_TIMEOUT_S:.0f} s")
        if problems:
            return Proof(False, "; ".join(problems), measured)
        late = "" if all(answers) else f", without an answer yet: {', '.join(others) or 'down'}"
        return Proof(True, f"{', '.join(victims)}: not stopped any more{late}", measured)

    async def _answers(self, world: World, node: str) -> bool:
        if self._stopped.is_held(world, node) or world.pid(node) is None:
            return False  # stopped or killed by another fault: nothing to wait for
        return await world.ready(node, READY_TIMEOUT_S)

    def manifest(
        self, fault: PlannedFault, victims: Sequence[str], nodes: Sequence[str], namespace: str
    ) -> dict[str, Json]:
        """Always raises: Chaos Mesh has nothing like it."""
        raise Unavailable(NO_EQUAL)


async def _comes_to(world: World, node: str, state: str) -> bool:
    """Whether the node's process gets into `state` before the bound."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + STOP_TIMEOUT_S
    while world.process_state(node) != state:
        if loop.time() > deadline:
            return False
        await asyncio.sleep(_POLL_S)
    return True


PAUSE = Pause()

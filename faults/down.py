"""Nodes that faults hold down, whichever kind took them: who holds, who came back, what proves it.

All kinds that end a node's process share one table of leases, so that a node that two of them
hold starts again with the second healing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from seatrial.fault import PlannedFault, Proof, World
from seatrial.faults.broken import elsewhere
from seatrial.faults.leases import Leases
from seatrial.verdict import Json

#: How long a node that was ended is given to answer all the same.
SILENCE_S = 0.3
#: How long a node that was started again may take until it answers.
READY_TIMEOUT_S = 15.0

#: Node held down → the start time of the process that was ended (None: it was down).
DOWN: Leases[str, int | None] = Leases()


def take(world: World, fault: PlannedFault, victims: Sequence[str]) -> None:
    """Note that `fault` is about to hold `victims` down."""
    for node in victims:
        DOWN.take(world, fault.id, node, world.start_time(node))


async def release(world: World, fault: PlannedFault) -> None:
    """Start those again that no other fault holds down."""
    for node in DOWN.of(world, fault.id):
        if not DOWN.is_held(world, node, besides=fault.id):
            await world.restart(node)
        DOWN.give_back(world, fault.id, node)  # last: a restart that failed is tried anew


async def prove_gone(world: World, fault: PlannedFault, victims: Sequence[str]) -> Proof:
    """The kernel has no such process, and nobody answers."""
    answers = await asyncio.gather(*(world.ready(node, SILENCE_S) for node in victims))
    measured: dict[str, Json] = {}
    left = []
    for node, answer in zip(victims, answers, strict=True):
        pid, before = world.pid(node), DOWN.note(world, fault.id, node)
        measured[node] = {"start_time_before": before, "pid": pid, "answers": answer}
        if before is None or pid is not None or answer:
            left.append(node)
    if left or not victims:
        said = f"{', '.join(left)}: was down before, or still runs or answers"
        return Proof(False, said if left else "no victim", measured)
    return Proof(True, f"{', '.join(victims)}: process gone, no answer", measured)


async def prove_back(world: World, fault: PlannedFault, victims: Sequence[str]) -> Proof:
    """A new process runs and answers (or something else that is broken explains why not)."""
    begin = asyncio.get_running_loop().time()
    others = elsewhere(world, victims)
    answers = await asyncio.gather(*(world.ready(node, READY_TIMEOUT_S) for node in victims))
    waited_s = asyncio.get_running_loop().time() - begin
    others += elsewhere(world, victims)
    measured: dict[str, Json] = {"waited_s": round(waited_s, 3), "also_broken": [*others]}
    problems = []
    for node, answer in zip(victims, answers, strict=True):
        before, now = DOWN.note(world, fault.id, node), world.start_time(node)
        measured[node] = {
            "start_time_before": before,
            "start_time": now,
            "state": world.process_state(node),
            "answers": answer,
        }
        problems += _problem(world, node, before, now, answer)
    if problems:
        return Proof(False, "; ".join(problems), measured)
    return Proof(True, f"{', '.join(victims)}: a new process runs and answers", measured)


def _problem(
    world: World, node: str, before: int | None, now: int | None, answers: bool
) -> list[str]:
    if DOWN.is_held(world, node):
        return []  # another fault has it; its own healing is proved in its turn
    if now is None:
        return [f"{node}: no process"]
    if before is not None and now <= before:
        return [f"{node}: still the old process"]
    return [] if answers else [f"{node}: no answer within {READY_TIMEOUT_S:.0f} s"]

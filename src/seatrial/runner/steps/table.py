"""Steps by name, and which of them must run where clients reach the nodes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from seatrial.catalogue import Catalogue, Entry
from seatrial.runner.steps.step import Outcome, Step

Function = Callable[[Step], Awaitable[Outcome]]


@dataclass(frozen=True, slots=True)
class Kind:
    """One step: what it is for, the function, and whether it has clients of its own."""

    summary: str
    where: str
    clients: bool = False
    only_exit: bool = False


_HERE = "seatrial.runner.steps"

KINDS: Mapping[str, Kind] = {
    "preflight": Kind("Whether the plan can be carried out here.", "ground:preflight"),
    "provision": Kind("Make the cluster; it stands on.", "ground:provision"),
    "prepare": Kind("Every node answers, every role is played.", "ground:prepare"),
    "steady-before": Kind("Judge the load before the faults.", "stretch:steady"),
    "workload": Kind("Carry the load through all stretches.", "workload:workload", clients=True),
    "fault": Kind("Carry out one fault at its moment (--fault).", "fault:fault"),
    "steady-during": Kind("Judge the load during the faults.", "stretch:steady"),
    "heal": Kind("Undo all that faults did.", "closing:heal"),
    "quiesce": Kind("Wait until every node answers.", "closing:quiesce"),
    "final-reads": Kind("Read once more.", "reads:final_reads", clients=True),
    "steady-after": Kind("Judge the load after healing.", "stretch:steady"),
    "check": Kind("Let one checker judge (--checker).", "judging:check"),
    "report": Kind("Make the trial's folder whole, with its report.", "judging:report"),
    "verdict": Kind("Join all of it; exit with the trial's verdict.", "judging:verdict"),
    "audit": Kind("What is still broken, at the very end.", "closing:audit", only_exit=True),
    "collect": Kind("Bring the nodes' logs.", "closing:collect", only_exit=True),
    "teardown": Kind("Take the cluster down.", "closing:teardown", only_exit=True),
}

STEPS = Catalogue(
    "step", {name: Entry(kind.summary, f"{_HERE}.{kind.where}") for name, kind in KINDS.items()}
)


def function_of(name: str) -> Function:
    """The function of a step; raises `UnknownName`."""
    loaded = STEPS[name].load()
    assert callable(loaded)
    return loaded

"""The steps of a trial as rows: what each reads, may retry, may take, and whose rights it has.

The command lines, rooms and exit statuses are those of docs/adr/0005-steps.md; this module only
says how Argo is told about them. A room lies under the same path in every pod, and under a key of
its own in the artifact store, so that no step depends on another step's *output*: an absent room
is an absent object, not an error of Argo's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Reads = Literal["nothing", "provision", "load", "all"]
Account = Literal["cluster", "load", "judge"]

DIR = "/trial"
#: Steps that never begin twice: they send ops or break things.
ONCE = ("workload", "fault", "final-reads")
#: Where Kubernetes picks up a container's last words; Argo shows them as the node's message.
MESSAGE_FILE = "/dev/termination-log"
#: How often a step whose pod was lost is started again, where starting again does no harm.
RETRY_LIMIT = 2


@dataclass(frozen=True, slots=True)
class Step:
    """One row: `seatrial step NAME`.

    `room` is the folder below `steps/` that it writes. `reads`: which rooms it is given.
    `retry`: never for what sends ops or breaks things; for what the trial cannot do without, and
    may as well be done twice. `seconds` bounds it where the plan says
    nothing else. `about` is for people.
    """

    name: str
    room: str
    account: Account
    reads: Reads
    retry: bool
    seconds: int
    about: str
    #: Option that takes the input parameter of the same name.
    parameter: str = ""
    exit: bool = False

    @property
    def stores(self) -> bool:
        """Whether its room goes to the artifact store."""
        return not self.exit or self.name == "collect"

    @property
    def template(self) -> str:
        """The template's name."""
        return f"exit-{self.name}" if self.exit else self.name


STEPS: tuple[Step, ...] = (
    Step(
        "preflight",
        "preflight",
        "cluster",
        "nothing",
        True,
        300,
        "what the trial needs is there: rights, CRDs, kernel modules, versions",
    ),
    Step("provision", "provision", "cluster", "nothing", True, 1200, "the target is made"),
    Step("prepare", "prepare", "cluster", "provision", True, 300, "clients reach every node"),
    Step("workload", "workload", "load", "provision", False, 0, "the load, through all stretches"),
    # It says nothing to the load, which goes on with its stretch until the faults are there.
    Step(
        "steady-before",
        "steady-before",
        "cluster",
        "provision",
        True,
        0,
        "the stretch without faults is steady",
    ),
    Step(
        "fault",
        "{{inputs.parameters.fault}}",
        "cluster",
        "provision",
        False,
        0,
        "one fault: injected at its moment, its effect measured, healed",
        parameter="fault",
    ),
    # Not again: it is early news, and `heal` waits for it, for which in turn the load waits.
    Step(
        "steady-during",
        "steady-during",
        "cluster",
        "provision",
        False,
        0,
        "the stretch with faults",
    ),
    # All faults are over: the second time there is nothing to undo, and its word is the same.
    Step("heal", "heal", "cluster", "provision", True, 600, "whatever is left of faults is undone"),
    Step("quiesce", "quiesce", "cluster", "load", True, 0, "every node is back, without load"),
    Step("final-reads", "final-reads", "load", "load", False, 0, "the last reads, from every node"),
    Step(
        "steady-after",
        "steady-after",
        "cluster",
        "all",
        True,
        600,
        "the stretch after the faults, and what can be read without load",
    ),
    Step(
        "check",
        "check-{{inputs.parameters.checker}}",
        "judge",
        "all",
        True,
        0,
        "one checker judges the history",
        parameter="checker",
    ),
    Step("report", "report", "judge", "all", True, 900, "the trial folder and its report"),
    Step("verdict", "verdict", "judge", "all", False, 300, "one verdict of all: the last leaf"),
)

#: The exit handler, in its order; each goes on however the one before ended. None is given a
#: room: a store that is down would keep its pod from starting, and the target would stay.
EXIT_STEPS: tuple[Step, ...] = (
    Step(
        "heal",
        "exit-heal",
        "cluster",
        "nothing",
        True,
        600,
        "every fault of this run is removed",
        exit=True,
    ),
    Step("audit", "audit", "cluster", "nothing", True, 300, "nothing of it is left", exit=True),
    Step("collect", "collect", "cluster", "nothing", True, 600, "logs and evidence", exit=True),
    Step(
        "teardown", "teardown", "cluster", "nothing", True, 900, "the target is removed", exit=True
    ),
)

BY_NAME = {step.name: step for step in STEPS}

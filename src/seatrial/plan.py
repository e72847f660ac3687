"""A plan: a case made concrete by a seed and a target. All that will happen, as data.

The same case, options and seed give the same bytes. An engine carries the plan out and decides
nothing, save who is `leader` or `follower` at the moment.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict

from seatrial.case import Intent, Keep, Limits
from seatrial.fault import PlannedFault
from seatrial.safety import TimeWindow, Watched
from seatrial.slo import Slo
from seatrial.steady_state import SteadyState
from seatrial.verdict import Json

SCHEMA: Final = "seatrial/plan/1"


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PlannedTarget(_Data):
    """The target, its size and its settings."""

    name: str
    nodes: tuple[str, ...]
    settings: Mapping[str, Json] = {}


class PlannedWorkload(_Data):
    """The workload with every setting spelt out."""

    name: str
    settings: Mapping[str, Json]
    fs: tuple[str, ...]
    concurrency: int
    rate: float | None
    op_timeout_s: float
    final_reads: bool


class PlannedPhases(_Data):
    """Lengths in seconds. The load runs through `before`, `faults` and `after`."""

    before_s: float
    faults_s: float
    after_s: float
    quiesce_timeout_s: float
    final_timeout_s: float


class PlannedQuorum(_Data):
    """What is left of the cluster during one fault (or several that overlap).

    `impaired` nodes do not answer or lack a majority, `victims` are those and the slowed ones;
    both at worst. `survivors` is the group that still holds a majority, empty where a role of the
    moment decides. `clients` says what a client still gets from whom.
    """

    from_s: float
    to_s: float
    faults: tuple[str, ...]
    impaired: int
    victims: int = 0
    majority: Literal["survives", "may be lost", "is lost"]
    survivors: tuple[str, ...] = ()
    sentence: str
    clients: str = ""


class PlannedBlast(_Data):
    """The blast radius of a whole plan: its worst moment, and how long a majority is in danger."""

    victims_max: int
    nodes: int
    alive_max: int
    fault_s: float
    may_be_lost_s: float
    is_lost_s: float


class PlannedRamp(_Data):
    """A ramp: the faults of its group get worse until one of `until` breaks."""

    id: str
    kind: str
    victims: str
    option: str
    levels: tuple[float, ...]
    until: tuple[Watched, ...]


class PlannedSafety(_Data):
    """What this trial may never exceed, and what ends its faults at once."""

    victims_max: int | None = None
    windows: tuple[TimeWindow, ...] = ()
    aborts: tuple[Watched, ...] = ()


class Plan(_Data):
    """All that will happen in one trial."""

    format: Literal["seatrial/plan/1"] = SCHEMA
    case: str
    title: str
    intent: Intent
    engine: str
    isolation: str
    seed: int
    target: PlannedTarget
    workload: PlannedWorkload
    phases: PlannedPhases
    faults: tuple[PlannedFault, ...]
    quorum: tuple[PlannedQuorum, ...]
    blast: PlannedBlast | None = None
    ramps: tuple[PlannedRamp, ...] = ()
    safety: PlannedSafety = PlannedSafety()
    steady_states: tuple[SteadyState, ...]
    #: What the case would ask of the target's own metrics and nobody can be asked, in sentences.
    not_asked: tuple[str, ...] = ()
    #: `auto`: the lab starts a server that scrapes the nodes; else empty (probes have their URLs).
    prometheus: str = ""
    slo: Slo | None = None
    checkers: Mapping[str, Mapping[str, Json]]
    limits: Limits
    #: Whether what was made for it outlives the trial.
    keep_target: Keep = "never"
    repeat: str

    def to_text(self) -> str:
        """The plan as canonical JSON: the same plan, the same bytes."""
        return self.model_dump_json(indent=2) + "\n"

"""A plan: a case made concrete by a seed and a target. All that will happen, as data.

The same case, options and seed give the same bytes. An engine carries the plan out and decides
nothing, save who is `leader` or `follower` at the moment.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict

from seatrial.case import Intent, Limits
from seatrial.fault import PlannedFault
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
    """What is left of the cluster during one fault (or several that overlap)."""

    from_s: float
    to_s: float
    faults: tuple[str, ...]
    impaired: int
    majority: Literal["survives", "may be lost", "is lost"]
    sentence: str


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
    steady_states: tuple[SteadyState, ...]
    #: `auto`: the lab starts a server that scrapes the nodes; else empty (probes have their URLs).
    prometheus: str = ""
    slo: Slo | None = None
    checkers: Mapping[str, Mapping[str, Json]]
    limits: Limits
    repeat: str

    def to_text(self) -> str:
        """The plan as canonical JSON: the same plan, the same bytes."""
        return self.model_dump_json(indent=2) + "\n"

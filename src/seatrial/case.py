"""A case: intent, workload, schedule, steady states, checkers and limits, as data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from seatrial.safety import Safety
from seatrial.schedule import Schedule
from seatrial.slo import Slo
from seatrial.steady_state import SteadyState
from seatrial.verdict import Json

#: `never`, or `on-failure`: unless the trial is valid (a Workflow that did not succeed).
Keep = Literal["never", "on-failure"]


class Intent(BaseModel):
    """The claim in words, and what would refute it: a case that nothing can refute is no case."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    claim: str = Field(min_length=10)
    refuted_by: str = Field(min_length=10)


class Limits(BaseModel):
    """What a trial must have done to count (else it is vacuous), and what it may cost.

    `min_ok`: `ok` ops of each `f` in the whole trial. `min_ok_in_fault`: `ok` ops (any `f`)
    inside each fault's window; a fault that rightly stops everything (a lost majority) needs
    attempts instead. `min_attempts_in_fault`: invocations inside each fault's window.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    min_ok: int = 20
    min_ok_in_fault: int = 1
    min_attempts_in_fault: int = 10
    check_timeout_s: float = 120.0
    check_memory_bytes: int = 4 << 30


class Case(BaseModel):
    """What is tried, and what must hold. `safety` is what its faults may never exceed.

    `keep_target`: whether what was made for a trial outlives it, to be looked at; on a cluster.

    `checkers` adds to (or sets options of) the checkers that the workload brings.
    `target_settings` go to the target (for etcd: `snapshot_count`, …).
    `monitored`: templates of steady states (`seatrial steady`) that ask the target's own metrics;
    they join the others where a Prometheus that knows the target is given, and a plan without one
    says that they are not asked.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    title: str
    intent: Intent
    workload: str
    settings: Mapping[str, Json] = {}
    target: str = "etcd"
    target_settings: Mapping[str, Json] = {}
    schedule: Schedule = Schedule()
    steady_states: tuple[SteadyState, ...] = ()
    monitored: tuple[str, ...] = ()
    slo: Slo | None = None
    checkers: Mapping[str, Mapping[str, Json]] = {}
    limits: Limits = Limits()
    safety: Safety = Safety()
    keep_target: Keep = "never"
    nodes: int = 3
    concurrency: int = 10
    rate: float | None = Field(default=None, gt=0, description="ops a second; None: flat out")
    time_limit_s: float = Field(default=60.0, gt=0)
    op_timeout_s: float = Field(default=1.0, gt=0)

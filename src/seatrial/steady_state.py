"""What "steady" means for a case, as data: probes with tolerances, before, during and after.

This module is the grammar. A probe names a source; `ops` (the client's own ops, read from the
history) is the first one, others join the union `Probe` as further models with their own
`source`. Judging is elsewhere (`steady_state_ops` for `ops`), so that a plan can be read and
checked whole before anything starts.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Metric = Literal["error_rate", "throughput", "latency_ms", "unavailable_s", "recovery_s"]
#: The stretches of a trial in which a steady state can be asked for.
WHEN = ("before", "during", "after")


class OpsProbe(BaseModel):
    """A reading from the client's own ops.

    `error_rate`: completions with an error over all completions (0 to 1; a rightly refused
    compare-and-set is no error). `throughput`: `ok` ops a second. `latency_ms`: `percentile` of
    the time from invocation to `ok`. `unavailable_s`: the longest stretch without any `ok`.
    `recovery_s`: the longest time from a fault's healing until ops succeed again as before it
    (throughput of one second back to half of the baseline), over all faults.
    `f` restricts it to some ops; empty means all.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: Literal["ops"] = "ops"
    metric: Metric
    f: tuple[str, ...] = ()
    percentile: float = Field(default=99.0, gt=0, le=100)


Probe = OpsProbe


class Tolerance(BaseModel):
    """Bounds on a reading; `*_ratio` are bounds on reading / the same reading before the faults."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    min: float | None = None
    max: float | None = None
    min_ratio: float | None = None
    max_ratio: float | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Tolerance:
        if (self.min, self.max, self.min_ratio, self.max_ratio) == (None,) * 4:
            raise ValueError("a tolerance needs min, max, min_ratio or max_ratio")
        return self


class SteadyState(BaseModel):
    """One sentence of the hypothesis: a probe, and what it may read in each stretch.

    `on_break`: `judge` makes the trial invalid; `note` only reports.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    probe: Probe
    before: Tolerance | None = None
    during: Tolerance | None = None
    after: Tolerance | None = None
    on_break: Literal["judge", "note"] = "judge"

    @model_validator(mode="after")
    def _asks_something(self) -> SteadyState:
        if self.before is None and self.during is None and self.after is None:
            raise ValueError(
                f"steady state {self.name!r} has no tolerance: before, during or after"
            )
        if self.before is not None and (self.before.min_ratio or self.before.max_ratio):
            raise ValueError(
                f"steady state {self.name!r}: `before` is the baseline, no ratio there"
            )
        return self

"""What "steady" means for a case, as data: probes with tolerances, before, during and after.

This module is the grammar. A probe names a source (`seatrial.probe`), a tolerance says what it may
read (`seatrial.tolerance`), and the field it stands in says when. Judging is elsewhere
(`seatrial.steady`), so that a plan can be read and
checked whole before anything starts. The words follow Chaos Toolkit's hypotheses (probe,
tolerance, strategy) and Litmus' probes (modes, run properties).
"""

from __future__ import annotations

from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from seatrial.probe import (
    CommandProbe,
    HttpProbe,
    KubernetesProbe,
    Metric,
    OpsProbe,
    Probe,
    PrometheusProbe,
)
from seatrial.tolerance import Healing, Tolerance

__all__ = [
    "MOMENTS",
    "STRETCHES",
    "WHEN",
    "CommandProbe",
    "Healing",
    "HttpProbe",
    "KubernetesProbe",
    "Learnt",
    "Metric",
    "OpsProbe",
    "Probe",
    "PrometheusProbe",
    "SteadyState",
    "Tolerance",
]

#: The stretches of a trial, each of which gets one reading.
STRETCHES: Final = ("before", "during", "after")
#: Where every sample must keep to its tolerance.
MOMENTS: Final = ("continuously", "in_fault", "after_healing")
WHEN: Final = (*STRETCHES, *MOMENTS)


class Learnt(BaseModel):
    """A baseline learnt from stored trials of the same case.

    The median of what `before` read in the last `trials` non-vacuous ones; its spread is the
    median absolute deviation times 1.4826 (a standard deviation, where they are normal). Fewer
    than `trials_min` of them are no baseline.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    trials: int = Field(default=10, ge=2, le=1000)
    trials_min: int = Field(default=3, ge=2)

    @model_validator(mode="after")
    def _enough(self) -> Learnt:
        if self.trials_min > self.trials:
            raise ValueError(f"trials_min {self.trials_min} is above trials {self.trials}")
        return self


class SteadyState(BaseModel):
    """One sentence of the hypothesis: a probe, and what it may read when.

    `before`, `during`, `after`: one reading of each stretch. `continuously`: every sample, from
    the first stretch to the last. `in_fault`: every sample while a fault is alive.
    `after_healing`: back within its bounds so soon after each healing. `on_break`: `judge` makes
    the trial invalid; `abort` does so too, and heals and ends at once; `note` only reports.
    `baseline`: what ratios are taken to; without it the same trial's reading before the faults.
    `weight` counts in the score. `why`: why it is asked, and where query and bounds come from.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1)
    probe: Probe
    before: Tolerance | None = None
    during: Tolerance | None = None
    after: Tolerance | None = None
    continuously: Tolerance | None = None
    in_fault: Tolerance | None = None
    after_healing: Healing | None = None
    on_break: Literal["judge", "abort", "note"] = "judge"
    baseline: Learnt | None = None
    weight: float = Field(default=1.0, gt=0)
    why: str = ""

    def tolerances(self) -> dict[str, Tolerance]:
        """Those that are given, in the order of `WHEN`."""
        found = {when: getattr(self, when) for when in WHEN}
        return {when: tolerance for when, tolerance in found.items() if tolerance is not None}

    @model_validator(mode="after")
    def _asks_something(self) -> SteadyState:
        asked = self.tolerances()
        if not asked:
            raise ValueError(
                f"steady state {self.name!r} has no tolerance: one of {', '.join(WHEN)}"
            )
        if self.before is not None and self.before.of_baseline and self.baseline is None:
            raise ValueError(
                f"steady state {self.name!r}: `before` is the baseline, no ratio there"
            )
        spreads = any(tolerance.within_spreads is not None for tolerance in asked.values())
        if spreads and self.baseline is None:
            raise ValueError(
                f"steady state {self.name!r}: within_spreads needs a learnt `baseline`"
            )
        return self

    @model_validator(mode="after")
    def _fits_its_probe(self) -> SteadyState:
        asked = self.tolerances()
        for when, tolerance in asked.items():
            if when in MOMENTS and tolerance.of_slope:
                raise ValueError(
                    f"steady state {self.name!r}: `{when}` judges moments, a slope has none"
                )
        if self.on_break == "abort" and not {"continuously", "in_fault"} & set(asked):
            raise ValueError(
                f"steady state {self.name!r}: to abort at once it must be asked at every moment: "
                "`continuously` or `in_fault`"
            )
        if not isinstance(self.probe, OpsProbe):
            return self
        if any(tolerance.of_text for tolerance in asked.values()):
            raise ValueError(f"steady state {self.name!r}: ops are numbers, no text")
        if self.probe.metric == "recovery_s" and set(asked) & set(MOMENTS):
            raise ValueError(
                f"steady state {self.name!r}: recovery_s is one reading: `during` or `after`"
            )
        return self

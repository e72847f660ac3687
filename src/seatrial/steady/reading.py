"""What judging a steady state gives: a reading for each `when`, and the result of them all."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from seatrial.calls import F64
from seatrial.probe import OpsProbe, Probe, PrometheusProbe
from seatrial.verdict import Json, Validity

#: How a stretch is said.
SAID = {"before": "before the faults", "during": "during the faults", "after": "after the faults"}
#: The unit of each metric of the ops.
UNITS = {
    "error_rate": "",
    "throughput": "ops/s",
    "latency_ms": "ms",
    "unavailable_s": "s",
    "recovery_s": "s",
}


def unit_of(probe: Probe) -> str:
    """The unit of a probe's numbers, empty where they have none."""
    if isinstance(probe, OpsProbe):
        return UNITS[probe.metric]
    if getattr(probe, "read", "") == "latency_ms":
        return "ms"
    return probe.unit


def metric_of(probe: Probe) -> str:
    """What is read, in one word or as the query that reads it."""
    if isinstance(probe, OpsProbe):
        return probe.metric
    if isinstance(probe, PrometheusProbe):
        return probe.query
    return f"{probe.source} {probe.read}"


def number(value: float, unit: str) -> str:
    """A number as a sentence says it; infinite seconds are forever."""
    if math.isinf(value):
        return "forever" if unit == "s" else "infinite"
    text = f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return f"{text} {unit}".rstrip()


@dataclass(frozen=True, slots=True)
class Reading:
    """What a probe read in one stretch, the limit in words, and whether it kept to it.

    `value` is None where nothing could be read; `reason` then says why. `text` is what a probe of
    text read. `said` is the whole sentence where `value` and `limit` do not make it.
    """

    when: str
    value: float | None
    limit: str
    validity: Validity
    reason: str = ""
    text: str = ""
    said: str = ""

    def to_json(self) -> dict[str, Json]:
        """The reading; an infinite value is the text `inf`."""
        value: Json = self.value
        if self.value is not None and math.isinf(self.value):
            value = "inf"
        return {
            "value": value,
            "limit": self.limit,
            "ok": self.validity is Validity.VALID,
            "verdict": self.validity.value,
            "reason": self.reason,
            **({"text": self.text} if self.text else {}),
        }


@dataclass(frozen=True, slots=True)
class SteadyStateResult:
    """One steady state judged. `seconds` and `values` are its probe over time.

    `broke` are the spans in seconds where the series left the tolerance, `holes` those without
    data. `judged` is False for `on_break: note`: then the validity must not count for the trial.
    """

    name: str
    metric: str
    unit: str
    validity: Validity
    cause: str
    judged: bool
    readings: tuple[Reading, ...]
    seconds: F64
    values: F64
    broke: tuple[tuple[float, float], ...] = ()
    holes: tuple[tuple[float, float], ...] = ()
    source: str = "ops"
    why: str = ""
    notes: tuple[str, ...] = ()
    on_break: str = "judge"
    weight: float = 1.0
    baseline: float | None = field(default=None)

    def to_json(self) -> dict[str, Json]:
        """As it stands in a verdict document (the series stays with the report)."""
        return {
            "name": self.name,
            "source": self.source,
            "metric": self.metric,
            "unit": self.unit,
            "verdict": self.validity.value,
            "cause": self.cause,
            "on_break": "note" if not self.judged else self.on_break,
            "weight": self.weight,
            "readings": {reading.when: reading.to_json() for reading in self.readings},
            "broke": [list(span) for span in self.broke],
            "holes": [list(span) for span in self.holes],
            "baseline": self.baseline,
            **({"notes": list(self.notes)} if self.notes else {}),
        }


def spans_of(times: F64, step_s: float) -> tuple[tuple[float, float], ...]:
    """Moments joined to spans: each lasts `step_s`, neighbours within it are one."""
    if not len(times):
        return ()
    runs = np.split(times, np.flatnonzero(np.diff(times) > step_s * 1.5) + 1)
    return tuple((float(run[0]), float(run[-1]) + step_s) for run in runs)

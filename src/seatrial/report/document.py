"""A verdict document as the report reads it: tolerant, for it may be of an interrupted trial.

Everything has a default and what is not known is ignored, so that a partial document still tells
what it holds.
"""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict

from seatrial.verdict import Json, Validity


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class AnomalyPart(_Part):
    """One anomaly of a checker."""

    name: str = "anomaly"
    explanation: str = ""
    ops: tuple[int, ...] = ()
    steps: tuple[str, ...] = ()
    count: int = 1


class CheckerPart(_Part):
    """One checker's answer."""

    verdict: Validity = Validity.UNKNOWN
    cause: str = ""
    judged: int = 0
    seconds: float | None = None
    anomalies: tuple[AnomalyPart, ...] = ()
    details: Mapping[str, Json] = {}


class PlannedPart(_Part):
    """A fault's planned window, seconds from the start of the load."""

    start_s: float | None = None
    duration_s: float | None = None


class ProofPart(_Part):
    """What a probe saw, in a sentence."""

    seen: bool = False
    sentence: str = ""


class TimesPart(_Part):
    """What a fault cost in seconds; `inf` where it did not end in time."""

    detect_s: float | None = None
    fail_over_s: float | None = None
    recover_s: float | None = None
    unavailable_s: float | None = None


class FaultPart(_Part):
    """What became of one fault."""

    id: str
    kind: str = ""
    victims: tuple[str, ...] = ()
    planned: PlannedPart | None = None
    injected: bool | None = None
    effect: ProofPart | None = None
    healed: ProofPart | None = None
    times: TimesPart | None = None
    verdict: Validity | None = None
    cause: str = ""


class StretchPart(_Part):
    """A steady state's reading in one stretch; `limit` as the judge wrote it."""

    value: float | None = None
    limit: Json = None
    ok: bool | None = None
    text: str = ""


class SeriesPart(_Part):
    """A steady state's metric over time, seconds from the start of the trial."""

    t_s: tuple[float, ...] = ()
    value: tuple[float | None, ...] = ()


class SteadyPart(_Part):
    """One steady state."""

    name: str
    verdict: Validity = Validity.UNKNOWN
    cause: str = ""
    metric: str = ""
    unit: str = ""
    source: str = "ops"
    baseline: float | None = None
    notes: tuple[str, ...] = ()
    holes: tuple[tuple[float, float], ...] = ()
    stretches: Mapping[str, StretchPart | None] = {}
    series: SeriesPart | None = None
    broke: tuple[tuple[float, float], ...] = ()


class NotePart(_Part):
    """Something about the trial itself that keeps it from being green."""

    name: str = "trial"
    verdict: Validity = Validity.UNKNOWN
    cause: str = ""


class VerdictDocument(_Part):
    """`verdict.json`."""

    verdict: Validity = Validity.UNKNOWN
    cause: str = ""
    checkers: Mapping[str, CheckerPart] = {}
    case: str = ""
    target: Json = None
    seed: int | None = None
    trial: str = ""
    faults: tuple[FaultPart, ...] = ()
    steady_states: tuple[SteadyPart, ...] = ()
    notes: tuple[NotePart, ...] = ()
    seconds: float | None = None

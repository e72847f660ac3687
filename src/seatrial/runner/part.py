"""One part of a verdict that is not a checker."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from seatrial.verdict import Json, Validity


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a verdict that is not a checker: a fault, a steady state, the trial's end."""

    name: str
    verdict: Validity
    cause: str
    document: Mapping[str, Json] = field(default_factory=dict)

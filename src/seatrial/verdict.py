"""What a judgement says: `valid`, `invalid` or `unknown`, with its evidence.

`invalid` beats `unknown` beats `valid` when verdicts are joined (Jepsen, `checker.clj`,
`valid-priorities`). Nothing unproven is ever green: a checker that judged nothing says `unknown`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from typing_extensions import TypeAliasType

Json = TypeAliasType(
    "Json",
    "bool | int | float | str | list[Json] | tuple[Json, ...] | Mapping[str, Json] | None",
)
"""What `json.dumps` takes."""

SCHEMA = "seatrial/verdict/1"


class Validity(StrEnum):
    """The three answers."""

    VALID = "valid"
    INVALID = "invalid"
    UNKNOWN = "unknown"

    @property
    def exit_code(self) -> int:
        """The process's exit status: 0 valid, 1 invalid, 2 unknown."""
        return ("valid", "invalid", "unknown").index(self.value)


def join(parts: Iterable[Validity]) -> Validity:
    """The verdict of several: `invalid` beats `unknown` beats `valid`; nothing is `unknown`."""
    seen = set(parts)
    for answer in (Validity.INVALID, Validity.UNKNOWN, Validity.VALID):
        if answer in seen:
            return answer
    return Validity.UNKNOWN


@dataclass(frozen=True, slots=True)
class Anomaly:
    """A named violation with the ops that prove it.

    `ops` are op *indexes* (the `index` of each op, not its row). `explanation` is a sentence or
    two for a person; `steps` tells it step by step. `count` says how many instances of the same
    cause this one stands for. `picture` is an SVG element, or empty.
    """

    name: str
    explanation: str
    ops: tuple[int, ...] = ()
    steps: tuple[str, ...] = ()
    count: int = 1
    picture: str = ""

    def to_json(self) -> dict[str, Json]:
        """The anomaly as `verdict.json` has it; the picture stays with the report."""
        out: dict[str, Json] = {
            "name": self.name,
            "explanation": self.explanation,
            "ops": list(self.ops),
        }
        if self.steps:
            out["steps"] = list(self.steps)
        if self.count != 1:
            out["count"] = self.count
        return out


@dataclass(frozen=True, slots=True)
class Verdict:
    """One checker's answer.

    `judged` counts what was looked at (ops, transactions, reads: what the checker judges).
    `details` holds what else a reader may want (models ruled out, counts), JSON only.
    """

    verdict: Validity
    cause: str
    judged: int = 0
    seconds: float = 0.0
    anomalies: tuple[Anomaly, ...] = ()
    details: Mapping[str, Json] = field(default_factory=dict)

    @classmethod
    def valid(
        cls, cause: str, *, judged: int, details: Mapping[str, Json] | None = None
    ) -> Verdict:
        """All that was judged is in order; nothing judged is `unknown`, never green."""
        if judged <= 0:
            return cls.unknown(f"nothing to judge: {cause}", judged=0, details=details)
        return cls(Validity.VALID, cause, judged, details=details or {})

    @classmethod
    def invalid(
        cls,
        cause: str,
        *,
        judged: int,
        anomalies: Iterable[Anomaly],
        details: Mapping[str, Json] | None = None,
    ) -> Verdict:
        """A guarantee is broken; `anomalies` (at least one) prove it."""
        found = tuple(anomalies)
        if not found:
            raise ValueError("an invalid verdict needs at least one anomaly")
        return cls(Validity.INVALID, cause, judged, anomalies=found, details=details or {})

    @classmethod
    def unknown(
        cls,
        cause: str,
        *,
        judged: int = 0,
        anomalies: Iterable[Anomaly] = (),
        details: Mapping[str, Json] | None = None,
    ) -> Verdict:
        """It could not be decided; `cause` says why."""
        return cls(
            Validity.UNKNOWN, cause, judged, anomalies=tuple(anomalies), details=details or {}
        )

    @classmethod
    def from_json(cls, document: Mapping[str, Json]) -> Verdict:
        """The verdict that `to_json` wrote; pictures are not in it. Raises `ValueError`."""
        from pydantic import TypeAdapter  # late: checkers are a library without it

        return TypeAdapter(cls).validate_python(dict(document))

    def took(self, seconds: float) -> Verdict:
        """The same verdict with its cost in seconds."""
        return replace(self, seconds=seconds)

    def to_json(self) -> dict[str, Json]:
        """The value of `checkers.NAME` in a verdict document."""
        out: dict[str, Json] = {
            "verdict": self.verdict.value,
            "cause": self.cause,
            "judged": self.judged,
            "seconds": round(self.seconds, 6),
            "anomalies": [anomaly.to_json() for anomaly in self.anomalies],
        }
        if self.details:
            out["details"] = dict(self.details)
        return out

"""Which faults, on whom, when and for how long: the grammar that a seed turns into a plan."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, Field, model_validator

from seatrial.verdict import Json


class FaultChoice(BaseModel):
    """One kind of fault that may be drawn, with the victims and options to draw from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str
    victims: tuple[str, ...] = ("one", "leader", "follower", "minority")
    options: tuple[Mapping[str, Json], ...] = ({},)
    duration_s: tuple[float, float] = (3.0, 8.0)
    weight: float = Field(default=1.0, gt=0)

    @model_validator(mode="after")
    def _bounds(self) -> FaultChoice:
        low, high = self.duration_s
        if not 0 < low <= high:
            raise ValueError(
                f"fault {self.kind!r}: duration_s {self.duration_s} must be 0 < low ≤ high"
            )
        if not self.victims or not self.options:
            raise ValueError(f"fault {self.kind!r} needs at least one victim and one option set")
        return self


class Schedule(BaseModel):
    """A seeded random schedule. Each kind is drawn at least once where the time allows.

    `gap_s`: from the end of a fault to the start of the next. `overlap`: how likely the next
    fault starts while the one before is still alive. `max_alive`: how many at once.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    choices: tuple[FaultChoice, ...] = ()
    gap_s: tuple[float, float] = (1.0, 4.0)
    overlap: float = Field(default=0.25, ge=0, le=1)
    max_alive: int = Field(default=2, ge=1, le=8)

"""What a reading may be: bounds, ratios to the baseline, slopes, and patterns of text."""

from __future__ import annotations

import re

from pydantic import BaseModel, ConfigDict, Field, model_validator

RATIOS = ("min_ratio", "max_ratio", "within_percent", "within_spreads")
SLOPES = ("min_slope", "max_slope")
TEXTS = ("matches", "equals")


class Tolerance(BaseModel):
    """What is allowed; all that is given must hold.

    `min`, `max`: bounds. `min_ratio`, `max_ratio`: bounds on reading / baseline.
    `within_percent`: at most so far from the baseline. `within_spreads`: at most so many spreads
    from a learnt baseline. `min_slope`, `max_slope`: bounds on the change per minute over the
    stretch (least squares), for leaks. `matches`: a regular expression that the text must hold
    somewhere. `equals`: the very text, number or truth value.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    min: float | None = None
    max: float | None = None
    min_ratio: float | None = None
    max_ratio: float | None = None
    within_percent: float | None = Field(default=None, gt=0)
    within_spreads: float | None = Field(default=None, gt=0)
    min_slope: float | None = None
    max_slope: float | None = None
    matches: str | None = None
    equals: bool | float | str | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Tolerance:
        given = {name for name in _BOUNDS if getattr(self, name) is not None}
        if not given:
            raise ValueError(
                f"a tolerance needs at least one of {', '.join(_BOUNDS[:4])}, … "
                f"({', '.join(_BOUNDS[4:])})"
            )
        if given & set(TEXTS) and given - set(TEXTS):
            raise ValueError("a tolerance is of text (matches, equals) or of numbers, not of both")
        if self.matches is not None:
            try:
                re.compile(self.matches)
            except re.error as error:
                raise ValueError(f"matches {self.matches!r} is no pattern: {error}") from None
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min:g} is above max {self.max:g}: nothing is allowed")
        return self

    @property
    def of_text(self) -> bool:
        """Whether it judges text."""
        return self.matches is not None or self.equals is not None

    @property
    def of_slope(self) -> bool:
        """Whether it judges a change over time."""
        return self.min_slope is not None or self.max_slope is not None

    @property
    def of_baseline(self) -> bool:
        """Whether it needs a baseline."""
        return any(getattr(self, name) is not None for name in RATIOS)


_BOUNDS = ("min", "max", *RATIOS, *SLOPES, *TEXTS)


class Healing(Tolerance):
    """A tolerance that must hold again `in_s` seconds after each healing.

    `hold_s`: for how long it must then hold on end before it counts as back.
    """

    in_s: float = Field(gt=0)
    hold_s: float = Field(default=0.0, ge=0)

    @model_validator(mode="after")
    def _has_no_slope(self) -> Healing:
        if self.of_slope:
            raise ValueError("`after_healing` judges moments: a slope has none")
        return self

"""Which faults, on whom, when and for how long: the grammar that a seed turns into a plan.

A schedule is a random mix of `choices`, or a `pattern`: faults in a fixed order (`sequence`), at
the same time (`overlap`), at a fixed period (`periodic`), one node after another and healed in
another order (`swizzle`, as FoundationDB's simulation clogs its network), on and off again
(`flapping`), or harder and harder until a steady state breaks (`ramp`). Patterns nest.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, model_validator

from seatrial.safety import Break
from seatrial.verdict import Json

M = TypeVar("M", bound=BaseModel)
Span = tuple[float, float]
#: The word for a ramp that escalates how often faults come, not an option of one.
PER_MINUTE = "per_minute"
#: The most that a pattern may repeat or a ramp may climb.
TIMES_MAX = 1000


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FaultChoice(_Data):
    """One kind of fault that may be drawn, with the victims and options to draw from.

    `victims` are sizes (`one`, `minority`, `majority`, `all`), roles of the target, or names of
    nodes.
    """

    kind: str
    victims: tuple[str, ...] = ("one", "leader", "follower", "minority")
    options: tuple[Mapping[str, Json], ...] = ({},)
    duration_s: Span = (3.0, 8.0)
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


class Once(_Data):
    """One fault, once."""

    pattern: Literal["once"] = "once"
    fault: FaultChoice


class Sequence(_Data):
    """Patterns one after another, `gap_s` from the last healing to the next start.

    `repeat`: from the beginning again while the time allows.
    """

    pattern: Literal["sequence"] = "sequence"
    parts: tuple[Pattern, ...] = Field(min_length=1)
    gap_s: Span = (1.0, 2.0)
    repeat: bool = False

    @model_validator(mode="after")
    def _spans(self) -> Sequence:
        return _ordered(self, "gap_s")


class Overlap(_Data):
    """Patterns at the same time, each `lag_s` after the one before it began."""

    pattern: Literal["overlap"] = "overlap"
    parts: tuple[Pattern, ...] = Field(min_length=1)
    lag_s: Span = (0.0, 1.0)

    @model_validator(mode="after")
    def _spans(self) -> Overlap:
        return _ordered(self, "lag_s")


class Mix(_Data):
    """A random mix. Each kind is drawn at least once where the time allows.

    `gap_s`: from the end of a fault to the start of the next. `overlap`: how likely the next
    fault starts while the one before is still alive. `max_alive`: how many at once.
    """

    pattern: Literal["mix"] = "mix"
    choices: tuple[FaultChoice, ...] = Field(min_length=1)
    gap_s: Span = (1.0, 4.0)
    overlap: float = Field(default=0.25, ge=0, le=1)
    max_alive: int = Field(default=2, ge=1, le=8)

    @model_validator(mode="after")
    def _spans(self) -> Mix:
        return _ordered(self, "gap_s")


class Periodic(_Data):
    """A fault every `period_s`, from start to start; victims and options are drawn each time."""

    pattern: Literal["periodic"] = "periodic"
    fault: FaultChoice
    period_s: float = Field(gt=0)
    times: int | None = Field(default=None, ge=1, le=TIMES_MAX)

    @model_validator(mode="after")
    def _ends_in_time(self) -> Periodic:
        if self.fault.duration_s[1] > self.period_s:
            raise ValueError(
                f"periodic {self.fault.kind!r}: a fault of up to {self.fault.duration_s[1]:g} s "
                f"does not end within its period of {self.period_s:g} s"
            )
        return self


class Swizzle(_Data):
    """The same fault on one node after another in random order, healed in another random order.

    `nodes` is a size: how many. `step_s`: from one start (one healing) to the next. `hold_s`: how
    long all of them last at once.
    """

    pattern: Literal["swizzle"] = "swizzle"
    kind: str
    options: Mapping[str, Json] = {}
    nodes: str = "all"
    step_s: Span = (0.5, 1.5)
    hold_s: Span = (1.0, 3.0)

    @model_validator(mode="after")
    def _spans(self) -> Swizzle:
        return _ordered(_ordered(self, "step_s", least=0.01), "hold_s")


class Flapping(_Data):
    """A fault on for `on_s` and off for `off_s`, again and again, always on the same victims.

    With a role as victim it is whoever plays it each time.
    """

    pattern: Literal["flapping"] = "flapping"
    kind: str
    victims: str = "one"
    options: Mapping[str, Json] = {}
    on_s: Span = (1.0, 1.0)
    off_s: Span = (1.0, 1.0)
    times: int | None = Field(default=None, ge=1, le=TIMES_MAX)

    @model_validator(mode="after")
    def _spans(self) -> Flapping:
        return _ordered(_ordered(self, "on_s", least=0.01), "off_s", least=0.01)


class Ramp(_Data):
    """A fault that gets worse level by level until a steady state breaks: the breaking point.

    `option` is the fault's option that takes the `levels`, each for `hold_s`; the word
    `per_minute` stands for how often the fault comes, `each_s` long. All levels are in the plan;
    once one of `until` breaks, the ramp heals at once and its later levels are left out.
    """

    pattern: Literal["ramp"] = "ramp"
    kind: str
    victims: str = "one"
    options: Mapping[str, Json] = {}
    option: str
    levels: tuple[float, ...] = Field(min_length=1, max_length=TIMES_MAX)
    hold_s: float = Field(default=5.0, gt=0)
    rest_s: float = Field(default=0.5, ge=0)
    each_s: float = Field(default=1.0, gt=0)
    until: tuple[Break, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _climbs(self) -> Ramp:
        if self.option == PER_MINUTE:
            most = max(self.levels)
            if min(self.levels) <= 0 or self.each_s > 60 / most:
                raise ValueError(
                    f"ramp of {self.kind!r}: {most:g} a minute of {self.each_s:g} s each do not "
                    "fit into a minute (and a rate must be positive)"
                )
        elif self.option in self.options:
            raise ValueError(f"ramp of {self.kind!r}: {self.option!r} is set in options as well")
        return self


Pattern = Annotated[
    Once | Sequence | Overlap | Mix | Periodic | Swizzle | Flapping | Ramp,
    Field(discriminator="pattern"),
]
Sequence.model_rebuild()
Overlap.model_rebuild()


class Schedule(_Data):
    """A seeded random schedule. Each kind is drawn at least once where the time allows.

    `gap_s`: from the end of a fault to the start of the next. `overlap`: how likely the next
    fault starts while the one before is still alive. `max_alive`: how many at once. A `pattern`
    stands instead of `choices`. `share`: touches (`process`, `network`, …) of which two faults may
    meet on one victim; of all others no two ever do.
    """

    choices: tuple[FaultChoice, ...] = ()
    gap_s: Span = (1.0, 4.0)
    overlap: float = Field(default=0.25, ge=0, le=1)
    max_alive: int = Field(default=2, ge=1, le=8)
    pattern: Pattern | None = None
    share: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _one_of_two(self) -> Schedule:
        if self.choices and self.pattern is not None:
            raise ValueError("a schedule has choices (a random mix) or a pattern, not both")
        return _ordered(self, "gap_s")

    @property
    def root(self) -> Pattern | None:
        """The pattern, a mix where there are only choices; None without faults."""
        if self.choices:
            return Mix(
                choices=self.choices,
                gap_s=self.gap_s,
                overlap=self.overlap,
                max_alive=self.max_alive,
            )
        return self.pattern


def leaves(pattern: Pattern | None) -> tuple[FaultChoice, ...]:
    """Every fault that the pattern may bring, with all its victims and options."""
    match pattern:
        case None:
            return ()
        case Once() | Periodic():
            return (pattern.fault,)
        case Mix():
            return pattern.choices
        case Sequence() | Overlap():
            return tuple(leaf for part in pattern.parts for leaf in leaves(part))
        case Swizzle():
            return (_leaf(pattern.kind, pattern.nodes, (pattern.options,), pattern.hold_s[1]),)
        case Flapping():
            return (_leaf(pattern.kind, pattern.victims, (pattern.options,), pattern.on_s[0]),)
        case Ramp():
            return (_leaf(pattern.kind, pattern.victims, options_of(pattern), _least(pattern)),)


def ramps(pattern: Pattern | None) -> tuple[Ramp, ...]:
    """All ramps of a pattern, in its order."""
    match pattern:
        case Ramp():
            return (pattern,)
        case Sequence() | Overlap():
            return tuple(ramp for part in pattern.parts for ramp in ramps(part))
    return ()


def options_of(ramp: Ramp) -> tuple[Mapping[str, Json], ...]:
    """The fault's options at each level."""
    if ramp.option == PER_MINUTE:
        return tuple(ramp.options for _ in ramp.levels)
    return tuple({**ramp.options, ramp.option: _plain(level)} for level in ramp.levels)


def _plain(level: float) -> float:
    return int(level) if level.is_integer() else level


def _least(ramp: Ramp) -> float:
    return ramp.each_s if ramp.option == PER_MINUTE else ramp.hold_s


def _leaf(
    kind: str, victims: str, options: tuple[Mapping[str, Json], ...], length_s: float
) -> FaultChoice:
    length_s = max(length_s, 0.01)
    return FaultChoice(
        kind=kind, victims=(victims,), options=options, duration_s=(length_s, length_s)
    )


def _ordered(model: M, name: str, least: float = 0.0) -> M:
    low, high = getattr(model, name)
    if not least <= low <= high:
        raise ValueError(f"{name} ({low:g}, {high:g}) must be {least:g} ≤ low ≤ high")
    return model

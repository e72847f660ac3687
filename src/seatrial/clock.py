"""Bringing moments from several clocks onto one time axis, with a bound on the error.

The axis is the clock of whoever carries the load. One exchange asks it for the time: asked at `a`
on the own clock, answered with `s` on the axis, heard at `b` on the own clock. The answer was given
between asking and hearing, whatever the delays were, so the offset that turns the own clock into
the axis lies in `[s - b, s - a]` (Cristian, "Probabilistic clock synchronization", 1989). Several
such intervals are intersected (Marzullo, "Maintaining the time in a distributed system", 1984).
Between exchanges the interval grows: the kernel slews a monotonic clock by 500 ppm at the most
(adjtimex(2)), and there are two of them.

Nothing here reads a clock: moments come in as arguments, in nanoseconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict

#: How fast two clocks can drift apart, in parts per million.
DRIFT_PPM: Final = 1000
#: A fault's window is not believed if its moments may be off by more than this part of its length.
BOUND_RATIO_MAX: Final = 0.25


class Sighting(BaseModel):
    """What exchanges around one moment say: at `at_ns` the offset is from `low_ns` to `high_ns`."""

    model_config = ConfigDict(frozen=True)

    at_ns: int
    low_ns: int
    high_ns: int


@dataclass(frozen=True, slots=True)
class Moment:
    """A moment on the axis: within `bound_ns` of `at_ns`."""

    at_ns: int
    bound_ns: int


class ClockRecord(BaseModel):
    """How one step's clock was compared with the axis.

    `same` says that it is the same kernel's clock (boot and time namespace); the sightings are
    taken all the same. `offset_ns` turns the step's clock into the axis, within `bound_ns`, by the
    last sighting; None if it is unknown. `skew_ns` is the same offset between the two clocks
    themselves: 0 within the bound where they are the same. `exchanges` counts the exchanges,
    `fastest_ns` is the quickest one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["seatrial/clock/1"] = "seatrial/clock/1"
    step: str
    same: bool
    offset_ns: int | None
    skew_ns: int | None
    bound_ns: int | None
    exchanges: int
    fastest_ns: int | None
    sightings: tuple[Sighting, ...] = ()


def sight(asked_ns: int, answered_ns: int, heard_ns: int) -> Sighting:
    """What one exchange says; the answer's moment is the axis', the others the own clock's."""
    if heard_ns < asked_ns:
        raise ValueError(f"an answer was heard {asked_ns - heard_ns} ns before it was asked for")
    at_ns = (asked_ns + heard_ns) // 2
    drift_ns = _drift(heard_ns - at_ns)  # the answer may be from either end of the exchange
    return Sighting(
        at_ns=at_ns,
        low_ns=answered_ns - heard_ns - drift_ns,
        high_ns=answered_ns - asked_ns + drift_ns,
    )


def merge(sightings: Sequence[Sighting]) -> Sighting | None:
    """Sightings as one, at the moment of the last; None if there is none, or they disagree."""
    if not sightings:
        return None
    at_ns = sightings[-1].at_ns
    low_ns, high_ns = _offset(sightings, at_ns)
    return Sighting(at_ns=at_ns, low_ns=low_ns, high_ns=high_ns) if low_ns <= high_ns else None


def place(own_ns: int, sightings: Sequence[Sighting]) -> Moment | None:
    """A moment of the own clock on the axis; None if the offset is unknown. O(sightings).

    Sightings that contradict each other mean that a clock jumped: then nothing is known.
    """
    if not sightings:
        return None
    low_ns, high_ns = _offset(sightings, own_ns)
    if low_ns > high_ns:
        return None
    middle_ns = (low_ns + high_ns) // 2
    return Moment(own_ns + middle_ns, high_ns - middle_ns)


def _offset(sightings: Iterable[Sighting], at_ns: int) -> tuple[int, int]:
    """The offsets that every sighting allows at a moment, drift included."""
    lows, highs = [], []
    for one in sightings:
        drift_ns = _drift(abs(at_ns - one.at_ns))
        lows.append(one.low_ns - drift_ns)
        highs.append(one.high_ns + drift_ns)
    return max(lows), min(highs)


def _drift(length_ns: int) -> int:
    """The most that two clocks drift apart in a time, rounded up."""
    return length_ns * DRIFT_PPM // 1_000_000 + 1 if length_ns else 0


def identity() -> str:
    """Which clock CLOCK_MONOTONIC is here: the kernel's boot and the time namespace."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {Path('/proc/self/ns/time').readlink()}"
    except OSError:
        return ""

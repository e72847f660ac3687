"""What a trial may never do, and when it stops by itself: limits of harm, as data in the case.

`Limits` (in `seatrial.case`) says what a trial must have done to count; this says what it must not
do. The bounds hold for the plan before anything starts; the time windows and the abort conditions
are watched while it runs.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, model_validator

from seatrial.steady_state import OpsProbe, Tolerance

Day = Literal["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
DAYS: tuple[Day, ...] = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_CLOCK = r"^([01]\d|2[0-3]):[0-5]\d$"


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Break(_Data):
    """A steady state whose breaking ends something: a ramp, or (as an abort) all faults.

    Its probe is read over the last `window_s` while the load runs. `tolerance` is what it may
    read; without one it is the steady state's own for the stretch `during`.
    """

    steady_state: str
    tolerance: Tolerance | None = None
    window_s: float = Field(default=3.0, ge=0.5, le=300)


class Watched(_Data):
    """A `Break` made whole for a plan."""

    steady_state: str
    probe: OpsProbe
    tolerance: Tolerance
    window_s: float


class TimeWindow(_Data):
    """When faults are allowed, by the wall clock: from `start` until `end` (`HH:MM`) on `days`.

    `end` at or before `start` is on the next day. `timezone` is an IANA name.
    """

    days: tuple[Day, ...] = DAYS
    start: str = Field(default="00:00", pattern=_CLOCK)
    end: str = Field(default="00:00", pattern=_CLOCK)
    timezone: str = "UTC"

    @model_validator(mode="after")
    def _exists(self) -> TimeWindow:
        if not self.days:
            raise ValueError("a time window without days never opens")
        try:
            self._zone()
        except (KeyError, ValueError, OSError) as error:
            raise ValueError(f"there is no time zone {self.timezone!r}") from error
        return self

    def _zone(self) -> datetime.tzinfo:
        """UTC is known everywhere; the others where the machine has a time zone database."""
        return datetime.UTC if self.timezone == "UTC" else ZoneInfo(self.timezone)

    def sentence(self) -> str:
        """The window in words."""
        return f"{','.join(self.days)} {self.start} to {self.end} {self.timezone}"

    def until(self, now: datetime.datetime) -> datetime.datetime | None:
        """When the window that `now` (with a time zone) falls into closes; None outside."""
        local = now.astimezone(self._zone())
        for back in (0, 1):
            day = (local - datetime.timedelta(days=back)).date()
            if DAYS[day.weekday()] not in self.days:
                continue
            opens = _at(day, self.start, local.tzinfo)
            closes = _at(day, self.end, local.tzinfo)
            if closes <= opens:
                closes = _at(day + datetime.timedelta(days=1), self.end, local.tzinfo)
            if opens <= local < closes:
                return closes
        return None


def _at(day: datetime.date, clock: str, zone: datetime.tzinfo | None) -> datetime.datetime:
    return datetime.datetime.combine(day, datetime.time.fromisoformat(clock), zone)


class Safety(_Data):
    """What no plan of a case may exceed.

    `max_victims`: nodes impaired or slowed at once. `never`: sizes that the victims of one moment
    never reach (`all`, `majority`, …). `forbidden`: kinds of faults. `windows`: faults are allowed
    inside one of them only; empty is always. `aborts`: steady states that, once broken, have all
    faults healed at once and none begun any more.
    """

    max_victims: int | None = Field(default=None, ge=0)
    never: tuple[Literal["one", "minority", "majority", "all"], ...] = ()
    forbidden: tuple[str, ...] = ()
    windows: tuple[TimeWindow, ...] = ()
    aborts: tuple[Break, ...] = ()


def closes(windows: Sequence[TimeWindow], now: datetime.datetime) -> datetime.datetime | None:
    """When the last of the windows open at `now` closes; None where none is open."""
    ends = [end for end in (window.until(now) for window in windows) if end is not None]
    return max(ends, default=None)

"""The trial's time axis as a step sees it that does not own it.

The step stamps with its own clock plus one offset, chosen when it began: such stamps are in order
and can be taken back. When it has ended, each is placed anew by all sightings before and after it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from seatrial.clock import ClockRecord, Moment, Sighting, place
from seatrial.errors import Unavailable
from seatrial.runner.steps.line import LineClient, monotonic_ns
from seatrial.runner.steps.rooms import LoadClock

#: How often the axis is looked at while a fault is alive.
LOOK_EVERY_S = 0.5
#: A record keeps the sightings that are this near to a moment that counts, and so many at most.
NEAR_NS = 2_000_000_000
SIGHTINGS_KEPT = 1000


class Axis:
    """Stamps on the axis of the load at the other end of a line."""

    def __init__(self, line: LineClient, own: Callable[[], int] = monotonic_ns) -> None:
        self._line, self._own = line, own
        self._sightings: list[Sighting] = []
        self._offset_ns = 0
        self._jumped = False

    async def begin(self) -> None:
        """Look for the first time and fix the offset; raises `Unavailable`."""
        await self.look()
        first = place(self._own(), self._sightings)
        if first is not None:
            self._offset_ns = first.at_ns - self._own()

    def now(self) -> int:
        """The axis' time, by the offset of the beginning."""
        return self._own() + self._offset_ns

    async def look(self) -> None:
        """Look once more."""
        seen = await self._line.look(self._own)
        if seen is None:
            self._jumped = True
        else:
            self._sightings.append(seen)

    async def watch(self, lost: Callable[[str], None]) -> None:
        """Look again and again until cancelled; says to `lost` how the line was lost."""
        try:
            while True:
                await asyncio.sleep(LOOK_EVERY_S)
                await self.look()
        except Unavailable as error:
            lost(str(error))

    def own_ns(self, stamp_ns: int) -> int:
        """The own clock's time of a stamp."""
        return stamp_ns - self._offset_ns

    def place(self, stamp_ns: int) -> Moment | None:
        """Where a stamp is on the axis, by all sightings; None if that is not known."""
        if self._jumped:
            return None
        return place(self.own_ns(stamp_ns), self._sightings)

    def record(self, step: str, load: LoadClock, stamps: Sequence[int]) -> ClockRecord:
        """What `clock.json` says of the sightings around some stamps."""
        own = [self.own_ns(stamp) for stamp in stamps]
        near = [s for s in self._sightings if any(abs(s.at_ns - at) <= NEAR_NS for at in own)]
        last = self._sightings[-1] if self._sightings and not self._jumped else None
        middle = None if last is None else (last.low_ns + last.high_ns) // 2
        return ClockRecord(
            step=step,
            same=load.is_mine(),
            offset_ns=middle,
            skew_ns=None if middle is None else middle + load.zero_ns,
            bound_ns=None if last is None or middle is None else last.high_ns - middle,
            exchanges=self._line.exchanges,
            fastest_ns=self._line.fastest_ns,
            sightings=tuple(near[:SIGHTINGS_KEPT]),
        )

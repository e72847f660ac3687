"""Ending faults before their time: all of them, or those of one group, each with its reason."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
from collections.abc import AsyncIterator, Callable, Iterable

from seatrial.fault import PlannedFault
from seatrial.plan import Plan
from seatrial.runner import lever
from seatrial.safety import closes
from seatrial.trial import Evidence

STOPPED = "the trial was stopped before"


def forbidden(plan: Plan) -> str:
    """Why no fault may begin now: the safety lever, or the wall clock; "" if one may."""
    now = datetime.datetime.now(datetime.UTC)
    if plan.safety.windows and closes(plan.safety.windows, now) is None:
        return f"{now:%H:%M} UTC is outside of the case's time windows"
    return lever.forbidden()


class Halts:
    """Who has to end now. `forbidden` says why no fault may begin, "" if one may."""

    def __init__(self, forbidden: Callable[[], str] = lambda: "") -> None:
        self.forbidden = forbidden
        self._events: dict[str, asyncio.Event] = {}
        self._why: dict[str, str] = {}
        self._rightly: set[str] = set()

    @contextlib.asynccontextmanager
    async def watching(
        self, faults: Iterable[PlannedFault], stop: asyncio.Event
    ) -> AsyncIterator[None]:
        """Know the groups of these faults; end all of them once `stop` is set."""
        self._events = {group: asyncio.Event() for group in {"", *(f.group for f in faults)}}
        relay = asyncio.create_task(self._relay(stop))
        try:
            yield
        finally:
            relay.cancel()

    async def _relay(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self.end_all(STOPPED)

    def of(self, fault: PlannedFault) -> asyncio.Event:
        """Set once this fault has to end."""
        return self._events[fault.group]

    def end_all(self, why: str) -> None:
        """Heal all faults at once and begin no more."""
        for group, event in self._events.items():
            self._why.setdefault(group, why)
            event.set()

    def end_group(self, group: str, why: str) -> None:
        """The same for one group, which has done what it was for."""
        if group in self._events and not self._events[group].is_set():
            self._rightly.add(group)
            self._why[group] = why
            self._events[group].set()

    def left_out(self, fault: PlannedFault) -> Evidence | None:
        """Why a fault must not begin now, as its evidence; None if it may."""
        if self.of(fault).is_set():
            why = self._why.get(fault.group, STOPPED)
            if fault.group in self._rightly:
                return Evidence(fault=fault, skipped=why)
            return Evidence(fault=fault, error=f"not begun: {why}")
        reason = self.forbidden()
        return Evidence(fault=fault, error=f"not begun: {reason}") if reason else None

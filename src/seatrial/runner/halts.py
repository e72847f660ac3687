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
from seatrial.trial import ENDED_EARLY_S, Evidence

STOPPED = "the trial was stopped"


def forbidden(plan: Plan) -> str:
    """Why no fault may begin now: the safety lever, or the wall clock; "" if one may."""
    now = datetime.datetime.now(datetime.UTC)
    if plan.safety.windows and closes(plan.safety.windows, now) is None:
        return f"{now:%H:%M} UTC is outside of the case's time windows"
    return lever.forbidden()


class Halts:
    """Who has to end now. `forbidden` says why no fault may begin, "" if one may.

    `stopped` says why all had to end, where the one who stops knows.
    """

    def __init__(
        self,
        forbidden: Callable[[], str] = lambda: "",
        stopped: Callable[[], str] = lambda: STOPPED,
    ) -> None:
        self.forbidden = forbidden
        self._stopped = stopped
        self._events: dict[str, asyncio.Event] = {}
        self._why: dict[str, str] = {}
        self._rightly: set[str] = set()
        self._by_rule: set[str] = set()

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
        self.end_all(self._stopped())

    def of(self, fault: PlannedFault) -> asyncio.Event:
        """Set once this fault has to end."""
        return self._events[fault.group]

    def end_all(self, why: str, *, by_rule: bool = False) -> None:
        """Heal all faults at once and begin no more; `by_rule`: as the plan says (an abort)."""
        for group, event in self._events.items():
            if group not in self._why:
                self._why[group] = why
                if by_rule:
                    self._by_rule.add(group)
            event.set()

    def end_group(self, group: str, why: str) -> None:
        """The same for one group, which has done what it was for."""
        if group in self._events and not self._events[group].is_set():
            self._rightly.add(group)
            self._by_rule.add(group)
            self._why[group] = why
            self._events[group].set()

    def cut_short(self, evidence: Evidence, now_ns: int) -> Evidence:
        """Say that a fault which has to end now does so before its time, and why.

        That the plan says so is no error: its ramp has broken something, or the trial is aborted.
        """
        fault, began_ns = evidence.fault, evidence.acts_ns
        if began_ns is None or not self.of(fault).is_set():
            return evidence
        held_s = (now_ns - began_ns) / 1e9
        if held_s + ENDED_EARLY_S >= fault.duration_s:
            return evidence
        why = self._why.get(fault.group, STOPPED)
        told = f"ended after {held_s:.1f} s of {fault.duration_s:g} s: {why}"
        if fault.group in self._by_rule:
            return evidence.model_copy(update={"ended": told})
        return evidence.model_copy(update={"error": evidence.error or told})

    def left_out(self, fault: PlannedFault) -> Evidence | None:
        """Why a fault must not begin now, as its evidence; None if it may."""
        if self.of(fault).is_set():
            why = self._why.get(fault.group, STOPPED)
            if fault.group in self._rightly:
                return Evidence(fault=fault, skipped=why)
            return Evidence(fault=fault, error=f"not begun: {why}")
        reason = self.forbidden()
        return Evidence(fault=fault, error=f"not begun: {reason}") if reason else None

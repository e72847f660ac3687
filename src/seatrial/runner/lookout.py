"""The lookout: sees that a steady state broke or that the safety lever was pulled, and says so.

It ends what has to end: an abort heals all faults and begins no more, a ramp that has found its
breaking point heals its own. It decides nothing that the plan does not say.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from seatrial.plan import Plan, PlannedRamp
from seatrial.runner import lever
from seatrial.runner.halts import Halts
from seatrial.runner.nemesis import Nemesis
from seatrial.runner.watch import Watch
from seatrial.safety import Watched
from seatrial.trial import RampLevel, RampOutcome

#: How often steady states are read, and how often the lever is looked at.
READ_INTERVAL_S = 0.25
LEVER_INTERVAL_S = 0.2


def watched(plan: Plan) -> tuple[Watched, ...]:
    """All that a plan has watched while it runs."""
    return (*plan.safety.aborts, *(one for ramp in plan.ramps for one in ramp.until))


async def until_pulled() -> lever.Pull:
    """Return once the safety lever is pulled."""
    while True:
        seen = lever.pulled()
        if seen is not None:
            return seen
        await asyncio.sleep(LEVER_INTERVAL_S)


class Lookout:
    """Reads steady states while faults may act. One instance a trial."""

    def __init__(
        self,
        plan: Plan,
        watch: Watch,
        nemesis: Nemesis,
        halts: Halts,
        clock: Callable[[], int],
    ) -> None:
        self.aborted = asyncio.Event()
        #: Why all faults were healed before their time, "" if they were not.
        self.reason = ""
        self._plan, self._watch, self._clock = plan, watch, clock
        self._nemesis, self._halts = nemesis, halts
        self._levels: dict[str, dict[float, dict[str, float | None]]] = {
            ramp.id: {} for ramp in plan.ramps
        }
        self._broke: dict[str, tuple[float, int, str]] = {}

    async def run(self) -> None:
        """Watch until cancelled; ratios are against what was before."""
        self._watch.take_baseline(watched(self._plan), self._clock())
        if self.reason:  # something broke before the faults could begin
            self._heal_all(self.reason)
        while True:
            await asyncio.sleep(READ_INTERVAL_S)
            self.look()

    def look(self) -> None:
        """Read every watched state once, and end what has to end."""
        now = self._clock()
        self._look_for_aborts(now)
        for ramp in self._plan.ramps:
            self._look_at(ramp, now)

    def _look_for_aborts(self, now_ns: int) -> None:
        for one in self._plan.safety.aborts:
            words = self._watch.broken(one, self._watch.read(one, now_ns))
            if words and not self.reason:
                self.reason = f"{words} (over {one.window_s:g} s): all faults were healed at once"
                self._heal_all(words)
                self.aborted.set()

    def abort(self, words: str) -> None:
        """Heal all faults at once and begin no more, because something else saw a break."""
        if not self.reason:
            self.reason = f"{words}: all faults were healed at once"
            self._heal_all(words)
            self.aborted.set()

    def _heal_all(self, words: str) -> None:
        """As the plan says: what it breaks ends, and is no fault that somebody cut short."""
        self._halts.end_all(f"the trial was aborted, {words}", by_rule=True)

    def _look_at(self, ramp: PlannedRamp, now_ns: int) -> None:
        """Read a ramp's states, each over a window that its level fills whole."""
        reached = self._nemesis.level(ramp.id)
        acting = any(fault.group == ramp.id for fault, _ in self._nemesis.alive)
        if reached is None or ramp.id in self._broke or not (acting or ramp.option == "per_minute"):
            return
        level, since_ns = reached
        worst = self._levels[ramp.id].setdefault(level, {})
        for one in ramp.until:
            if now_ns - since_ns < one.window_s * 1e9:
                continue
            value = self._watch.read(one, now_ns)
            worst[one.steady_state] = _worse(one, worst.get(one.steady_state), value)
            words = self._watch.broken(one, value)
            if words:
                self._broke[ramp.id] = (level, now_ns, words)
                why = f"{ramp.id} found its breaking point at {ramp.option} {level:g}"
                self._halts.end_group(ramp.id, why)
                return

    def outcomes(self) -> tuple[RampOutcome, ...]:
        """What each ramp found so far."""
        return tuple(self._outcome(ramp) for ramp in self._plan.ramps)

    def _outcome(self, ramp: PlannedRamp) -> RampOutcome:
        seen = self._levels[ramp.id]
        broke = self._broke.get(ramp.id)
        read = [
            level for level, worst in seen.items() if any(v is not None for v in worst.values())
        ]
        held = [level for level in read if broke is None or level != broke[0]]
        return RampOutcome(
            id=ramp.id,
            held=held[-1] if held else None,
            broke=broke[0] if broke else None,
            broke_ns=broke[1] if broke else None,
            levels=tuple(RampLevel(level=level, readings=worst) for level, worst in seen.items()),
            sentence=_sentence(ramp, held, broke),
        )


def _worse(one: Watched, before: float | None, now: float | None) -> float | None:
    """The reading nearer to breaking: the lowest where only a least is asked for."""
    if before is None or now is None:
        return now if before is None else before
    tolerance = one.tolerance
    falls = tolerance.max is None and tolerance.max_ratio is None
    return min(before, now) if falls else max(before, now)


def _sentence(
    ramp: PlannedRamp, held: Sequence[float], broke: tuple[float, int, str] | None
) -> str:
    what = f"{ramp.kind} of {ramp.victims}, {ramp.option}"
    if broke is not None:
        before = f"it held at {held[-1]:g}" if held else "it was the first level"
        return f"breaking point of {what}: {broke[0]:g} ({broke[2]}); {before}"
    if held:
        whole = held[-1] == ramp.levels[-1]
        rest = "the last level" if whole else f"of {ramp.levels[-1]:g} planned"
        return f"no breaking point of {what}: it held up to {held[-1]:g}, {rest}"
    return f"no breaking point of {what}: no level could be read"

"""Who is free for a fault: no two faults fight over one victim, and none exceeds the case's bounds.

Two faults of one touch (two on processes, two on the network) never overlap on one victim. Where
one of them goes to a role that only the moment knows (`leader`, `follower`) they do not overlap at
all, because nobody can say beforehand that they would not meet. Touches that the case shares are
exempt. The same goes for two of which one would end the other there (`seatrial.faults.together`),
shared or not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from seatrial.errors import UsageError
from seatrial.fault import PlannedFault
from seatrial.faults.together import Clash, nowhere, what
from seatrial.runner.quorum import victims_of
from seatrial.verdict import Json

#: No plan holds more faults than this; a longer trial is planned up to here.
FAULTS_MAX = 1000
#: Moments nearer than this are one: plans are rounded to milliseconds.
_SAME_S = 1e-6


def size_of(victims: str, nodes: int) -> int | None:
    """How many nodes a size means; None for a role (or a node's name)."""
    minority = (nodes - 1) // 2
    return {"one": 1, "minority": minority, "majority": nodes // 2 + 1, "all": nodes}.get(victims)


@dataclass(frozen=True, slots=True)
class Draft:
    """A fault before it has its moment. `order`: all nodes, the first free ones are taken."""

    kind: str
    victims: str
    options: Mapping[str, Json]
    pick: float
    order: tuple[str, ...]
    group: str = ""
    level: float | None = None


@dataclass(slots=True)
class Allocator:
    """All faults planned so far, and where one more fits.

    `touches` says for each kind what it touches. `victims_max`: how many nodes may be impaired or
    slowed at once, None for no bound. `clash` says which others a fault cannot be beside.
    """

    nodes: tuple[str, ...]
    touches: Mapping[str, str]
    share: frozenset[str] = frozenset()
    victims_max: int | None = None
    clash: Clash = nowhere
    planned: list[PlannedFault] = field(default_factory=list)

    @property
    def full(self) -> bool:
        """Whether the plan holds as many faults as a plan may."""
        return len(self.planned) >= FAULTS_MAX

    def alive(self, start_s: float, end_s: float) -> list[PlannedFault]:
        """Faults planned to act at some time between the two moments."""
        return [
            f
            for f in self.planned
            if f.start_s < end_s - _SAME_S and start_s + _SAME_S < f.start_s + f.duration_s
        ]

    def place(
        self, draft: Draft, start_s: float, duration_s: float, latest_s: float
    ) -> PlannedFault | None:
        """Plan the draft at `start_s`, or as soon after it as its victims are free.

        It ends by `latest_s`, else None is returned and nothing planned. O(faults planned²).
        """
        ends = sorted(round(f.start_s + f.duration_s + 0.001, 3) for f in self.planned)
        for moment in [start_s, *(end for end in ends if end > start_s)]:
            if moment + duration_s > latest_s + 1e-9:
                return None
            fault = self.put(draft, moment, duration_s)
            if fault is not None:
                return fault
        return None

    def put(self, draft: Draft, start_s: float, duration_s: float) -> PlannedFault | None:
        """Plan the draft at exactly this moment; None if its victims are not free."""
        nodes = self._free(draft, start_s, start_s + duration_s)
        if nodes is None or self.full:
            return None
        fault = PlannedFault(
            id=f"fault-{len(self.planned) + 1}",
            kind=draft.kind,
            victims=draft.victims,
            nodes=nodes,
            pick=round(draft.pick, 6),
            start_s=round(start_s, 3),
            duration_s=round(duration_s, 3),
            options=draft.options,
            group=draft.group,
            level=draft.level,
            shares=self.touches[draft.kind] in self.share,
        )
        if not self._bounded(fault):
            return None
        self.planned.append(fault)
        return fault

    def _free(self, draft: Draft, start_s: float, end_s: float) -> tuple[str, ...] | None:
        """The draft's victims (none for a role), or None where a rival holds them."""
        touch, mine = self.touches[draft.kind], what(draft.kind, draft.options)
        rivals: list[PlannedFault] = []
        for other in self.alive(start_s, end_s):
            where = self.clash(what(other.kind, other.options), mine)
            if where == "anywhere":
                return None
            if where or (touch not in self.share and self.touches[other.kind] == touch):
                rivals.append(other)
        if any(not f.nodes for f in rivals):
            return None
        busy = {name for fault in rivals for name in fault.nodes}
        if draft.victims in self.nodes:
            return None if draft.victims in busy else (draft.victims,)
        size = size_of(draft.victims, len(self.nodes))
        if size is None:
            return None if rivals else ()
        free = [name for name in draft.order if name not in busy]
        return tuple(sorted(free[:size])) if len(free) >= size else None

    def _bounded(self, fault: PlannedFault) -> bool:
        """Whether the bound on victims holds at every moment of the fault."""
        if self.victims_max is None:
            return True
        if victims_of([fault], self.nodes) > self.victims_max:
            raise UsageError(
                f"fault {fault.kind!r} on {fault.victims!r}: it alone has more victims than the "
                f"{self.victims_max} that the case's safety allows at once\n\n"
                "hint: another victim, or a higher max_victims"
            )
        others = self.alive(fault.start_s, fault.start_s + fault.duration_s)
        moments = {fault.start_s, *(f.start_s for f in others if f.start_s >= fault.start_s)}
        return all(
            victims_of(
                [fault, *(f for f in others if f.start_s <= m < f.start_s + f.duration_s)],
                self.nodes,
            )
            <= self.victims_max
            for m in moments
        )

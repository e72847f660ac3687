"""Each fault once: what the plan, the evidence, the history and the verdict say of it, joined."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from seatrial.fault import PlannedFault
from seatrial.history.windows import FaultWindow
from seatrial.report.document import FaultPart
from seatrial.report.source import Material, windows_of
from seatrial.timeline import NS_PER_S
from seatrial.trial import Evidence, StoredProof
from seatrial.verdict import Json, Validity


@dataclass(frozen=True, slots=True)
class FaultView:
    """One fault. Times in seconds on the report's clock; None where it never came to that."""

    number: int
    id: str
    kind: str
    role: str
    victims: tuple[str, ...]
    options: Mapping[str, Json]
    planned: tuple[float, float] | None
    start_s: float | None
    acting_s: float | None
    healing_s: float | None
    end_s: float | None
    effect: StoredProof | None
    recovery: StoredProof | None
    error: str | None
    verdict: Validity | None
    cause: str

    @property
    def whom(self) -> str:
        """The victims: names where they are known, and the role they were chosen by."""
        names = ", ".join(self.victims)
        if not names or names == self.role:
            return names or self.role
        return f"{names} ({self.role})" if self.role else names

    @property
    def label(self) -> str:
        """As the plots name it: `F2 kill n1`."""
        return f"F{self.number} {self.kind} {', '.join(self.victims) or self.role}".strip()


def join(material: Material, origin_ns: int) -> tuple[FaultView, ...]:
    """All faults that any source knows, numbered in order of their beginning."""
    planned = {f.id: f for f in (material.plan.faults if material.plan else ())}
    evidence = {e.fault.id: e for e in material.evidence}
    judged = {f.id: f for f in (material.verdict.faults if material.verdict else ())}
    windows = windows_of(material.history)
    ids = dict.fromkeys([*planned, *evidence, *judged, *windows])
    views = [
        _view(
            name,
            planned.get(name) or (evidence[name].fault if name in evidence else None),
            evidence.get(name),
            judged.get(name),
            windows.get(name),
            origin_ns,
        )
        for name in ids
    ]
    views.sort(key=lambda v: (_begin(v), v.id))
    return tuple(replace(view, number=number) for number, view in enumerate(views, 1))


def _begin(view: FaultView) -> float:
    if view.planned is not None:
        return view.planned[0]
    return view.start_s if view.start_s is not None else float("inf")


def _view(
    name: str,
    plan: PlannedFault | None,
    seen: Evidence | None,
    judged: FaultPart | None,
    window: FaultWindow | None,
    origin_ns: int,
) -> FaultView:
    def clock(time_ns: int | None) -> float | None:
        return None if time_ns is None else (time_ns - origin_ns) / NS_PER_S

    begun, ended = (window.start_ns, window.end_ns) if window else (None, None)
    victims = (seen.victims if seen else ()) or (judged.victims if judged else ())
    victims = victims or (window.victims if window else ())
    return FaultView(
        number=0,
        id=name,
        kind=(plan.kind if plan else "")
        or (judged.kind if judged else "")
        or (window.kind if window else ""),
        role=plan.victims if plan else "",
        victims=victims or (plan.nodes if plan else ()),
        options=plan.options if plan else {},
        planned=_planned(plan, judged),
        start_s=clock(seen.inject_ns if seen and seen.inject_ns is not None else begun),
        acting_s=clock(seen.injected_ns if seen else None),
        healing_s=clock(seen.heal_ns if seen else None),
        end_s=clock(seen.healed_ns if seen and seen.healed_ns is not None else ended),
        effect=(seen.effect if seen else None) or _proof(judged, "effect"),
        recovery=(seen.recovery if seen else None) or _proof(judged, "healed"),
        error=seen.error if seen else None,
        verdict=judged.verdict if judged else None,
        cause=judged.cause if judged else "",
    )


def _planned(plan: PlannedFault | None, judged: FaultPart | None) -> tuple[float, float] | None:
    if plan is not None:
        return plan.start_s, plan.start_s + plan.duration_s
    part = judged.planned if judged else None
    if part is None or part.start_s is None:
        return None
    return part.start_s, part.start_s + (part.duration_s or 0.0)


def _proof(judged: FaultPart | None, which: str) -> StoredProof | None:
    part = None if judged is None else (judged.effect if which == "effect" else judged.healed)
    return None if part is None else StoredProof(seen=part.seen, sentence=part.sentence)

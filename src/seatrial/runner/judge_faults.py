"""What became of each planned fault, as parts of a trial's verdict.

A fault counts if it was injected, its effect and its end were measured, it lasted as long as it was
planned to, and its moments can be laid beside the ops'. All else is `unknown`, with the reason.
"""

from __future__ import annotations

from collections.abc import Sequence

from seatrial.clock import BOUND_RATIO_MAX
from seatrial.fault import PlannedFault
from seatrial.runner.part import Part
from seatrial.trial import ENDED_EARLY_S, Evidence
from seatrial.verdict import Json, Validity

#: A fault that begins so much later than planned is told in the verdict's sentence.
LATE_S = 1.0


def fault_parts(
    planned: Sequence[PlannedFault], evidence: Sequence[Evidence], load_ns: int = 0
) -> list[Part]:
    """What became of each planned fault. Planned and real moments count from the load's start."""
    found = {item.fault.id: item for item in evidence}
    return [fault_part(fault, found.get(fault.id), load_ns) for fault in planned]


def fault_part(fault: PlannedFault, seen: Evidence | None, load_ns: int) -> Part:
    """What became of one planned fault; `load_ns` is where planned moments count from."""
    whom = ",".join(seen.victims) if seen and seen.victims else fault.victims
    what = f"{fault.id} ({fault.kind} of {whom})"
    verdict, cause = Validity.UNKNOWN, ""
    if seen is None:
        cause = f"{what} left no evidence: the trial ended before it"
    elif seen.skipped:
        verdict, cause = Validity.VALID, f"{what} was left out: {seen.skipped}"
    elif seen.error:
        cause = f"{what}: {seen.error}"
    elif seen.effect is None or not seen.effect.seen:
        told = seen.effect.sentence if seen.effect else "it was not measured"
        cause = f"{what} had no measured effect: {told}"
    elif seen.recovery is None or not seen.recovery.seen:
        told = seen.recovery.sentence if seen.recovery else "it was not measured"
        cause = f"{what} was not seen to heal: {told}"
    elif problem := _clock_problem(fault, seen) or _length_problem(fault, seen):
        cause = f"{what}: {problem}"
    else:
        more = f", {seen.ended}" if seen.ended else ""
        verdict, cause = Validity.VALID, f"{what} acted and healed{more}"
    return Part(fault.id, verdict, cause, _fault_document(fault, seen, load_ns))


def late_note(faults: Sequence[Part]) -> list[Part]:
    """Faults that began later than planned: what was measured counts, what was planned did not
    happen so."""
    late = [
        f"{part.name} began {seconds:.1f} s late"
        for part in faults
        if isinstance(seconds := part.document["late_s"], float) and seconds > LATE_S
    ]
    return [Part("moments", Validity.VALID, ", ".join(late))] if late else []


def _clock_problem(fault: PlannedFault, seen: Evidence) -> str:
    """Why the fault's moments cannot be laid beside the ops', or ""."""
    if seen.clock_bound_ns is None:
        return "its clock could not be compared with the load's"
    bound_s = seen.clock_bound_ns / 1e9
    if bound_s > BOUND_RATIO_MAX * fault.duration_s:
        return (
            f"its moments may be {bound_s:.3f} s off the load's clock, "
            f"too much for a fault of {fault.duration_s:g} s"
        )
    return ""


def _length_problem(fault: PlannedFault, seen: Evidence) -> str:
    """That the fault was healed before its time and nobody said why, or "".

    Both moments may be off by the bound of its clock.
    """
    if seen.ended or seen.acts_ns is None or seen.heal_ns is None:
        return ""
    held_s = (seen.heal_ns - seen.acts_ns) / 1e9
    slack_s = ENDED_EARLY_S + 2 * (seen.clock_bound_ns or 0) / 1e9
    if held_s + slack_s >= fault.duration_s:
        return ""
    return f"it was healed after {held_s:.1f} s of {fault.duration_s:g} s"


def _fault_document(fault: PlannedFault, seen: Evidence | None, load_ns: int) -> dict[str, Json]:
    def seconds(ns: int | None) -> float | None:
        return None if ns is None else round((ns - load_ns) / 1e9, 3)

    return {
        "id": fault.id,
        "kind": fault.kind,
        "role": fault.victims,
        "victims": list(seen.victims) if seen else [],
        "planned": {"start_s": fault.start_s, "duration_s": fault.duration_s},
        "real": {
            "start_s": seconds(seen.inject_ns if seen else None),
            "end_s": seconds(seen.healed_ns if seen else None),
        },
        "clock_bound_s": None
        if seen is None or seen.clock_bound_ns is None
        else seen.clock_bound_ns / 1e9,
        "late_s": seen.late_s if seen else None,
        "injected": bool(seen and seen.injected_ns is not None),
        "skipped": seen.skipped if seen else "",
        "effect": _proof_document(seen.effect if seen else None),
        "healed": _proof_document(seen.recovery if seen else None),
    }


def _proof_document(proof: object) -> dict[str, Json]:
    if proof is None:
        return {"seen": False, "sentence": "not measured"}
    return {"seen": getattr(proof, "seen", False), "sentence": getattr(proof, "sentence", "")}

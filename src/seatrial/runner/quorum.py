"""What each moment of a plan leaves of the cluster: the quorum analysis that `plan` prints."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Literal

from seatrial.fault import PlannedFault
from seatrial.plan import PlannedQuorum

#: Shapes of a partition in which every node still sees a majority, or a bridge does.
CONNECTED_SHAPES = ("majorities-ring", "bridge")
Majority = Literal["survives", "may be lost", "is lost"]


def analyse(faults: Sequence[PlannedFault], nodes: Sequence[str]) -> tuple[PlannedQuorum, ...]:
    """One entry for each stretch in which the same faults are alive, in order of time."""
    edges = sorted({t for f in faults for t in (f.start_s, round(f.start_s + f.duration_s, 3))})
    out: list[PlannedQuorum] = []
    for start, end in itertools.pairwise(edges):
        alive = [f for f in faults if f.start_s <= start and f.start_s + f.duration_s >= end - 1e-9]
        if alive:
            out.append(_stretch(start, end, alive, nodes))
    return tuple(out)


def _stretch(
    start: float, end: float, alive: Sequence[PlannedFault], nodes: Sequence[str]
) -> PlannedQuorum:
    named = {name for fault in alive for name in _impaired(fault)}
    live = [f for f in alive if not f.nodes and f.options.get("shape") not in CONNECTED_SHAPES]
    needed = len(nodes) // 2 + 1
    least, most = max(len(named), 1 if live else 0), min(len(named) + len(live), len(nodes))
    majority: Majority = "survives"
    if len(nodes) - least < needed:
        majority = "is lost"
    elif len(nodes) - most < needed:
        majority = "may be lost"
    return PlannedQuorum(
        from_s=start,
        to_s=end,
        faults=tuple(f.id for f in alive),
        impaired=most,
        majority=majority,
        sentence=_sentence(named, live, nodes, needed, majority),
    )


def _impaired(fault: PlannedFault) -> tuple[str, ...]:
    return () if fault.options.get("shape") in CONNECTED_SHAPES else fault.nodes


def _sentence(
    named: set[str],
    live: Sequence[PlannedFault],
    nodes: Sequence[str],
    needed: int,
    majority: Majority,
) -> str:
    out = [*sorted(named), *(f"the {f.victims} of the moment" for f in live)]
    if not out:
        return f"every node still reaches {needed} of {len(nodes)}, though not the same ones"
    who, rest = " and ".join(out), [n for n in nodes if n not in named]
    left = len(nodes) - len(out)
    if majority == "survives":
        names = "" if live else f" ({', '.join(rest)})"
        return f"{who} impaired: {left} of {len(nodes)} remain{names}; {needed} are a majority"
    if majority == "may be lost":
        return f"{who} impaired: should they differ, {left} of {len(nodes)} remain, {needed} needed"
    return f"{who} impaired: {max(left, 0)} of {len(nodes)} remain, {needed} needed: no majority"

"""Kinds that look before they break: ahead of their moment, not while others have a victim."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from seatrial.fault import FaultKind, PlannedFault, Proof, World
from seatrial.op import Op
from seatrial.runner.nemesis import Nemesis

#: The lead is what a busy machine may be late by without a difference.
LEAD_S, LOOK_S = 1.2, 0.1


class Looking:
    """A kind that notes when it does what; it leads by `LEAD_S` and looks for `LOOK_S`."""

    touches = "network"

    def __init__(self, name: str, begin: float, log: list[tuple[str, float]]) -> None:
        self.name, self.begin, self.log = name, begin, log

    def note(self, what: str, fault: PlannedFault) -> None:
        self.log.append((f"{what} {fault.id}", time.monotonic() - self.begin))

    async def inject(self, world: World, fault: PlannedFault, victims: Sequence[str]) -> None:
        self.note("inject", fault)
        await asyncio.sleep(float(str(fault.options.get("takes_s", 0))))

    async def heal(self, world: World, fault: PlannedFault, victims: Sequence[str]) -> None:
        self.note("heal", fault)

    async def prove_injected(self, *_: object) -> Proof:
        return Proof(True, "acts")

    async def prove_healed(self, *_: object) -> Proof:
        return Proof(True, "ended")


class Foreseeing(Looking):
    """The same with a look before."""

    def lead_s(self) -> float:
        return LEAD_S

    async def look(self, world: World, fault: PlannedFault, victims: Sequence[str]) -> None:
        self.note("look" if "n1" in victims else "look elsewhere", fault)
        await asyncio.sleep(LOOK_S)


def planned(fault: str, kind: str, start_s: float, *nodes: str, **more: Any) -> PlannedFault:
    return PlannedFault(
        id=fault, kind=kind, victims="leader", nodes=nodes, start_s=start_s, duration_s=0.1, **more
    )


def carried_out(
    folder: Path, *faults: PlannedFault, leaders: Sequence[str] = ("n1",)
) -> dict[str, float]:
    """What was done when, in seconds from the load's start; who leads at each look-up."""
    log: list[tuple[str, float]] = []
    ops: list[Op] = []
    begin = time.monotonic()
    kinds = {"slow": Foreseeing("slow", begin, log), "quick": Looking("quick", begin, log)}

    next_leader = iter(leaders)
    last = leaders[-1]

    async def locate() -> Mapping[str, tuple[str, ...]]:
        return {"leader": (next(next_leader, last),)}

    def record(op: Op) -> int:
        ops.append(op)
        return len(ops)

    nemesis = Nemesis(
        cast(World, object()),
        locate,
        record=record,
        clock=time.monotonic_ns,
        evidence=folder,
        kinds=lambda name: cast(FaultKind, kinds[name]),
    )
    asyncio.run(nemesis.run(faults, int(begin * 1e9), asyncio.Event()))
    found = dict(log)
    assert len(found) == len(log), "nothing is done twice"
    return found


def test_it_looks_ahead_and_begins_at_its_moment(tmp_path: Path) -> None:
    done = carried_out(tmp_path, planned("f1", "slow", 1.4, "n1"))
    assert 0.2 <= done["look f1"] < 1.4 <= done["inject f1"]


def test_who_has_a_role_is_looked_at_ahead_and_is_the_victim_if_it_stays(tmp_path: Path) -> None:
    done = carried_out(tmp_path, planned("f1", "slow", 1.4))
    assert 0.2 <= done["look f1"] < 1.4 <= done["inject f1"]


def test_a_role_that_moved_since_the_look_is_looked_at_anew(tmp_path: Path) -> None:
    """Who was looked at is not the victim then, however stale the look: it begins the later."""
    done = carried_out(tmp_path, planned("f1", "slow", 1.4), leaders=("n2", "n1"))
    assert done["look elsewhere f1"] < 1.4 <= done["look f1"]
    assert done["inject f1"] >= done["look f1"] + LOOK_S


def test_it_does_not_look_at_a_node_that_another_fault_has(tmp_path: Path) -> None:
    """Nor does it keep that one waiting: it looks when it is over, and begins the later."""
    first = planned("f0", "quick", 0.1, "n1").model_copy(update={"duration_s": 1.0})
    done = carried_out(tmp_path, first, planned("f1", "slow", 1.6, "n1"))
    assert done["heal f0"] < done["look f1"] and 1.6 <= done["look f1"] < done["inject f1"]


def test_a_fault_on_another_node_is_no_hindrance(tmp_path: Path) -> None:
    other = planned("f0", "quick", 0.1, "n2").model_copy(update={"duration_s": 2.5})
    done = carried_out(tmp_path, other, planned("f1", "slow", 1.4, "n1"))
    assert done["look f1"] < 1.4 <= done["inject f1"] < done["heal f0"]


def test_a_fault_lasts_as_planned_from_when_it_acts(tmp_path: Path) -> None:
    """Not from when its injection began: on a cluster that takes seconds."""
    done = carried_out(tmp_path, planned("f1", "quick", 0.1, "n1", options={"takes_s": 0.5}))
    assert done["heal f1"] >= done["inject f1"] + 0.5 + 0.1

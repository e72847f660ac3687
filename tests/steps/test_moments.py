"""A fault is there before its moment: it says when it is, and is told in time."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import cast

import pytest

from seatrial.cases import case
from seatrial.engine.lab.board import MemoryBoard
from seatrial.fault import PlannedFault
from seatrial.plan import Plan, PlannedPhases
from seatrial.runner.load import Load
from seatrial.runner.planner import Overrides, make_plan
from seatrial.runner.steps import notices, workload
from seatrial.runner.steps.notices import StepNotice, WorkloadNotice
from seatrial.runner.steps.rooms import LoadClock, Rooms
from seatrial.runner.steps.step import Step
from seatrial.runner.steps.workload import LEAD_S, HarmElsewhere, Voice
from seatrial.runner.stretches import run_stretches

BEFORE_S = 0.2


def plan(*starts_s: float) -> Plan:
    """With a fault at each of these moments after the stretch before."""
    faults = tuple(
        PlannedFault(
            id=f"fault-{number}",
            kind="kill",
            victims="one",
            nodes=("n1",),
            start_s=BEFORE_S + start_s,
            duration_s=1,
        )
        for number, start_s in enumerate(starts_s, 1)
    )
    phases = PlannedPhases(
        before_s=BEFORE_S, faults_s=0.2, after_s=0.0, quiesce_timeout_s=1, final_timeout_s=1
    )
    made = make_plan(case("etcd-register"), 1, Overrides(faults=()))
    return made.model_copy(update={"faults": faults, "phases": phases})


def harm(tmp_path: Path, board: MemoryBoard, *starts_s: float) -> HarmElsewhere:
    step = Step("workload", plan(*starts_s), Rooms(tmp_path), wait_s=5.0)
    first = WorkloadNotice(state="running", line="unix:x", clock=LoadClock(identity="", zero_ns=0))
    return HarmElsewhere(board, step, Voice(board, first), asyncio.Event())


def test_a_fault_that_still_looks_for_the_load_is_waited_for(tmp_path: Path) -> None:
    """Its pod runs, but it could not begin at its moment."""

    async def main() -> None:
        board = MemoryBoard()
        one = harm(tmp_path, board, 0.0)
        await notices.begin_once(board, "fault-1", StepNotice(state="starting"))
        waiting = asyncio.create_task(one.ready())
        await asyncio.sleep(3 * notices.POLL_S)
        assert not waiting.done()
        await notices.post(board, "fault-1", StepNotice(state="ready"))
        assert await asyncio.wait_for(waiting, 5) == ""
        assert one.late == ()

    asyncio.run(main())


@pytest.mark.parametrize(
    ("starts_s", "lead_s"),
    [((0.0,), LEAD_S), ((LEAD_S / 2, 9.0), LEAD_S / 2), ((LEAD_S, 9.0), 0.0), ((), 0.0)],
)
def test_faults_are_told_before_a_moment_that_is_near(
    tmp_path: Path, starts_s: tuple[float, ...], lead_s: float
) -> None:
    assert harm(tmp_path, MemoryBoard(), *starts_s).lead_s == pytest.approx(lead_s)


class Idle:
    """A load that does nothing until it is ended."""

    async def run(self, end: asyncio.Event) -> None:
        await end.wait()


def test_the_stretch_before_goes_on_until_the_moment_that_was_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Moments count from what is told, and it is told before they can come."""
    monkeypatch.setattr(workload, "LEAD_S", 0.4)
    happened: list[tuple[str, int]] = []

    async def main() -> int:
        board = MemoryBoard()
        one = harm(tmp_path, board, 0.0)
        await notices.post(board, "fault-1", StepNotice(state="ready"))
        told: list[int] = []

        class Told:
            lead_s = one.lead_s
            ready = staticmethod(one.ready)

            def begin(self, from_ns: int) -> None:
                happened.append(("told", time.monotonic_ns()))
                told.append(from_ns)

            async def healed(self) -> bool:
                return False

            async def cancel(self) -> None:
                pass

        await run_stretches(
            cast(Load, Idle()),
            Told(),
            plan(0.0).phases,
            enter=lambda phase, seconds=None: happened.append((phase, time.monotonic_ns())),
            clock=time.monotonic_ns,
            stop=asyncio.Event(),
        )
        return told[0]

    from_ns = asyncio.run(main())

    at = dict(happened)
    assert [what for what, _ in happened] == ["steady-before", "told", "workload", "heal"]
    assert at["workload"] - at["told"] >= 0.39e9
    assert abs(at["workload"] - (from_ns + BEFORE_S * 1e9)) < 0.1e9

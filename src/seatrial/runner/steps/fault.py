"""The step `fault`: one planned fault at its moment, by the nemesis that `seatrial run` uses."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Mapping

from seatrial.engine.site import Board
from seatrial.errors import SeatrialError, Unavailable
from seatrial.fault import CLUSTER
from seatrial.faults.together import Clash, clash
from seatrial.op import Op
from seatrial.runner.halts import Halts, forbidden
from seatrial.runner.judge_faults import fault_part
from seatrial.runner.lookout import until_pulled
from seatrial.runner.nemesis import Nemesis
from seatrial.runner.steps import notices
from seatrial.runner.steps.axis import Axis
from seatrial.runner.steps.line import LineClient
from seatrial.runner.steps.notices import BoardCompany, StepNotice, StopNotice, WorkloadNotice
from seatrial.runner.steps.rooms import EventRecord, EventsRecord
from seatrial.runner.steps.step import Outcome, Step, asked_to_stop
from seatrial.trial import Evidence, write_text
from seatrial.verdict import Json

_MOMENTS = ("inject_ns", "injected_ns", "heal_ns", "healed_ns")


async def fault(step: Step) -> Outcome:
    """Wait for the moment, inject, measure, hold, heal, measure; the evidence is on the axis."""
    planned = step.planned_fault()
    end = _End()
    async with step.site() as site:
        await notices.begin_once(site.board, planned.id, StepNotice(state="starting"))
        load = await notices.wait_for(site.board, notices.WORKLOAD, WorkloadNotice, step.wait_s)
        line = await LineClient.open(load.line)
        axis = Axis(line)
        ops = _Ops()
        with asked_to_stop(end.event):
            await axis.begin()
            watchers = [
                asyncio.create_task(axis.watch(end.because), name="axis"),
                asyncio.create_task(_watch(site.board, end), name="stop"),
                asyncio.create_task(_obey_lever(end), name="lever"),
            ]
            try:
                # Only now: from this word on its moment may be at any time.
                await notices.post(site.board, planned.id, StepNotice(state="ready"))
                nemesis = Nemesis(
                    site.world,
                    site.locate,
                    record=ops.take,
                    clock=axis.now,
                    evidence=step.path / "evidence",
                    company=BoardCompany(site.board, _clash(step)),
                    kinds=site.kind,
                    act_timeout_s=site.act_timeout_s,
                    recovery_timeout_s=site.recovery_timeout_s,
                    halts=Halts(lambda: forbidden(step.plan), lambda: end.why),
                    clock_bound_ns=None,  # until `_placed`
                )
                from_ns = await _beginning(step, site.board, end.event)
                if from_ns is None or axis.now() > _end_of_faults(step, from_ns):
                    _keep(step, Evidence(fault=planned, error=_NOT_BEGUN))
                else:
                    await nemesis.run((planned,), from_ns, end.event)
            finally:
                for watcher in watchers:
                    watcher.cancel()
                await asyncio.gather(*watchers, return_exceptions=True)
                await line.close()
        evidence = _placed(step, axis, ops.taken)
        clock = axis.record(step.room, load.clock, [op.time_ns for op in ops.taken])
        step.rooms.write(step.room, "clock.json", clock)
        with contextlib.suppress(SeatrialError):  # only for those who watch
            await notices.post(site.board, planned.id, StepNotice(state="over"))
    part = fault_part(planned, evidence, 0)
    return Outcome(part.verdict, part.cause)


def _clash(step: Step) -> Clash:
    """Which faults cannot be together where the trial is."""
    return clash(CLUSTER if step.plan.engine == "argo" else step.plan.isolation)


class _End:
    """That the fault has to end, and why; the first reason stays."""

    def __init__(self) -> None:
        self.event = asyncio.Event()
        self._why = ""

    def because(self, why: str) -> None:
        """Heal at once."""
        self._why = self._why or why
        self.event.set()

    @property
    def why(self) -> str:
        """The reason; a signal gives none."""
        return self._why or "its step was stopped by a signal"


class _Ops:
    """Takes the nemesis' ops."""

    def __init__(self) -> None:
        self.taken: list[Op] = []

    def take(self, op: Op) -> int:
        """Keep one; its place."""
        self.taken.append(op)
        return len(self.taken) - 1


_NOT_BEGUN = "not begun: the stretch of faults was over, or the trial was stopped, before it"


def _end_of_faults(step: Step, from_ns: int) -> int:
    phases = step.plan.phases
    return from_ns + int((phases.before_s + phases.faults_s) * 1e9)


async def _beginning(step: Step, board: Board, stop: asyncio.Event) -> int | None:
    """Where the moments of faults count from; None if there is no stretch of faults any more."""
    deadline = time.monotonic() + step.plan.phases.before_s + step.wait_s
    while not stop.is_set():
        load = await notices.find(board, notices.WORKLOAD, WorkloadNotice)
        if load is None or load.state == "ended":
            return None
        if load.faults_from_ns is not None:
            return load.faults_from_ns
        if time.monotonic() > deadline:
            raise Unavailable(f"the stretch of faults did not begin within {step.wait_s:g} s")
        await asyncio.sleep(notices.POLL_S)
    return None


async def _obey_lever(end: _End) -> None:
    """Heal at once when somebody pulls the safety lever of this machine."""
    end.because((await until_pulled()).sentence)


async def _watch(board: Board, end: _End) -> None:
    """Heal at once when somebody wants the trial ended, or the cluster is gone."""
    while not end.event.is_set():
        try:
            wish = await notices.find(board, notices.STOP, StopNotice)
        except Unavailable as gone:
            end.because(f"it could not be asked whether the trial ends: {gone}")
            return
        if wish is not None:
            end.because(wish.reason)
        await asyncio.sleep(notices.POLL_S)


def _placed(step: Step, axis: Axis, ops: list[Op]) -> Evidence:
    """Put evidence and events on the axis by all that is known now of the clocks."""
    events, bounds = [], [0]
    unknown = False
    for op in ops:
        moment = axis.place(op.time_ns)
        unknown = unknown or moment is None
        bounds.append(0 if moment is None else moment.bound_ns)
        assert isinstance(op.value, Mapping), "the nemesis writes maps"
        value: dict[str, Json] = {name: str(text) for name, text in op.value.items()}
        events.append(
            EventRecord(
                type=op.type,
                f=op.f,
                value=value,
                own_ns=axis.own_ns(op.time_ns),
                at_ns=op.time_ns if moment is None else moment.at_ns,
                bound_ns=None if moment is None else moment.bound_ns,
                error=op.error,
            )
        )
    step.rooms.write(step.room, "events.json", EventsRecord(events=tuple(events)))
    path = step.path / "evidence" / f"{step.planned_fault().id}.json"
    evidence = Evidence.model_validate_json(path.read_text(encoding="utf-8"))
    changes: dict[str, object] = {"clock_bound_ns": None if unknown else max(bounds)}
    for name in _MOMENTS:
        stamp = getattr(evidence, name)
        moment = None if stamp is None else axis.place(stamp)
        if moment is not None:
            changes[name] = moment.at_ns
    return _keep(step, evidence.model_copy(update=changes))


def _keep(step: Step, evidence: Evidence) -> Evidence:
    path = step.path / "evidence" / f"{evidence.fault.id}.json"
    write_text(path, evidence.model_dump_json(indent=2) + "\n")
    return evidence

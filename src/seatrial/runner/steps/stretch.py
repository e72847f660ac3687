"""The steps `steady-before`, `steady-during` and `steady-after`: one stretch of the load judged.

The first two wait for the end of their stretch and judge the history so far, brought over the
load's line: early news, and the gate before the faults. The verdict judges all again at the end.
The last one comes after the final reads, and looks for what is still broken: the step with the
final reads has a client's rights, which do not reach that far.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from seatrial.engine.site import Board, ClusterRecord
from seatrial.errors import NoInput, Unavailable
from seatrial.history.load import load_arrow
from seatrial.runner.steps import notices
from seatrial.runner.steps.assemble import assemble
from seatrial.runner.steps.line import LineClient
from seatrial.runner.steps.notices import WorkloadNotice
from seatrial.runner.steps.rooms import AuditRecord, SteadyRecord
from seatrial.runner.steps.step import Outcome, Step
from seatrial.steady.evaluate import evaluate
from seatrial.steady.reading import Reading
from seatrial.verdict import Json, Validity, join

#: The phase of each stretch, and those that come after it.
_AFTER = {
    "before": ("workload", "heal", "steady-after", "quiesce"),
    "during": ("heal", "steady-after", "quiesce"),
}
_SAID = {"before": "before the faults", "during": "during the faults", "after": "after the faults"}


async def steady(step: Step) -> Outcome:
    """Judge the stretch that the step is named after."""
    when = step.name.removeprefix("steady-")
    if when == "after":
        await _look_for_leaks(step)
        assemble(step.rooms, step.plan)
        history = step.rooms.folder.history
        if not history.is_file():
            raise NoInput("there is no history: the load never began")
        return _judge(step, when, history)
    async with step.site() as site:
        load = await notices.wait_for(site.board, notices.WORKLOAD, WorkloadNotice, step.wait_s)
        line = await LineClient.open(load.line)
        try:
            await _until_over(step, when, site.board, line)
            so_far = step.path / "history.arrow"
            await line.history(so_far)
        finally:
            await line.close()
    outcome = _judge(step, when, so_far)
    so_far.unlink()
    return outcome


async def _look_for_leaks(step: Step) -> None:
    """What is still broken, and what happened that nobody planned; unsaid without a cluster."""
    if step.rooms.find("provision", "cluster.json", ClusterRecord) is None:
        return
    async with step.site() as site:
        found = AuditRecord(leaks=await site.audit(), unplanned=await site.unplanned())
    step.rooms.write(step.room, "audit.json", found)


async def _until_over(step: Step, when: str, board: Board, line: LineClient) -> None:
    """Until the load is in a phase after the stretch, or has ended.

    The stretch before is over after its planned length: the load goes on with it until the faults
    are there, and they wait for this step.
    """
    phases = step.plan.phases
    length_s = phases.before_s + (phases.faults_s if when == "during" else 0.0)
    deadline = time.monotonic() + length_s + step.wait_s
    while True:
        load = await notices.find(board, notices.WORKLOAD, WorkloadNotice)
        if load is None or load.state == "ended" or load.phase in _AFTER[when]:
            return
        since_ns = load.load_start_ns
        if when == "before" and since_ns is not None:
            over_ns = since_ns + int(phases.before_s * 1e9)
            if await line.now() >= over_ns:
                return
        if time.monotonic() > deadline:
            raise Unavailable(f"the stretch {when} did not end within {step.wait_s:g} s")
        await asyncio.sleep(notices.POLL_S)


def _judge(step: Step, when: str, path: Path) -> Outcome:
    """Judge what the ops tell; what is sampled is judged with the whole, at the end."""
    history = load_arrow(path).history
    found: dict[str, Reading] = {}
    judged: list[Validity] = []
    of_ops = [state for state in step.plan.steady_states if state.probe.source == "ops"]
    for result in evaluate(of_ops, history, planned_faults=0):
        for reading in result.readings:
            if reading.when == when:
                found[result.name] = reading
                if result.judged:
                    judged.append(reading.validity)
    verdict = join(judged) if judged else Validity.VALID
    documents: dict[str, Json] = {name: reading.to_json() for name, reading in found.items()}
    step.rooms.write(
        step.room,
        "steady.json",
        SteadyRecord(stretch=when, verdict=verdict.value, readings=documents),
    )
    if when == "before" and verdict is Validity.INVALID:
        verdict = Validity.UNKNOWN  # not steady to begin with: that judges nothing
    return Outcome(verdict, _sentence(when, found))


def _sentence(when: str, found: dict[str, Reading]) -> str:
    if not found:
        return f"nothing is asked of the stretch {_SAID[when]}"
    wrong = [
        f"{name}: {reading.reason or f'{reading.value}, {reading.limit}'}"
        for name, reading in found.items()
        if reading.validity is not Validity.VALID
    ]
    if not wrong:
        return f"steady {_SAID[when]}: {len(found)} of {len(found)} hold"
    return f"not steady {_SAID[when]}: {'; '.join(wrong)}"

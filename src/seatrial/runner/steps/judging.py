"""The steps `check`, `report` and `verdict`: each checker by itself, then all of it joined.

A checker's verdict is reached once, in its own step; `report` and `verdict` only join. What a step
that should be there did not leave is `unknown`, never left out.
"""

from __future__ import annotations

from seatrial import report as drawing
from seatrial.errors import NoInput, SeatrialError, UnknownName
from seatrial.history.load import load_arrow
from seatrial.plan import Plan
from seatrial.runner import judge
from seatrial.runner.judge import Judgement
from seatrial.runner.judge_faults import fault_parts
from seatrial.runner.part import Part
from seatrial.runner.steps import figures
from seatrial.runner.steps.assemble import assemble
from seatrial.runner.steps.rooms import Record, Rooms, StepRecord
from seatrial.runner.steps.step import Outcome, Step
from seatrial.trial import write_text
from seatrial.verdict import Anomaly, Json, Validity, Verdict


class CheckRecord(Record):
    """`verdict.json` of a check: one checker's verdict; pictures are `pictures/NUMBER.svg`."""

    format: str = "seatrial/check/1"
    checker: str
    verdict: dict[str, Json]


async def check(step: Step) -> Outcome:
    """Let one checker judge the history."""
    options = judge.planned_options(step.plan)
    name = step.checker or ""
    if name not in options:
        raise UnknownName("checker of this plan", name, options)
    assemble(step.rooms, step.plan)
    history = load_arrow(step.rooms.folder.history).history
    limits = step.plan.limits
    options = judge.planned_options(step.plan, history)
    verdict = judge.check_history(
        history,
        {name: options[name]},
        timeout_s=limits.check_timeout_s,
        memory=limits.check_memory_bytes,
        say=step.say,
    )[name]
    for number, anomaly in enumerate(verdict.anomalies):
        if anomaly.picture:
            write_text(step.path / "pictures" / f"{number}.svg", anomaly.picture)
    record = CheckRecord(checker=name, verdict=verdict.to_json())
    step.rooms.write(step.room, "verdict.json", record)
    return Outcome(verdict.verdict, f"{name}: {verdict.cause}")


async def report(step: Step) -> Outcome:
    """Make the trial's folder whole: history, evidence, verdict, report."""
    judgement = join(step)
    judge.keep(step.rooms.folder, judgement)
    try:
        drawing.write(step.rooms.folder)
    except Exception as error:  # the verdict stands, whatever becomes of its picture
        return Outcome.unproven(f"the report could not be drawn: {type(error).__name__}: {error}")
    return Outcome.done(f"the report says {judgement.verdict.value}")


async def verdict(step: Step) -> Outcome:
    """The trial's verdict: the last leaf of the graph, whose exit status is the trial's."""
    judgement = join(step)
    judge.keep(step.rooms.folder, judgement)
    write_text(step.path / "verdict.json", judge.dump(judgement.document(), indent=2) + "\n")
    figures.keep(
        step,
        {"verdict": judgement.verdict.value, "recovery_s": figures.recovery_s(judgement)},
    )
    return Outcome(judgement.verdict, f"{judgement.verdict.value}: {judgement.cause}")


def join(step: Step) -> Judgement:
    """All that was judged, as `seatrial run` joins it."""
    rooms, plan = step.rooms, step.plan
    assemble(rooms, plan)
    checked = {name: _checked(rooms, name) for name in judge.planned_options(plan)}
    try:
        return judge.judge_trial(rooms.folder, checked=checked)
    except NoInput:
        return _nothing(rooms, plan, checked)


def _checked(rooms: Rooms, name: str) -> Verdict:
    room = f"check-{name}"
    try:
        found = rooms.find(room, "verdict.json", CheckRecord)
    except SeatrialError as error:
        return Verdict.unknown(str(error))
    if found is None:
        record = rooms.find(room, "step.json", StepRecord)
        return Verdict.unknown(record.sentence if record else f"the step {room} left no word")
    verdict = Verdict.from_json(found.verdict)
    return _with_pictures(rooms, room, verdict)


def _with_pictures(rooms: Rooms, room: str, verdict: Verdict) -> Verdict:
    anomalies = []
    for number, anomaly in enumerate(verdict.anomalies):
        path = rooms.room(room) / "pictures" / f"{number}.svg"
        picture = path.read_text(encoding="utf-8") if path.is_file() else ""
        anomalies.append(
            Anomaly(
                anomaly.name,
                anomaly.explanation,
                anomaly.ops,
                anomaly.steps,
                anomaly.count,
                picture,
            )
        )
    return Verdict(
        verdict.verdict,
        verdict.cause,
        verdict.judged,
        verdict.seconds,
        tuple(anomalies),
        verdict.details,
    )


def _nothing(rooms: Rooms, plan: Plan, checked: dict[str, Verdict]) -> Judgement:
    """The trial never had a history: why, by the first step that failed."""
    failed = [one for one in rooms.records() if one.status in ("failed", "running")]
    why = f"{failed[0].room}: {failed[0].sentence}" if failed else "no step left a history"
    cause = f"there is no history to judge: {why}"
    return Judgement(
        verdict=Validity.UNKNOWN,
        cause=cause,
        checkers=checked,
        faults=tuple(fault_parts(plan.faults, rooms.folder.read_evidence())),
        notes=(Part("trial", Validity.UNKNOWN, cause),),
        trial={
            "case": plan.case,
            "target": plan.target.name,
            "seed": plan.seed,
            "trial": str(rooms.folder.root),
        },
    )

"""Carrying out a plan from outside the sandbox: start it, relay what it tells, judge what it left.

The outer program owns the trial's folder and `trial.json`; the inner one (`seatrial.runner.inside`)
writes history and evidence into it. Ctrl-C and SIGTERM ask the inner program to heal and end; a
second one does not wait (`sandbox.run`).
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from seatrial import targets
from seatrial.engine.argo import orderly
from seatrial.engine.lab import prometheus, sandbox
from seatrial.engine.lab.elsewhere import Elsewhere
from seatrial.errors import SeatrialError, Unavailable
from seatrial.plan import Plan
from seatrial.runner import audit, judge, lever, remembered, store
from seatrial.runner.beside import Beside, check_servers
from seatrial.runner.display import Display
from seatrial.runner.target_options import runs_already
from seatrial.safety import closes
from seatrial.target import PerhapsNotHere, Target
from seatrial.trial import RampOutcome, TrialFolder, write_text
from seatrial.verdict import Json

#: Exit statuses of a sandbox that was killed: by SIGKILL, as a shell says it and as Python does.
KILLED = (137, -9)
#: What runs inside the sandbox.
PROGRAM = (sys.executable, "-m", "seatrial.runner.inside")
#: One line of the inner program is never longer.
LINE_BYTES_MAX = 1 << 20
#: How much of the inner program's own errors is shown.
TAIL_CHARS = 2000


class InnerFailure(SeatrialError):
    """The inner program failed; `exit_code` is the one that it asks for."""

    def __init__(self, text: str, exit_code: int) -> None:
        super().__init__(text)
        self.exit_code = exit_code


@dataclass(slots=True)
class Outcome:
    """How the inner program ended."""

    status: str = "failed"
    reason: str = ""
    exit_code: int = 70
    leaks: tuple[str, ...] = ()
    unplanned: tuple[str, ...] = ()
    ramps: tuple[RampOutcome, ...] = ()
    nodes: Mapping[str, Mapping[str, Json]] = field(default_factory=dict)


def run_trial(plan: Plan, where: Path, display: Display, *, keep: bool) -> judge.Judgement:
    """Carry out `plan`, keep it under `where`, judge it and draw its report.

    Raises `SeatrialError` where the trial could not start at all; a trial that started is always
    judged, whatever became of it.
    """
    forbid_now(plan, datetime.datetime.now(datetime.UTC))
    check_servers(plan)
    target = targets.make(plan.target.name, plan.target.settings)
    versions = _versions(plan, target)
    started = datetime.datetime.now(datetime.UTC)
    left = None if plan.slo is None else remembered.budget(plan.slo, where, started)
    learnt = remembered.learn(plan, where)
    folder = store.create(where, plan.case, plan.seed, started.astimezone())
    display.say(f"trial   {folder.root}")
    with lever.running(folder.root, plan.case) as lock:
        write_text(folder.plan, plan.to_text())
        remembered.keep_baselines(folder, learnt)
        if left is not None:
            remembered.keep_budget(folder, left)
        store.write_record(folder, "running", started, versions=versions)
        outcome = asyncio.run(_carry_out(plan, folder, display, lock, keep=keep))
        outcome.leaks += audit.left_on_host(folder)
        store.write_record(
            folder,
            outcome.status,
            started,
            reason=outcome.reason,
            versions=versions,
            nodes=outcome.nodes,
            leaks=outcome.leaks,
            unplanned=outcome.unplanned,
            ramps=outcome.ramps,
        )
    if outcome.status == "failed" and not folder.history.is_file():
        raise InnerFailure(outcome.reason, outcome.exit_code)
    return finish(folder, display)


def _versions(plan: Plan, target: Target) -> Mapping[str, str]:
    """What the target is; of one that runs already, what its nodes say."""
    if not runs_already(plan.target.settings):
        return {plan.target.name: target.version()}
    return asyncio.run(orderly.versions(target, Elsewhere(target, plan.target.nodes).nodes))


def finish(folder: TrialFolder, display: Display) -> judge.Judgement:
    """Judge a trial's folder, write `verdict.json` and draw the report."""
    from seatrial import report

    display.phase("check")
    judgement = judge.judge_trial(folder, say=display.say)
    judge.keep(folder, judgement)
    display.phase("report")
    try:
        report.write(folder)
    except Exception as error:  # the verdict stands, whatever becomes of its picture
        display.say(f"the report could not be drawn: {type(error).__name__}: {error}")
    return judgement


async def _carry_out(
    plan: Plan, folder: TrialFolder, display: Display, lock: int, *, keep: bool
) -> Outcome:
    outcome = Outcome()
    argv = [*PROGRAM, str(folder.root)]
    reader, told = os.pipe()
    beside = Beside(plan, folder, display.say)
    relay = asyncio.create_task(_relay(reader, outcome, display, beside))
    try:
        with (folder.logs / "tool.log").open("wb") as log:
            code = await sandbox.run(
                [*argv, "--keep"] if keep else argv,
                isolation=plan.isolation,
                stdout=told,
                stderr=log,
                env={**os.environ, lever.TRIAL_VARIABLE: str(folder.root)},
                pass_fds=(lock,),
            )
    finally:
        os.close(told)
        await relay
        await beside.close()
    if beside.reason:
        outcome.status, outcome.reason = "aborted", beside.reason
    if outcome.status == "failed" and not outcome.reason:
        if code in KILLED:
            outcome.status, outcome.reason = "interrupted", "killed before it could heal and end"
        else:
            outcome.reason = _tail(folder, code)
    return outcome


async def _relay(reader: int, outcome: Outcome, display: Display, beside: Beside) -> None:
    """Pass on the inner program's events until nobody holds the other end of the pipe."""
    stream = asyncio.StreamReader(limit=LINE_BYTES_MAX)
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(stream), os.fdopen(reader, "rb", 0)
    )
    try:
        while line := await stream.readline():
            with contextlib.suppress(ValueError):
                event = cast(dict[str, Json], json.loads(line))
                beside.hear(event)
                _take(event, outcome, display)
    finally:
        transport.close()


def _take(event: dict[str, Json], outcome: Outcome, display: Display) -> None:
    display.event(event)
    match event.get("event"):
        case "nodes":
            nodes = cast(Mapping[str, str], event["nodes"])
            outcome.nodes = {name: {"address": address} for name, address in nodes.items()}
        case "done":
            outcome.status = str(event["status"])
            outcome.reason = str(event.get("reason", ""))
            outcome.leaks = tuple(map(str, cast(list[Json], event.get("leaks", []))))
            outcome.unplanned = tuple(map(str, cast(list[Json], event.get("unplanned", []))))
            ramps = cast(list[Json], event.get("ramps", []))
            outcome.ramps = tuple(map(RampOutcome.model_validate, ramps))
        case "error":
            outcome.reason = str(event["text"])
            outcome.exit_code = int(cast(int, event.get("exit_code", 70)))


def _tail(folder: TrialFolder, code: int) -> str:
    try:
        text = (folder.logs / "tool.log").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        text = ""
    return f"the inner program ended with status {code}: {text[-TAIL_CHARS:] or 'no output'}"


def forbid_now(plan: Plan, now: datetime.datetime) -> None:
    """Raise `Unavailable` where the lever or the case's time windows forbid faults at `now`."""
    if not plan.faults:
        return
    lever.forbid_if_pulled()
    windows = plan.safety.windows
    if not windows:
        return
    allowed = "; ".join(window.sentence() for window in windows)
    end = closes(windows, now)
    needed = plan.phases.before_s + plan.phases.faults_s
    if end is None or end < now + datetime.timedelta(seconds=needed):
        left = "is outside" if end is None else f"leaves {(end - now).total_seconds():.0f} s"
        raise Unavailable(
            f"{now:%a %H:%M} UTC {left} of the case's time windows ({allowed}), and the faults "
            f"need {needed:.0f} s from now\n\nhint: run it in its time, or --faults none"
        )


def check_unavailable(plan: Plan) -> None:
    """Raise `Unavailable` for engines that this command cannot drive, and what is not installed."""
    if plan.prometheus == "auto":
        prometheus.find()
    if plan.engine != "lab":
        raise Unavailable(
            f"engine {plan.engine!r} cannot run this case from here\n\nhint: --engine lab"
        )
    target = targets.make(plan.target.name, plan.target.settings)
    if runs_already(plan.target.settings):
        return  # nothing of it is started here
    if isinstance(target, PerhapsNotHere) and (reason := target.why_not_here()):
        raise Unavailable(reason)

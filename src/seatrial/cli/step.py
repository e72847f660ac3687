"""`seatrial step`: one node of a trial's graph."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from seatrial.cli.messages import write_message
from seatrial.cli.types import Duration
from seatrial.errors import CannotCreate, NoInput, UsageError
from seatrial.plan import Plan
from seatrial.runner.plans import read_plan
from seatrial.runner.steps.rooms import Rooms
from seatrial.runner.steps.step import LEASE_S, WAIT_S, Step, carry_out
from seatrial.runner.steps.table import KINDS, STEPS, function_of
from seatrial.trial import TrialFolder, write_text


@click.command(
    epilog="Example: seatrial step provision --plan plan.json --dir trial\n\n"
    "The steps: " + ", ".join(KINDS) + "."
)
@click.argument("name")
@click.option(
    "--dir",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="The trial's folder: the plan, and the rooms of the steps.",
)
@click.option(
    "--plan",
    "plan_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The plan; copied into the folder (default: the plan that is there).",
)
@click.option("--fault", metavar="ID", help="Which fault of the plan (step fault).")
@click.option("--checker", metavar="NAME", help="Which checker of the plan (step check).")
@click.option("--exit", "at_exit", is_flag=True, help="In the exit handler (step heal).")
@click.option(
    "--lease",
    type=Duration(),
    default=LEASE_S,
    show_default="120s",
    help="A lab that no step is connected to for so long ends itself (step provision).",
)
@click.option(
    "--wait",
    type=Duration(),
    default=WAIT_S,
    show_default="300s",
    help="How long to wait for what another step is to do.",
)
@click.option("--keep", is_flag=True, help="Keep the nodes' data folders (step teardown).")
@click.option(
    "--ended",
    metavar="STATUS",
    default="",
    help="How the workflow ended: a case may keep the target of one that failed (step teardown).",
)
@click.option(
    "--message-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the step's sentence there too (in a pod: /dev/termination-log).",
)
@click.option("--json", "as_json", is_flag=True, help="The step's record as JSON.")
@click.option("--here", is_flag=True, hidden=True, help="Already where clients reach the nodes.")
def step(
    name: str,
    folder: Path,
    plan_file: Path | None,
    fault: str | None,
    checker: str | None,
    at_exit: bool,
    lease: float,
    wait: float,
    keep: bool,
    ended: str,
    message_file: Path | None,
    as_json: bool,
    here: bool,
) -> int:
    """Carry out the step NAME of a trial's plan.

    A step reads the plan and the rooms of earlier steps in the folder, writes its own room
    steps/NAME, and says one sentence. Exit status: 0 done and nothing against it, 1 invalid,
    2 unknown or not proven, 64 and up: used wrongly or it could not.
    """
    _ = STEPS[name]
    _check(name, fault, checker, at_exit)
    rooms = Rooms(folder)
    plan = _plan(rooms.folder, plan_file)
    one = Step(
        name=name,
        plan=plan,
        rooms=rooms,
        fault=fault,
        checker=checker,
        exit=at_exit,
        lease_s=lease,
        wait_s=wait,
        keep=keep,
        ended=ended,
        say=lambda text: click.echo(text, err=True),
    )
    if KINDS[name].clients and not here:
        _go_there(one)
    record = carry_out(one, function_of(name))
    if message_file is not None:
        write_message(message_file, record.sentence)
    click.echo(record.model_dump_json() if as_json else record.sentence)
    return record.exit_code


def _check(name: str, fault: str | None, checker: str | None, at_exit: bool) -> None:
    for option, value, owner in (("--fault", fault, "fault"), ("--checker", checker, "check")):
        if (value is not None) != (name == owner):
            said = f"step {name} takes no {option}" if value is not None else f"{option} is missing"
            raise UsageError(f"{said}\n\nhint: seatrial step {owner} {option} …")
    if at_exit and name != "heal":
        raise UsageError(f"step {name} takes no --exit\n\nhint: seatrial step heal --exit")


def _plan(folder: TrialFolder, plan_file: Path | None) -> Plan:
    """The plan, which lies in the folder from the first step on; another one is refused."""
    if plan_file is None or plan_file.absolute() == folder.plan:
        return read_plan(folder)
    try:
        text = plan_file.read_text(encoding="utf-8")
    except OSError as error:
        raise NoInput(
            f"cannot read {plan_file}: {error.strerror}\n\n"
            "hint: seatrial plan CASE --json > plan.json"
        ) from error
    if folder.plan.exists():
        if folder.plan.read_text(encoding="utf-8") != text:
            raise CannotCreate(
                f"{folder.root} belongs to another plan than {plan_file}\n\nhint: another --dir"
            )
    else:
        write_text(folder.plan, text)
    return read_plan(folder)


def _go_there(one: Step) -> None:
    """Become the same command where clients reach the nodes, if that is elsewhere."""
    words = one.engine.entry(one.cluster(), one.rooms.folder.root)
    if words is not None:
        sys.stdout.flush()
        sys.stderr.flush()
        argv = [*words, sys.executable, "-m", "seatrial", *sys.argv[1:], "--here"]
        os.execv(argv[0], argv)

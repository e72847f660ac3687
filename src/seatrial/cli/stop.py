"""`seatrial stop`."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import click

from seatrial.cli.clusters import cluster_options, on_cluster, progress
from seatrial.cli.types import Duration
from seatrial.errors import UsageError
from seatrial.runner import halting, lever
from seatrial.verdict import Json

if TYPE_CHECKING:
    from seatrial.engine.argo.api import Api

TIMEOUT_S = 60.0


@click.command(epilog='Example: seatrial stop --all --reason "the office network is slow"')
@click.argument("workflow", required=False)
@click.option("--all", "everything", is_flag=True, help="Heal all running trials; forbid faults.")
@click.option("--campaign", metavar="NAME", help="Stop all trials of a campaign on a cluster.")
@click.option("--lift", is_flag=True, help="Allow faults again.")
@click.option("--reason", default="", help="Why; it stands in the verdict of each trial.")
@click.option(
    "--timeout",
    type=Duration(),
    default=f"{TIMEOUT_S:g}s",
    show_default=True,
    help="How long trials may take to heal before they are ended.",
)
@cluster_options
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
def stop(
    workflow: str | None,
    everything: bool,
    campaign: str | None,
    lift: bool,
    reason: str,
    timeout: float,
    namespace: str,
    context: str | None,
    as_json: bool,
) -> int:
    """Stop a WORKFLOW of a cluster, or pull or lift the safety lever of this machine.

    WORKFLOW: its faults are healed first, then Argo stops it and its exit handler takes the target
    down; --campaign does so with all of its trials that still run. --all: every trial of this user
    on this machine heals what it broke and ends `unknown` with that cause; no fault begins until
    --lift. Exit status: 0, or 70 if a trial still lives or
    a fault did not heal in order.
    """
    wishes = [workflow is not None, campaign is not None, everything, lift]
    if sum(wishes) != 1:
        raise UsageError(
            "a workflow, --campaign, --all or --lift: one of them\n\nhint: seatrial stop NAME"
        )
    if workflow is not None or campaign is not None:
        return _stop_workflows(workflow, campaign or "", namespace, context, reason, as_json)
    if lift:
        return _lift(as_json)

    def say(text: str) -> None:
        if not as_json:
            print(text, file=sys.stderr, flush=True)

    say(f"the lever is {lever.lever_file()}")
    stopped = halting.stop_all(reason, timeout, say)
    lives = [one for one in stopped if one.how == "lives"]
    if as_json:
        trials: list[Json] = [
            {"trial": str(one.trial.trial), "how": one.how, "seconds": round(one.seconds, 3)}
            for one in stopped
        ]
        document: dict[str, Json] = {"lever": str(lever.lever_file()), "pulled": True}
        click.echo(json.dumps({**document, "trials": trials}, ensure_ascii=False))
    else:
        for one in stopped:
            click.echo(f"{one.trial.trial}: {one.how} after {one.seconds:.1f} s")
        if not stopped:
            click.echo("no trial was running")
        click.echo("no fault begins until: seatrial stop --lift")
    return 70 if lives else 0


def _stop_workflows(
    workflow: str | None,
    campaign: str,
    namespace: str,
    context: str | None,
    reason: str,
    as_json: bool,
) -> int:
    from seatrial.engine.argo import runs

    why = reason or ("stopped by a person" if workflow else f"campaign {campaign} is over")

    async def act(api: Api) -> tuple[str, ...]:
        if workflow is None:
            return await runs.stop_campaign(api, namespace, campaign, why, progress)
        return await runs.stop(api, namespace, workflow, why, progress)

    problems = on_cluster(context, act)
    if as_json:
        document: dict[str, Json] = {"workflow": workflow or campaign, "stopped": True}
        click.echo(json.dumps({**document, "problems": [*problems]}, ensure_ascii=False))
    else:
        for problem in problems:
            click.echo(problem)
        if workflow is not None:
            click.echo(f"{workflow} is stopped: its exit handler runs (seatrial watch {workflow})")
    return 70 if problems else 0


def _lift(as_json: bool) -> int:
    before = lever.lift()
    if as_json:
        document: dict[str, Json] = {"lever": str(lever.lever_file()), "pulled": False}
        click.echo(json.dumps({**document, "was": before.sentence if before else None}))
    else:
        click.echo(f"lifted: {before.sentence}" if before else "it was not pulled")
    return 0

"""`seatrial submit`."""

from __future__ import annotations

import json
from typing import Any, cast

import click

from seatrial.cli.clusters import context_option, on_cluster
from seatrial.cli.render import INSTALLED, workflow_options, workflows_of
from seatrial.cli.watch import follow
from seatrial.errors import UsageError
from seatrial.verdict import Json


@click.command(epilog="Example: seatrial submit etcd-register --faults kill,partition --watch")
@workflow_options
@context_option
@click.option("--watch", "watching", is_flag=True, help="Stay, and exit with the verdict.")
@click.option("--json", "as_json", is_flag=True, help="A JSON array of what was made.")
def submit(context: str | None, watching: bool, as_json: bool, **given: Any) -> int:
    """Make on a cluster what `seatrial render` prints, and start it.

    A Workflow starts at once; a WorkflowTemplate or CronWorkflow (--cron) is made, or changed if
    it is there. Without --image the steps get the image of the installed templates. Exit status:
    0, with --watch the verdict's, 69 if the cluster refuses.
    """
    made = workflows_of(**given)
    if watching:
        _can_be_watched([each.kind for each in made])
    from seatrial.engine.argo import runs
    from seatrial.engine.argo.api import Api
    from seatrial.workflows import documents
    from seatrial.workflows.settings import Settings

    objects = [documents.document(workflow) for workflow in made]
    # The templates themselves bring the image that belongs to them.
    named = given.get("image") is not None or given["case"] in INSTALLED
    image = "" if named else Settings().image

    async def act(api: Api) -> list[dict[str, Json]]:
        found = []
        for document in objects:
            there = await runs.submit(api, document, default_image=image)
            metadata = there["metadata"]
            names: dict[str, Json] = {
                "kind": document["kind"],
                "name": metadata["name"],
                "namespace": metadata["namespace"],
            }
            found.append(names)
        return found

    told = on_cluster(context, act)
    if as_json:
        click.echo(json.dumps(told, ensure_ascii=False))
    for one in told if not as_json else ():
        click.echo(f"{one['kind']} {one['name']} in {one['namespace']}")
    started = [one for one in told if one["kind"] == "Workflow"]
    if watching and started:
        name, namespace = cast(str, started[-1]["name"]), cast(str, started[-1]["namespace"])
        return follow(context, namespace, name, as_json=as_json)
    if started and not as_json:
        click.echo(f"follow it: seatrial watch {started[-1]['name']}")
    return 0


def _can_be_watched(kinds: list[str | None]) -> None:
    """Raise `UsageError` where nothing starts now."""
    if "Workflow" not in kinds:
        raise UsageError(
            f"--watch: a {kinds[0]} does not start now, there is nothing to follow\n\n"
            "hint: without --watch; later seatrial watch NAME of a run that it started"
        )

"""`seatrial fetch`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from seatrial.cli.clusters import STATUS, cluster_options, on_cluster, progress
from seatrial.errors import CannotCreate
from seatrial.runner.store import DEFAULT_STORE

if TYPE_CHECKING:
    from seatrial.engine.argo.api import Api, Object
    from seatrial.engine.argo.fetching import Store
    from seatrial.engine.argo.runs import WorkflowState


@click.command(epilog="Example: seatrial fetch etcd-register-7-abcde && seatrial check trials/…")
@click.argument("workflow")
@cluster_options
@click.option(
    "--store",
    type=click.Path(path_type=Path, file_okay=False),
    default=DEFAULT_STORE,
    show_default=True,
    help="Where trials are kept; the folder there is named after the workflow.",
)
@click.option(
    "--endpoint", metavar="URL", help="Where the artifact store is reached from here, if elsewhere."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
def fetch(
    workflow: str,
    namespace: str,
    context: str | None,
    store: Path,
    endpoint: str | None,
    as_json: bool,
) -> int:
    """Bring the trial folder of a WORKFLOW home from the cluster's artifact store.

    It is an ordinary trial folder: `seatrial check` judges it here. Exit status: the cluster's
    verdict; 66 if nothing is kept of it, 69 if the store cannot be read, 73 if the folder is there.
    """
    folder = store / workflow
    state = brought(context, namespace, workflow, folder, endpoint)
    if as_json:
        document = {"trial": str(folder), "verdict": state.verdict, "cause": state.sentence}
        click.echo(json.dumps(document, ensure_ascii=False))
    else:
        click.echo(f"{folder}: {state.verdict} on the cluster")
    return STATUS[state.verdict]


def brought(
    context: str | None, namespace: str, workflow: str, folder: Path, endpoint: str | None
) -> WorkflowState:
    """Bring the trial folder of a Workflow home as `folder`; how the Workflow stands."""
    if folder.exists():
        raise CannotCreate(f"{folder} is there already\n\nhint: seatrial check {folder}")
    from seatrial.engine.argo import fetching, runs

    async def act(api: Api) -> tuple[Object, WorkflowState, Store]:
        found = await runs.find(api, namespace, workflow)
        return found, runs.state(found), await fetching.store(api, found, endpoint)

    found, state, where = on_cluster(context, act)
    brought = fetching.bring(where, fetching.run_prefix(found), folder)
    progress(f"{len(brought)} files from {where}")
    _make_whole(folder, fetching.plan_text(found))
    return state


def _make_whole(folder: Path, plan: str) -> None:
    """Where the step `report` did not get so far, the folder is assembled from the rooms here."""
    from seatrial.runner.plans import read_plan
    from seatrial.runner.steps.assemble import assemble
    from seatrial.runner.steps.rooms import Rooms
    from seatrial.trial import write_text

    rooms = Rooms(folder)
    if not rooms.folder.plan.exists() and plan:
        write_text(rooms.folder.plan, plan)
    if rooms.folder.plan.exists() and not rooms.folder.record.exists():
        assemble(rooms, read_plan(rooms.folder))

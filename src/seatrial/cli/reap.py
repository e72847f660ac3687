"""`seatrial reap`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from seatrial.cli.clusters import cluster_options, on_cluster
from seatrial.runner import reaping
from seatrial.runner.store import DEFAULT_STORE
from seatrial.verdict import Json

if TYPE_CHECKING:
    from seatrial.engine.argo.api import Api


@click.command(epilog="Example: seatrial reap --store trials --dry-run")
@click.option(
    "--store",
    "stores",
    type=click.Path(path_type=Path),
    multiple=True,
    help=f"Where trials are kept, several times if need be.  [default: {DEFAULT_STORE}]",
)
@click.option(
    "--engine",
    type=click.Choice(["lab", "argo"]),
    default="lab",
    show_default=True,
    help="This machine, or a cluster.",
)
@cluster_options
@click.option("--dry-run", is_flag=True, help="Say what there is and leave it.")
@click.option("--json", "as_json", is_flag=True, help="A JSON array on standard output.")
def reap(
    stores: tuple[Path, ...],
    engine: str,
    namespace: str,
    context: str | None,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Clear what a crash of the tool left behind: processes, scratch folders, stale records.

    On a cluster: faults whose workflow is over or gone. A trial that lives is never touched. Exit
    status: 0, or 70 if something could not be cleared.
    """
    if engine == "argo":
        return _reap_cluster(namespace, context, dry_run, as_json)
    found = reaping.reap(stores or (DEFAULT_STORE,), dry=dry_run)
    if as_json:
        rows: list[Json] = [
            {"kind": one.kind, "name": one.name, "cleared": one.cleared} for one in found
        ]
        click.echo(json.dumps(rows, ensure_ascii=False))
    else:
        for one in found:
            word = "cleared" if one.cleared else "there is" if dry_run else "not cleared"
            click.echo(f"{word}: {one.sentence}")
        if not found:
            click.echo("nothing was left behind")
    return 0 if dry_run or all(one.cleared for one in found) else 70


def _reap_cluster(namespace: str, context: str | None, dry: bool, as_json: bool) -> int:
    from seatrial.engine.argo import runs

    async def act(api: Api) -> tuple[tuple[str, str], ...]:
        return await runs.reap(api, namespace, dry)

    found = on_cluster(context, act)
    cleared = [not dry and not problem for _, problem in found]
    if as_json:
        rows: list[Json] = [
            {"kind": "fault", "name": what, "cleared": yes}
            for (what, _), yes in zip(found, cleared, strict=True)
        ]
        click.echo(json.dumps(rows, ensure_ascii=False))
    else:
        for what, problem in found:
            word = "not cleared" if problem else "there is" if dry else "cleared"
            click.echo(f"{word}: {what}{f': {problem}' if problem else ''}")
        if not found:
            click.echo("nothing was left behind")
    return 70 if any(problem for _, problem in found) else 0

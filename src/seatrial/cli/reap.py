"""`seatrial reap`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from seatrial.runner import reaping
from seatrial.runner.store import DEFAULT_STORE
from seatrial.verdict import Json


@click.command(epilog="Example: seatrial reap --store trials --dry-run")
@click.option(
    "--store",
    "stores",
    type=click.Path(path_type=Path),
    multiple=True,
    help=f"Where trials are kept, several times if need be.  [default: {DEFAULT_STORE}]",
)
@click.option("--dry-run", is_flag=True, help="Say what there is and leave it.")
@click.option("--json", "as_json", is_flag=True, help="A JSON array on standard output.")
def reap(stores: tuple[Path, ...], dry_run: bool, as_json: bool) -> int:
    """Clear what a crash of the tool left behind: processes, scratch folders, stale records.

    A trial that lives is never touched. Exit status: 0, or 70 if something could not be cleared.
    """
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

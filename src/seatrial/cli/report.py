"""`seatrial report`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from seatrial import report as reports
from seatrial.errors import NoInput
from seatrial.trial import TrialFolder


@click.command(epilog="Example: seatrial report trials/latest")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="The report's path as JSON.")
def report(folder: Path, as_json: bool) -> int:
    """Draw the report of the trial in FOLDER again, from what is stored."""
    if not folder.is_dir():
        raise NoInput(f"{folder} is not a folder\n\nhint: seatrial list trials")
    path = reports.write(TrialFolder(folder))
    click.echo(json.dumps({"report": str(path)}) if as_json else str(path))
    return 0

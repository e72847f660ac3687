"""`seatrial export`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from seatrial.errors import UsageError
from seatrial.history import edn, jsonl
from seatrial.history.detect import load


@click.command(epilog="Example: seatrial export trials/latest --format edn > history.edn")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--format", "form", type=click.Choice(["edn", "jsonl"]), default="jsonl", show_default=True
)
@click.option(
    "--output", type=click.Path(path_type=Path), help="A file (default: standard output)."
)
@click.option(
    "--json", "as_json", is_flag=True, help="Say what was written as JSON (needs --output)."
)
def export(folder: Path, form: str, output: Path | None, as_json: bool) -> int:
    """Write the history of the trial in FOLDER (or of a history file) for other tools."""
    if as_json and output is None:
        raise UsageError("--json would mix with the history\n\nhint: add --output FILE")
    history = load(folder, "auto")
    if output is None:
        line_of = edn.line_of if form == "edn" else jsonl.line_of
        for op in history.ops():
            sys.stdout.write(line_of(op) + "\n")
        sys.stdout.flush()
        return 0
    (edn.write_edn if form == "edn" else jsonl.write_jsonl)(history, output)
    if as_json:
        click.echo(json.dumps({"output": str(output), "ops": len(history)}))
    return 0

"""`seatrial doctor`."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import click

from seatrial.doctor import examine
from seatrial.runner.store import DEFAULT_STORE

SIGN = {"ok": "✓", "limited": "!", "missing": "✗"}
COLOUR = {"ok": "green", "limited": "yellow", "missing": "red"}


@click.command(epilog="Example: seatrial doctor --json")
@click.option(
    "--store",
    type=click.Path(path_type=Path),
    default=DEFAULT_STORE,
    show_default=True,
    help="Where trials will be kept.",
)
@click.option("--json", "as_json", is_flag=True, help="A JSON array on standard output.")
def doctor(store: Path, as_json: bool) -> int:
    """Say what this machine can and cannot do, what that means, and how to mend it."""
    findings = asyncio.run(examine(store))
    if as_json:
        click.echo(json.dumps([finding.to_json() for finding in findings], ensure_ascii=False))
        return 0
    for finding in findings:
        sign = click.style(SIGN[finding.status], fg=COLOUR[finding.status])
        click.echo(f"{sign} {finding.name:<24} {finding.meaning}")
        if finding.mend:
            click.echo(f"  {'':<24} mend: {finding.mend}")
    return 0

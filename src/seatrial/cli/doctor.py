"""`seatrial doctor`."""

from __future__ import annotations

import json

import click

from seatrial.doctor import examine

SIGN = {"ok": "✓", "limited": "!", "missing": "✗"}
COLOUR = {"ok": "green", "limited": "yellow", "missing": "red"}


@click.command(epilog="Example: seatrial doctor --json")
@click.option("--json", "as_json", is_flag=True, help="A JSON array on standard output.")
def doctor(as_json: bool) -> int:
    """Say what this machine can and cannot do, what that means, and how to mend it."""
    findings = examine()
    if as_json:
        click.echo(json.dumps([finding.to_json() for finding in findings], ensure_ascii=False))
        return 0
    for finding in findings:
        sign = click.style(SIGN[finding.state], fg=COLOUR[finding.state])
        click.echo(f"{sign} {finding.name:<20} {finding.meaning}")
        if finding.mend:
            click.echo(f"  {'':<20} mend: {finding.mend}")
    return 0

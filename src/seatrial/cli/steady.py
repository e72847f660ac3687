"""`seatrial steady`: ready-made steady states, and what a file of one's own says."""

from __future__ import annotations

import json
from collections.abc import Sequence

import click

from seatrial.errors import UsageError
from seatrial.steady import shelf
from seatrial.steady.files import to_yaml


def values(given: Sequence[str]) -> dict[str, str]:
    """`NAME=VALUE` words as a map."""
    out = {}
    for word in given:
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise UsageError(f"--set {word!r} is no NAME=VALUE\n\nhint: --set window=1m")
        out[name] = value
    return out


@click.command(epilog="Example: seatrial steady etcd --set window=10s > mine.yaml")
@click.argument("name", required=False)
@click.option("--set", "given", multiple=True, metavar="NAME=VALUE", help="A template's value.")
@click.option("--json", "as_json", is_flag=True, help="As JSON on standard output.")
def steady(name: str | None, given: tuple[str, ...], as_json: bool) -> int:
    """Print steady states as YAML: a template's (etcd, tidb, …) or those of a file, checked.

    Without NAME, list the templates.
    """
    if name is None:
        rows = [
            {"name": n, "summary": entry.summary, "values": sorted(shelf.values_of(n))}
            for n, entry in shelf.TEMPLATES.items()
        ]
        if as_json:
            click.echo(json.dumps(rows, ensure_ascii=False))
        for row in [] if as_json else rows:
            click.echo(f"{row['name']!s:<16}{row['summary']} (--set {', '.join(row['values'])})")
        return 0
    found = shelf.load(name, values(given))
    if as_json:
        states = [state.model_dump(mode="json", exclude_none=True) for state in found.states]
        slo = None if found.slo is None else found.slo.model_dump(mode="json")
        click.echo(json.dumps({"steady_states": states, "slo": slo}, ensure_ascii=False))
    else:
        click.echo(to_yaml(found.states, found.slo), nl=False)
    return 0

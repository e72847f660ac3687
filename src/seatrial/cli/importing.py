"""`seatrial import`: what other tools say, in this grammar."""

from __future__ import annotations

import json
from pathlib import Path

import click

from seatrial.errors import BadData
from seatrial.steady.chaostoolkit import STRATEGIES, read_experiment
from seatrial.steady.files import to_yaml


@click.command("import", epilog="Example: seatrial import chaostoolkit experiment.json > mine.yaml")
@click.argument("what", type=click.Choice(["chaostoolkit"]))
@click.argument("path", type=click.Path(path_type=Path), metavar="FILE")
@click.option(
    "--strategy",
    type=click.Choice(list(STRATEGIES)),
    default="default",
    show_default=True,
    help="When it is asked, as `chaos run --hypothesis-strategy` has it.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
def importing(what: str, path: Path, strategy: str, as_json: bool) -> int:
    """Print a Chaos Toolkit hypothesis as steady states, in YAML for `--steady`.

    What has no equal is named on standard error, and makes the exit status 65 though the rest is
    printed.
    """
    found = read_experiment(path, strategy)
    if as_json:
        states = [state.model_dump(mode="json", exclude_none=True) for state in found.states]
        document = {"steady_states": states, "left_out": list(found.left_out)}
        click.echo(json.dumps(document, ensure_ascii=False))
    else:
        click.echo(to_yaml(found.states), nl=False)
    for sentence in () if as_json else found.left_out:
        click.echo(f"not carried over: {sentence}", err=True)
    return BadData.exit_code if found.left_out else 0

"""`seatrial canary`."""

from __future__ import annotations

import sys

import click

from seatrial.cli.types import names
from seatrial.engine.simulated.canary import canary as sing
from seatrial.engine.simulated.canary import to_document, to_text
from seatrial.errors import UsageError

SEEDS = (1, 1000)


@click.command(epilog="Example: seatrial canary --seeds 3 --bugs lost-update,write-skew")
@click.option("--seeds", type=int, default=20, show_default=True, help="Seeds for each bug.")
@click.option("--bugs", metavar="NAME[,NAME…]", help="Which bugs to plant (default: all).")
@click.option("--json", "as_json", is_flag=True, help="The matrix as JSON on standard output.")
def canary(seeds: int, bugs: str | None, as_json: bool) -> int:
    """Plant bugs in a simulated database and see which checker catches which.

    Then run without a bug, where every alarm is a false one. Exit status: 0 if every bug is caught
    by each checker that must and there is no false alarm, 1 otherwise.
    """
    if not SEEDS[0] <= seeds <= SEEDS[1]:
        raise UsageError(f"{seeds} seeds: it must be from {SEEDS[0]} to {SEEDS[1]}")

    def say(text: str) -> None:
        if not as_json:
            print(text, file=sys.stderr, flush=True)

    matrix = sing(seeds, bugs=names(bugs) or None, progress=say)
    click.echo(to_document(matrix) if as_json else to_text(matrix), nl=False)
    return 0 if matrix.trusted else 1

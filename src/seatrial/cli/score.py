"""`seatrial score`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import click

from seatrial.runner.remembered import CaseScore, percent, scores
from seatrial.runner.store import DEFAULT_STORE
from seatrial.verdict import Json


@click.command(epilog="Example: seatrial score --case etcd-steady")
@click.option(
    "--store",
    type=click.Path(path_type=Path),
    default=DEFAULT_STORE,
    show_default=True,
    help="Where trials are kept.",
)
@click.option("--case", help="Only this case.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
def score(store: Path, case: str | None, as_json: bool) -> int:
    """Say how many of the declared steady states held, over the stored trials that count.

    Weighted as the cases say. What could not be judged was not tested: it stands apart.
    """
    found, left_out = scores(store, case)
    targets = _by_target(found)
    if as_json:
        document: dict[str, Json] = {
            "schema": "seatrial/score/1",
            "cases": [one.document() for one in found],
            "targets": dict(targets),
            "left_out": dict(left_out),
        }
        click.echo(json.dumps(document, ensure_ascii=False))
        return 0
    for line in _lines(found, targets, left_out):
        click.echo(line)
    return 0


def _by_target(found: list[CaseScore]) -> dict[str, float | None]:
    return {
        target: percent(s for one in found if one.target == target for s in one.states.values())
        for target in dict.fromkeys(one.target for one in found)
    }


def _lines(
    found: list[CaseScore], targets: dict[str, float | None], left_out: dict[str, int]
) -> Iterator[str]:
    if not found:
        yield "no stored trial counts"
    for one in found:
        yield f"{one.case} on {one.target}: {_percent(one.percent)} over {one.trials} trials"
        for state in one.states.values():
            apart = f", {state.not_tested} not tested" if state.not_tested else ""
            yield (
                f"  {state.held:>4} of {state.judged:<4} held{apart:<18} "
                f"{state.name} (weight {state.weight:g})"
            )
    for target, value in targets.items():
        yield f"{target}: {_percent(value)}"
    for why, count in left_out.items():
        yield f"left out: {count}, {why}"


def _percent(value: float | None) -> str:
    return "not tested" if value is None else f"{value:.1f} %"

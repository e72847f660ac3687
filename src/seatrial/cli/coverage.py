"""`seatrial coverage`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import click

from seatrial.runner import covering
from seatrial.runner.covering import Cell, Coverage
from seatrial.runner.store import DEFAULT_STORE

HOLE = "·"


@click.command(epilog="Example: seatrial coverage --store trials")
@click.option(
    "--store",
    type=click.Path(path_type=Path),
    default=DEFAULT_STORE,
    show_default=True,
    help="Where trials are kept.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
def coverage(store: Path, as_json: bool) -> int:
    """Say which faults on whom were tried under which workload, and what was not.

    Counts faults that were seen to act and to heal, in stored trials that did enough to count.
    """
    found = covering.cover(store)
    if as_json:
        click.echo(json.dumps(found.document(), ensure_ascii=False))
        return 0
    for line in lines(found):
        click.echo(line)
    return 0


def lines(found: Coverage) -> Iterator[str]:
    """A table for each target and workload that was tried, and how much is left."""
    left = ", ".join(f"{count} {reason}" for reason, count in sorted(found.left_out.items()))
    counted = "1 trial counts" if found.trials == 1 else f"{found.trials} trials count"
    yield counted + (f" (left out: {left})" if left else "")
    holes = found.holes()
    tried = sorted({(cell.target, cell.workload) for cell in found.faults})
    for target, workload in tried:
        yield ""
        yield f"{target}, workload {workload}: faults that acted and healed"
        yield from _table(found, target, workload)
    never: dict[str, list[str]] = {}
    for cell in holes:
        if (cell.target, cell.workload) not in tried and cell.workload not in never.setdefault(
            cell.target, []
        ):
            never[cell.target].append(cell.workload)
    yield ""
    for target, names in never.items():
        if names:
            yield f"{target}, never tried with faults: {', '.join(names)}"
    yield f"{len(found.faults)} combinations are covered, {len(holes)} are holes ({HOLE})"


def _table(found: Coverage, target: str, workload: str) -> Iterator[str]:
    roles = covering.roles_of(target)
    kinds = sorted({cell.kind for cell in [*found.faults, *found.holes()]})
    width = max(map(len, kinds))
    yield f"  {'':<{width}}" + "".join(f"{role:>10}" for role in roles)
    for kind in kinds:
        counts = [found.faults[Cell(target, workload, kind, role)] for role in roles]
        yield f"  {kind:<{width}}" + "".join(f"{count or HOLE:>10}" for count in counts)

"""`seatrial list`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import click

from seatrial.cases import CASES
from seatrial.catalogue import Catalogue
from seatrial.checkers import CHECKERS
from seatrial.errors import UsageError
from seatrial.faults import FAULTS
from seatrial.faults.chaos.examples import documents
from seatrial.runner.store import DEFAULT_STORE, trials
from seatrial.targets import TARGETS
from seatrial.verdict import Json
from seatrial.workloads import WORKLOADS

WHAT = ("cases", "targets", "workloads", "faults", "checkers", "trials")
SHELVES: Mapping[str, Catalogue] = {
    "cases": CASES,
    "targets": TARGETS,
    "workloads": WORKLOADS,
    "faults": FAULTS,
    "checkers": CHECKERS,
}
#: Who can do a fault.
ENGINES = ("lab", "cluster")
HEADINGS: tuple[tuple[str, list[str]], ...] = (
    ("# in the lab, and on a cluster by Chaos Mesh 2.8", ["lab", "cluster"]),
    ("\n# in the lab only", ["lab"]),
    ("\n# on a cluster only (their actions: seatrial list faults --yaml)", ["cluster"]),
)


@click.command("list", epilog="Example: seatrial list cases")
@click.argument("what", type=click.Choice(WHAT))
@click.option("--store", type=click.Path(path_type=Path), default=DEFAULT_STORE, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="A JSON array on standard output.")
@click.option(
    "--yaml", "as_yaml", is_flag=True, help="faults: a Chaos Mesh manifest of every action."
)
def listing(what: str, store: Path, as_json: bool, as_yaml: bool) -> int:
    """List what there is by name: cases, targets, workloads, faults, checkers, or stored trials.

    Faults come in three groups: what the lab and a cluster can do, what only one of them can.
    """
    if as_yaml:
        return _yaml(what, as_json)
    read: Callable[[], list[dict[str, Json]]] = (
        (lambda: _trials(store)) if what == "trials" else (lambda: _entries(SHELVES[what]))
    )
    rows = read()
    if as_json:
        click.echo(json.dumps(rows, ensure_ascii=False))
        return 0
    width = max((len(str(row["name"])) for row in rows), default=0)
    for heading, group in _groups(what, rows):
        click.echo(heading, nl=bool(heading))
        for row in group:
            click.echo(f"{row['name']!s:<{width}}  {row['summary']}")
    if not rows:
        click.echo(f"no trials in {store}", err=True)
    return 0


def _yaml(what: str, as_json: bool) -> int:
    if what != "faults" or as_json:
        raise UsageError(
            f"--yaml with {'--json' if as_json else what}: it prints manifests of faults\n\n"
            "hint: seatrial list faults --yaml"
        )
    click.echo(documents(), nl=False)
    return 0


def _entries(shelf: Catalogue) -> list[dict[str, Json]]:
    if shelf is not FAULTS:
        return [{"name": name, "summary": entry.summary} for name, entry in shelf.items()]
    return [
        {
            "name": name,
            "summary": entry.summary,
            "engines": [entry.only] if entry.only else [*ENGINES],
        }
        for name, entry in shelf.items()
    ]


def _groups(what: str, rows: list[dict[str, Json]]) -> list[tuple[str, list[dict[str, Json]]]]:
    """The rows under headings; faults by who can do them."""
    if what != "faults":
        return [("", rows)]
    return [
        (heading, [row for row in rows if row["engines"] == engines])
        for heading, engines in HEADINGS
    ]


def _trials(store: Path) -> list[dict[str, Json]]:
    rows: list[dict[str, Json]] = []
    for trial in trials(store):
        verdict, cause = "not judged", ""
        try:
            document = json.loads(trial.folder.verdict.read_text(encoding="utf-8"))
            verdict, cause = str(document["verdict"]), str(document["cause"])
        except (OSError, ValueError, KeyError, TypeError):
            cause = trial.record.status if trial.record is not None else "damaged"
        rows.append(
            {
                "name": trial.name,
                "verdict": verdict,
                "cause": cause,
                "summary": f"{verdict}: {cause}",
                "trial": str(trial.folder.root),
            }
        )
    return rows

"""`seatrial render`: a case as an Argo object, without a cluster."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
from pydantic import ValidationError

from seatrial.cli import planning
from seatrial.errors import UsageError
from seatrial.trial import write_text

if TYPE_CHECKING:
    from seatrial.workflows.settings import Cron, Settings

KINDS = ("Workflow", "WorkflowTemplate")


@click.command(epilog="Example: seatrial render etcd-register --faults kill,partition --seed 7")
@planning.plan_options
@click.option(
    "--kind",
    type=click.Choice(KINDS),
    default="Workflow",
    show_default=True,
    help="What to make; with --cron it is a CronWorkflow.",
)
@click.option("--cron", "schedules", multiple=True, metavar="'M H D M W'", help="Start it then.")
@click.option("--timezone", default="Etc/UTC", show_default=True, help="Of --cron.")
@click.option("--namespace", help="Where it runs (default: seatrial).")
@click.option("--image", help="The image of all steps.")
@click.option("--label", "labels", multiple=True, metavar="KEY=VALUE", help="One more label.")
@click.option("--ticket", help="The label `seatrial/ticket`.")
@click.option("--schedule", help="The label `seatrial/schedule`, for instance nightly.")
@click.option(
    "--settings",
    "file",
    type=click.Path(path_type=Path),
    help="A YAML file with settings of the cluster: accounts, storage, lock, …",
)
@click.option("--output", type=click.Path(path_type=Path), help="A file (default: print it).")
@click.option("--json", "as_json", is_flag=True, help="JSON instead of YAML.")
def render(
    case: str,
    target: str | None,
    faults: str | None,
    time_limit: float | None,
    concurrency: int | None,
    rate: float | None,
    seed: int | None,
    nodes: int | None,
    binary: str | None,
    isolation: str,
    kind: str,
    schedules: tuple[str, ...],
    timezone: str,
    namespace: str | None,
    image: str | None,
    labels: tuple[str, ...],
    ticket: str | None,
    schedule: str | None,
    file: Path | None,
    output: Path | None,
    as_json: bool,
) -> int:
    """Print CASE as an Argo Workflow: each phase and each fault is a node of it.

    The same case, options and seed print the same bytes.
    """
    chosen = planning.overrides(
        target, "argo", faults, time_limit, concurrency, rate, nodes, binary, isolation
    )
    made = planning.make(case, seed, chosen)
    settings, cron = _settings(
        file,
        schedules,
        timezone,
        namespace=namespace,
        image=image,
        labels=_pairs(labels),
        ticket=ticket,
        schedule=schedule,
    )
    from seatrial.workflows import documents
    from seatrial.workflows.trial import trial

    workflow = trial(made, settings, "Workflow" if kind == "Workflow" else "WorkflowTemplate", cron)
    document = documents.document(workflow)
    text = documents.to_json(document) if as_json else documents.to_yaml(document)
    if output is None:
        click.echo(text, nl=False)
    else:
        write_text(output, text)
    return 0


def _settings(
    file: Path | None, schedules: tuple[str, ...], timezone: str, **given: object
) -> tuple[Settings, Cron | None]:
    """The file's settings, changed by the options that were given."""
    from seatrial.workflows.settings import Cron, Settings

    values = _read(file) if file is not None else {}
    values |= {key: value for key, value in given.items() if value}
    try:
        cron = Cron(schedules=schedules, timezone=timezone) if schedules else None
        return Settings.model_validate(values), cron
    except ValidationError as error:
        lines = [
            f"{'.'.join(map(str, problem['loc'])) or 'settings'}: "
            f"{problem['msg'].removeprefix('Value error, ')}"
            for problem in error.errors()
        ]
        raise UsageError("\n".join(lines) + "\n\nhint: seatrial render --help") from None


def _read(file: Path) -> dict[str, object]:
    import yaml

    from seatrial.errors import BadData, NoInput

    try:
        found = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise NoInput(f"cannot read {file}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BadData(f"{file} is no YAML: {error}") from error
    if found is not None and not isinstance(found, dict):
        raise BadData(f"{file}: settings are a mapping, not {type(found).__name__}")
    return dict(found or {})


def _pairs(labels: tuple[str, ...]) -> dict[str, str]:
    pairs = dict[str, str]()
    for label in labels:
        key, equals, value = label.partition("=")
        if not equals:
            raise UsageError(f"--label {label!r} has no value\n\nhint: --label team=storage")
        pairs[key] = value
    return pairs

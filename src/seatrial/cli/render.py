"""`seatrial render`: cases as Argo objects, without a cluster."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from pydantic import ValidationError

from seatrial.cli import planning
from seatrial.cli.types import names
from seatrial.errors import UsageError
from seatrial.runner.planner import Overrides
from seatrial.trial import write_text

if TYPE_CHECKING:
    from hera.workflows import Workflow

    from seatrial.plan import Plan
    from seatrial.workflows.parameters import TrialParameters
    from seatrial.workflows.settings import Cron, Settings
    from seatrial.workflows.shell import Kind

F = TypeVar("F", bound=Callable[..., object])
KINDS = ("Workflow", "WorkflowTemplate")
#: The words for what campaigns and nightlies refer to, and for rights in another namespace.
TEMPLATES, RIGHTS = "templates", "rights"


def workflow_options(command: F) -> F:
    """The options that `render` and `submit` share."""
    options = (
        planning.plan_options,
        click.option(
            "--trials", type=click.IntRange(min=1), default=1, help="How many, each its own seed."
        ),
        click.option(
            "--kind",
            type=click.Choice(KINDS),
            default="Workflow",
            show_default=True,
            help="What to make; with --cron it is a CronWorkflow.",
        ),
        click.option(
            "--cron", "schedules", multiple=True, metavar="'M H D M W'", help="Start it then."
        ),
        click.option("--timezone", help="Of --cron (default: Etc/UTC)."),
        click.option("--namespace", help="Where it runs (default: seatrial)."),
        click.option("--image", help="The image of all steps."),
        click.option(
            "--label", "labels", multiple=True, metavar="KEY=VALUE", help="One more label."
        ),
        click.option("--ticket", help="The label `seatrial/ticket`."),
        click.option("--schedule", help="The label `seatrial/schedule`, for instance nightly."),
        click.option(
            "--settings",
            "file",
            type=click.Path(path_type=Path),
            help="A YAML file with settings of the cluster: accounts, storage, lock, cron, …",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.command(
    epilog="Example: seatrial render etcd-register --faults kill,partition --cron '0 2 * * *'"
)
@workflow_options
@click.option("--output", type=click.Path(path_type=Path), help="A file (default: print it).")
@click.option("--picture", is_flag=True, help="The graph as an SVG instead of YAML.")
@click.option("--json", "as_json", is_flag=True, help="JSON instead of YAML.")
def render(output: Path | None, picture: bool, as_json: bool, **given: Any) -> int:
    """Print CASE as an Argo Workflow: each phase and each fault is a node of it.

    Several cases (comma-separated) or --trials make a campaign. `render templates` prints what
    campaigns refer to, `render rights` what a cluster that runs in --target-namespace takes (for
    --faults, or any of them). With --cron and no --seed each start draws a new seed. The same case,
    options and seed print the same bytes.
    """
    if names(given["case"]) == (RIGHTS,):
        text = _rights(as_json, **given)
    else:
        text = _text(workflows_of(**given), picture, as_json)
    if output is None:
        click.echo(text, nl=False)
    else:
        write_text(output, text)
    return 0


def workflows_of(
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
    trials: int,
    kind: str,
    schedules: tuple[str, ...],
    timezone: str | None,
    namespace: str | None,
    image: str | None,
    labels: tuple[str, ...],
    ticket: str | None,
    schedule: str | None,
    file: Path | None,
) -> list[Workflow]:
    """What the options of `workflow_options` ask for."""
    chosen = planning.overrides(
        target, "argo", faults, time_limit, concurrency, rate, nodes, binary, isolation
    )
    settings, cron = settings_of(
        file,
        schedules,
        timezone,
        namespace=namespace,
        image=image,
        labels=_pairs(labels),
        ticket=ticket,
        schedule=schedule,
    )
    if chosen.keep_target is not None:
        settings = settings.model_copy(update={"keep": chosen.keep_target})
    chosen = replace(chosen, keep_target=settings.keep)
    return _workflows(names(case), seed, chosen, trials, settings, kind, cron)


def _rights(as_json: bool, **given: Any) -> str:
    """The rights in --target-namespace for --faults, or for every kind that a cluster can have."""
    from seatrial.faults import FAULTS
    from seatrial.workflows import documents
    from seatrial.workflows.deployment import rights

    namespace = click.get_current_context().meta.get("seatrial.target_namespace")
    if namespace is None:
        raise UsageError(
            "rights where? In the trials' own namespace deploy/ gives them\n\n"
            "hint: seatrial render rights --target-namespace NAMESPACE"
        )
    wanted = given["faults"]
    kinds = () if wanted == "none" else names(wanted)
    if wanted is None:
        kinds = tuple(name for name, entry in FAULTS.items() if entry.only != "lab")
    for name in kinds:
        _ = FAULTS[name]
    settings, _cron = settings_of(given["file"], (), None, namespace=given["namespace"])
    made = rights.there(settings, namespace, kinds)
    return "".join(map(documents.to_json, made)) if as_json else documents.to_yaml(*made)


def _text(made: list[Workflow], picture: bool, as_json: bool) -> str:
    from seatrial.workflows import documents
    from seatrial.workflows.picture import draw

    found = [documents.document(workflow) for workflow in made]
    if picture:
        return draw(found[0])
    return "".join(map(documents.to_json, found)) if as_json else documents.to_yaml(*found)


def _workflows(
    wanted: tuple[str, ...],
    seed: int | None,
    chosen: Overrides,
    trials: int,
    settings: Settings,
    kind: str,
    cron: Cron | None,
) -> list[Workflow]:
    """What the command line asks for; all plans are tried before anything is made."""
    from seatrial.workflows import campaign, reaper, recheck
    from seatrial.workflows.trial import trial, trial_template

    shape: Kind = "Workflow" if kind == "Workflow" else "WorkflowTemplate"
    if wanted == (TEMPLATES,):
        return [trial_template(settings), recheck.recheck(settings), reaper.reaper(settings)]
    if not wanted:
        raise UsageError("no case is named\n\nhint: seatrial list cases")
    first = random.SystemRandom().randrange(planning.SEED_MAX) if seed is None else seed
    plans = [planning.make(name, first, chosen) for name in wanted]
    _warn(plans)
    if len(wanted) == 1 and trials == 1 and (cron is None or seed is not None):
        return [trial(plans[0], settings, shape, cron)]
    parameters = _parameters(chosen)
    if len(wanted) == 1 and trials == 1:
        given = {"case": plans[0].case, "target": plans[0].target.name}
        return [trial_template(settings, parameters.model_copy(update=given), shape, cron)]
    fresh = cron is not None and seed is None
    seeds = ("",) * trials if fresh else tuple(str(first + i) for i in range(trials))
    matrix = campaign.Campaign(
        name=f"{wanted[0]}-{'and-others' if len(wanted) > 1 else 'campaign'}",
        cases={plan.case: plan.target.name for plan in plans},
        seeds=seeds,
        change=parameters,
    )
    if cron is not None:
        return [campaign.nightly(matrix, settings, cron)]
    return [campaign.campaign(matrix, settings, shape)]


def _warn(plans: Sequence[Plan]) -> None:
    """Say to stderr which faults no probe can see on a cluster; raise where one is too much."""
    from seatrial.engine.argo import capacity
    from seatrial.engine.site import UNKNOWN_AT_BEST, Foretells, engine_of

    for plan in plans:
        capacity.refuse(plan)
    engine = engine_of("argo")
    assert isinstance(engine, Foretells)
    told = [one for plan in plans for one in engine.unseen(plan)]
    for one in (*told, *([UNKNOWN_AT_BEST] if told else [])):
        click.echo(f"note: {one}", err=True)


def _parameters(chosen: Overrides) -> TrialParameters:
    """The options as text, the way `seatrial plan` reads them in the cluster."""
    from seatrial.workflows.parameters import TrialParameters

    lost = [
        option
        for option, value in (("--steady", chosen.steady), ("--prometheus", chosen.prometheus))
        if value
    ]
    if lost:
        raise UsageError(
            f"{' and '.join(lost)} cannot be a parameter of trials whose plans are made in the "
            "cluster\n\nhint: --seed with one case and one trial: the plan is then made here"
        )

    def number(value: float | None, unit: str = "") -> str:
        return "" if value is None else f"{value:g}{unit}"

    return TrialParameters(
        target=chosen.target or "",
        faults="" if chosen.faults is None else ",".join(chosen.faults) or "none",
        time_limit=number(chosen.time_limit_s, "s"),
        concurrency=number(chosen.concurrency),
        rate=number(chosen.rate),
        nodes=number(chosen.nodes),
        fault_options=_words("--fault-option", chosen.fault_options),
        target_options=_words("--target-option", chosen.target_options),
        endpoints=",".join(chosen.endpoints),
        selector=chosen.selector or "",
        target_namespace=chosen.target_namespace or "",
        keep_target=chosen.keep_target or "",
    )


def _words(option: str, texts: tuple[str, ...]) -> str:
    """Several values as one, the way they come out of a variable again."""
    for text in texts:
        if text != "".join(text.split()):
            raise UsageError(
                f"{option} {text!r}: a value with spaces does not go through a workflow's "
                "parameters\n\nhint: JSON without spaces, or --seed (the plan is then made here)"
            )
    return " ".join(texts)


def settings_of(
    file: Path | None,
    schedules: tuple[str, ...],
    timezone: str | None,
    **given: object,
) -> tuple[Settings, Cron | None]:
    """The file's settings, changed by the options that were given."""
    from seatrial.workflows.settings import Cron, Settings

    values = _read(file) if file is not None else {}
    times = values.pop("cron", {})
    if not isinstance(times, dict):
        raise UsageError(
            f"cron: {times!r} is no mapping\n\nhint: cron: {{timezone: Europe/Berlin}}"
        )
    values |= {key: value for key, value in given.items() if value}
    times |= {"schedules": schedules} if schedules else {}
    times |= {"timezone": timezone} if timezone else {}
    if timezone and "schedules" not in times:
        raise UsageError("--timezone without --cron\n\nhint: --cron '0 2 * * *'")
    try:
        cron = Cron.model_validate(times) if "schedules" in times else None
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

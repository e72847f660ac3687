"""`seatrial render`: cases as Argo objects, without a cluster."""

from __future__ import annotations

import hashlib
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
    from seatrial.verdict import Json
    from seatrial.workflows.parameters import TrialParameters
    from seatrial.workflows.settings import Cron, Settings
    from seatrial.workflows.shell import Kind

F = TypeVar("F", bound=Callable[..., object])
KINDS = ("Workflow", "WorkflowTemplate")
#: The words for what campaigns and nightlies refer to, and for rights in another namespace.
TEMPLATES, RIGHTS = "templates", "rights"
#: Words for what stands in a cluster before any trial does: all of it, or one.
INSTALLED = (TEMPLATES, "trial", "recheck", "reaper")
#: The label `seatrial/schedule` of what --cron starts, where nobody gave another.
SCHEDULED = "cron"
#: Settings that stand in the installed template of trials, where no campaign can change them.
OF_TEMPLATES = ("storage", "lock")
#: Characters of a CronWorkflow's name that tell its plan from others of the same name.
DIGEST_CHARS = 6


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
    campaigns refer to (`trial`, `recheck` and `reaper` each of it), `render rights` what a cluster
    that runs in --target-namespace takes (for --faults, or any of them). With --cron and no --seed
    each start draws a new seed. The same case, options and seed print the same bytes.
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
    if binary is not None:
        raise UsageError(
            f"--etcd {binary}: on a cluster the target's image says what runs\n\n"
            "hint: seatrial list targets says how each is set; or --engine lab"
        )
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
    if cron is not None and not settings.schedule:
        settings = settings.model_copy(update={"schedule": SCHEDULED})
    shelf = _installed(names(case), settings)
    if shelf:
        _nothing_ignored(case, schedules, kind, trials, seed, chosen)
        return shelf
    return _workflows(names(case), seed, chosen, trials, settings, kind, cron)


def _installed(wanted: tuple[str, ...], settings: Settings) -> list[Workflow]:
    """What stands in a cluster before any trial does, by its word; empty for cases."""
    from seatrial.workflows import reaper, recheck
    from seatrial.workflows.trial import trial_template

    shelf: dict[str, Callable[[], Workflow]] = {
        "trial": lambda: trial_template(settings),
        "recheck": lambda: recheck.recheck(settings),
        "reaper": lambda: reaper.reaper(settings),
    }
    if wanted == (TEMPLATES,):
        return [make() for make in shelf.values()]
    found = shelf.get(wanted[0]) if len(wanted) == 1 else None
    return [found()] if found is not None else []


def _nothing_ignored(
    word: str,
    schedules: tuple[str, ...],
    kind: str,
    trials: int,
    seed: int | None,
    chosen: Overrides,
) -> None:
    """Raise `UsageError` for options of trials where no trial is made."""
    given = [
        option
        for option, value in (
            ("--cron", schedules),
            ("--kind", kind != KINDS[0]),
            ("--trials", trials > 1),
            ("--seed", seed is not None),
            ("--target", chosen.target),
            ("--faults", chosen.faults is not None),
            ("--fault-option", chosen.fault_options),
            ("--target-option", chosen.target_options),
            ("--time-limit", chosen.time_limit_s is not None),
            ("--concurrency", chosen.concurrency is not None),
            ("--rate", chosen.rate is not None),
            ("--nodes", chosen.nodes is not None),
            ("--selector", chosen.selector),
            ("--endpoints", chosen.endpoints),
            ("--steady", chosen.steady),
        )
        if value
    ]
    if given:
        raise UsageError(
            f"{', '.join(given)}: {word} is no case, and has no use for it\n\n"
            "hint: seatrial render CASE --cron …; parameters of a trial are given when it starts"
        )


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
    return _json(made) if as_json else documents.to_yaml(*made)


def _text(made: list[Workflow], picture: bool, as_json: bool) -> str:
    from seatrial.workflows import documents
    from seatrial.workflows.picture import draw

    if picture and as_json:
        raise UsageError("--picture is an SVG, not --json\n\nhint: one of them")
    found = [documents.document(workflow) for workflow in made]
    if picture:
        return draw(found[0])
    return _json(found) if as_json else documents.to_yaml(*found)


def _json(found: Sequence[dict[str, Json]]) -> str:
    """One JSON document: the object, or several as the List that kubectl takes."""
    from seatrial.workflows import documents

    if len(found) == 1:
        return documents.to_json(found[0])
    return documents.to_json({"apiVersion": "v1", "kind": "List", "items": [*found]})


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
    from seatrial.workflows import campaign
    from seatrial.workflows.trial import trial, trial_template

    shape: Kind = "Workflow" if kind == "Workflow" else "WorkflowTemplate"
    if not wanted:
        raise UsageError("no case is named\n\nhint: seatrial list cases")
    first = random.SystemRandom().randrange(planning.SEED_MAX) if seed is None else seed
    plans = [planning.make(name, first, chosen) for name in wanted]
    _warn(plans)
    if len(wanted) == 1 and trials == 1 and (cron is None or seed is not None):
        made = trial(plans[0], settings, shape, cron)
        return [_own_name(made, plans[0].to_text()) if cron else made]
    parameters = _parameters(chosen)
    if len(wanted) == 1 and trials == 1:
        given = {"case": plans[0].case, "target": plans[0].target.name}
        whole = parameters.model_copy(update=given)
        made = trial_template(settings, whole, shape, cron)
        return [_own_name(made, whole.model_dump_json())]
    _takes(settings)
    fresh = cron is not None and seed is None
    seeds = ("",) * trials if fresh else tuple(str(first + i) for i in range(trials))
    matrix = campaign.Campaign(
        name=f"{wanted[0]}-{'and-others' if len(wanted) > 1 else 'campaign'}",
        cases={plan.case: plan.target.name for plan in plans},
        seeds=seeds,
        change=parameters,
    )
    if cron is not None:
        return [_own_name(campaign.nightly(matrix, settings, cron), matrix.model_dump_json())]
    return [campaign.campaign(matrix, settings, shape)]


def _takes(settings: Settings) -> None:
    """Raise `UsageError` for what the trials of a campaign cannot take from its settings."""
    lost = [name for name in OF_TEMPLATES if name in settings.model_fields_set]
    if lost:
        raise UsageError(
            f"{' and '.join(lost)}: the trials of a campaign have those of the installed "
            "WorkflowTemplate seatrial-trial\n\nhint: seatrial submit templates --settings FILE "
            "puts them there; leave them out here"
        )


def _own_name(made: Workflow, tried: str) -> Workflow:
    """A CronWorkflow's name, with a mark of what it tries (not when, nor how it is labelled).

    Another plan under the same name would replace the first without a word.
    """
    from seatrial.workflows.names import CRON_NAME_MAX, slug

    mark = hashlib.sha256(tried.encode()).hexdigest()[:DIGEST_CHARS]
    made.name = f"{slug(made.name or '', CRON_NAME_MAX - DIGEST_CHARS - 1)}-{mark}"
    return made


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
    labels = values.get("labels")
    values |= {key: value for key, value in given.items() if value}
    if isinstance(labels, dict) and isinstance(values["labels"], dict):
        values["labels"] = {**labels, **values["labels"]}
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

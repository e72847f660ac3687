"""Many trials: a matrix that one node fans out over, each trial a Workflow of its own.

A trial has some twenty nodes and Argo keeps a workflow's nodes in one object of at most about a
megabyte, so hundreds of trials cannot be nodes of one workflow. The campaign holds one list of
parameters and one template; each item becomes a Workflow from the WorkflowTemplate of trials,
with its own lock, exit handler, labels and lifetime, owned by the campaign.

What is rendered as a template's own (storage, lock, accounts) is that of the installed
WorkflowTemplate; labels, image and lifetime that were asked for are put into each trial. A node
follows each trial to its end, so that its colour, exit status and message are the trial's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import product

from hera.workflows import DAG, Container, Parameter, Resource, Task, Workflow
from hera.workflows import models as m
from pydantic import BaseModel, ConfigDict, Field

from seatrial.errors import UsageError
from seatrial.verdict import Json
from seatrial.workflows import documents, shell
from seatrial.workflows.names import (
    ABOUT,
    CAMPAIGN,
    DISPLAY_NAME,
    MANAGED_BY,
    RUN,
    SCHEDULE,
    TICKET,
    common_labels,
    slug,
)
from seatrial.workflows.nodes import DIR, MESSAGE_FILE
from seatrial.workflows.parameters import PARAMETERS, TrialParameters
from seatrial.workflows.pods import BASE_MEMORY_MIB, container, retry_strategy
from seatrial.workflows.settings import Cron, Settings
from seatrial.workflows.trial import TEMPLATE

ENTRY, TRIAL, HANDLER = "campaign", "trial", "exit"
MAKE, FOLLOW = "make", "follow"
TRIALS_MAX = 2000
#: Room for `-<unix time>` or a generated suffix, and `-<number>` of the trial.
NAME_MAX = 40
STOP_SECONDS = 900
MAKE_SECONDS = 900
#: One trial may wait for its lock behind all others.
TRIAL_SECONDS = 7 * 86400
#: The name of one trial, in templates that have its number.
NAME = "{{workflow.name}}-{{inputs.parameters.number}}"


class Campaign(BaseModel):
    """A matrix: every case with every target, set of faults and seed.

    An empty target, set of faults or seed leaves it to the case (or draws the seed).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    title: str = ""
    cases: Mapping[str, str] = Field(min_length=1, description="case → its own target")
    targets: tuple[str, ...] = ("",)
    faults: tuple[str, ...] = ("",)
    seeds: tuple[str, ...] = ("",)
    change: TrialParameters = TrialParameters()

    def trials(self) -> list[TrialParameters]:
        """The trials, in the order of the matrix.

        Raises `UsageError` where there are none or too many, or a value cannot reach them.
        """
        size = len(self.cases) * len(self.targets) * len(self.faults) * len(self.seeds)
        if not 0 < size <= TRIALS_MAX:
            raise UsageError(
                f"a campaign of {size} trials: it must have 1 to {TRIALS_MAX}\n\n"
                "hint: several campaigns"
            )
        found = [
            self.change.model_copy(
                update={
                    "case": case,
                    "target": target or self.cases[case],
                    "faults": faults or self.change.faults,
                    "seed": seed,
                }
            )
            for case, target, faults, seed in product(
                self.cases, self.targets, self.faults, self.seeds
            )
        ]
        for one in found:
            _can_be_given(one)
        return found


def _can_be_given(trial: TrialParameters) -> None:
    """Raise `UsageError` for what would not come out of a trial's manifest as it went in.

    Argo puts values into its text as they are, between single quotes.
    """
    if not trial.target:
        raise UsageError(
            f"case {trial.case!r} without a target: its trials would take no target's lock\n\n"
            "hint: the case's own target"
        )
    for name, value in trial.values().items():
        bad = next((c for c in ("'", "{{") if c in value), "")
        bad = bad or next((c for c in value if not c.isprintable()), "")
        if bad:
            raise UsageError(
                f"{name} {value!r}: {bad!r} does not go through the manifest of a campaign's "
                "trials\n\nhint: in a JSON string \\u0027 stands for a quote; or one case, one "
                "trial and --seed: the plan is then made here"
            )


def campaign(
    wanted: Campaign, settings: Settings, kind: shell.Kind = "Workflow", cron: Cron | None = None
) -> Workflow:
    """The campaign as a Workflow (or WorkflowTemplate, or CronWorkflow: then it is a nightly)."""
    if settings.keep is not None and not wanted.change.keep_target:
        change = wanted.change.model_copy(update={"keep_target": settings.keep})
        wanted = wanted.model_copy(update={"change": change})
    trials = wanted.trials()
    labels = common_labels(settings, *_common(trials))
    items = [
        {"number": str(number), **{k: v for k, v in trial.values().items() if k in _KEPT or v}}
        for number, trial in enumerate(trials, 1)
    ]
    used = [name for name in PARAMETERS if any(name in item for item in items)]
    return shell.build(
        shell.Shell(
            name=slug(wanted.name, NAME_MAX),
            title=wanted.title or f"{len(trials)} trials: {', '.join(wanted.cases)}",
            description=_describe(wanted, len(trials), settings),
            entrypoint=ENTRY,
            on_exit=HANDLER,
            templates=[
                DAG(
                    name=ENTRY,
                    tasks=[_fan_out(items, used)],
                    fail_fast=False,
                    parallelism=settings.parallelism,
                ),
                _trial(used),
                _make(settings, used, _known(trials), labels),
                _follow(settings, labels),
                container(
                    HANDLER,
                    ["stop", "--campaign", "{{workflow.name}}"],
                    settings,
                    account=settings.accounts.cluster,
                    seconds=STOP_SECONDS,
                    labels=labels,
                    memory_mib=BASE_MEMORY_MIB,
                    retry=True,
                ),
            ],
            deadline_s=TRIAL_SECONDS,
            labels=labels,
            parallelism=settings.parallelism,
        ),
        settings,
        kind,
        cron,
    )


def nightly(wanted: Campaign, settings: Settings, cron: Cron) -> Workflow:
    """The campaign as a CronWorkflow, labelled so that its runs are found."""
    named = settings if settings.schedule else settings.model_copy(update={"schedule": "nightly"})
    return campaign(wanted, named, cron=cron)


#: Parameters that every item has, and that are labels of its Workflow.
_KEPT = ("case", "target", "seed")
#: What the node that follows a trial is called by.
_NAMING = ("number", "case")
_SHOWN = "trial-{{inputs.parameters.number}}-{{inputs.parameters.case}}"


def _common(trials: list[TrialParameters]) -> tuple[str, str]:
    """Case and target where all trials have the same, for the campaign's own labels."""
    cases, targets = {t.case for t in trials}, {t.target for t in trials}
    return (cases.pop() if len(cases) == 1 else "", targets.pop() if len(targets) == 1 else "")


def _fan_out(items: list[dict[str, str]], used: list[str]) -> Task:
    full = [{name: item.get(name, "") for name in ("number", *used)} for item in items]
    return Task(
        name="trials",
        template=TRIAL,
        with_items=[*full],
        arguments=[
            Parameter(name=name, value=f"{{{{item.{name}}}}}") for name in ("number", *used)
        ],
    )


def _trial(used: list[str]) -> DAG:
    """One trial: its Workflow is made, then followed to its end."""
    return DAG(
        name=TRIAL,
        inputs=[Parameter(name=name) for name in ("number", *used)],
        tasks=[
            Task(name=MAKE, template=MAKE, arguments=_given(("number", *used))),
            Task(
                name=FOLLOW, template=FOLLOW, arguments=_given(_NAMING), depends=f"{MAKE}.Succeeded"
            ),
        ],
        fail_fast=False,
    )


def _given(names: tuple[str, ...]) -> list[Parameter]:
    return [Parameter(name=name, value=f"{{{{inputs.parameters.{name}}}}}") for name in names]


def _make(
    settings: Settings, used: list[str], known: list[str], labels: Mapping[str, str]
) -> Resource:
    """Makes one trial's Workflow.

    `apply` under a fixed name: a second try (after a lost pod) finds the trial that is there, it
    starts none.
    """
    made = Resource(
        name=MAKE,
        inputs=[Parameter(name=name) for name in ("number", *used)],
        action="apply",
        set_owner_reference=True,
        manifest=documents.to_yaml(_manifest(settings, used, known)),
        service_account_name=settings.accounts.cluster,
        active_deadline_seconds=MAKE_SECONDS,
        retry_strategy=retry_strategy(),
        labels={**labels},
    )
    made.annotations = {DISPLAY_NAME: f"make-{_SHOWN}", ABOUT: "the trial's Workflow is made"}
    return made


def _known(trials: list[TrialParameters]) -> list[str]:
    """What of `_KEPT` all trials have from the beginning; a drawn seed is told by `preflight`."""
    given = [trial.values() for trial in trials]
    return [name for name in _KEPT if all(values[name] for values in given)]


def _manifest(settings: Settings, used: list[str], known: list[str]) -> dict[str, Json]:
    """A trial's Workflow: what the installed template cannot know of it stands here.

    `known` parameters are labels as well.
    """
    labels = {
        **MANAGED_BY,
        **settings.labels,
        TICKET: settings.ticket,
        SCHEDULE: settings.schedule,
        **{f"seatrial/{name}": f"{{{{inputs.parameters.{name}}}}}" for name in known},
        CAMPAIGN: "{{workflow.name}}",
        RUN: NAME,
    }
    parameters: list[Json] = [
        {"name": name, "value": f"{{{{inputs.parameters.{name}}}}}"} for name in used
    ]
    if settings.schedule:
        parameters.append({"name": "schedule", "value": settings.schedule})
    spec: dict[str, Json] = {
        "workflowTemplateRef": {"name": TEMPLATE},
        "arguments": {"parameters": parameters},
    }
    asked = settings.model_fields_set
    if "image" in asked:
        main: Json = [{"name": "main", "image": settings.image}]
        spec["podSpecPatch"] = json.dumps({"containers": main})
    if {"ttl_success_s", "ttl_failure_s"} & asked:
        spec["ttlStrategy"] = {
            "secondsAfterSuccess": settings.ttl_success_s,
            "secondsAfterFailure": settings.ttl_failure_s,
        }
    return {
        "apiVersion": shell.API_VERSION,
        "kind": "Workflow",
        "metadata": {
            "name": NAME,
            "namespace": "{{workflow.namespace}}",
            "labels": {key: value for key, value in labels.items() if value},
        },
        "spec": spec,
    }


def _follow(settings: Settings, labels: Mapping[str, str]) -> Container:
    """Waits for a trial's end; its exit status is the verdict's, its message the one sentence.

    A `resource` template would say "failure condition evaluated true", and save no output.
    """
    message = f"{DIR}/message"
    made = container(
        FOLLOW,
        ["watch", NAME, "--namespace", "{{workflow.namespace}}"]
        + [word for file in (MESSAGE_FILE, message) for word in ("--message-file", file)],
        settings,
        account=settings.accounts.cluster,
        seconds=TRIAL_SECONDS,
        labels=labels,
        retry=True,
    )
    made.inputs = [Parameter(name=name) for name in _NAMING]
    made.outputs = [
        Parameter(name="message", value_from=m.ValueFrom(path=message, default="no message"))
    ]
    made.annotations = {DISPLAY_NAME: _SHOWN, ABOUT: "the trial, to its verdict"}
    return made


def _describe(wanted: Campaign, count: int, settings: Settings) -> str:
    rows = [
        f"{count} trials, {settings.parallelism} at once, one at a time on each target's lock.",
        "",
        *(f"- {case} on {target}" for case, target in wanted.cases.items()),
    ]
    return "\n".join(rows)

"""Many trials: a matrix that one node fans out over, each trial a Workflow of its own.

A trial has some twenty nodes and Argo keeps a workflow's nodes in one object of at most about a
megabyte, so hundreds of trials cannot be nodes of one workflow. The campaign holds one list of
parameters and one template; each item becomes a Workflow from the WorkflowTemplate of trials,
with its own lock, exit handler, labels and lifetime, owned by the campaign.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product

from hera.workflows import DAG, Parameter, Resource, Task, Workflow
from hera.workflows import models as m
from pydantic import BaseModel, ConfigDict, Field

from seatrial.errors import UsageError
from seatrial.verdict import Json
from seatrial.workflows import documents, shell
from seatrial.workflows.names import CAMPAIGN, MANAGED_BY, common_labels, label_value, slug
from seatrial.workflows.parameters import PARAMETERS, TrialParameters
from seatrial.workflows.pods import BASE_MEMORY_MIB, container, retry_strategy
from seatrial.workflows.settings import Cron, Settings
from seatrial.workflows.trial import TEMPLATE

ENTRY, TRIAL, HANDLER = "campaign", "trial", "exit"
TRIALS_MAX = 2000
#: Room for `-<unix time>` or a generated suffix, and `-<number>` of the trial.
NAME_MAX = 40
STOP_SECONDS = 900
#: One trial may wait for its lock behind all others.
TRIAL_SECONDS = 7 * 86400


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
        """The trials, in the order of the matrix."""
        size = len(self.cases) * len(self.targets) * len(self.faults) * len(self.seeds)
        if not 0 < size <= TRIALS_MAX:
            raise UsageError(
                f"a campaign of {size} trials: it must have 1 to {TRIALS_MAX}\n\n"
                "hint: several campaigns"
            )
        return [
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


def campaign(
    wanted: Campaign, settings: Settings, kind: shell.Kind = "Workflow", cron: Cron | None = None
) -> Workflow:
    """The campaign as a Workflow (or WorkflowTemplate, or CronWorkflow: then it is a nightly)."""
    trials = wanted.trials()
    labels = common_labels(settings, *_common(trials)) | {CAMPAIGN: label_value(wanted.name)}
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
                DAG(name=ENTRY, tasks=[_fan_out(items, used)], fail_fast=False),
                _trial(settings, used, labels),
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


#: Parameters that every item has, so that a node's name says them.
_KEPT = ("case", "target", "seed")


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


def _trial(settings: Settings, used: list[str], labels: Mapping[str, str]) -> Resource:
    """Makes one trial's Workflow and waits for its end.

    `apply` under a fixed name: a second try (after a lost pod) finds the trial that is there and
    waits on, it starts none.
    """
    manifest: dict[str, Json] = {
        "apiVersion": shell.API_VERSION,
        "kind": "Workflow",
        "metadata": {
            "name": "{{workflow.name}}-{{inputs.parameters.number}}",
            "namespace": "{{workflow.namespace}}",
            "labels": {
                **MANAGED_BY,
                CAMPAIGN: "{{workflow.name}}",
                "seatrial/run": "{{workflow.name}}-{{inputs.parameters.number}}",
            },
        },
        "spec": {
            "workflowTemplateRef": {"name": TEMPLATE},
            "arguments": {
                "parameters": [
                    {"name": name, "value": f"{{{{inputs.parameters.{name}}}}}"} for name in used
                ]
            },
        },
    }
    return Resource(
        name=TRIAL,
        inputs=[Parameter(name=name) for name in ("number", *used)],
        action="apply",
        set_owner_reference=True,
        manifest=documents.to_yaml(manifest),
        success_condition="status.phase == Succeeded",
        failure_condition="status.phase in (Failed, Error)",
        service_account_name=settings.accounts.cluster,
        active_deadline_seconds=TRIAL_SECONDS,
        retry_strategy=retry_strategy(),
        labels={**labels},
        outputs=[
            Parameter(
                name="message",
                value_from=m.ValueFrom(json_path="{.status.message}", default="no message"),
            )
        ],
    )


def _describe(wanted: Campaign, count: int, settings: Settings) -> str:
    rows = [
        f"{count} trials, {settings.parallelism} at once, one at a time on each target's lock.",
        "",
        *(f"- {case} on {target}" for case, target in wanted.cases.items()),
    ]
    return "\n".join(rows)

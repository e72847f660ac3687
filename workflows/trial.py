"""One trial as a Workflow: each phase and each fault a node, the verdict the last leaf.

Two shapes of one graph. `trial` knows its plan: the faults are tasks of their own, named after
what they do. `trial_template` makes its plan in the cluster from a case and a seed, and fans its
faults and checkers out from lists. Both end in `verdict`, whatever happened before, because a
DAG's phase is that of its leaves.
"""

from __future__ import annotations

import json

from hera.workflows import DAG, Artifact, Container, Parameter, Workflow
from hera.workflows import models as m

from seatrial.errors import UsageError
from seatrial.plan import Plan
from seatrial.workflows import bounds, metrics, shell
from seatrial.workflows.bounds import Bounds
from seatrial.workflows.graph import fanned_tasks, known_tasks
from seatrial.workflows.handler import HANDLER, exit_templates
from seatrial.workflows.metrics import Metric
from seatrial.workflows.names import (
    CASE,
    TARGET,
    common_labels,
    fault_node,
    run_key,
    trial_labels,
)
from seatrial.workflows.nodes import DIR, STEPS, Step
from seatrial.workflows.parameters import PARAMETERS, TrialParameters
from seatrial.workflows.planning import plan_template
from seatrial.workflows.pods import PlanSource, step_template, stored
from seatrial.workflows.settings import Cron, Settings

ENTRY = "trial"
#: Parameters without a default: Argo refuses a trial that does not give them.
_NEEDED = ("case", "target")
#: The WorkflowTemplate of any trial.
TEMPLATE = "seatrial-trial"
#: Steps that put the whole history together, besides the checks.
ASSEMBLING = ("steady-after", "report", "verdict")
#: Pieces of the trial folder, by name, that the node `report` shows and keeps.
PIECES = {
    "report": "report.html",
    "history": "history.arrow",
    "evidence": "evidence",
    "metrics": "metrics",
    "verdict": "verdict.json",
    "plan": "plan.json",
    "trial": "trial.json",
    "clocks": "clocks.json",
}


def trial(
    plan: Plan, settings: Settings, kind: shell.Kind = "Workflow", cron: Cron | None = None
) -> Workflow:
    """The Workflow (or WorkflowTemplate, or CronWorkflow) that carries out exactly `plan`."""
    if settings.keep is not None:
        plan = plan.model_copy(update={"keep_target": settings.keep})
    limits = bounds.of_plan(plan)
    labels = trial_labels(plan, settings)
    source = PlanSource(made=False)
    measured = (plan.case, plan.target.name, settings.schedule)
    templates = _templates(source, settings, limits, labels, measured)
    faults = [(fault_node(fault), fault.id) for fault in plan.faults]
    tasks = known_tasks(faults, [*plan.checkers])
    return shell.build(
        shell.Shell(
            name=f"{plan.case}-{plan.seed}",
            title=f"{plan.case}, seed {plan.seed}: {plan.title}",
            description=describe(plan),
            entrypoint=ENTRY,
            on_exit=HANDLER,
            templates=[
                DAG(name=ENTRY, tasks=[*tasks], fail_fast=False),
                *templates,
                *exit_templates(source, settings, labels),
            ],
            parameters=[Parameter(name="plan", value=shell.raw_json(plan.to_text()))],
            deadline_s=limits.whole_s(),
            labels=labels,
            lock=shell.lock(settings, plan.target.name),
            metrics=metrics.seconds(*measured),
            annotations={"seatrial/repeat": shell.no_tags(plan.repeat)},
        ),
        settings,
        kind,
        cron,
    )


def trial_template(
    settings: Settings,
    defaults: TrialParameters | None = None,
    kind: shell.Kind = "WorkflowTemplate",
    cron: Cron | None = None,
) -> Workflow:
    """Any trial, from parameters: its first node makes the plan.

    A campaign starts its trials from this WorkflowTemplate; as a CronWorkflow with `defaults` it
    draws a new seed each time, which `preflight` makes a label. Bounds are generous, since no
    length is known beforehand. Raises `UsageError` for a case without its target.
    """
    given = defaults or TrialParameters(keep_target=settings.keep or "")
    if not (given.case and given.target) and (given.case or cron or kind == "Workflow"):
        raise UsageError(
            f"case {given.case!r}, target {given.target!r}: a trial needs both, its lock is the "
            "target's\n\nhint: a WorkflowTemplate leaves them to who submits it"
        )
    limits = bounds.UNKNOWN
    case, target = "{{workflow.parameters.case}}", "{{workflow.parameters.target}}"
    measured = (case, target, "{{workflow.parameters.schedule}}")
    labels = common_labels(settings, case, target)
    source = PlanSource(made=True)
    fixed = common_labels(settings, given.case, given.target)
    return shell.build(
        shell.Shell(
            name=f"{given.case}-{settings.schedule or 'trial'}" if given.case else TEMPLATE,
            title=f"{given.case or 'A trial'} with {_seed_words(given)}",
            description="The plan is made by the first node; its output shows the seed.",
            entrypoint=ENTRY,
            on_exit=HANDLER,
            templates=[
                DAG(name=ENTRY, tasks=[*fanned_tasks()], fail_fast=False),
                plan_template(settings, labels),
                *_templates(source, settings, limits, labels, measured),
                *exit_templates(source, settings, labels),
            ],
            parameters=[
                *(_parameter(name, value) for name, value in given.values().items()),
                Parameter(
                    name="schedule",
                    value=settings.schedule or metrics.BY_HAND,
                    description="what started it, for the metrics' label",
                ),
            ],
            deadline_s=limits.whole_s(),
            labels=fixed,
            labels_from={
                CASE: "workflow.parameters.case",
                TARGET: "workflow.parameters.target",
            },
            lock=shell.lock(settings, target),
            metrics=metrics.seconds(*measured),
        ),
        settings,
        kind,
        cron,
    )


def _parameter(name: str, value: str) -> Parameter:
    if name in _NEEDED and not value:
        return Parameter(name=name, description=PARAMETERS[name])
    return Parameter(name=name, value=value, description=PARAMETERS[name])


def _seed_words(given: TrialParameters) -> str:
    return f"seed {given.seed}" if given.seed else "a seed of its own"


def _templates(
    source: PlanSource,
    settings: Settings,
    limits: Bounds,
    labels: dict[str, str],
    measured: tuple[str, str, str],
) -> list[Container]:
    made = []
    for step in STEPS:
        outputs, figures = _extras(step, settings, measured)
        made.append(
            step_template(
                step,
                settings,
                source,
                seconds=limits.of(step.name, step.seconds),
                labels=labels,
                memory_mib=_memory(step, limits),
                outputs=outputs,
                metrics=figures,
            )
        )
    return made


def _memory(step: Step, limits: Bounds) -> int:
    if step.name == "check":
        return limits.check_mib
    return 2048 if step.name == "workload" or step.name in ASSEMBLING else 1024


def _extras(
    step: Step, settings: Settings, measured: tuple[str, str, str]
) -> tuple[list[Artifact | Parameter], list[Metric]]:
    """What a step hands out besides its room and message, and what Argo measures of it."""
    room = f"{DIR}/steps/{step.name}"
    if step.name == "preflight":
        return [], metrics.zeros(*measured)
    if step.name == "workload":
        return [_figure("ops", f"{room}/ops", "0")], metrics.ops(*measured)
    if step.name == "verdict":
        figures = [
            _figure("verdict", f"{room}/verdict", "unknown"),
            _figure("recovery-s", f"{room}/recovery_s", "-1"),
        ]
        document = stored(
            "verdict", f"{room}/verdict.json", run_key(settings, "steps/verdict/verdict.json")
        )
        return [*figures, document], metrics.verdicts(*measured)
    if step.name == "report":
        return [
            stored(name, f"{DIR}/{path}", run_key(settings, path)) for name, path in PIECES.items()
        ], []
    return [], []


def _figure(name: str, path: str, default: str) -> Parameter:
    """A value small enough to stand on the node; `default` where the step did not get so far."""
    return Parameter(name=name, value_from=m.ValueFrom(path=path, default=default))


def describe(plan: Plan) -> str:
    """Markdown for the list of workflows: the claim, what refutes it, and what will be broken."""
    lines = [f"**{plan.intent.claim}**", "", f"Refuted by: {plan.intent.refuted_by}", ""]
    for fault in plan.faults:
        whom = ", ".join(fault.nodes) or "whoever it is then"
        options = "".join(f", {key} {json.dumps(value)}" for key, value in fault.options.items())
        lines.append(
            f"- {fault_node(fault)}: at {fault.start_s:g} s for {fault.duration_s:g} s, "
            f"{fault.victims} ({whom}){options}"
        )
    lines += [
        "",
        f"Steady: {'; '.join(state.name for state in plan.steady_states) or 'not asked'}.",
    ]
    lines += [f"Again: `{plan.repeat}`"]
    return "\n".join(lines)

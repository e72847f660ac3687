"""What every rendered workflow has around its templates, in the three kinds that Argo knows."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from hera.workflows import (
    DAG,
    Container,
    CronWorkflow,
    Parameter,
    Resource,
    Workflow,
    WorkflowTemplate,
)
from hera.workflows import models as m

from seatrial.errors import UsageError
from seatrial.workflows.metrics import Metric
from seatrial.workflows.names import (
    CRON_NAME_MAX,
    DESCRIPTION,
    RUN,
    SUFFIX_CHARS,
    TITLE,
    WORKFLOW_NAME_MAX,
    slug,
)
from seatrial.workflows.pods import pod_security, run_labels, volumes
from seatrial.workflows.settings import Cron, Settings

Kind = Literal["Workflow", "WorkflowTemplate"]
API_VERSION = "argoproj.io/v1alpha1"
Template = DAG | Container | Resource


@dataclass(frozen=True, slots=True)
class Shell:
    """All that the kinds share."""

    name: str
    title: str
    description: str
    entrypoint: str
    templates: Sequence[Template]
    deadline_s: int
    labels: Mapping[str, str]
    #: Label → an expression that Argo evaluates when the workflow starts.
    labels_from: Mapping[str, str] = field(default_factory=dict)
    on_exit: str | None = None
    parameters: Sequence[Parameter] = ()
    parallelism: int | None = None
    lock: m.Synchronization | None = None
    metrics: Sequence[Metric] = ()
    annotations: Mapping[str, str] = field(default_factory=dict)


def build(
    shell: Shell, settings: Settings, kind: Kind = "Workflow", cron: Cron | None = None
) -> Workflow:
    """`shell` as a Workflow (with a generated name), a WorkflowTemplate or a CronWorkflow."""
    if cron is not None:
        return _cron(shell, settings, cron)
    if kind == "WorkflowTemplate":
        made: Workflow = WorkflowTemplate(name=slug(shell.name), kind=kind)
    else:
        stem = slug(shell.name, WORKFLOW_NAME_MAX - SUFFIX_CHARS - 1)
        made = Workflow(generate_name=f"{stem}-", kind=kind)
    return _fill(made, shell, settings)


def _cron(shell: Shell, settings: Settings, cron: Cron) -> CronWorkflow:
    made = CronWorkflow(
        name=slug(shell.name, CRON_NAME_MAX),
        kind="CronWorkflow",
        schedules=[*cron.schedules],
        timezone=cron.timezone,
        concurrency_policy=cron.concurrency_policy,
        starting_deadline_seconds=cron.starting_deadline_s,
        successful_jobs_history_limit=cron.successful_limit,
        failed_jobs_history_limit=cron.failed_limit,
        stop_strategy=m.StopStrategy(expression=cron.stop) if cron.stop else None,
        when=cron.when or None,
        cron_suspend=cron.suspend or None,
    )
    _fill(made, shell, settings)
    return made


def _fill(made: Workflow, shell: Shell, settings: Settings) -> Workflow:
    storage = settings.storage
    annotations = {
        TITLE: no_tags(shell.title),
        DESCRIPTION: no_tags(shell.description),
        **shell.annotations,
    }
    made.api_version = API_VERSION
    made.namespace = settings.namespace
    made.labels = {**shell.labels}
    made.annotations = annotations
    made.entrypoint = shell.entrypoint
    made.on_exit = shell.on_exit
    made.arguments = [*shell.parameters] or None
    made.templates = [*shell.templates]
    made.service_account_name = settings.accounts.judge
    made.security_context = pod_security()
    made.volumes = volumes()
    made.pod_metadata = m.Metadata(labels=run_labels(shell.labels))
    made.workflow_metadata = m.WorkflowMetadata(
        labels={**shell.labels},
        labels_from={
            key: m.LabelValueFrom(expression=expression)
            for key, expression in {RUN: "workflow.name", **shell.labels_from}.items()
        },
        annotations=annotations,
    )
    made.active_deadline_seconds = shell.deadline_s
    made.parallelism = shell.parallelism
    made.synchronization = shell.lock
    made.metrics = [*shell.metrics] or None
    made.ttl_strategy = m.TTLStrategy(
        seconds_after_success=settings.ttl_success_s, seconds_after_failure=settings.ttl_failure_s
    )
    # Pods of a red trial stay with their logs until the Workflow goes.
    made.pod_gc = m.PodGC(strategy="OnWorkflowSuccess")
    made.artifact_gc = m.WorkflowLevelArtifactGC(strategy="Never")
    if storage.config_map is not None:
        made.artifact_repository_ref = m.ArtifactRepositoryRef(
            config_map=storage.config_map, key=storage.key
        )
    return made


def lock(settings: Settings, target: str) -> m.Synchronization:
    """One lock a target: two trials never disturb each other's steady state."""
    if settings.lock.kind == "mutex":
        return m.Synchronization(mutexes=[m.Mutex(name=f"seatrial-{target}")])
    selector = m.ConfigMapKeySelector(name=settings.lock.config_map, key=target)
    return m.Synchronization(semaphores=[m.SemaphoreRef(config_map_key_ref=selector)])


def no_tags(text: str) -> str:
    """`text` without what Argo would read as a reference to be replaced."""
    return re.sub(r"\{(?=\{)", "{ ", text)


def raw_json(text: str) -> str:
    """A JSON document that Argo leaves as it is: `{{` can only stand in its strings."""
    made = text.replace("{{", r"\u007b\u007b")
    if "{{" in made:
        raise UsageError("the plan holds '{{' outside of a string, which is no JSON")
    return made

"""Stored trials judged again, without a target: after a checker was mended, or with a new one."""

from __future__ import annotations

import json
from collections.abc import Sequence

from hera.workflows import (
    DAG,
    Container,
    NoneArchiveStrategy,
    Parameter,
    S3Artifact,
    Task,
    Workflow,
)

from seatrial.workflows import bounds, shell
from seatrial.workflows.names import MANAGED_BY
from seatrial.workflows.nodes import DIR
from seatrial.workflows.pods import container
from seatrial.workflows.settings import Cron, Settings

NAME = "seatrial-recheck"
ENTRY, TRIAL, CHECK = "recheck", "trial", "check"
FOLDER = f"{DIR}/stored"
DEADLINE_S = 86400


def recheck(
    settings: Settings,
    trials: Sequence[str] = (),
    checkers: Sequence[str] = (),
    kind: shell.Kind = "WorkflowTemplate",
    cron: Cron | None = None,
) -> Workflow:
    """Every stored trial by every checker, one node each; red where one is invalid or unknown.

    `trials` are storage keys of trial folders.
    """
    labels = {**MANAGED_BY, **settings.labels}
    return shell.build(
        shell.Shell(
            name=NAME,
            title="Judge stored trials again",
            description="Every trial folder by every checker; nothing is run again.",
            entrypoint=ENTRY,
            templates=[
                DAG(name=ENTRY, tasks=[_trials()], fail_fast=False),
                DAG(
                    name=TRIAL,
                    inputs=[Parameter(name="trial")],
                    tasks=[_checks()],
                    fail_fast=False,
                ),
                _check(settings, labels),
            ],
            parameters=[
                Parameter(
                    name="trials",
                    value=json.dumps([*trials]),
                    description="storage keys of trial folders, a JSON list",
                ),
                Parameter(
                    name="checkers",
                    value=json.dumps([*checkers]),
                    description="names of checkers, a JSON list",
                ),
            ],
            deadline_s=DEADLINE_S,
            labels=labels,
            parallelism=settings.parallelism,
        ),
        settings,
        kind,
        cron,
    )


def _trials() -> Task:
    return Task(
        name="trials",
        template=TRIAL,
        with_param="{{workflow.parameters.trials}}",
        arguments=[Parameter(name="trial", value="{{item}}")],
    )


def _checks() -> Task:
    return Task(
        name="checkers",
        template=CHECK,
        with_param="{{workflow.parameters.checkers}}",
        arguments=[
            Parameter(name="trial", value="{{inputs.parameters.trial}}"),
            Parameter(name="checker", value="{{item}}"),
        ],
    )


def _check(settings: Settings, labels: dict[str, str]) -> Container:
    made = container(
        CHECK,
        ["check", FOLDER, "--checker", "{{inputs.parameters.checker}}"],
        settings,
        account=settings.accounts.judge,
        seconds=bounds.UNKNOWN_CHECK_S,
        labels=labels,
        memory_mib=bounds.UNKNOWN_CHECK_MIB,
        retry=True,
    )
    made.inputs = [
        Parameter(name="trial"),
        Parameter(name="checker"),
        S3Artifact(
            name="stored",
            path=FOLDER,
            key="{{inputs.parameters.trial}}",
            archive=NoneArchiveStrategy(),
        ),
    ]
    return made

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
from hera.workflows import models as m

from seatrial.errors import UsageError
from seatrial.workflows import bounds, shell
from seatrial.workflows.names import ABOUT, MANAGED_BY, run_key
from seatrial.workflows.nodes import DIR, MESSAGE_FILE
from seatrial.workflows.pods import container, stored
from seatrial.workflows.settings import Cron, Settings

NAME = "seatrial-recheck"
ENTRY, TRIAL, CHECK, GIVEN = "recheck", "trial", "check", "given"
FOLDER = f"{DIR}/stored"
ROOM = f"{DIR}/judged"
GIVEN_SECONDS = 300
DEADLINE_S = 86400


def recheck(
    settings: Settings,
    trials: Sequence[str] = (),
    checkers: Sequence[str] = (),
    kind: shell.Kind = "WorkflowTemplate",
    cron: Cron | None = None,
) -> Workflow:
    """Every stored trial by every checker, one node each; red where one is invalid or unknown.

    `trials` are storage keys of trial folders. A WorkflowTemplate leaves both lists to who submits
    it, and Argo refuses a submission without them; the first node refuses an empty one.
    """
    if not (trials and checkers) and (trials or checkers or cron or kind == "Workflow"):
        raise UsageError(
            f"a recheck of {len(trials)} trials by {len(checkers)} checkers judges nothing\n\n"
            "hint: name both, or make a WorkflowTemplate and give them when it is submitted"
        )
    labels = {**MANAGED_BY, **settings.labels}
    return shell.build(
        shell.Shell(
            name=NAME,
            title="Judge stored trials again",
            description="Every trial folder by every checker; nothing is run again.",
            entrypoint=ENTRY,
            templates=[
                DAG(
                    name=ENTRY, tasks=[Task(name=GIVEN, template=GIVEN), _trials()], fail_fast=False
                ),
                _given(settings, labels),
                DAG(
                    name=TRIAL,
                    inputs=[Parameter(name="trial")],
                    tasks=[_checks()],
                    fail_fast=False,
                ),
                _check(settings, labels),
            ],
            parameters=[
                _list("trials", trials, "storage keys of trial folders, a JSON list"),
                _list("checkers", checkers, "names of checkers, a JSON list"),
            ],
            deadline_s=DEADLINE_S,
            labels=labels,
            parallelism=settings.parallelism,
        ),
        settings,
        kind,
        cron,
    )


def _list(name: str, values: Sequence[str], about: str) -> Parameter:
    """A parameter; without values it has none, which is not the same as an empty list."""
    if not values:
        return Parameter(name=name, description=about)
    return Parameter(name=name, value=json.dumps([*values]), description=about)


def _given(settings: Settings, labels: dict[str, str]) -> Container:
    made = container(
        GIVEN,
        ["check"]
        + [f"--given={{{{workflow.parameters.{name}}}}}" for name in ("trials", "checkers")],
        settings,
        account=settings.accounts.judge,
        seconds=GIVEN_SECONDS,
        labels=labels,
        retry=True,
    )
    made.annotations = {ABOUT: "whether there is anything to judge"}
    return made


def _trials() -> Task:
    return Task(
        name="trials",
        template=TRIAL,
        depends=f"{GIVEN}.Succeeded",
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
        [
            *("check", FOLDER, "--checker", "{{inputs.parameters.checker}}"),
            *("--into", ROOM, "--message-file", MESSAGE_FILE),
        ],
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
    key = "recheck/{{inputs.parameters.trial}}/{{inputs.parameters.checker}}.json"
    made.outputs = [
        Parameter(name=name, value_from=m.ValueFrom(path=f"{ROOM}/{name}", default=default))
        for name, default in (("message", "no message"), ("verdict", "unknown"))
    ] + [stored("verdict", f"{ROOM}/verdict.json", run_key(settings, key))]
    return made

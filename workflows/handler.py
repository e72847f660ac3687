"""The exit handler: heals, audits, collects, removes the target, whatever became of the trial.

Argo runs it after success, failure and `argo stop`, not after `argo terminate` or deletion: there
owner references, the faults' own durations and the reaper take over. Whether the target of a trial
that failed is kept is the plan's word: `teardown` is told how the workflow ended, and says what it
did. Each step goes on however the one before ended, and none but `collect` touches the store.
"""

from __future__ import annotations

from collections.abc import Mapping

from hera.workflows import DAG, Container, Task

from seatrial.workflows.nodes import EXIT_STEPS
from seatrial.workflows.pods import PlanSource, step_template
from seatrial.workflows.settings import Settings

HANDLER = "exit"
ENDED = ("Succeeded", "Failed", "Errored", "Skipped", "Omitted")


def exit_templates(
    source: PlanSource, settings: Settings, labels: Mapping[str, str]
) -> list[DAG | Container]:
    """The handler's DAG and its steps."""
    tasks: list[Task] = []
    for step in EXIT_STEPS:
        before = tasks[-1].name if tasks else ""
        states = " || ".join(f"{before}.{state}" for state in ENDED)
        tasks.append(
            Task(
                name=step.name,
                template=step.template,
                depends=states if before else None,
            )
        )
    made: list[DAG | Container] = [DAG(name=HANDLER, tasks=[*tasks], fail_fast=False)]
    made += [
        step_template(step, settings, source, seconds=step.seconds, labels=labels)
        for step in EXIT_STEPS
    ]
    return made

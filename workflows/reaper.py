"""The reaper: a CronWorkflow that removes what a crash left, the last of four nets.

The others: the exit handler, owner references, the faults' own durations. It looks for objects
with the label of a run whose Workflow is gone or has ended, and touches no others.
"""

from __future__ import annotations

from hera.workflows import Workflow

from seatrial.workflows import shell
from seatrial.workflows.names import MANAGED_BY
from seatrial.workflows.pods import container
from seatrial.workflows.settings import Cron, Settings

NAME = "seatrial-reaper"
SECONDS = 900
EVERY = Cron(
    schedules=("*/10 * * * *",),
    concurrency_policy="Forbid",
    starting_deadline_s=300,
    successful_limit=1,
    failed_limit=5,
)
TTL_S = 3600


def reaper(settings: Settings, cron: Cron = EVERY) -> Workflow:
    """The CronWorkflow; it fails where something could not be removed, so that people look."""
    labels = {**MANAGED_BY, **settings.labels}
    short = settings.model_copy(update={"ttl_success_s": TTL_S})
    return shell.build(
        shell.Shell(
            name=NAME,
            title="Remove what a crash left",
            description="Faults and targets of runs that are over or gone.",
            entrypoint="reap",
            templates=[
                container(
                    "reap",
                    ["reap", "--engine", "argo"],
                    short,
                    account=settings.accounts.cluster,
                    seconds=SECONDS,
                    labels=labels,
                )
            ],
            deadline_s=SECONDS,
            labels=labels,
        ),
        short,
        cron=cron,
    )

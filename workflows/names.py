"""Names, labels and keys that a rendered workflow uses: one place, so that teardown finds all."""

from __future__ import annotations

import re

from seatrial.fault import PlannedFault
from seatrial.plan import Plan
from seatrial.workflows.settings import LABEL_MAX, Settings, is_label_value

WORKFLOW_NAME_MAX = 63
#: Argo appends `-<unix time>` to a CronWorkflow's name and refuses a longer one.
CRON_NAME_MAX = 52
#: What Kubernetes appends to `generateName`.
SUFFIX_CHARS = 5
#: On every object of a run, so that teardown and reaper select by it.
RUN = "seatrial/run"
CASE = "seatrial/case"
TARGET = "seatrial/target"
SEED = "seatrial/seed"
TICKET = "seatrial/ticket"
SCHEDULE = "seatrial/schedule"
CAMPAIGN = "seatrial/campaign"
TITLE = "workflows.argoproj.io/title"
DESCRIPTION = "workflows.argoproj.io/description"
DISPLAY_NAME = "workflows.argoproj.io/display-name"
#: On templates: what the step is for.
ABOUT = "seatrial/about"
MANAGED_BY = {"app.kubernetes.io/managed-by": "seatrial", "app.kubernetes.io/part-of": "seatrial"}


def slug(text: str, limit: int = WORKFLOW_NAME_MAX) -> str:
    """`text` as a DNS label of at most `limit` characters."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:limit].rstrip("-")


def label_value(text: str) -> str:
    """`text` if it is a label's value, else what of it can be one."""
    return text if is_label_value(text) else slug(text, LABEL_MAX)


def fault_node(fault: PlannedFault) -> str:
    """The node's name: `fault-2-partition-majority`."""
    return slug(f"{fault.id}-{fault.kind}-{fault.victims}", 100)


def trial_labels(plan: Plan, settings: Settings) -> dict[str, str]:
    """Labels of a trial whose plan is known."""
    return {**common_labels(settings, plan.case, plan.target.name), SEED: str(plan.seed)}


def common_labels(settings: Settings, case: str, target: str) -> dict[str, str]:
    """Labels of all that is rendered; empty ones are left out."""
    found = {
        **MANAGED_BY,
        **settings.labels,
        CASE: case if "{{" in case else label_value(case),
        TARGET: target if "{{" in target else label_value(target),
        TICKET: settings.ticket,
        SCHEDULE: settings.schedule,
    }
    return {key: value for key, value in found.items() if value}


def run_key(settings: Settings, rest: str) -> str:
    """The storage key of `rest` of this run.

    The uid is in it: a Workflow that was deleted and made again under its old name must not
    read the rooms of its predecessor.
    """
    return f"{settings.storage.prefix}/{{{{workflow.name}}}}/{{{{workflow.uid}}}}/{rest}"

"""The WorkflowTemplates and CronWorkflows that a fresh installation has."""

from __future__ import annotations

from seatrial.cases import case
from seatrial.verdict import Json
from seatrial.workflows.campaign import Campaign, nightly
from seatrial.workflows.documents import document
from seatrial.workflows.reaper import reaper
from seatrial.workflows.recheck import recheck
from seatrial.workflows.settings import Cron, Settings
from seatrial.workflows.trial import trial_template

#: The night's cases.
NIGHTLY_CASES = ("etcd-register", "etcd-append", "etcd-set", "etcd-replicas")
#: Faults of the night: each is a Chaos Mesh object.
NIGHTLY_FAULTS = "kill,partition"
#: It has no `stop`: Argo counts the failures of a CronWorkflow's whole life, not those in a row,
#: and a red night is what it is for. The tenth bug found in two years would end it in silence.
#: Deadlines, Forbid, lifetimes and `failed_limit` bound it already.
NIGHT = Cron(schedules=("0 2 * * *",))


def templates(settings: Settings) -> list[dict[str, Json]]:
    """Any trial, and judging stored ones again."""
    return [document(trial_template(settings)), document(recheck(settings))]


def crons(settings: Settings) -> list[dict[str, Json]]:
    """The night's campaign, and the reaper."""
    wanted = Campaign(
        name="seatrial-nightly",
        cases={name: case(name).target for name in NIGHTLY_CASES},
        faults=(NIGHTLY_FAULTS,),
    )
    return [document(nightly(wanted, settings, NIGHT)), document(reaper(settings))]

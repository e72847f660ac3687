"""Plans, settings and every object that can be rendered, for the tests of this folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from hera.workflows import Workflow

from seatrial import cases
from seatrial.plan import Plan
from seatrial.runner.planner import Overrides, make_plan
from seatrial.workflows.campaign import Campaign, campaign, nightly
from seatrial.workflows.documents import document
from seatrial.workflows.parameters import TrialParameters
from seatrial.workflows.reaper import reaper
from seatrial.workflows.recheck import recheck
from seatrial.workflows.settings import Cron, Lock, Settings, Storage
from seatrial.workflows.trial import trial, trial_template

SETTINGS = Settings(ticket="DB-17", labels={"team": "storage"})
#: The settings that change what is rendered most.
OTHERS = Settings(
    keep="on-failure",
    lock=Lock(kind="semaphore"),
    storage=Storage(prefix="trials/here", config_map="artifacts", key="minio"),
)
NIGHT = Cron(
    schedules=("0 2 * * 1-5", "0 4 * * 6"),
    timezone="Europe/Berlin",
    stop="cronworkflow.failed >= 5",
    when="{{= cronworkflow.lastScheduledTime == nil || true }}",
)
MATRIX = Campaign(
    name="etcd-weekend",
    cases={"etcd-register": "etcd", "etcd-append": "etcd"},
    faults=("kill", "kill,partition"),
    seeds=("1", "2"),
)


@cache
def plan(case: str = "etcd-register", seed: int = 7, *faults: str) -> Plan:
    """The plan of a case on the cluster; without `faults` those of the case."""
    return make_plan(cases.case(case), seed, Overrides(engine="argo", faults=faults or None))


@cache
def plan_without_faults() -> Plan:
    """The same case without any fault."""
    return make_plan(cases.case("etcd-register"), 7, Overrides(engine="argo", faults=()))


def _sample() -> Plan:
    return plan("etcd-register", 7, "kill", "partition")


#: Every kind of object, by the name of its golden.
ALL: Mapping[str, Callable[[], Workflow]] = {
    "trial": lambda: trial(_sample(), SETTINGS),
    "trial-other-settings": lambda: trial(_sample(), OTHERS),
    "trial-workflow-template": lambda: trial(_sample(), SETTINGS, "WorkflowTemplate"),
    "trial-cron": lambda: trial(_sample(), SETTINGS, cron=NIGHT),
    "trial-without-faults": lambda: trial(plan_without_faults(), SETTINGS),
    "any-trial": lambda: trial_template(SETTINGS),
    "any-trial-cron": lambda: trial_template(
        SETTINGS, TrialParameters(case="etcd-set", target="etcd"), cron=NIGHT
    ),
    "campaign": lambda: campaign(MATRIX, SETTINGS),
    "campaign-workflow-template": lambda: campaign(MATRIX, SETTINGS, "WorkflowTemplate"),
    "nightly": lambda: nightly(MATRIX, SETTINGS, NIGHT),
    "recheck": lambda: recheck(SETTINGS),
    "recheck-workflow": lambda: recheck(
        SETTINGS, ["seatrial/a/1", "seatrial/b/2"], ["linearizable", "stats"], "Workflow"
    ),
    "recheck-cron": lambda: recheck(SETTINGS, cron=NIGHT),
    "reaper": lambda: reaper(SETTINGS),
}


@cache
def made(name: str) -> dict[str, Any]:
    """One of `ALL` as a document; nobody changes it."""
    return dict(document(ALL[name]()))

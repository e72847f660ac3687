"""Plans, settings and every object that can be rendered, for the tests of this folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from hera.workflows import Workflow

from seatrial.case import Intent, Limits
from seatrial.fault import PlannedFault
from seatrial.plan import Plan, PlannedPhases, PlannedTarget, PlannedWorkload
from seatrial.workflows.campaign import Campaign, campaign, nightly
from seatrial.workflows.documents import document
from seatrial.workflows.parameters import TrialParameters
from seatrial.workflows.reaper import reaper
from seatrial.workflows.recheck import recheck
from seatrial.workflows.settings import Cron, Lock, Settings, Storage
from seatrial.workflows.trial import trial, trial_template

SETTINGS = Settings(image="registry.example/seatrial:1", ticket="DB-17", labels={"team": "storage"})
#: The settings that change what is rendered most.
OTHERS = Settings(
    image="registry.example/seatrial:1",
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


def fault(number: int, kind: str, victims: str, *nodes: str, **options: str) -> PlannedFault:
    """One fault of five seconds, ten seconds after the one before."""
    return PlannedFault(
        id=f"fault-{number}",
        kind=kind,
        victims=victims,
        nodes=nodes,
        start_s=10.0 * number,
        duration_s=5.0,
        options=options,
    )


#: A plan of its own, so that goldens do not follow every change of the catalogue of cases.
PLAN = Plan(
    case="sample",
    title="Registers in rough sea",
    intent=Intent(claim="Reads see what was written.", refuted_by="A read that does not."),
    engine="argo",
    isolation="namespace",
    seed=7,
    target=PlannedTarget(name="etcd", nodes=("n1", "n2", "n3")),
    workload=PlannedWorkload(
        name="register",
        settings={"keys": 3},
        fs=("read", "write"),
        concurrency=5,
        rate=100.0,
        op_timeout_s=1.0,
        final_reads=True,
    ),
    phases=PlannedPhases(
        before_s=9.0, faults_s=39.0, after_s=12.0, quiesce_timeout_s=60.0, final_timeout_s=60.0
    ),
    faults=(
        fault(1, "kill", "leader"),
        fault(2, "partition", "majority", "n1", "n3", shape="isolate"),
    ),
    quorum=(),
    steady_states=(),
    checkers={"linearizable": {"model": "cas-register"}, "stats": {}},
    limits=Limits(),
    repeat="seatrial run sample --seed 7 --engine argo",
)


#: Every kind of object, by the name of its golden.
ALL: Mapping[str, Callable[[], Workflow]] = {
    "trial": lambda: trial(PLAN, SETTINGS),
    "trial-other-settings": lambda: trial(PLAN, OTHERS),
    "trial-workflow-template": lambda: trial(PLAN, SETTINGS, "WorkflowTemplate"),
    "trial-cron": lambda: trial(PLAN, SETTINGS, cron=NIGHT),
    "trial-without-faults": lambda: trial(PLAN.model_copy(update={"faults": ()}), SETTINGS),
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
    "recheck-cron": lambda: recheck(SETTINGS, ["seatrial/a/1"], ["stats"], cron=NIGHT),
    "reaper": lambda: reaper(SETTINGS),
}


@cache
def made(name: str) -> dict[str, Any]:
    """One of `ALL` as a document; nobody changes it."""
    return dict(document(ALL[name]()))

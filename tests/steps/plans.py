"""A plan short enough for a test."""

from __future__ import annotations

from seatrial import cases
from seatrial.fault import PlannedFault
from seatrial.plan import Plan, PlannedPhases
from seatrial.runner.planner import Overrides, make_plan
from seatrial.runner.quorum import analyse
from seatrial.steady_state import OpsProbe, SteadyState, Tolerance


def short_plan(engine: str = "lab") -> Plan:
    """A kill and a partition, one after the other, in a trial of six seconds."""
    asked = Overrides(engine=engine, time_limit_s=20, faults=("kill",), rate=300)
    plan = make_plan(cases.case("etcd-register"), 7, asked)
    kill = PlannedFault(
        id="fault-1", kind="kill", victims="leader", pick=0.5, start_s=1.7, duration_s=1.0
    )
    cut = PlannedFault(
        id="fault-2",
        kind="partition",
        victims="one",
        nodes=("n2",),
        start_s=3.0,
        duration_s=1.0,
        options={"shape": "isolate"},
    )
    working = Tolerance(min=1)
    steady = SteadyState(
        name="it works", probe=OpsProbe(metric="throughput"), before=working, after=working
    )
    return plan.model_copy(
        update={
            "phases": PlannedPhases(
                before_s=1.5, faults_s=3.0, after_s=1.5, quiesce_timeout_s=30, final_timeout_s=30
            ),
            "faults": (kill, cut),
            "quorum": analyse((kill, cut), plan.target.nodes),
            "steady_states": (steady,),
            "limits": plan.limits.model_copy(
                update={"min_ok": 1, "min_ok_in_fault": 0, "min_attempts_in_fault": 0}
            ),
        }
    )

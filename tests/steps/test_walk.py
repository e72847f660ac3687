"""A rendered workflow, walked step by step on the lab, is judged as `seatrial run` judges."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seatrial import cases
from seatrial.fault import PlannedFault
from seatrial.history.load import load_arrow
from seatrial.history.windows import fault_windows, phases
from seatrial.plan import Plan, PlannedPhases
from seatrial.runner import display, judge, outside
from seatrial.runner.planner import Overrides, make_plan
from seatrial.runner.quorum import analyse
from seatrial.runner.steps.assemble import ClocksRecord
from seatrial.steady_state import OpsProbe, SteadyState, Tolerance
from seatrial.trial import TrialFolder
from seatrial.workflows.settings import Settings
from seatrial.workflows.trial import trial
from tests.lab.host import Host
from tests.steps.walker import Walk

pytestmark = pytest.mark.lab


#: A walk on an idle machine of two cores takes half of it.
LEASE_S = 2.0


def short_plan() -> Plan:
    """A kill and a partition, one after the other, in a trial of six seconds."""
    plan = make_plan(
        cases.case("etcd-register"), 7, Overrides(time_limit_s=20, faults=("kill",), rate=300)
    )
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
            "limits": plan.limits.model_copy(update={"min_ok": 1, "min_ok_in_fault": 0}),
        }
    )


def judged(document: dict[str, Any]) -> dict[str, Any]:
    """What of a verdict does not depend on how fast it went."""
    return {
        "verdict": document["verdict"],
        "checkers": {name: one["verdict"] for name, one in document["checkers"].items()},
        "faults": [
            (one["id"], one["kind"], one["verdict"], one["effect"]["seen"], one["healed"]["seen"])
            for one in document["faults"]
        ],
        "steady": [
            (one["name"], one["verdict"], sorted(one["stretches"]))
            for one in document["steady_states"]
        ],
        "notes": document["notes"],
    }


def test_a_rendered_workflow_walked_on_the_lab_is_judged_as_run_judges(tmp_path: Path) -> None:
    """Each node a process in a folder of its own that holds what its template is given."""
    host, plan = Host(tmp_path / "host"), short_plan()
    workflow = trial(plan, Settings())
    environment = {**host.environment(), "SEATRIAL_LAB": str(tmp_path / "lab")}
    walk = Walk(workflow, tmp_path / "walk", environment)
    walk.run()
    host.assert_clean(set())
    assert {node.state for node in walk.nodes.values()} == {"Succeeded"}, walk.story()
    assert walk.message("verdict").startswith("valid: every checker is content"), walk.story()

    folder = TrialFolder(walk.fetched())
    whole = outside.run_trial(plan, tmp_path / "store", display.Quiet(), keep=False)
    ours = json.loads(folder.verdict.read_text(encoding="utf-8"))
    assert judged(ours) == judged(json.loads(judge.dump(whole.document())))
    assert judged(json.loads(judge.dump(judge.judge_trial(folder).document()))) == judged(ours)
    _one_axis(folder, plan)
    for node in plan.target.nodes:
        assert (walk.nodes["exit-collect"].folder / f"steps/collect/logs/{node}.log").is_file()


def _one_axis(folder: TrialFolder, plan: Plan) -> None:
    """The clocks are one kernel's, and the measured offset says so; events lie where they were."""
    clocks = ClocksRecord.model_validate_json(folder.clocks.read_text(encoding="utf-8"))
    assert [one.step for one in clocks.clocks] == ["fault-1", "fault-2"]
    for one in clocks.clocks:
        assert one.same and one.skew_ns is not None and one.bound_ns is not None
        assert abs(one.skew_ns) <= one.bound_ns < 50_000_000
    history = load_arrow(folder.history).history
    assert (np.diff(history.time_ns) >= 0).all()
    found = {phase.name: phase for phase in phases(history)}
    assert list(found) == [
        "steady-before",
        "workload",
        "heal",
        "steady-after",
        "quiesce",
        "final-reads",
        "teardown",
    ]
    windows = {window.fault: window for window in fault_windows(history)}
    evidence = {one.fault.id: one for one in folder.read_evidence()}
    for fault in plan.faults:
        window, seen = windows[fault.id], evidence[fault.id]
        assert seen.inject_ns is not None and seen.healed_ns is not None
        assert found["workload"].start_ns <= window.start_ns <= seen.inject_ns
        assert window.end_ns is not None and seen.healed_ns <= window.end_ns
        assert window.end_ns <= found["steady-after"].start_ns

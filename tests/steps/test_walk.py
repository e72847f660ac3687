"""A rendered workflow, walked step by step on the lab, is judged as `seatrial run` judges."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seatrial.history.load import load_arrow
from seatrial.history.windows import fault_windows, phases
from seatrial.plan import Plan
from seatrial.runner import display, judge, outside
from seatrial.runner.steps.assemble import ClocksRecord
from seatrial.trial import TrialFolder
from seatrial.workflows.settings import Settings
from seatrial.workflows.trial import trial
from tests.lab.host import Host, marked
from tests.steps.plans import short_plan
from tests.steps.walker import Walk

pytestmark = [pytest.mark.lab, pytest.mark.full]


#: What is left of a killed walk is gone within this time, the rest of the load included.
LEFT_TIMEOUT_S = 90.0


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


def test_a_killed_walk_leaves_nothing(tmp_path: Path) -> None:
    """Steps that go on alone end by their own bounds, and then the lab's lease runs out."""
    host = Host(tmp_path)
    walker = host.start_python("-m", "tests.steps.killed", str(tmp_path))
    assert walker.stdout is not None
    with walker.stdout:
        assert walker.stdout.readline() == "load\n", host.stderr()
        os.kill(walker.pid, signal.SIGKILL)
        walker.wait()
    deadline = time.monotonic() + LEFT_TIMEOUT_S
    while marked(host.mark):
        assert time.monotonic() < deadline, marked(host.mark)
        time.sleep(0.05)
    host.assert_clean(set())

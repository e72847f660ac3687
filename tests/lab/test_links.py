"""Faults on packets between real network namespaces, and on a live etcd under load."""

from __future__ import annotations

from pathlib import Path

import pytest

from seatrial.cases.etcd import REGISTER
from seatrial.faults import kind
from seatrial.runner import display, outside
from seatrial.runner.planner import Overrides, make_plan
from seatrial.schedule import FaultChoice, Schedule
from tests.lab.host import Host, ordinary_host

#: Kinds, and how long each acts on etcd: a thin line is filled by its own proof for a second.
KINDS = {
    "delay": 1.5,
    "loss": 1.5,
    "duplicate": 1.5,
    "corrupt": 1.5,
    "reorder": 1.5,
    "rate": 3.0,
    "bandwidth": 3.0,
}


@pytest.mark.lab
@pytest.mark.parametrize("scenario", ["packets", "shaper_dies", "overlap", "wire", "queue"])
def test_scenario(tmp_path: Path, scenario: str) -> None:
    """Each scenario says in its docstring what must hold."""
    Host(tmp_path).run(f"links.{scenario}", "namespace")


@pytest.mark.lab
def test_an_ordinary_user_can_do_it_as_well() -> None:
    with ordinary_host() as host:
        host.run("links.queue", "namespace")


@pytest.mark.lab
def test_a_live_etcd_stays_linearizable_under_each_kind(tmp_path: Path) -> None:
    """All kinds in one trial under load: each acts and heals, nothing is left, it is valid."""
    schedule = Schedule(
        choices=tuple(
            FaultChoice(kind=name, options=({"direction": "both"},), duration_s=(length, length))
            for name, length in KINDS.items()
        ),
        gap_s=(0.5, 0.7),
        overlap=0.0,
    )
    case = REGISTER.model_copy(
        update={"schedule": schedule, "rate": 200.0, "steady_states": (), "concurrency": 15}
    )
    plan = make_plan(case, 5, Overrides(time_limit_s=28.0))
    assert {fault.kind for fault in plan.faults} == set(KINDS)

    judgement = outside.run_trial(plan, tmp_path, display.make(quiet=True), keep=False)

    assert judgement.verdict.exit_code == 0, judgement.verdict
    evidence = sorted((tmp_path / "latest" / "evidence").glob("*.json"))
    assert len(evidence) == len(plan.faults)


@pytest.mark.parametrize("name", KINDS)
def test_without_namespaces_the_plan_says_why_not(name: str) -> None:
    reason = kind(name).unavailable("none", ("n1", "n2", "n3"), {})
    assert reason.startswith(f"{name} needs a network of its own") and "hint:" in reason

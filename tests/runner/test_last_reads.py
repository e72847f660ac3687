"""Fingerprints after the last reads of any workload, and templates that need a Prometheus."""

from __future__ import annotations

import pytest

from seatrial import targets, workloads
from seatrial.cases import CASES, case
from seatrial.checker import CheckOptions
from seatrial.errors import Unavailable, UsageError
from seatrial.generator import simulate
from seatrial.history import HistoryBuilder
from seatrial.op import Op, Type, Value
from seatrial.runner import judge
from seatrial.runner.load import last_reads
from seatrial.runner.outside import check_unavailable
from seatrial.runner.planner import Overrides, make_plan
from seatrial.steady import shelf
from seatrial.steady_state import PrometheusProbe
from seatrial.verdict import Validity

SQL_CASES = [name for name in CASES if case(name).target in ("tidb", "mariadb-galera")]
URL = "http://prometheus.monitoring.svc:9090"


def fs(workload: str, checkers: tuple[str, ...]) -> list[str]:
    """What is done at the end, in order of the first of each."""
    final = last_reads(workloads.make(workload), {name: {} for name in checkers}, 1, 6, 3)
    if final is None:
        return []
    ops = simulate(final, concurrency=6, ops_max=400)
    return list(dict.fromkeys(op.f for op in ops if op.type == Type.INVOKE))


def test_fingerprints_come_after_all_last_reads_where_replicas_are_judged() -> None:
    assert fs("bank", ("bank", "replicas")) == ["read", "fingerprint"]
    assert fs("append", ("replicas",)) == ["txn", "fingerprint"]
    assert fs("bank", ("bank",)) == ["read"]
    assert fs("replicas", ("replicas",)) == ["fingerprint"]


def test_a_plan_has_last_reads_also_for_fingerprints_alone() -> None:
    plan = make_plan(case("galera-bank"), 1, Overrides())
    assert plan.workload.final_reads
    assert set(plan.checkers) == {"bank", "replicas", "stats"}


def test_no_other_checker_sees_what_a_replica_says_of_itself() -> None:
    view: Value = {"node": "n1", "index": 1, "revision": 1, "hash": "a"}
    builder = HistoryBuilder()
    for op in (
        Op(Type.INVOKE, 0, "write", 1, 7, 0),
        Op(Type.OK, 0, "write", 1, 7, 1),
        Op(Type.INVOKE, 1, "read", None, 7, 2),
        Op(Type.OK, 1, "read", 1, 7, 3),
        Op(Type.INVOKE, 1, "fingerprint", None, None, 4),
        Op(Type.OK, 1, "fingerprint", view, None, 5),
    ):
        builder.append(op)
    options = {"linearizable": CheckOptions(model="cas-register"), "replicas": CheckOptions()}

    found = judge.check_history(builder.history(), options, timeout_s=60.0, memory=4 << 30)

    assert found["linearizable"].verdict is Validity.VALID
    assert found["replicas"].judged == 1


@pytest.mark.parametrize("name", SQL_CASES)
def test_the_targets_own_queries_are_asked_where_a_prometheus_is_there(name: str) -> None:
    made = case(name)
    template = {state.name for one in made.monitored for state in shelf.load(one).states}
    assert template

    asked = make_plan(made, 1, Overrides(engine="argo", prometheus=URL))
    states = {state.name: state for state in asked.steady_states}
    assert template <= set(states) and asked.not_asked == ()
    for one in template:
        probe = states[one].probe
        assert isinstance(probe, PrometheusProbe) and probe.url == URL


@pytest.mark.parametrize("name", SQL_CASES)
def test_without_a_prometheus_a_plan_says_what_is_not_asked(name: str) -> None:
    made = make_plan(case(name), 1, Overrides(engine="argo"))

    assert not any(isinstance(state.probe, PrometheusProbe) for state in made.steady_states)
    assert made.not_asked and all("--prometheus" in text for text in made.not_asked)


@pytest.mark.parametrize("name", SQL_CASES)
def test_each_case_of_a_sql_target_can_be_planned_for_a_cluster(name: str) -> None:
    plan = make_plan(case(name), 7, Overrides(engine="argo"))
    target = targets.make(plan.target.name, plan.target.settings)

    assert "replicas" in plan.checkers and plan.faults
    roles = {fault.victims for fault in plan.faults} & {"leader", "follower"}
    assert roles <= set(target.roles)


def test_tidb_is_refused_on_this_machine_before_anything_is_made() -> None:
    with pytest.raises(Unavailable, match="made on Kubernetes") as caught:
        check_unavailable(make_plan(case("tidb-bank"), 1, Overrides()))
    assert "seatrial submit" in str(caught.value)


def test_what_galera_lacks_on_this_machine_is_said_before_anything_is_made() -> None:
    plan = make_plan(case("galera-bank"), 1, Overrides())
    settings = {"binary": "no-such-mariadbd"}
    lacking = plan.model_copy(
        update={"target": plan.target.model_copy(update={"settings": settings})}
    )
    with pytest.raises(Unavailable, match="no no-such-mariadbd on this machine"):
        check_unavailable(lacking)


@pytest.mark.parametrize(("name", "target"), [("etcd-set", "tidb"), ("galera-bank", "etcd")])
def test_a_workload_that_a_targets_clients_cannot_do_is_refused(name: str, target: str) -> None:
    with pytest.raises(UsageError, match=f"{target} has no client for the workload"):
        make_plan(case(name), 1, Overrides(target=target, engine="argo"))


@pytest.mark.parametrize("name", targets.TARGETS)
def test_what_targets_can_do_are_workloads_that_exist(name: str) -> None:
    assert set(targets.workloads_of(name) or ()) <= set(workloads.WORKLOADS)


def test_a_role_that_the_part_does_not_have_is_refused() -> None:
    wrong = case("tidb-bank-pd").model_copy(update={"target_settings": {"part": "tikv"}})
    with pytest.raises(UsageError, match="most-leaders"):
        make_plan(wrong, 1, Overrides(engine="argo"))

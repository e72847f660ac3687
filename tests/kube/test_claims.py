"""Volumes that an operator asked for go with the trial: by teardown, reaper, and the Workflow."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from seatrial.cases import case
from seatrial.cli.main import main
from seatrial.engine.argo import claims, paths, rights
from seatrial.engine.argo.api import Api
from seatrial.engine.argo.site import ENGINE
from seatrial.plan import Plan
from seatrial.runner.planner import Overrides, make_plan
from tests.kube.cluster import NAMESPACE, RUN
from tests.kube.operator import CLAIMS, CLUSTERS, TidbOperator
from tests.kube.server import Cluster, Object
from tests.kube.test_site import ENVIRONMENT

WORKFLOWS = paths.workflows(NAMESPACE)
#: Three of placement, three of storage.
VOLUMES = 6


def plan() -> Plan:
    return make_plan(case("tidb-bank"), 1, Overrides(engine="argo", faults=("kill",)))


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a pod of the trial."""
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def operator(cluster: Cluster) -> TidbOperator:
    """TiDB Operator on the cluster."""
    return TidbOperator(cluster)


def made(cluster: Cluster) -> list[Object]:
    return [body for path, body in cluster.objects.items() if path.startswith(CLAIMS)]


def others(cluster: Cluster) -> None:
    """Claims of a TidbCluster that is nobody's trial, and of what another one made."""
    for name, instance, by in (
        ("tikv-db-tikv-0", "db", "tidb-operator"),
        ("data-db-0", f"{RUN.name}-tidb", "somebody"),
    ):
        labels = {"app.kubernetes.io/instance": instance, "app.kubernetes.io/managed-by": by}
        cluster.put(CLAIMS, {"metadata": {"name": name, "labels": labels}})


def provision(folder: Path) -> None:
    asyncio.run(ENGINE.provision(plan(), folder, 60.0))


def test_claims_of_the_operator_become_the_runs_own_and_stay_the_operators(
    cluster: Cluster, api: Api, operator: TidbOperator, tmp_path: Path
) -> None:
    """Kubernetes collects them with the Workflow; the operator finds them by its own labels."""
    others(cluster)
    provision(tmp_path)

    mine = [one for one in made(cluster) if "seatrial/run" in one["metadata"]["labels"]]
    assert len(mine) == VOLUMES and len(made(cluster)) == VOLUMES + 2
    for claim in mine:
        assert claim["metadata"]["labels"]["seatrial/run"] == RUN.name
        assert claim["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "tidb-operator"
        (owner,) = claim["metadata"]["ownerReferences"]
        assert (owner["kind"], owner["uid"]) == ("Workflow", RUN.owner_uid)


def test_teardown_removes_claims_also_of_members_that_came_later_and_only_these(
    cluster: Cluster, api: Api, operator: TidbOperator, tmp_path: Path
) -> None:
    """What was replaced during the trial was labelled by nobody."""
    others(cluster)

    async def act() -> tuple[str, ...]:
        record = await ENGINE.provision(plan(), tmp_path, 60.0)
        (name,) = [path.rpartition("/")[2] for path in cluster.objects if CLUSTERS in path]
        operator._make(f"{name}-tikv-3", name, "tikv", {})
        site = await ENGINE.open(record, plan(), tmp_path)
        try:
            return await site.teardown(None)
        finally:
            await site.close()

    assert asyncio.run(act()) == ()
    assert {one["metadata"]["name"] for one in made(cluster)} == {"tikv-db-tikv-0", "data-db-0"}


def test_the_reaper_removes_claims_that_nobody_labelled(
    cluster: Cluster, api: Api, operator: TidbOperator, tmp_path: Path
) -> None:
    """The run was terminated while its target was being made."""
    others(cluster)
    provision(tmp_path)
    for claim in made(cluster):
        claim["metadata"]["labels"].pop("seatrial/run", None)
        cluster.put(CLAIMS, claim)
    body = {"metadata": {"name": RUN.name, "namespace": NAMESPACE}, "spec": {}}
    cluster.put(WORKFLOWS, {**body, "status": {"phase": "Failed"}})

    assert main(["reap", "--engine", "argo"]) == 0
    assert {one["metadata"]["name"] for one in made(cluster)} == {"tikv-db-tikv-0", "data-db-0"}


def test_a_target_without_an_operator_asks_nothing_of_claims(cluster: Cluster, api: Api) -> None:
    asyncio.run(claims.adopt(api, RUN, claims.clusters([{"kind": "StatefulSet", "metadata": {}}])))

    assert not any("persistentvolumeclaims" in path for _, path, _ in cluster.requests)


def test_changing_claims_is_a_right_that_only_an_operators_target_takes() -> None:
    def verbs(kind: str, version: str) -> set[str]:
        asked = rights.of_plan(plan(), NAMESPACE, NAMESPACE, [(version, kind)])
        return {one.verb for one in asked if one.resource == "persistentvolumeclaims"}

    assert verbs("TidbCluster", "pingcap.com/v1alpha1") == {
        *("get", "list", "watch", "delete", "patch")
    }
    assert "patch" not in verbs("StatefulSet", "apps/v1")

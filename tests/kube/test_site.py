"""The engine as steps use it: preflight, provision, open, audit, collect, teardown."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from seatrial.cases import case
from seatrial.engine.argo import paths, rights
from seatrial.engine.argo.api import Api
from seatrial.engine.argo.run import RUN_LABEL, of_environment
from seatrial.engine.argo.site import (
    ENGINE,
    ArgoSite,
    PodMark,
    _all_ready,
    _target,
    apply,
    own_image,
)
from seatrial.engine.site import PlacedNode, engine_of
from seatrial.errors import UsageError
from seatrial.runner.planner import Overrides, make_plan
from seatrial.target import Placed
from seatrial.workflows.names import RUN as LABEL_OF_WORKFLOWS
from tests.kube.cluster import NAMESPACE, NODES, RUN, SHORT, ThreePods, pod, pod_path
from tests.kube.server import Cluster, Object

SETS = paths.collection("apps/v1", "StatefulSet", NAMESPACE)
ENVIRONMENT = {
    "SEATRIAL_RUN": RUN.name,
    "SEATRIAL_NAMESPACE": NAMESPACE,
    "SEATRIAL_OWNER_NAME": RUN.name,
    "SEATRIAL_OWNER_UID": RUN.owner_uid,
    "SEATRIAL_POD_IP": "10.0.0.9",
}


def site(api: Api, marks: Mapping[str, PodMark] | None = None) -> ArgoSite:
    """As a step has it."""
    target = ThreePods()
    nodes = [PlacedNode(name=n, address="10.0.0.1", ports={"client": 2379}) for n in NODES]
    place = target.place(NODES, RUN.name, NAMESPACE)
    return ArgoSite(api, RUN, target, place, nodes, SHORT, marks)


def test_the_engine_is_in_the_table() -> None:
    """Steps find it by the plan's word; reaper and teardown by the workflows' label."""
    assert engine_of("argo") is ENGINE
    assert RUN_LABEL == LABEL_OF_WORKFLOWS


def test_a_step_outside_of_a_workflow_says_so() -> None:
    """The environment is the workflow's; without it there is no run to belong to."""
    with pytest.raises(UsageError, match="SEATRIAL_RUN and SEATRIAL_NAMESPACE is not set"):
        of_environment({})


def test_the_load_listens_on_its_pods_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other pods reach the line there."""
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    line = ENGINE.line(Path("/trial"))
    assert line.advertise == "tcp:10.0.0.9:7433"


def test_objects_are_applied_and_owned(cluster: Cluster, api: Api) -> None:
    """Made once, changed the second time; collected with the Workflow."""
    body: Object = {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "db"}}

    async def act() -> None:
        for replicas in (3, 5):
            await apply(api, RUN.owned({**body, "spec": {"replicas": replicas}}))

    asyncio.run(act())
    made = cluster.objects[f"{SETS}/db"]
    assert made["spec"]["replicas"] == 5
    assert made["metadata"]["ownerReferences"][0]["name"] == RUN.name
    assert made["metadata"]["labels"]["seatrial/run"] == RUN.name


def test_the_probe_beside_a_node_has_the_image_of_the_step_itself(
    cluster: Cluster, api: Api
) -> None:
    """As its pod says it, whoever put it there; what the plan names comes first."""
    body = {
        "metadata": {"name": "step"},
        "spec": {
            "containers": [
                {"name": "wait", "image": "argoexec"},
                {"name": "main", "image": "registry.example.org/seatrial@sha256:1"},
            ]
        },
    }
    cluster.put(paths.pods(NAMESPACE), body)
    run = replace(RUN, pod_name="step")
    image = asyncio.run(own_image(api, run))
    assert image == "registry.example.org/seatrial@sha256:1"
    plan = make_plan(case("etcd-register"), 1, Overrides(engine="argo"))
    for given, wanted in (({}, image), ({"probe_image": "mine:1"}, "mine:1")):
        target = plan.target.model_copy(update={"settings": {"kubernetes": given}})
        made = _target(plan.model_copy(update={"target": target}), image)
        assert isinstance(made, Placed)
        *_, sets = made.place(NODES, RUN.name, NAMESPACE).objects
        assert wanted in json.dumps(sets)
    assert asyncio.run(own_image(api, RUN)) == ""


def test_rights_are_those_of_the_plan_and_no_more() -> None:
    """Two kinds of faults: rights on their Chaos Mesh kinds, not on the others."""
    plan = make_plan(
        case("etcd-register"), 1, Overrides(engine="argo", faults=("kill", "partition"))
    )
    wanted = rights.of_plan(plan, NAMESPACE, NAMESPACE, [("apps/v1", "StatefulSet")])
    resources = {right.resource for right in wanted if right.group == "chaos-mesh.org"}
    assert resources == {"podchaos", "networkchaos"}
    assert not any(right.resource == "secrets" for right in wanted)


def test_what_is_measured_in_pods_takes_commands_in_pods() -> None:
    """A plan of kills alone may not carry out anything in a pod."""
    for faults, wants in (
        (("kill",), False),
        (("partition",), True),
        (("pause",), True),
        (("io-latency",), True),
        (("clock",), False),
    ):
        plan = make_plan(case("etcd-register"), 1, Overrides(engine="argo", faults=faults))
        wanted = rights.of_plan(plan, NAMESPACE, NAMESPACE, [])
        verbs = {right.verb for right in wanted if right.resource == "pods/exec"}
        assert verbs == ({"get", "create"} if wants else set())


def test_missing_kinds_and_rights_are_all_named_at_once(cluster: Cluster, api: Api) -> None:
    """By discovery and by SelfSubjectAccessReview."""
    plan = make_plan(
        case("etcd-register"), 1, Overrides(engine="argo", faults=("kill", "partition"))
    )
    cluster.groups["chaos-mesh.org"] = ("podchaos",)
    cluster.denied.add(("delete", "podchaos"))
    wanted = rights.of_plan(plan, NAMESPACE, NAMESPACE, [])
    assert asyncio.run(rights.missing(api, wanted)) == (
        "networkchaos.chaos-mesh.org is not installed",
        "delete podchaos.chaos-mesh.org in seatrial",
    )


def test_a_restart_that_nobody_planned_is_told(cluster: Cluster, api: Api) -> None:
    """A pod made anew, and a container started again, on nodes that no fault can have met."""
    marks = {
        node: PodMark(uid=cluster.objects[pod_path(node)]["metadata"]["uid"], restarts=0)
        for node in ("n1", "n2", "n3")
    }

    def again(body: Object) -> None:
        body["status"]["containerStatuses"][0]["restartCount"] = 2

    def anew(body: Object) -> None:
        body["metadata"]["uid"] = "another"

    cluster.change(pod_path("n1"), again)
    cluster.change(pod_path("n2"), anew)
    assert asyncio.run(site(api, marks).unplanned()) == (
        "n1: started 2 times more, by no fault",
        "n2: its pod is not the one of the beginning, and no fault did it",
    )


def test_audit_names_nodes_without_a_ready_pod(cluster: Cluster, api: Api) -> None:
    """What is still broken at the end."""
    cluster.remove(pod_path("n3"))
    assert asyncio.run(site(api).audit()) == ("n3 has no pod",)


def test_logs_come_home_also_of_the_container_before(
    cluster: Cluster, api: Api, tmp_path: Path
) -> None:
    """A container that was started again has two logs; a pod that is gone has none."""

    def again(body: Object) -> None:
        body["status"]["containerStatuses"][0]["restartCount"] = 1

    cluster.change(pod_path("n1"), again)
    cluster.remove(pod_path("n3"))
    for node in ("n1", "n2"):
        cluster.texts[f"{pod_path(node)}/log"] = b"elected\n"
    names = asyncio.run(site(api).collect(tmp_path))
    assert sorted(names) == ["db-n1.db.log", "db-n1.db.previous.log", "db-n2.db.log"]
    assert (tmp_path / "db-n2.db.log").read_text() == "elected\n"


def test_a_target_that_ran_before_is_left_alone(cluster: Cluster, api: Api) -> None:
    """Teardown removes what the trial made, and this one made nothing."""
    before = dict(cluster.objects)
    assert asyncio.run(site(api).teardown(None)) == ()
    assert cluster.objects == before


def test_pods_that_are_no_nodes_are_waited_for_too_and_make_no_node(
    cluster: Cluster, api: Api
) -> None:
    """The stores of a TiDB are ready long before its SQL servers serve."""
    place = replace(ThreePods().place(NODES, RUN.name, NAMESPACE), beside=("db-n9",))

    async def act() -> tuple[bool, list[str]]:
        waiting = asyncio.create_task(_all_ready(api, place))
        done, _ = await asyncio.wait({waiting}, timeout=0.3)
        cluster.put(paths.pods(NAMESPACE), pod("n9"))
        return bool(done), [*await asyncio.wait_for(waiting, 10.0)]

    assert asyncio.run(act()) == (False, [*NODES])

"""What an operator does, over the API: restarts in turn, other images, upkeep; each measured."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from seatrial import targets
from seatrial.cases import case
from seatrial.engine.argo import orderly, paths, rights
from seatrial.engine.argo.api import Api
from seatrial.engine.argo.site import ArgoSite, apply
from seatrial.engine.site import PlacedNode
from seatrial.errors import Unavailable, UsageError
from seatrial.fault import FaultKind, PlannedFault, Proof
from seatrial.plan import Plan
from seatrial.runner.planner import Overrides, make_plan
from seatrial.target import Node, Placed, Placement
from tests.kube.cluster import NAMESPACE, NODES, RUN, SHORT, ThreePods, pod
from tests.kube.server import Cluster, Object

SETS = paths.collection("apps/v1", "StatefulSet", NAMESPACE)
PODS = paths.pods(NAMESPACE)
OLD, NEW = "gcr.io/etcd-development/etcd:v3.5.21", "gcr.io/etcd-development/etcd:v3.6.0"
OWNER = {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "db", "controller": True}


def placement() -> Placement:
    """Of the etcd that we make."""
    target = targets.make("etcd")
    assert isinstance(target, Placed)
    return target.place(NODES, RUN.name, NAMESPACE)


PLACE = placement()
SET = f"{SETS}/{RUN.name}-etcd"


class Etcd(ThreePods):
    """Nodes that run what their pods' images say, and count what they did."""

    def __init__(self, cluster: Cluster) -> None:
        super().__init__()
        self.cluster = cluster
        self.compacted: dict[str, int] = {}
        self.defragmented = dict.fromkeys(NODES, 0)
        self.started = dict.fromkeys(NODES, 1.0)

    def place(self, nodes: Sequence[str], run: str, namespace: str) -> Placement:
        return PLACE

    def image_may_follow(self, image: str) -> str:
        return ""

    async def running_version(self, node: Node) -> str:
        found = self.cluster.objects.get(f"{PODS}/{PLACE.pods[node.name]}")
        return "" if found is None else str(found["spec"]["containers"][0]["image"]).split(":v")[1]

    async def compact(self, node: Node, keep_revisions: int) -> int:
        self.compacted[node.name] = 100 - keep_revisions
        return 100 - keep_revisions

    async def is_compacted(self, node: Node, revision: int) -> bool:
        return revision < self.compacted.get(node.name, 0)

    async def defragment(self, node: Node) -> None:
        self.defragmented[node.name] += 1

    def data_file(self, node: Node) -> Any:
        raise NotImplementedError

    async def rewrites(self, node: Node) -> tuple[float, int]:
        return self.started[node.name], self.defragmented[node.name]


class Controllers:
    """The StatefulSet's controller and the kubelet: pods that go are made anew from its template.

    `sees` and `comes_back` are what a test takes away; `events` is what happened to pods, in order.
    """

    def __init__(self, cluster: Cluster, api: Api) -> None:
        self.cluster, self.sees, self.comes_back = cluster, True, True
        self.events: list[tuple[str, str]] = []
        self.ready = lambda name: True
        for body in PLACE.objects:
            asyncio.run(apply(api, RUN.owned(body)))
        cluster.when = self.heard
        self.seen()
        for name in PLACE.pods.values():
            self.make(name)
        self.events.clear()

    def heard(self, kind: str, path: str, body: Object) -> None:
        """A change."""
        if path == SET and kind == "MODIFIED" and self.sees:
            self.seen()
        if path.startswith(PODS) and kind == "DELETED":
            self.events.append(("gone", body["metadata"]["name"]))
            if self.comes_back:
                self.make(body["metadata"]["name"])

    def seen(self) -> None:
        """The controller has seen the newest generation."""

        def change(body: Object) -> None:
            body.setdefault("status", {})["observedGeneration"] = body["metadata"].get(
                "generation", 0
            )

        there = self.cluster.objects[SET]
        seen = (there.get("status") or {}).get("observedGeneration")
        if seen != there["metadata"].get("generation", 0):
            self.cluster.change(SET, change)

    def make(self, name: str) -> None:
        """A pod from the template as it is now."""
        containers = self.cluster.objects[SET]["spec"]["template"]["spec"]["containers"]
        body = pod("n1")
        body["metadata"] = {"name": name, "namespace": NAMESPACE, "ownerReferences": [OWNER]}
        body["spec"]["containers"] = containers
        self.cluster.put(PODS, body)
        self.events.append(("made", name))


@pytest.fixture
def there(cluster: Cluster, api: Api) -> Controllers:
    """An etcd of three pods, and its controllers."""
    for node in NODES:
        cluster.remove(f"{PODS}/db-{node}")
    return Controllers(cluster, api)


@pytest.fixture
def site(there: Controllers, cluster: Cluster, api: Api) -> ArgoSite:
    """As a step has it."""
    nodes = [PlacedNode(name=n, address="10.0.0.1", ports={"client": 2379}) for n in NODES]
    return ArgoSite(api, RUN, Etcd(cluster), PLACE, nodes, SHORT)


def fault(kind: str, *nodes: str, **options: object) -> PlannedFault:
    return PlannedFault.model_validate(
        {
            "id": "fault-1",
            "kind": kind,
            "victims": "one",
            "nodes": nodes,
            "start_s": 0,
            "duration_s": 1,
            "options": {"pause_s": 0, **options} if "grade" in kind or "roll" in kind else options,
        }
    )


def life(site: ArgoSite, planned: PlannedFault) -> tuple[Proof, Proof]:
    """Inject, measure, heal, measure; by one instance, as the nemesis has it."""

    async def act() -> tuple[Proof, Proof]:
        kind: FaultKind = site.kind(planned.kind)
        await kind.inject(site.world, planned, planned.nodes)
        effect = await kind.prove_injected(site.world, planned, planned.nodes)
        await kind.heal(site.world, planned, planned.nodes)
        await kind.heal(site.world, planned, planned.nodes)
        return effect, await kind.prove_healed(site.world, planned, planned.nodes)

    return asyncio.run(act())


def images(cluster: Cluster) -> list[str]:
    """What each pod runs."""
    pods = [cluster.objects[f"{PODS}/{name}"] for name in PLACE.pods.values()]
    return [one["spec"]["containers"][0]["image"] for one in pods]


# ── rolling restart ──────────────────────────────────────────────────────────────────────────


def test_pods_are_restarted_one_after_another(site: ArgoSite, there: Controllers) -> None:
    """The next one goes when the one before is ready; each has another pod in the end."""
    effect, healed = life(site, fault("rolling-restart", "n2", "n1"))

    assert (effect.seen, healed.seen) == (True, True), (effect, healed)
    one, two = PLACE.pods["n2"], PLACE.pods["n1"]
    assert there.events == [("gone", one), ("made", one), ("gone", two), ("made", two)]


def test_a_pod_that_does_not_come_back_ends_the_roll(
    site: ArgoSite, there: Controllers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next one's turn never comes, and what was not restarted is no effect."""
    monkeypatch.setattr(orderly, "BACK_S", 0.2)
    there.comes_back = False
    planned = fault("rolling-restart", "n1", "n2")
    kind = site.kind("rolling-restart")

    with pytest.raises(Unavailable, match=r"etcd-0 was not back within 0\.2 s of its deletion"):
        asyncio.run(kind.inject(site.world, planned, planned.nodes))

    assert [what for what, _ in there.events] == ["gone"]
    assert not asyncio.run(kind.prove_injected(site.world, planned, planned.nodes)).seen


def test_a_lost_answer_does_not_take_the_pod_that_came_after(
    site: ArgoSite, there: Controllers, cluster: Cluster
) -> None:
    """The request is made again, and means the pod that is gone already."""
    name = PLACE.pods["n1"]
    cluster.fail("DELETE", f"/pods/{name}", lose=True)

    effect, healed = life(site, fault("rolling-restart", "n1"))

    assert (effect.seen, healed.seen) == (True, True), (effect, healed)
    assert cluster.asked("DELETE", f"/pods/{name}") == 2
    assert there.events == [("gone", name), ("made", name)]


def test_a_pod_of_no_controller_is_left_alone(
    site: ArgoSite, there: Controllers, cluster: Cluster, api: Api
) -> None:
    """Nobody would make it anew; of a running cluster preflight says so for each."""
    path = f"{PODS}/{PLACE.pods['n1']}"
    cluster.change(path, lambda body: body["metadata"].pop("ownerReferences"))
    planned = fault("rolling-restart", "n1")

    with pytest.raises(Unavailable, match="belongs to no controller"):
        life(site, planned)

    assert path in cluster.objects
    running = replace(PLACE, objects=())
    (told,) = asyncio.run(orderly.missing(api, [planned], running))
    assert told == f"n1 ({PLACE.pods['n1']}) belongs to no controller, and would not come back"
    assert asyncio.run(orderly.missing(api, [fault("compaction", "n1")], running)) == ()


# ── other images ─────────────────────────────────────────────────────────────────────────────


def test_an_upgrade_changes_the_image_and_only_the_victims_pods(
    site: ArgoSite, there: Controllers, cluster: Cluster
) -> None:
    """The StatefulSet replaces no pod by itself; the victims' nodes say another version."""
    assert cluster.objects[SET]["spec"]["updateStrategy"] == {"type": "OnDelete"}

    effect, healed = life(site, fault("upgrade", "n3", "n1", image=NEW))

    assert (effect.seen, healed.seen) == (True, True), (effect, healed)
    assert images(cluster) == [NEW, OLD, NEW]
    assert effect.measured["n1"]["before"] == "3.5.21"  # type: ignore[index,call-overload]
    assert effect.measured["n1"]["now"] == "3.6.0"  # type: ignore[index,call-overload]
    containers = cluster.objects[SET]["spec"]["template"]["spec"]["containers"]
    assert [one["name"] for one in containers] == ["node", "probe"]
    assert containers[0]["command"][0] == "etcd"


def test_a_downgrade_goes_up_and_back(site: ArgoSite, there: Controllers, cluster: Cluster) -> None:
    """All pods and the StatefulSet are as before; healing twice restarts nothing more."""
    effect, healed = life(site, fault("downgrade", "n2", image=NEW))

    assert (effect.seen, healed.seen) == (True, True), (effect, healed)
    assert images(cluster) == [OLD, OLD, OLD]
    assert cluster.objects[SET]["spec"]["template"]["spec"]["containers"][0]["image"] == OLD
    assert [what for what, _ in there.events] == ["gone", "made"] * 2


def test_no_pod_is_deleted_before_the_controller_knows_the_image(
    site: ArgoSite, there: Controllers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would come back with the old one."""
    monkeypatch.setattr(orderly, "SEEN_S", 0.2)
    there.sees = False
    with pytest.raises(Unavailable, match="its controller did not see the change"):
        life(site, fault("upgrade", "n1", image=NEW))
    assert there.events == []


def test_the_same_version_is_no_effect(site: ArgoSite, there: Controllers) -> None:
    """Another image of the same version proves nothing."""
    effect, healed = life(site, fault("upgrade", "n1", image=f"mirror.example/{OLD}"))
    assert not effect.seen and not healed.seen
    assert "n1: the version is the same" in effect.sentence


# ── the target's own ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", ["compaction", "defragmentation"])
def test_upkeep_is_asked_of_the_target_and_measured_there(
    site: ArgoSite, there: Controllers, kind: str
) -> None:
    effect, healed = life(site, fault(kind, "n1", "n2"))
    assert (effect.seen, healed.seen) == (True, True), (effect, healed)
    assert there.events == []


def test_a_node_that_was_started_again_has_not_defragmented(
    site: ArgoSite, there: Controllers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its count begins at 0, which is another number and no effect."""
    target = site._target
    assert isinstance(target, Etcd)
    target.defragmented["n1"] = 7

    async def restart(node: Node) -> None:
        target.defragmented["n1"], target.started["n1"] = 0, 2.0

    monkeypatch.setattr(target, "defragment", restart)
    with pytest.raises(Unavailable, match="n1 was started again meanwhile"):
        life(site, fault("defragmentation", "n1"))


# ── the plan ─────────────────────────────────────────────────────────────────────────────────


def plan(*faults: str, **more: Any) -> Plan:
    return make_plan(case("etcd-register"), 1, Overrides(engine="argo", faults=faults, **more))


@pytest.mark.parametrize("kind", ["upgrade", "downgrade", "member-change"])
def test_a_cluster_that_somebody_else_made_is_not_changed(kind: str) -> None:
    image = () if kind == "member-change" else (f"{kind}.image={NEW}",)
    victims = (f"{kind}.victims=one",)
    plan(kind, fault_options=(*image, *victims))
    with pytest.raises(UsageError, match="a cluster that somebody else made is never changed"):
        plan(
            kind,
            fault_options=(*image, *victims),
            selector="app=etcd",
            target_namespace="production",
        )


def test_what_a_target_cannot_is_refused_with_its_reason() -> None:
    """TiDB's pods are its operator's; Galera has no such members."""
    tidb, galera = targets.make("tidb"), targets.make("mariadb-galera")
    assert isinstance(tidb, Placed) and isinstance(galera, Placed)
    said: list[Callable[[], str]] = [
        lambda: orderly.lacking("upgrade", tidb, tidb.place(NODES, "run", "x")),
        lambda: orderly.lacking("member-change", galera, galera.place(NODES, "run", "x")),
        lambda: orderly.lacking("defragmentation", galera, galera.place(NODES, "run", "x")),
    ]
    assert [one().split()[:4] for one in said] == [
        ["the", "pods", "of", "tidb"],
        ["mariadb-galera", "does", "not", "say"],
        ["mariadb-galera", "does", "not", "tell"],
    ]


def test_rights_are_those_of_what_is_planned() -> None:
    def of(*faults: str, **more: Any) -> set[tuple[str, str]]:
        wanted = rights.of_plan(plan(*faults, **more), NAMESPACE, NAMESPACE, [])
        return {(right.resource, right.verb) for right in wanted}

    assert ("pods", "delete") not in of("kill")
    assert ("pods", "delete") in of("rolling-restart")
    assert ("statefulsets", "patch") not in of("rolling-restart")
    assert ("statefulsets", "patch") in of("upgrade", fault_options=(f"upgrade.image={NEW}",))
    assert ("persistentvolumeclaims", "delete") in of("member-change")


def test_versions_are_what_the_nodes_say(there: Controllers, cluster: Cluster) -> None:
    """Not what a binary of this machine is; where they differ, who runs which."""
    nodes = [Node(n, "x", {}, None, None) for n in NODES]  # type: ignore[arg-type]
    target = Etcd(cluster)
    assert asyncio.run(orderly.versions(target, nodes)) == {"three-pods": "3.5.21"}
    cluster.change(
        f"{PODS}/{PLACE.pods['n2']}",
        lambda body: body["spec"]["containers"][0].update(image=NEW),
    )
    told = asyncio.run(orderly.versions(target, nodes))
    assert told == {"three-pods": "3.5.21 (n1, n3), 3.6.0 (n2)"}
    assert asyncio.run(orderly.versions(ThreePods(), nodes)) == {}

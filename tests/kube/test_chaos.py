"""Faults through Chaos Mesh, from the manifest to the proof, over a real HTTP API."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from seatrial.engine.argo import paths
from seatrial.engine.argo.api import Api
from seatrial.engine.argo.site import ArgoSite
from seatrial.engine.site import PlacedNode
from seatrial.errors import CannotCreate, Unavailable
from seatrial.fault import FaultKind, PlannedFault, Proof
from seatrial.op import Op
from seatrial.runner.nemesis import Nemesis
from seatrial.target import Placement
from seatrial.trial import Evidence
from tests.kube.cluster import (
    NAMESPACE,
    NODES,
    PAUSE,
    RUN,
    SHORT,
    ChaosMesh,
    ThreePods,
    pod_path,
)
from tests.kube.server import Cluster, Object

PODCHAOS = paths.chaos("PodChaos", NAMESPACE)
NETCHAOS = paths.chaos("NetworkChaos", NAMESPACE)


def site_of(api: Api, target: ThreePods) -> ArgoSite:
    """What a step opens."""
    nodes = [PlacedNode(name=n, address=f"10.0.0.{n[1:]}", ports={"client": 2379}) for n in NODES]
    return ArgoSite(api, RUN, target, target.place(NODES, RUN.name, NAMESPACE), nodes, SHORT)


def planned(kind: str, *nodes: str, victims: str = "one", **options: Any) -> PlannedFault:
    """A fault of a plan."""
    return PlannedFault(
        id="fault-1",
        kind=kind,
        victims=victims,
        nodes=nodes,
        start_s=0,
        duration_s=5,
        options=options,
    )


@pytest.fixture
def target(cluster: Cluster, mesh: ChaosMesh) -> ThreePods:
    """The database; a pod that is injured is not ready, and its node does not answer."""
    made = ThreePods()

    def ready(yes: bool) -> Callable[[list[str]], None]:
        def change(body: Object) -> None:
            body["status"]["conditions"] = [{"type": "Ready", "status": str(yes)}]

        def act(pods: list[str]) -> None:
            for name in pods:
                cluster.change(pod_path(name.removeprefix("db-")), change)
                node = name.removeprefix("db-")
                (made.silent.discard if yes else made.silent.add)(node)

        return act

    mesh.hurt, mesh.mend = ready(False), ready(True)
    return made


def word(proof: Proof) -> Object:
    """What Chaos Mesh said of its one object."""
    made: Any = proof.measured["chaos_mesh"]
    (one,) = made
    found: Object = one
    return found


Act = Callable[[ArgoSite, FaultKind], Awaitable[None]]


class Named(ThreePods):
    """It is known which container of a pod is the node."""

    def place(self, nodes: Sequence[str], run: str, namespace: str) -> Placement:
        return replace(super().place(nodes, run, namespace), node="node")


def with_kind(api: Api, target: ThreePods, name: str, act: Act) -> None:
    """Do something with a kind of fault as a step gets it."""

    async def run() -> None:
        site = site_of(api, target)
        await act(site, site.kind(name))

    asyncio.run(run())


def test_kill_is_injected_proved_healed_and_gone(
    cluster: Cluster, mesh: ChaosMesh, api: Api, target: ThreePods
) -> None:
    """The whole life of a fault, and what stays as evidence."""
    fault, proofs = planned("kill", "n2"), list[Proof]()

    async def act(site: ArgoSite, kind: FaultKind) -> None:
        await kind.inject(site.world, fault, ["n2"])
        proofs.append(await kind.prove_injected(site.world, fault, ["n2"]))
        await kind.heal(site.world, fault, ["n2"])
        proofs.append(await kind.prove_healed(site.world, fault, ["n2"]))

    with_kind(api, target, "kill", act)
    effect, recovery = proofs
    assert effect.seen and "not run" in effect.sentence and "no answer" in effect.sentence
    assert recovery.seen
    before, after = word(effect), word(recovery)
    assert before["conditions"]["AllInjected"] == "True"
    record = after["containerRecords"][0]
    assert (record["phase"], record["recoveredCount"]) == ("Not Injected", 1)
    assert len(mesh.gone) == 1
    assert not any(path.startswith(PODCHAOS) for path in cluster.objects)


def fail_pods_of(cluster: Cluster, mesh: ChaosMesh, *more: Callable[[Object], None]) -> None:
    """Chaos Mesh lets a pod fail: it writes another image into it, and what then happens."""

    def other_image(body: Object) -> None:
        body["spec"] = {"containers": [{"name": "node", "image": "pause"}]}

    def act(pods: list[str]) -> None:
        for change in (other_image, *more):
            for name in pods:
                cluster.change(pod_path(name.removeprefix("db-")), change)

    mesh.hurt, mesh.mend = act, lambda _: None


def test_that_a_pod_is_told_to_fail_is_no_proof_that_its_node_is_down(
    cluster: Cluster, mesh: ChaosMesh, api: Api, target: ThreePods
) -> None:
    """The other image is the fault's own word, and so is the deletion that is asked for."""
    fail_pods_of(
        cluster,
        mesh,
        lambda body: body["metadata"].update(deletionTimestamp="2026-01-01T00:00:00Z"),
        lambda body: body["status"].update(conditions=[{"type": "Ready", "status": "True"}]),
    )
    fault, proofs = planned("kill", "n2"), list[Proof]()

    async def act(site: ArgoSite, kind: FaultKind) -> None:
        await kind.inject(site.world, fault, ["n2"])
        proofs.append(await kind.prove_injected(site.world, fault, ["n2"]))

    with_kind(api, Named(), "kill", act)
    assert not proofs[0].seen and "no effect was seen" in proofs[0].sentence, proofs[0]


def test_a_node_that_takes_its_time_of_grace_is_waited_for(
    cluster: Cluster, mesh: ChaosMesh, api: Api, target: ThreePods
) -> None:
    """Only the container of the node counts: that another one was started anew says nothing."""

    def probe_started(body: Object) -> None:
        body["status"]["containerStatuses"] = [
            {"name": "helm", "restartCount": 1, "state": {"running": {}}},
            {"name": "node", "restartCount": 0, "state": {"running": {}}},
        ]

    def node_ended(body: Object) -> None:
        body["status"]["containerStatuses"][1]["state"] = {"terminated": {}}

    fail_pods_of(cluster, mesh, probe_started)
    fault, proofs = planned("kill", "n2"), list[Proof]()

    async def act(site: ArgoSite, kind: FaultKind) -> None:
        await kind.inject(site.world, fault, ["n2"])
        proofs.append(await kind.prove_injected(site.world, fault, ["n2"]))
        late = asyncio.get_running_loop().call_later(
            SHORT.down_s / 2, cluster.change, pod_path("n2"), node_ended
        )
        proofs.append(await kind.prove_injected(site.world, fault, ["n2"]))
        late.cancel()

    with_kind(api, Named(), "kill", act)
    assert not proofs[0].seen, proofs[0]
    assert proofs[1].seen and "does not run any more" in proofs[1].sentence


def test_the_object_is_owned_labelled_and_has_a_dead_mans_switch(
    cluster: Cluster, mesh: ChaosMesh, api: Api, target: ThreePods
) -> None:
    """Deletion of the Workflow collects it, its label finds it, its duration ends it."""
    fault = planned("kill", "n2")

    async def act(site: ArgoSite, kind: FaultKind) -> None:
        await kind.inject(site.world, fault, ["n2"])

    with_kind(api, target, "kill", act)
    (body,) = [b for path, b in cluster.objects.items() if path.startswith(PODCHAOS)]
    metadata = body["metadata"]
    assert metadata["name"] == f"{RUN.name}-fault-1"
    assert metadata["labels"]["seatrial/run"] == RUN.name
    assert metadata["ownerReferences"][0]["uid"] == RUN.owner_uid
    assert body["spec"]["duration"] == "65000ms"
    assert body["spec"]["selector"] == {"pods": {NAMESPACE: ["db-n2"]}}


def test_an_injection_that_fails_says_why(mesh: ChaosMesh, api: Api, target: ThreePods) -> None:
    """A kernel without netem: Chaos Mesh's reason is in the error, and the object goes again."""
    mesh.injects = False
    fault = planned("kill", "n2")

    async def act(site: ArgoSite, kind: FaultKind) -> None:
        with pytest.raises(Unavailable, match="unable to set tcs"):
            await kind.inject(site.world, fault, ["n2"])
        assert not (await kind.prove_injected(site.world, fault, ["n2"])).seen
        await kind.heal(site.world, fault, ["n2"])

    with_kind(api, target, "kill", act)
    assert len(mesh.gone) == 1


def test_what_chaos_mesh_says_proves_nothing_alone(
    mesh: ChaosMesh, api: Api, target: ThreePods
) -> None:
    """AllInjected, and the pod is as before: the effect is not seen."""
    mesh.hurt = lambda _: None
    fault = planned("kill", "n2")

    async def act(site: ArgoSite, kind: FaultKind) -> None:
        await kind.inject(site.world, fault, ["n2"])
        proof = await kind.prove_injected(site.world, fault, ["n2"])
        assert not proof.seen and "no effect" in proof.sentence

    with_kind(api, target, "kill", act)


def test_a_node_that_never_answered_proves_nothing_by_its_silence(
    mesh: ChaosMesh, api: Api, target: ThreePods
) -> None:
    """Silent before the fault as well: that is no effect of it."""
    mesh.hurt = lambda _: None
    target.silent.add("n2")
    fault = planned("kill", "n2")

    async def act(site: ArgoSite, kind: FaultKind) -> None:
        await kind.inject(site.world, fault, ["n2"])
        assert not (await kind.prove_injected(site.world, fault, ["n2"])).seen

    with_kind(api, target, "kill", act)


@pytest.mark.parametrize("obeys", [True, False])
def test_a_stuck_finalizer_is_recorded_and_at_last_removed(
    cluster: Cluster, mesh: ChaosMesh, api: Api, target: ThreePods, obeys: bool
) -> None:
    """By Chaos Mesh's own annotation, or by taking the finalizer; and the healing is not green."""
    mesh.lets_go, mesh.obeys_force = False, obeys
    fault = planned("kill", "n2")

    async def act(site: ArgoSite, kind: FaultKind) -> None:
        await kind.inject(site.world, fault, ["n2"])
        way = "let go by force" if obeys else "finalizers were removed"
        with pytest.raises(Unavailable, match=f"held by chaos-mesh/records.*{way}"):
            await kind.heal(site.world, fault, ["n2"])

    with_kind(api, target, "kill", act)
    assert not any(path.startswith(PODCHAOS) for path in cluster.objects)


def test_a_recovery_that_never_comes_is_told(
    cluster: Cluster, mesh: ChaosMesh, api: Api, target: ThreePods
) -> None:
    """Victims that stay injected: the object goes by force, the trial knows."""
    mesh.recovers = False
    fault = planned("kill", "n2")

    async def act(site: ArgoSite, kind: FaultKind) -> None:
        await kind.inject(site.world, fault, ["n2"])
        with pytest.raises(Unavailable, match="did not recover all victims"):
            await kind.heal(site.world, fault, ["n2"])

    with_kind(api, target, "kill", act)
    assert not any(path.startswith(PODCHAOS) for path in cluster.objects)


def _deleted(cluster: Cluster, path: str) -> None:
    cluster.deleted(path)


def _swept(cluster: Cluster, path: str) -> None:
    cluster.remove(path)


def _paused(cluster: Cluster, path: str) -> None:
    cluster.patched(path, {"metadata": {"annotations": {PAUSE: "true"}}}, "merge")


def _over(cluster: Cluster, path: str) -> None:
    def change(body: Object) -> None:
        body["status"]["experiment"]["desiredPhase"] = "Stop"

    cluster.change(path, change)


def _resumed(cluster: Cluster, path: str) -> None:
    def change(body: Object) -> None:
        for one in body["status"]["experiment"]["containerRecords"]:
            one |= {"injectedCount": 2, "recoveredCount": 1}

    cluster.change(path, change)


def _uninjected(cluster: Cluster, path: str) -> None:
    def change(body: Object) -> None:
        for one in body["status"]["conditions"]:
            one["status"] = "False"

    cluster.change(path, change)


@pytest.mark.parametrize(
    ("somebody", "why"),
    [
        (_deleted, "removed"),
        (_swept, "removed"),
        (_paused, "paused"),
        (_over, "stopped, or its own duration was over"),
        (_resumed, "paused for a while"),
        (_uninjected, "not all its victims are injected"),
    ],
)
@pytest.mark.parametrize("kind", ["kill", "partition"])
def test_a_fault_that_somebody_else_ended_did_not_last(
    cluster: Cluster,
    mesh: ChaosMesh,
    api: Api,
    target: ThreePods,
    somebody: Callable[[Cluster, str], None],
    why: str,
    kind: str,
) -> None:
    """Removed, paused in a dashboard, or over by its own duration: healing is not green then.

    Asked once: a second healing finds nothing, which is as it should be.
    """
    cluster.command = lambda *_: ("python: not found", 127)
    fault = planned(kind, "n2")

    async def act(site: ArgoSite, kind: FaultKind) -> None:
        await kind.inject(site.world, fault, ["n2"])
        (path,) = [one for one in cluster.objects if "chaos-mesh.org" in one]
        somebody(cluster, path)
        with pytest.raises(Unavailable, match=f"fault-1 had ended before its end: .*{why}"):
            await kind.heal(site.world, fault, ["n2"])
        await kind.heal(site.world, fault, ["n2"])

    with_kind(api, target, kind, act)
    assert not any("chaos-mesh.org" in path for path in cluster.objects)


def test_a_fault_is_ended_also_where_nobody_can_look_whether_it_lasted(
    cluster: Cluster, mesh: ChaosMesh, api: Api, target: ThreePods
) -> None:
    """Pods that may not be read any more keep no object alive, and the healing is not green."""
    fault = planned("stress-cpu", "n2")
    cluster.command = lambda *_: ("python: not found", 127)

    async def act(site: ArgoSite, kind: FaultKind) -> None:
        await kind.inject(site.world, fault, ["n2"])
        cluster.fail("GET", pod_path("n2"), 403)
        with pytest.raises(Unavailable, match="nobody could look whether it had lasted"):
            await kind.heal(site.world, fault, ["n2"])

    with_kind(api, target, "stress-cpu", act)
    assert not any("stresschaos" in path for path in cluster.objects)


def test_a_role_that_moved_is_not_injected(
    cluster: Cluster, mesh: ChaosMesh, api: Api, target: ThreePods
) -> None:
    """Chosen as leader, no leader any more at the moment: nothing is broken, and it is said."""
    target.leaders = ["n1", "n3"]
    fault = planned("kill", victims="leader")

    async def act(site: ArgoSite, kind: FaultKind) -> None:
        chosen = (await site.locate())["leader"]
        with pytest.raises(Unavailable, match=r"n1 was leader .* \(now n3\): nothing was injected"):
            await kind.inject(site.world, fault, chosen)

    with_kind(api, target, "kill", act)
    assert cluster.asked("POST", "podchaos") == 0


def test_a_fault_never_begins_twice(mesh: ChaosMesh, api: Api, target: ThreePods) -> None:
    """A second attempt finds the object of the first one and refuses."""
    fault = planned("kill", "n2")

    async def first(site: ArgoSite, kind: FaultKind) -> None:
        await kind.inject(site.world, fault, ["n2"])

    async def second(site: ArgoSite, kind: FaultKind) -> None:
        with pytest.raises(CannotCreate, match="has begun before"):
            await kind.inject(site.world, fault, ["n2"])

    with_kind(api, target, "kill", first)
    with_kind(api, target, "kill", second)


@pytest.mark.parametrize("how", [{"status": 500}, {"status": 429}, {"lose": True}])
def test_making_an_object_survives_a_bad_api(
    cluster: Cluster, mesh: ChaosMesh, api: Api, target: ThreePods, how: dict[str, Any]
) -> None:
    """Also where it was made and the answer was lost: the object there is known as ours."""
    cluster.fail("POST", "podchaos", **how)
    fault = planned("kill", "n2")

    async def act(site: ArgoSite, kind: FaultKind) -> None:
        await kind.inject(site.world, fault, ["n2"])
        assert (await kind.prove_injected(site.world, fault, ["n2"])).seen

    with_kind(api, target, "kill", act)
    assert cluster.asked("POST", "podchaos") == 2


def test_a_one_shot_is_not_paused(
    cluster: Cluster, mesh: ChaosMesh, api: Api, target: ThreePods
) -> None:
    """pod-kill is over at once: it is deleted, and nothing waits for a recovery of it."""
    fault = planned("pod", "n2", action="pod-kill")

    async def act(site: ArgoSite, kind: FaultKind) -> None:
        await kind.inject(site.world, fault, ["n2"])
        await kind.heal(site.world, fault, ["n2"])

    with_kind(api, target, "pod", act)
    assert not any(PAUSE in str(body) for method, _, body in cluster.requests if method == "PATCH")


def test_a_partition_is_proved_from_inside_of_the_pods(
    cluster: Cluster, mesh: ChaosMesh, api: Api, target: ThreePods
) -> None:
    """Connections over the victim's links fail while it acts, and are made again after."""
    cut, proofs = set[str](), list[Proof]()
    mesh.hurt, mesh.mend = cut.update, cut.difference_update

    def command(pod: str, container: str, argv: list[str]) -> tuple[str, int]:
        assert (container, argv[:3]) == ("helm", ["python", "-m", "seatrial.engine.argo.reach"])
        far = [f"10.0.0.{name[-1]}" for name in cut]
        closed = {a for a in argv[5:] if pod in cut or a.partition(":")[0] in far}
        times = ", ".join(
            f'"{a}": {"[null, null, null, null, null]" if a in closed else "[1, 1, 1, 1, 1]"}'
            for a in argv[5:]
        )
        return f"{{{times}}}", 0

    cluster.command = command
    fault = planned("partition", "n2")

    async def act(site: ArgoSite, kind: FaultKind) -> None:
        await kind.inject(site.world, fault, ["n2"])
        proofs.append(await kind.prove_injected(site.world, fault, ["n2"]))
        await kind.heal(site.world, fault, ["n2"])
        proofs.append(await kind.prove_healed(site.world, fault, ["n2"]))

    with_kind(api, target, "partition", act)
    assert [proof.seen for proof in proofs] == [True, True]
    assert "n1 → n2: 5 of 5 connections were not made" in proofs[0].sentence


def test_links_without_a_probe_are_not_claimed(
    cluster: Cluster, mesh: ChaosMesh, api: Api, target: ThreePods
) -> None:
    """Where no command can be carried out in the pods, a partition is not proved."""
    cluster.command = lambda *_: ("python: not found", 127)
    mesh.hurt = lambda _: None
    fault = planned("partition", "n2")

    async def act(site: ArgoSite, kind: FaultKind) -> None:
        await kind.inject(site.world, fault, ["n2"])
        proof = await kind.prove_injected(site.world, fault, ["n2"])
        assert not proof.seen and "python: not found" in proof.sentence

    with_kind(api, target, "partition", act)


def test_shapes_of_several_parts_are_objects_that_are_each_awaited(
    cluster: Cluster, mesh: ChaosMesh, api: Api, target: ThreePods
) -> None:
    """What Chaos Mesh would do as a Workflow is made as the NetworkChaos objects it consists of."""
    from seatrial.engine.argo import chaos
    from seatrial.faults.partition import PARTITION

    pods = [f"db-n{i}" for i in range(1, 6)]
    whole = PARTITION.manifest(planned("partition", shape="majorities-ring"), pods, pods, NAMESPACE)
    made = chaos.parts(whole)
    assert whole["kind"] == "Workflow" and len(made) > 1
    assert {part["kind"] for part in made} == {"NetworkChaos"}
    assert {part["spec"]["duration"] for part in made} == {"5000ms"}
    assert len({part["metadata"]["name"] for part in made}) == len(made)


@pytest.mark.parametrize(("leaders", "victim"), [(["n1"], "n1"), (["n1", "n3"], "n3")])
def test_the_nemesis_of_every_engine_carries_it_out(
    cluster: Cluster,
    mesh: ChaosMesh,
    api: Api,
    target: ThreePods,
    tmp_path: Path,
    leaders: list[str],
    victim: str,
) -> None:
    """The same code as in the lab, with this engine's kinds: a leader is killed, evidence stays.

    Where another is leader by the time that it was looked at, that one is killed instead.
    """
    target.leaders = leaders
    fault = planned("kill", victims="leader").model_copy(update={"duration_s": 0.2})
    ops: list[Op] = []

    def record(op: Op) -> int:
        ops.append(op)
        return len(ops)

    async def act() -> None:
        site = site_of(api, target)
        nemesis = Nemesis(
            site.world,
            site.locate,
            record=record,
            clock=time.monotonic_ns,
            evidence=tmp_path,
            kinds=site.kind,
            act_timeout_s=site.act_timeout_s,
        )
        await nemesis.run((fault,), time.monotonic_ns(), asyncio.Event())

    asyncio.run(act())
    evidence = Evidence.model_validate_json((tmp_path / "fault-1.json").read_text())
    assert (evidence.victims, evidence.error) == ((victim,), None)
    assert evidence.effect is not None and evidence.effect.seen
    assert evidence.recovery is not None and evidence.recovery.seen
    assert [op.f for op in ops] == ["inject", "inject", "heal", "heal"]
    assert len(mesh.gone) == 1
    asked = [f"{method} {path.partition('?')[0]}" for method, path, _ in cluster.requests]
    assert asked.index(f"GET {pod_path(victim)}") < asked.index(f"POST {PODCHAOS}")
    before: Any = evidence.effect.measured["before"]
    assert before["answered_before"] == {victim: True}, "it was looked at before"


def test_heal_everything_finds_what_another_step_left(
    cluster: Cluster, mesh: ChaosMesh, api: Api, target: ThreePods
) -> None:
    """By label: the exit handler ends faults of steps that were killed, and leaves other runs'."""
    fault = planned("kill", "n2")

    async def act(site: ArgoSite, kind: FaultKind) -> None:
        await kind.inject(site.world, fault, ["n2"])
        assert "PodChaos etcd-register-abcde-fault-1 is still there" in await site.audit()
        mesh.hurt = lambda _: None
        other = {**fault_of_another_run(), "metadata": {"name": "theirs", "labels": {}}}
        cluster.put(NETCHAOS, other)
        await site_of(api, target).heal_everything()
        assert await site.audit() == ()

    with_kind(api, target, "kill", act)
    assert f"{NETCHAOS}/theirs" in cluster.objects


def test_what_was_healed_by_force_only_is_told(
    cluster: Cluster, mesh: ChaosMesh, api: Api, target: ThreePods
) -> None:
    """The object is gone, so that no audit sees it; what it did may still be in place."""
    mesh.lets_go = mesh.obeys_force = False
    mesh.hurt = lambda _: None
    fault = planned("kill", "n2")

    async def act(site: ArgoSite, kind: FaultKind) -> None:
        await kind.inject(site.world, fault, ["n2"])
        (told,) = await site_of(api, target).heal_everything()
        assert told.startswith("PodChaos etcd-register-abcde-fault-1: ")
        assert told.endswith("its finalizers were removed: what it did may still be in place")
        assert await site.audit() == ()

    with_kind(api, target, "kill", act)


def test_records_of_a_fault_whose_step_died_are_brought_home(
    cluster: Cluster, mesh: ChaosMesh, api: Api, target: ThreePods, tmp_path: Path
) -> None:
    """Whoever heals for it keeps what Chaos Mesh said, and the exit handler collects it."""
    fault = planned("kill", "n2")

    async def act(site: ArgoSite, kind: FaultKind) -> None:
        await kind.inject(site.world, fault, ["n2"])
        assert await site_of(api, target).heal_everything() == ()
        assert "board.json" in await site_of(api, target).collect(tmp_path)

    with_kind(api, target, "kill", act)
    told = json.loads((tmp_path / "board.json").read_text(encoding="utf-8"))
    (record,) = told["injuries"]["etcd-register-abcde-fault-1"]["containerRecords"]
    assert (record["injectedCount"], record["recoveredCount"]) == (1, 1)


def fault_of_another_run() -> Object:
    """An object that is not ours."""
    return {
        "apiVersion": "chaos-mesh.org/v1alpha1",
        "kind": "NetworkChaos",
        "spec": {"selector": {"pods": {NAMESPACE: ["db-n1"]}}},
    }

"""How the effect of every kind is seen on a cluster, and what becomes of those that are not."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from seatrial.cases import case
from seatrial.engine.argo import effects, orderly
from seatrial.engine.argo.alike import alike
from seatrial.engine.argo.api import Api
from seatrial.engine.argo.site import ENGINE
from seatrial.engine.argo.world import Passage
from seatrial.engine.site import Foretells
from seatrial.errors import Unavailable
from seatrial.fault import FaultKind, PlannedFault, Proof
from seatrial.faults import FAULTS
from seatrial.faults.chaos.examples import ACTIONS
from seatrial.runner.judge_faults import fault_part
from seatrial.runner.planner import Overrides, make_plan
from seatrial.target import Node, Placement
from seatrial.trial import Evidence, StoredProof
from tests.kube.cluster import NAMESPACE, NODES, RUN, ChaosMesh, ThreePods, pod_path
from tests.kube.server import Cluster, Object
from tests.kube.test_chaos import site_of

PLACED = replace(ThreePods().place(NODES, RUN.name, NAMESPACE), volume="/seatrial/data")


class Telling(ThreePods):
    """A target whose nodes have a disk, and tell the time: `ahead` seconds off."""

    ahead = 0.0

    def place(self, nodes: Sequence[str], run: str, namespace: str) -> Placement:
        return replace(super().place(nodes, run, namespace), volume="/seatrial/data", node="db")

    async def clock_offset(self, node: Node) -> float:
        return self.ahead


def planned(kind: str, **options: Any) -> PlannedFault:
    return PlannedFault(
        id="fault-1",
        kind=kind,
        victims="one",
        nodes=("n2",),
        start_s=0,
        duration_s=5,
        options=options,
    )


def how(kind: str, placement: Placement = PLACED, **options: Any) -> effects.Effect:
    return effects.of(planned(kind, **options), ["n2"], placement, Telling())


# ── what is seen, and what is not ────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "kind", [n for n, one in FAULTS.items() if not one.only and n not in orderly.NAMES]
)
def test_every_kind_of_both_engines_is_seen(kind: str) -> None:
    """Nothing that the shelf does in the lab and on a cluster is taken on trust there."""
    assert effects.why_unseen(how(kind)) == ""


@pytest.mark.parametrize("action", ACTIONS, ids=lambda one: f"{one.kind}-{one.short()}")
def test_every_action_of_chaos_mesh_is_seen_or_is_said_to_be_unseen(action: Any) -> None:
    """An unseen one says why in one line."""
    kinds = {one.kind: name for name, one in FAMILY_OF.items()}
    options = {"action": action.short(), **action.model_dump(exclude_unset=True)}
    effect = effects.of(planned(kinds[action.kind], **options), ["n2"], PLACED, Telling())
    why = effects.why_unseen(effect)
    assert "\n" not in why
    assert bool(why) == (action.kind in UNSEEN or (action.kind, action.short()) in UNSEEN_ACTIONS)


from seatrial.faults.chaos.catalogue import FAMILIES as FAMILY_OF  # noqa: E402

UNSEEN = ("JVMChaos", "KernelChaos", "PhysicalMachineChaos")
UNSEEN_ACTIONS = {
    # The examples' names, volume and files are not the target's.
    ("DNSChaos", "error"),
    ("DNSChaos", "random"),
    ("IOChaos", "latency"),
    ("IOChaos", "fault"),
    ("IOChaos", "attrOverride"),
    ("IOChaos", "mistake"),
    ("StressChaos", "stressng"),
}


@pytest.mark.parametrize(
    ("kind", "options", "parts"),
    [
        ("network", {"action": "loss", "percent": 30}, [("loss", {"percent": 30.0})]),
        (
            "network",
            {"action": "netem", "loss_percent": 5, "latency_ms": 40},
            [("delay", {"latency_ms": 40.0}), ("loss", {"percent": 5.0})],
        ),
        ("network", {"action": "partition"}, [("partition", {"shape": "one-way-out"})]),
        (
            "network",
            {
                "action": "rate",
                "bits_per_s": 80_000,
                "target": {"selector": {"pods": {NAMESPACE: ["db-n3"]}}},
            },
            [("rate", {"bits_per_s": 80_000, "peers": ["n3"]})],
        ),
        (
            "io",
            {"action": "fault", "volume_path": "/seatrial/data/", "errno": 28},
            [("io-error", {"errno": "ENOSPC"})],
        ),
        ("time", {"offset_ms": -60000}, [("clock", {"offset_ms": -60000.0})]),
        ("stress", {"action": "cpu", "workers": 3}, [("stress-cpu", {"workers": 3})]),
        ("block", {"volume_name": "v", "latency_ms": 30}, [("io-latency", {"latency_ms": 30.0})]),
    ],
)
def test_actions_of_chaos_mesh_are_measured_as_what_they_are(
    kind: str, options: dict[str, Any], parts: list[tuple[str, dict[str, Any]]]
) -> None:
    found = alike(planned(kind, **options), ["n2"], PLACED)
    assert found is not None and [one.kind for one in found] == [name for name, _ in parts]
    for one, (_, expected) in zip(found, parts, strict=True):
        assert expected.items() <= dict(one.options).items()
        assert one.id == f"fault-1/{one.kind}"


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("io", {"action": "latency", "volume_path": "/elsewhere", "latency_ms": 10}),
        ("time", {"offset_ms": 60000, "clock_ids": ["CLOCK_MONOTONIC"]}),
        ("time", {"offset_ms": 5}),
        ("stress", {"action": "memory", "size_percent": 50}),
        ("network", {"action": "loss", "percent": 9, "external_targets": ["example.org"]}),
        ("network", {"action": "loss", "percent": 9, "target": {"selector": {"nodes": ["a"]}}}),
        ("kill", {}),
    ],
)
def test_what_no_kind_of_the_shelf_means_is_not_made_alike(
    kind: str, options: dict[str, Any]
) -> None:
    """Another volume, another clock, a share of an unknown memory, others than the nodes."""
    assert alike(planned(kind, **options), ["n2"], PLACED) is None


def test_without_a_container_for_commands_only_pods_are_seen() -> None:
    bare = replace(PLACED, container="")
    assert effects.why_unseen(how("kill", bare)) == ""
    assert effects.why_unseen(how("clock", bare)) == ""
    for kind in ("partition", "delay", "io-latency", "stress-cpu"):
        assert "no container is named" in effects.why_unseen(how(kind, bare))
    alone = replace(PLACED, process="")
    for kind in ("io-error", "stress-memory"):
        assert "sees the node's processes" in effects.why_unseen(how(kind, alone))
    assert effects.why_unseen(how("partition", alone)) == ""
    assert "no volume is named" in effects.why_unseen(how("io-error", replace(PLACED, volume="")))
    blind = effects.of(planned("clock"), ["n2"], PLACED, ThreePods())
    assert effects.why_unseen(blind) == "three-pods does not tell the time"


def test_preflight_and_render_say_what_cannot_be_seen(capsys: pytest.CaptureFixture[str]) -> None:
    """By the plan alone: a share with a correlation of which netem makes nothing."""
    from seatrial.cli.main import main

    given = {"loss": {"percent": 10.0, "correlation": 90.0}}
    plan = make_plan(case("etcd-register"), 1, Overrides(engine="argo", faults=("loss", "kill")))
    faults = [one.model_copy(update={"options": given.get(one.kind, {})}) for one in plan.faults]
    assert isinstance(ENGINE, Foretells)
    told = ENGINE.unseen(plan.model_copy(update={"faults": tuple(faults)}))
    assert told and all("(loss)" in one and "netem makes 0.00076 %" in one for one in told)
    assert main(["render", "etcd-register", "--seed", "1", "--faults", "kill"]) == 0
    assert "note:" not in capsys.readouterr().err
    more = ["--fault-option", "loss.correlation=90"]
    assert main(["render", "etcd-register", "--seed", "1", "--faults", "loss", *more]) == 0
    assert "never valid" in capsys.readouterr().err


def test_a_fault_that_nobody_saw_never_makes_a_trial_valid() -> None:
    """What `prove_injected` says on a cluster, in the judge's hands."""
    seen = Evidence(
        fault=planned("jvm"),
        victims=("n2",),
        inject_ns=1,
        injected_ns=2,
        heal_ns=3,
        healed_ns=4,
        clock_bound_ns=0,
        effect=StoredProof(seen=False, sentence="its effect cannot be seen here: no probe"),
        recovery=StoredProof(seen=True, sentence="nothing acts any more"),
    )
    part = fault_part(planned("jvm"), seen, 0)
    assert part.verdict.name == "UNKNOWN" and "cannot be seen here" in part.cause


def test_a_connection_or_two_that_take_long_are_no_slow_link() -> None:
    """A busy machine makes some slow; a delay makes all."""
    before, link = Passage(5, (0.3, 0.4, 13.6, 3.8, 0.3)), ("n1", "n2")

    def is_worse(*times_ms: float) -> bool:
        return bool(effects._worse_links({link: before}, {link: Passage(5, times_ms)}))

    assert not is_worse(8.5, 0.3, 0.4, 6.6, 6.7) and not is_worse(60.0, 50.0, 60.0, 18.0, 70.0)
    assert is_worse(50.2, 50.3, 50.1, 63.0, 50.9) and is_worse(0.3, 0.3, 0.3, 0.3)


# ── disk, stress, clock over the API ─────────────────────────────────────────────────────────


@pytest.fixture
def target(cluster: Cluster, mesh: ChaosMesh) -> Telling:
    """Nodes whose processes are seen from the probe's container."""
    return Telling()


def with_kind(api: Api, target: ThreePods, name: str, act: Any) -> None:
    async def run() -> None:
        site = site_of(api, target)
        await act(site, site.kind(name))

    asyncio.run(run())


def answering(probe: Callable[[list[str]], object]) -> Callable[..., tuple[str, int]]:
    """Commands in pods: processes are found, probes answer what they are made to."""

    def command(pod: str, container: str, argv: list[str]) -> tuple[str, int]:
        if argv[0] == "sh":
            return "7 S 100\n", 0
        return json.dumps(probe(argv[2:])), 0

    return command


def life(api: Api, target: ThreePods, fault: PlannedFault) -> list[Proof]:
    """Inject, prove, heal, prove."""
    proofs: list[Proof] = []

    async def act(site: Any, kind: FaultKind) -> None:
        await kind.inject(site.world, fault, ["n2"])
        proofs.append(await kind.prove_injected(site.world, fault, ["n2"]))
        await kind.heal(site.world, fault, ["n2"])
        proofs.append(await kind.prove_healed(site.world, fault, ["n2"]))

    with_kind(api, target, fault.kind, act)
    return proofs


def test_a_slow_disk_is_tried_through_the_mounts_of_the_node(
    cluster: Cluster, mesh: ChaosMesh, api: Api, target: Telling
) -> None:
    """Quick before, late while it acts, quick after; the object names container and volume."""
    late, bodies = set[str](), list[Object]()
    mesh.hurt, mesh.mend = late.update, late.difference_update

    def probe(words: list[str]) -> object:
        assert words[0] == "seatrial.engine.argo.inpod.disk"
        process, volume, times, *methods = words[1:]
        assert (process, volume) == ("etcd", "/seatrial/data")
        return {name: [[0.06 if late else 0.001, 0]] * int(times) for name in methods}

    cluster.command = answering(probe)
    effect, recovery = life(api, target, planned("io-latency", latency_ms=50.0))
    assert effect.seen and recovery.seen, (effect, recovery)
    bodies = [body for method, path, body in cluster.requests if method == "POST" if "io" in path]
    assert bodies[0]["spec"]["volumePath"] == "/seatrial/data"
    assert bodies[0]["spec"]["containerNames"] == ["db"]
    assert effect.measured["before"], "what was so before is kept as evidence"


def test_a_disk_that_was_slow_before_proves_nothing(
    cluster: Cluster, mesh: ChaosMesh, api: Api, target: Telling
) -> None:
    """The positive control: the probe must find that nothing is wrong without the fault."""
    cluster.command = answering(lambda words: {name: [[0.06, 0]] * 3 for name in words[4:]})
    effect, _ = life(api, target, planned("io-latency", latency_ms=50.0))
    assert not effect.seen and "something is wrong without the fault already" in effect.sentence


def test_a_disk_that_cannot_be_tried_is_said_to_be_so(
    cluster: Cluster, mesh: ChaosMesh, api: Api, target: Telling
) -> None:
    cluster.command = answering(lambda words: {"why": "no process 'etcd' is seen from here"})
    effect, recovery = life(api, target, planned("io-latency"))
    assert not effect.seen and "no process 'etcd' is seen from here" in effect.sentence
    assert recovery.seen, "the object is gone and the node answers"


def test_a_process_that_the_probe_does_not_see_is_said_to_be_so(
    cluster: Cluster, mesh: ChaosMesh, api: Api, target: Telling
) -> None:
    """Without shareProcessNamespace no stressor would be seen either."""
    cluster.command = lambda *_: ("", 0)
    effect, _ = life(api, target, planned("stress-cpu"))
    assert not effect.seen and "does not see the process 'etcd'" in effect.sentence


def test_stress_is_counted_by_the_kernel_of_the_pod(
    cluster: Cluster, mesh: ChaosMesh, api: Api, target: Telling
) -> None:
    """No worker before, busy ones while it acts, none after."""
    busy = set[str]()
    mesh.hurt, mesh.mend = busy.update, busy.difference_update

    def probe(words: list[str]) -> object:
        assert words[0] == "seatrial.engine.argo.inpod.burners"
        assert words[2:] == ["etcd", "stress-ng", "memStress"]
        some = {"processes": 2, "ran_s": 0.3, "waited_s": 0.1, "memory_bytes": 9}
        none = dict.fromkeys(some, 0)
        return {"over_s": 0.5, **(some if busy else none)}

    cluster.command = answering(probe)
    effect, recovery = life(api, target, planned("stress-cpu"))
    assert effect.seen and "0.30 s of processor" in effect.sentence
    assert recovery.seen


def test_a_clock_is_asked_of_the_node(
    cluster: Cluster, mesh: ChaosMesh, api: Api, target: Telling
) -> None:
    """Right before, off while it acts, right after."""

    def off(by: float) -> Callable[[list[str]], None]:
        return lambda _: setattr(target, "ahead", by)

    cluster.command = answering(lambda _: {})
    mesh.hurt, mesh.mend = off(60.0), off(0.3)
    effect, recovery = life(api, target, planned("clock", offset_ms=60000.0))
    assert effect.seen and recovery.seen
    target.ahead = -50.0
    effect, _ = life(api, target, planned("clock", offset_ms=60000.0))
    assert not effect.seen and "still off by -50.0 s" in effect.sentence


def test_a_disk_that_ends_its_node_has_had_its_effect(
    cluster: Cluster, mesh: ChaosMesh, api: Api, target: Telling
) -> None:
    """The process rightly ends at an error: the container is started anew without the fault."""

    def restart(pods: list[str]) -> None:
        for name in pods:
            cluster.change(pod_path(name.removeprefix("db-")), started_again)

    mesh.hurt = restart
    cluster.command = answering(lambda words: {name: [[0.001, 0]] * 3 for name in words[4:]})
    effect, recovery = life(api, target, planned("io-error"))
    assert effect.seen and "started 1 times more" in effect.sentence
    assert recovery.seen


def started_again(body: Object) -> None:
    body["status"]["containerStatuses"][0]["restartCount"] = 1


FILE = {
    "ino": 7,
    "size_bytes": 4,
    "permissions": 0o644,
    "uid": 10001,
}


@pytest.mark.parametrize(
    ("options", "well", "ill", "said"),
    [
        (
            {"action": "mistake", "filling": "zero", "occurrences_max": 1, "length_max_bytes": 9},
            [0, 0],
            [9, 0],
            "27 bytes are wrong",
        ),
        (
            {"action": "attrOverride", "permissions": 0o600, "uid": 0},
            FILE,
            {**FILE, "permissions": 0o600, "uid": 0},
            "a new file has permissions 384, uid 0",
        ),
    ],
)
@pytest.mark.parametrize("acts", [True, False])
def test_wrong_bytes_and_attributes_are_seen_on_a_file_of_the_probe(
    cluster: Cluster,
    mesh: ChaosMesh,
    api: Api,
    target: Telling,
    options: dict[str, Any],
    well: object,
    ill: object,
    said: str,
    acts: bool,
) -> None:
    hit = set[str]()
    mesh.hurt, mesh.mend = hit.update if acts else (lambda _: None), hit.difference_update

    def probe(words: list[str]) -> object:
        assert words[1:4] == ["etcd", "/seatrial/data", "3"]
        return {words[4]: [ill if hit else well] * 3}

    cluster.command = answering(probe)
    effect, recovery = life(api, target, planned("io", volume_path="/seatrial/data", **options))
    assert effect.seen == acts and recovery.seen, (effect, recovery)
    assert said in effect.sentence if acts else "0 of 3 tries" in effect.sentence


# ── victims that do not stay ─────────────────────────────────────────────────────────────────


def test_a_pod_made_anew_has_lost_its_fault(
    cluster: Cluster, mesh: ChaosMesh, api: Api, target: Telling
) -> None:
    """Chaos Mesh's records are fixed when it selects: the new pod is not injected, and it is
    said."""
    cluster.command = answering(lambda words: {name: [[0.001, 0]] * 3 for name in words[4:]})
    fault = planned("io-latency")

    async def act(site: Any, kind: FaultKind) -> None:
        await kind.inject(site.world, fault, ["n2"])
        body = cluster.objects[pod_path("n2")]
        cluster.remove(pod_path("n2"))
        fresh = {**body, "metadata": {"name": "db-n2", "namespace": NAMESPACE}}
        cluster.put(pod_path("n2").rpartition("/")[0], fresh)
        with pytest.raises(Unavailable, match="n2: its pod was made anew meanwhile"):
            await kind.heal(site.world, fault, ["n2"])

    with_kind(api, target, "io-latency", act)
    assert len(mesh.gone) == 1, "it is healed all the same"


@pytest.mark.parametrize(
    ("kind", "lost"), [("clock", True), ("stress-cpu", True), ("io-error", False), ("kill", False)]
)
def test_a_container_started_anew_has_lost_what_acted_in_it(
    cluster: Cluster, mesh: ChaosMesh, api: Api, target: Telling, kind: str, lost: bool
) -> None:
    """But that is what `kill` is for, and a database may end at an error of its disk."""
    cluster.command = answering(lambda words: {"why": "not tried"})
    fault = planned(kind)

    async def act(site: Any, found: FaultKind) -> None:
        await found.inject(site.world, fault, ["n2"])
        cluster.change(pod_path("n2"), started_again)
        if lost:
            with pytest.raises(Unavailable, match="n2: its container was started anew"):
                await found.heal(site.world, fault, ["n2"])
        else:
            await found.heal(site.world, fault, ["n2"])

    with_kind(api, target, kind, act)
    assert len(mesh.gone) == 1


@pytest.mark.parametrize(
    ("kind", "options", "anew", "lost"),
    [
        ("partition", {}, "n3", True),
        ("delay", {"latency_ms": 50.0}, "n3", True),
        ("delay", {"latency_ms": 50.0, "peers": ["n1"]}, "n3", False),
        ("network", {"action": "delay", "latency_ms": 50.0}, "n3", False),
        ("kill", {}, "n3", False),
    ],
)
def test_a_fault_on_links_is_lost_with_the_pods_at_their_other_ends(
    cluster: Cluster,
    mesh: ChaosMesh,
    api: Api,
    target: Telling,
    kind: str,
    options: dict[str, Any],
    anew: str,
    lost: bool,
) -> None:
    """The new pod's address is in no set of Chaos Mesh's; who was no peer may come and go."""
    cluster.command = answering(lambda words: {"why": "not tried"})
    fault = planned(kind, **options)

    async def act(site: Any, found: FaultKind) -> None:
        await found.inject(site.world, fault, ["n2"])
        cluster.change(pod_path(anew), started_again)
        body = cluster.objects[pod_path(anew)]
        cluster.remove(pod_path(anew))
        fresh = {**body, "metadata": {"name": f"db-{anew}", "namespace": NAMESPACE}}
        cluster.put(pod_path(anew).rpartition("/")[0], fresh)
        if lost:
            with pytest.raises(Unavailable, match="n3, a peer: its pod was made anew meanwhile"):
                await found.heal(site.world, fault, ["n2"])
        else:
            await found.heal(site.world, fault, ["n2"])

    with_kind(api, target, kind, act)
    assert len(mesh.gone) == 1, "it is healed all the same"


def test_a_peer_whose_container_is_started_again_keeps_the_fault_on_its_links(
    cluster: Cluster, mesh: ChaosMesh, api: Api, target: Telling
) -> None:
    """Its network is the pod's, and stays."""
    cluster.command = answering(lambda words: {"why": "not tried"})
    fault = planned("partition")

    async def act(site: Any, found: FaultKind) -> None:
        await found.inject(site.world, fault, ["n2"])
        cluster.change(pod_path("n3"), started_again)
        await found.heal(site.world, fault, ["n2"])

    with_kind(api, target, "partition", act)


@pytest.mark.parametrize(
    ("others", "sentence"),
    [
        ((), "n1: connections over its links are made as before"),
        (("n2",), "n1: connections over its links are made as before"),
        (("n2", "n3"), "n1: another fault is on each of its links"),
    ],
)
def test_a_slow_link_that_another_fault_is_on_is_not_credited(
    cluster: Cluster,
    mesh: ChaosMesh,
    api: Api,
    target: Telling,
    others: tuple[str, ...],
    sentence: str,
) -> None:
    """The other one delays what goes to its victim; this one reaches none of the nodes.

    Its end is not held up by the other one either, as long as a link is left that tells it.
    """
    slow = set[str]()

    def hurt(pods: list[str]) -> None:
        slow.update(name for name in pods if name != "db-n1")

    mesh.hurt, mesh.mend = hurt, slow.difference_update

    def command(pod: str, container: str, argv: list[str]) -> tuple[str, int]:
        late = {f"10.0.0.{name[-1]}" for name in slow}
        times = {
            address: [80.0 if pod in slow or address.partition(":")[0] in late else 1.0] * 5
            for address in argv[5:]
        }
        return json.dumps(times), 0

    cluster.command = command
    options = {"action": "loss", "percent": 9, "external_targets": ["example.org"]}
    mine = planned("network", **options)
    other = planned("delay", latency_ms=80.0).model_copy(update={"id": "fault-2"})
    proofs: list[Proof] = []

    async def act(site: Any, found: FaultKind) -> None:
        await found.inject(site.world, mine, ["n1"])
        rival = site.kind("delay")
        if others:
            await rival.inject(site.world, other, others)
        proofs.append(await found.prove_injected(site.world, mine, ["n1"]))
        await found.heal(site.world, mine, ["n1"])
        proofs.append(await found.prove_healed(site.world, mine, ["n1"]))
        if others:
            await rival.heal(site.world, other, others)
        proofs.append(await found.prove_healed(site.world, mine, ["n1"]))

    with_kind(api, target, "network", act)
    effect, beside, after = proofs
    assert not effect.seen and effect.sentence.startswith(sentence)
    assert beside.seen == (len(others) < 2), beside.sentence
    assert after.seen, after.sentence

"""Kinds of faults as a cluster does them: by Chaos Mesh where it can, by commands where it cannot.

`kind(name)` stands in front of the kind of the shelf: the plan's fault becomes the shelf's own
manifest, made and ended by `chaos`. What Chaos Mesh says of itself is kept as evidence but proves
nothing alone: the effect is measured beside it, on what the fault touches. Pods are looked at
through the API (made anew, restarted, not ready) and the node through its own clients; links by
connections made inside of the pods. An effect that nothing here can see is not claimed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, cast

from seatrial import faults as shelf
from seatrial.engine.argo import chaos, effects, links, paths
from seatrial.engine.argo.alike import alike
from seatrial.engine.argo.api import Object
from seatrial.engine.argo.chaos import BOUNDS, SWITCH_S, Bounds, Injury
from seatrial.engine.argo.effects import BY_COMMAND, Effect
from seatrial.engine.argo.pausing import PauseThere
from seatrial.engine.argo.pods import PodState
from seatrial.engine.argo.run import Run
from seatrial.engine.argo.shelved import Shelved
from seatrial.engine.argo.world import ClusterWorld
from seatrial.errors import SeatrialError, Unavailable
from seatrial.fault import SIZES, FaultKind, PlannedFault, Proof, World
from seatrial.faults.container_kill import CONTAINER
from seatrial.faults.volume import VOLUME_PATH
from seatrial.target import Placement
from seatrial.verdict import Json

#: How long a node may take until it answers again: from its pod's second failure on, the kubelet
#: waits 10, 20, 40 s before it starts the container anew.
READY_S: Final = 100.0
#: How long before a fault its control begins: one measurement; or clocks, links and the control.
LEAD_S: Final = 5.0
LEAD_LINKS_S: Final = 10.0
#: Faults that no connection shows.
_ON_SERVICES: Final = ("dns", "http")
#: Faults in a running process: they touch it as `kill` does, but they are not meant to end it.
_ON_RUNNING: Final = ("clock", "io", "stress", "time", "jvm", "kernel", "block")
#: Faults that a database may rightly end at; its container is then started without them.
_MAY_END_IT: Final = ("io-error", "io", "stress-memory", "stress", "jvm", "kernel")
#: Objects that act in one container: the pod's first unless they say which.
_IN_CONTAINERS: Final = ("IOChaos", "StressChaos", "TimeChaos", "DNSChaos", "JVMChaos")
_EOL: Final = "\n"


Locate = Callable[[], Awaitable[Mapping[str, tuple[str, ...]]]]


def kind(name: str, run: Run, locate: Locate, bounds: Bounds = BOUNDS) -> FaultKind:
    """The kind called `name` as this cluster does it; raises `UnknownName`."""
    found = shelf.kind(name)
    if name in BY_COMMAND:
        return cast(FaultKind, PauseThere(found, run))
    return cast(FaultKind, OnCluster(found, run, locate, bounds))


@dataclass(slots=True)
class _Acting:
    """One fault between its injection and its healing. `blind`: why its effect cannot be told."""

    effect: Effect
    injuries: list[Injury] = field(default_factory=list)
    pods: dict[str, PodState | None] = field(default_factory=dict)
    #: Of a fault on links: the pods at their other ends.
    peers: dict[str, PodState | None] = field(default_factory=dict)
    before: Mapping[str, Json] = field(default_factory=dict)
    blind: str = ""
    #: Whether all objects acted, and nobody has begun to end them.
    lasts: bool = False
    roles: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def evidence(self) -> dict[str, Json]:
        """What Chaos Mesh says of it, and what was so before."""
        return {
            "chaos_mesh": [one.evidence() for one in self.injuries],
            "before": {**self.before},
            "roles_before": {role: [*names] for role, names in self.roles.items()},
        }


class OnCluster(Shelved):
    """`seatrial.fault.FaultKind` by Chaos Mesh. One instance a step: it remembers what it made."""

    def __init__(self, kind: FaultKind, run: Run, locate: Locate, bounds: Bounds) -> None:
        super().__init__(kind)
        self._run, self._locate, self._bounds = run, locate, bounds
        self._acting: dict[str, _Acting] = {}

    def lead_s(self) -> float:
        """As long as its control takes on a cluster of five nodes, by what it touches."""
        if self.name in effects.ON_PODS:
            return 0.0  # a glance
        return LEAD_LINKS_S if self.touches == "network" else LEAD_S

    async def look(self, world: World, fault: PlannedFault, victims: Sequence[str]) -> None:
        """How things are before, to compare with; links by connections if not by datagrams."""
        cluster = _cluster(world)
        acting = _Acting(effects.of(fault, victims, cluster.placement, cluster.target))
        self._acting[fault.id] = acting
        for one in effects.on_pods(acting.effect):
            one.patience_s = self._bounds.down_s
        for node in victims:
            acting.pods[node] = await cluster.pod(node)
        try:
            acting.before = await acting.effect.look(cluster)
        except SeatrialError as error:
            acting.blind = str(error).partition(_EOL)[0]
        if not acting.blind or self.name in _ON_SERVICES or self.touches != "network":
            return
        try:
            connections = effects.OnConnections(victims, fault.id, acting.blind)
            acting.before = await connections.look(cluster)
            acting.effect, acting.blind = connections, ""
        except SeatrialError:
            return

    async def inject(self, world: World, fault: PlannedFault, victims: Sequence[str]) -> None:
        """Make the objects and wait until they act on all victims.

        Raises `Unavailable` if the role moved between look-up and now (nothing is made then), or
        with the reason that Chaos Mesh gives.
        """
        cluster = _cluster(world)
        manifests = self._manifests(cluster, fault, victims)
        if fault.id not in self._acting:
            await self.look(world, fault, victims)
        acting = self._acting[fault.id]
        acting.peers = dict.fromkeys(_peers(manifests, victims, cluster.placement))
        await self._glance(cluster, acting)
        await self._insist_on_role(acting, fault, victims)
        for manifest in manifests:
            acting.injuries.append(await chaos.make(cluster.api, self._run, manifest))
        await asyncio.gather(
            *(
                chaos.await_injected(cluster.api, self._run, one, self._bounds)
                for one in acting.injuries
            )
        )
        acting.lasts = True

    async def heal(self, world: World, fault: PlannedFault, victims: Sequence[str]) -> None:
        """Recover and remove; raises `Unavailable` if that took force, or it had ended before."""
        acting = self._acting.get(fault.id)
        if acting is None:
            return
        cluster = _cluster(world)
        try:
            lost = await self._lost(cluster, acting)
        except SeatrialError as error:  # it is ended all the same
            lost = [f"nobody could look whether it had lasted: {error}".partition(_EOL)[0]]
        told = await chaos.end_all(cluster.api, self._run, acting.injuries, self._bounds)
        if told or lost:
            raise Unavailable("; ".join([*lost, *told]))

    async def prove_injected(
        self, world: World, fault: PlannedFault, victims: Sequence[str]
    ) -> Proof:
        """Measure its effect; Chaos Mesh's own word is kept beside it."""
        acting = self._acting.get(fault.id)
        if acting is None:
            return Proof(False, "nothing was injected")
        if acting.blind:
            return Proof(False, f"its effect could not be told: {acting.blind}", acting.evidence())
        try:
            proof = await acting.effect.acts(_cluster(world))
        except SeatrialError as error:
            proof = Proof(False, f"it could not be measured: {str(error).partition(_EOL)[0]}")
        return replace(proof, measured={**acting.evidence(), **proof.measured})

    async def prove_healed(
        self, world: World, fault: PlannedFault, victims: Sequence[str]
    ) -> Proof:
        """The objects are gone, nodes answer, and what was measured is as before."""
        cluster, acting = _cluster(world), self._acting.get(fault.id)
        if acting is None:
            return Proof(False, "nothing was injected")
        measured = acting.evidence()
        left = await self._left(cluster, acting)
        if left:
            return Proof(False, f"still there: {', '.join(left)}", measured)
        answers = await asyncio.gather(*(world.ready(node, READY_S) for node in victims))
        silent = [node for node, there in zip(victims, answers, strict=True) if not there]
        measured["answers"] = dict(zip(victims, answers, strict=True))
        if silent:
            return Proof(False, f"{', '.join(silent)}: no answer within {READY_S:g} s", measured)
        if not acting.blind:
            proof = await acting.effect.ended(cluster)
            measured |= proof.measured
            if not proof.seen:
                return Proof(False, proof.sentence, measured)
        return Proof(True, f"{', '.join(victims)}: nothing acts any more, all answer", measured)

    # ── before ───────────────────────────────────────────────────────────────────────────────

    def _manifests(
        self, cluster: ClusterWorld, fault: PlannedFault, victims: Sequence[str]
    ) -> list[Object]:
        """The objects; the cluster ends them later than we do, if we do not."""
        place = cluster.placement
        longer = fault.model_copy(update={"duration_s": fault.duration_s + SWITCH_S})
        whole = self.shelf.manifest(
            longer,
            [place.pods[node] for node in victims],
            [place.pods[node] for node in cluster.nodes],
            place.namespace,
        )
        made = [_fitted(one, place) for one in chaos.parts(whole)]
        parts = alike(fault, victims, place) or (fault,)
        written = links.entry(parts, victims, cluster.nodes)
        for number, one in enumerate(made):
            noted = one["metadata"].get("annotations") or {}
            more = {links.FAULT: fault.id, **({} if number else written)}
            one["metadata"] = {**one["metadata"], "annotations": {**noted, **more}}
        return made

    async def _glance(self, cluster: ClusterWorld, acting: _Acting) -> None:
        """The pods as they are at the very moment: it may have come a while after the look."""
        for seen in (acting.pods, acting.peers):
            for node in seen:
                seen[node] = await cluster.pod(node)
        for one in effects.on_pods(acting.effect):
            acting.before = {**acting.before, **await one.look(cluster)}

    async def _insist_on_role(
        self, acting: _Acting, fault: PlannedFault, victims: Sequence[str]
    ) -> None:
        """A role may have moved since it was looked up; then it is not this fault."""
        if fault.nodes or fault.victims in SIZES:
            return
        acting.roles = await self._locate()
        holders = acting.roles.get(fault.victims, ())
        lost = sorted(set(victims) - set(holders))
        if lost:
            raise Unavailable(
                f"{', '.join(lost)} was {fault.victims} when it was chosen, and is not any more "
                f"(now {', '.join(holders) or 'nobody'}): nothing was injected"
            )

    # ── after ────────────────────────────────────────────────────────────────────────────────

    async def _lost(self, cluster: ClusterWorld, acting: _Acting) -> list[str]:
        """Objects that somebody else ended, and victims that are not what was chosen any more.

        Chaos Mesh fixes its records when it selects, and injects nothing anew. What acts in a
        container ends with the container, what acts on a pod's network ends with the pod, or with
        that at the other end of its links; the faults on processes are about that. Objects are
        asked for once: from then on it is we who end them.
        """
        told = []
        if acting.lasts:
            acting.lasts = False
            told += await chaos.ended_early(cluster.api, self._run, acting.injuries)
        if self.touches == "process" and self.name not in _ON_RUNNING:
            return told
        for node, before in acting.pods.items():
            now = await cluster.pod(node)
            if before is None or not acting.injuries:
                continue
            if now is None or now.uid != before.uid:
                told.append(f"{node}: its pod was made anew meanwhile, the fault did not last")
            elif now.restarts > before.restarts and self._ends_with_container():
                told.append(f"{node}: its container was started anew, the fault did not last")
        for node, before in acting.peers.items():
            now = await cluster.pod(node)
            if acting.injuries and _uid(now) != _uid(before):
                told.append(
                    f"{node}, a peer: its pod was made anew meanwhile, its links were whole"
                )
        return told

    def _ends_with_container(self) -> bool:
        return self.touches != "network" and self.name not in _MAY_END_IT

    async def _left(self, cluster: ClusterWorld, acting: _Acting) -> list[str]:
        left = []
        for one in acting.injuries:
            where = paths.chaos(one.kind, self._run.namespace)
            if await cluster.api.find(f"{where}/{one.name}") is not None:
                left.append(f"{one.kind} {one.name}")
        return left


def _peers(manifests: Sequence[Object], victims: Sequence[str], placement: Placement) -> list[str]:
    """Nodes that are no victims and whose addresses Chaos Mesh fixes: a pod that is made anew
    has another one, and a network without rules."""
    on_links = [one for one in manifests if one["kind"] == "NetworkChaos"]
    fixed = {node for one in on_links for node in links.ends(one, placement.pods)}
    return sorted(fixed - set(victims))


def _uid(pod: PodState | None) -> str:
    return "" if pod is None else pod.uid


def _fitted(body: Object, placement: Placement) -> Object:
    """The object for this target: which container is the node, and where its data is mounted."""
    spec = dict(body["spec"])
    if placement.volume and spec.get("volumePath") == VOLUME_PATH:
        spec["volumePath"] = placement.volume
    if placement.node and spec.get("containerNames") == [CONTAINER]:
        spec["containerNames"] = [placement.node]
    elif placement.node and body["kind"] in _IN_CONTAINERS:
        spec.setdefault("containerNames", [placement.node])
    return {**body, "spec": spec}


def _cluster(world: World) -> ClusterWorld:
    assert isinstance(world, ClusterWorld), "kinds of a cluster act on its own world"
    return world

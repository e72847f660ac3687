"""Kinds of faults that take no Chaos Mesh: what an operator does, by the API and the target's own.

A node is restarted by deleting its pod, which its controller makes anew under the same name; the
next one's turn comes when it is ready and answers. Another version is another image of the
StatefulSet, which replaces no pod by itself (`OnDelete`). A member that was removed ends; it comes
back with an empty volume and a new number. What a cluster that somebody else made would have to be
changed for is refused: only our own StatefulSets are changed.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, cast

from seatrial import faults as shelf
from seatrial.engine.argo import paths, pods
from seatrial.engine.argo.api import STRATEGIC, Api, Object, TimedOut
from seatrial.engine.argo.shelved import Shelved
from seatrial.errors import Unavailable
from seatrial.fault import FaultKind, PlannedFault, Proof, World
from seatrial.faults.options import read
from seatrial.faults.rolling_restart import RollingRestartOptions
from seatrial.faults.upgrade import UpgradeOptions
from seatrial.target import (
    Images,
    Membership,
    Node,
    Placement,
    Rejoining,
    Rewrites,
    Target,
    Upkeep,
    Versioned,
)
from seatrial.targets.kubernetes import NODE
from seatrial.verdict import Json

#: Kinds that change the StatefulSet, so that it must be ours; all kinds that are done here.
CHANGING: Final = ("upgrade", "downgrade", "member-change")
NAMES: Final = ("rolling-restart", *CHANGING, "compaction", "defragmentation")
#: How long one pod may take: to end, to be made anew, to be ready, and its node to answer.
BACK_S: Final = 120.0
#: How long one roll over all victims may take.
ROLL_S: Final = 240.0
#: How long the StatefulSet's controller may take to see a change.
SEEN_S: Final = 30.0
#: How long a node may take until it answers, and how long one that should be gone is asked.
READY_S: Final = 25.0
SILENCE_S: Final = 2.0
SETS: Final = ("apps/v1", "StatefulSet")
CLAIMS: Final = ("v1", "PersistentVolumeClaim")

Ready = Callable[[str, float], Awaitable[bool]]


def kind(
    name: str, api: Api, target: Target, place: Placement, nodes: Sequence[Node], ready: Ready
) -> FaultKind | None:
    """The kind as it is done here, None for one that is done elsewhere. Remembers what it did."""
    if name not in NAMES:
        return None
    found, ground = shelf.kind(name), Ground(api, target, place, tuple(nodes), ready)
    if name == "rolling-restart":
        return cast(FaultKind, RollingRestart(found, ground))
    if name == "member-change":
        return cast(FaultKind, MemberChange(found, ground))
    if name in CHANGING:
        return cast(FaultKind, Upgrade(found, ground, back=name == "downgrade"))
    return cast(FaultKind, OfTarget(found, ground))


def lacking(name: str, target: Target, place: Placement) -> str:
    """Why a kind cannot be done to this target where it is, "" if it can."""
    if name in CHANGING and stateful(place) is None:
        return (
            "a cluster that somebody else made is never changed"
            if not place.objects
            else f"the pods of {target.name} are its operator's, which changes them all by itself"
        )
    if name == "member-change" and not isinstance(target, Rejoining):
        return f"{target.name} does not say how a pod joins as a new member"
    if name == "defragmentation" and not isinstance(target, Rewrites):
        return f"{target.name} does not tell when its data file was rewritten"
    return ""


async def missing(api: Api, faults: Sequence[PlannedFault], place: Placement) -> tuple[str, ...]:
    """Pods of a running cluster that a planned restart would take away for good, in sentences."""
    if place.objects or not any(fault.kind == "rolling-restart" for fault in faults):
        return ()
    told = []
    for node, pod in place.pods.items():
        found = await api.find(f"{paths.pods(place.namespace)}/{pod}")
        if found is not None and not owned(found):
            told.append(f"{node} ({pod}) belongs to no controller, and would not come back")
    return tuple(told)


def stateful(place: Placement) -> Object | None:
    """The StatefulSet that we make the nodes of, None where we make none."""
    sets = [dict(one) for one in place.objects if one["kind"] == SETS[1]]
    return sets[0] if len(sets) == 1 else None


@dataclass(frozen=True, slots=True)
class Turn:
    """One pod's restart: which pods had the name, and how long the node was away."""

    before: str
    after: str
    away_s: float

    def to_json(self) -> dict[str, Json]:
        """As evidence keeps it."""
        return {"pod_before": self.before, "pod": self.after, "away_s": round(self.away_s, 3)}


@dataclass(frozen=True, slots=True)
class Ground:
    """What these kinds act on."""

    api: Api
    target: Target
    place: Placement
    nodes: tuple[Node, ...]
    ready: Ready

    def node(self, name: str) -> Node:
        """The node of that name."""
        return next(node for node in self.nodes if node.name == name)

    async def restart(self, name: str, grace_s: float, image: str = "") -> Turn:
        """Delete the node's pod and wait until another one is ready and the node answers.

        Raises `Unavailable`: nobody would make it anew, it does not come back, or not with `image`.
        """
        loop = asyncio.get_running_loop()
        where, pod = paths.pods(self.place.namespace), self.place.pods[name]
        found = await self.api.find(f"{where}/{pod}")
        if found is None:
            raise Unavailable(f"{name} has no pod to restart")
        if not owned(found):
            raise Unavailable(f"{pod} belongs to no controller: nobody would make it anew")
        before, began = pods.state(found).uid, loop.time()

        def good(seen: Object | None) -> pods.PodState | None:
            now = None if seen is None else pods.state(seen)
            return now if now is not None and now.uid != before and now.ready else None

        await self.api.delete(f"{where}/{pod}", grace_s=math.ceil(grace_s), uid=before)
        try:
            now = await self.api.until(where, pod, good, BACK_S)
        except TimedOut:
            raise Unavailable(f"{pod} was not back within {BACK_S:g} s of its deletion") from None
        if image and image not in now.images:
            raise Unavailable(f"{pod} came back with {', '.join(now.images)} instead of {image}")
        if not await self.ready(name, max(1.0, BACK_S - (loop.time() - began))):
            raise Unavailable(f"{name} did not answer within {BACK_S:g} s of its restart")
        return Turn(before, now.uid, loop.time() - began)

    async def roll(
        self, victims: Sequence[str], turns: dict[str, Turn], chosen: Any, image: str = ""
    ) -> None:
        """Restart one after another; `turns` has those that are done, also when it is cut."""
        for name in victims:
            turns[name] = await self.restart(name, chosen.grace_s, image)
            await asyncio.sleep(chosen.pause_s)

    async def change(self, container: Mapping[str, Json]) -> None:
        """Change the node's container in the StatefulSet; returns once its controller knows.

        No pod is replaced by that: new ones are made with it.
        """
        body = stateful(self.place)
        assert body is not None, "refused when the plan was made"
        where, name = paths.collection(*SETS, self.place.namespace), body["metadata"]["name"]
        spec: Object = {"template": {"spec": {"containers": [{"name": NODE, **container}]}}}
        made = await self.api.patch(f"{where}/{name}", {"spec": spec}, STRATEGIC)
        generation = made["metadata"].get("generation", 0)

        def seen(found: Object | None) -> bool | None:
            status = (found or {}).get("status") or {}
            return True if status.get("observedGeneration", 0) >= generation else None

        try:
            await self.api.until(where, name, seen, SEEN_S)
        except TimedOut:
            raise Unavailable(
                f"StatefulSet {name}: its controller did not see the change within {SEEN_S:g} s"
            ) from None

    async def container(self) -> Object:
        """The node's container as the StatefulSet has it now."""
        body = stateful(self.place)
        assert body is not None, "refused when the plan was made"
        where = paths.collection(*SETS, self.place.namespace)
        found = await self.api.get(f"{where}/{body['metadata']['name']}")
        listed = found["spec"]["template"]["spec"]["containers"]
        return next(dict(one) for one in listed if one["name"] == NODE)

    async def back(self, victims: Sequence[str]) -> tuple[list[str], dict[str, Json]]:
        """Who is not ready or does not answer, and what was measured."""
        where = self.place.namespace
        answers = await asyncio.gather(*(self.ready(name, READY_S) for name in victims))
        measured: dict[str, Json] = {}
        problems = []
        for name, answers_now in zip(victims, answers, strict=True):
            now = await pods.read(self.api, where, self.place.pods[name])
            measured[name] = {"answers": answers_now, "pod": None if now is None else now.to_json()}
            if not answers_now:
                problems.append(f"{name}: no answer within {READY_S:g} s")
        return problems, measured


def owned(pod: Object) -> bool:
    """Whether a controller makes the pod anew when it is deleted."""
    owners = pod["metadata"].get("ownerReferences") or ()
    return any(one.get("controller") for one in owners)


@dataclass(slots=True)
class _Kind(Shelved):
    """What all of them share besides: where they act, and that every victim is back."""

    ground: Ground

    async def prove_healed(
        self, world: World, fault: PlannedFault, victims: Sequence[str]
    ) -> Proof:
        """Every victim answers."""
        problems, measured = await self.ground.back(victims)
        if problems:
            return Proof(False, "; ".join(problems), measured)
        return Proof(True, f"{', '.join(victims)}: back, and answer", measured)


@dataclass(slots=True)
class RollingRestart(_Kind):
    """One pod after another is deleted, and back before the next one's turn."""

    turns: dict[str, Turn] = field(default_factory=dict)

    async def inject(self, world: World, fault: PlannedFault, victims: Sequence[str]) -> None:
        """The whole roll; raises `Unavailable` at the first pod that does not come back."""
        chosen = read(self.name, RollingRestartOptions, fault.options)
        await self.ground.roll(victims, self.turns, chosen)

    async def heal(self, world: World, fault: PlannedFault, victims: Sequence[str]) -> None:
        """There is nothing to undo: a pod under way is made anew by its controller."""

    async def prove_injected(
        self, world: World, fault: PlannedFault, victims: Sequence[str]
    ) -> Proof:
        """Another pod has each victim's name."""
        return _turned(victims, self.turns, "restarted in turn")


@dataclass(slots=True)
class Upgrade(_Kind):
    """The StatefulSet's image is changed, and one pod after another made with it.

    `back`: at the end the image is as before, for the StatefulSet and for each victim.
    """

    back: bool = False
    turns: dict[str, Turn] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    image: str = ""

    async def inject(self, world: World, fault: PlannedFault, victims: Sequence[str]) -> None:
        """The whole roll; raises `Unavailable` where it ends too early."""
        chosen = read(self.name, UpgradeOptions, fault.options)
        self.versions = await self._running(victims)
        silent = [node for node, version in self.versions.items() if not version]
        if silent:
            raise Unavailable(f"{', '.join(silent)} did not say which version it runs")
        self.image = str((await self.ground.container())["image"])
        await self.ground.change({"image": chosen.image})
        await self.ground.roll(victims, self.turns, chosen, chosen.image)

    async def heal(self, world: World, fault: PlannedFault, victims: Sequence[str]) -> None:
        """`downgrade` goes back, one after another; twice does nothing."""
        if not self.back or not self.image:
            return
        chosen = read(self.name, UpgradeOptions, fault.options)
        await self.ground.change({"image": self.image})
        for node in victims:
            seen = await pods.read(
                self.ground.api, self.ground.place.namespace, self.ground.place.pods[node]
            )
            if seen is None or self.image not in seen.images:
                await self.ground.restart(node, chosen.grace_s, self.image)
        self.image = ""

    async def prove_injected(
        self, world: World, fault: PlannedFault, victims: Sequence[str]
    ) -> Proof:
        """Each victim says that it runs another version than before."""
        measured, same = await self._compare(victims)
        if same or not victims:
            return Proof(
                False, f"{', '.join(same) or 'no victim'}: the version is the same", measured
            )
        return Proof(True, f"{', '.join(victims)}: run another version", measured)

    async def prove_healed(
        self, world: World, fault: PlannedFault, victims: Sequence[str]
    ) -> Proof:
        """All answer, with the version that they are to have in the end."""
        problems, measured = await self.ground.back(victims)
        versions, same = await self._compare(victims)
        wrong = [node for node in victims if (node in same) is not self.back]
        problems += [f"{node}: not the version it should have" for node in wrong]
        measured["versions"] = versions
        if problems:
            return Proof(False, "; ".join(problems), measured)
        said = "back at the version before" if self.back else "stay at the new version"
        return Proof(True, f"{', '.join(victims)}: {said}, and answer", measured)

    async def _running(self, victims: Sequence[str]) -> dict[str, str]:
        target = self.ground.target
        assert isinstance(target, Images), "refused when the plan was made"
        return {node: await target.running_version(self.ground.node(node)) for node in victims}

    async def _compare(self, victims: Sequence[str]) -> tuple[dict[str, Json], list[str]]:
        now = await self._running(victims)
        measured: dict[str, Json] = {}
        for node in victims:
            turn = self.turns.get(node)
            measured[node] = {
                "before": self.versions.get(node, ""),
                "now": now[node],
                **({} if turn is None else turn.to_json()),
            }
        # One that does not answer runs no version: that proves neither way.
        same = [node for node in victims if now[node] in ("", self.versions.get(node))]
        return measured, same


@dataclass(slots=True)
class MemberChange(_Kind):
    """The cluster agrees to go on without the victims; later they join anew, without data."""

    removed: dict[str, str] = field(default_factory=dict)

    async def inject(self, world: World, fault: PlannedFault, victims: Sequence[str]) -> None:
        """Remove them one by one; a member that learns that it is none ends by itself."""
        for node in victims:
            self.removed[node] = await self._target().remove_member(
                self.ground.node(node), self.ground.nodes
            )

    async def heal(self, world: World, fault: PlannedFault, victims: Sequence[str]) -> None:
        """Announce each, and have its pod made anew with an empty volume; twice does nothing."""
        ground, target = self.ground, self._target()
        assert isinstance(target, Rejoining), "refused when the plan was made"
        members = await target.members(ground.nodes) if self.removed else {}
        for node in [name for name in self.removed if name not in members]:
            await target.add_member(ground.node(node), ground.nodes)
            command = cast(Sequence[str], (await ground.container())["command"])
            await ground.change({"command": [*target.rejoining(command)]})
            await self._empty(ground.place.pods[node])
            await ground.restart(node, 1.0)

    async def prove_injected(
        self, world: World, fault: PlannedFault, victims: Sequence[str]
    ) -> Proof:
        """The cluster's own list lacks the victims, and they do not answer."""
        now = await self._target().members(self.ground.nodes)
        answers = await asyncio.gather(*(self._silent(node) for node in victims))
        measured: dict[str, Json] = {"members": dict(now), "removed": dict(self.removed)}
        problems = [f"{node}: still a member" for node in victims if node in now]
        problems += [f"{n}: still answers" for n, s in zip(victims, answers, strict=True) if not s]
        if problems or not victims:
            return Proof(False, "; ".join(problems) or "no victim", measured)
        said = f"{', '.join(victims)}: no member any more, {len(now)} are left"
        return Proof(True, said, measured)

    async def prove_healed(
        self, world: World, fault: PlannedFault, victims: Sequence[str]
    ) -> Proof:
        """The list has them again, under new numbers, and they answer."""
        problems, measured = await self.ground.back(victims)
        now = await self._target().members(self.ground.nodes)
        measured |= {"members": dict(now), "removed": dict(self.removed)}
        problems += [
            f"{node}: no new member"
            for node in victims
            if now.get(node) in (None, self.removed.get(node))
        ]
        if problems:
            return Proof(False, "; ".join(problems), measured)
        said = f"{', '.join(victims)}: a new member, {len(now)} in all"
        return Proof(True, said, measured)

    def _target(self) -> Membership:
        target = self.ground.target
        assert isinstance(target, Membership), "refused when the plan was made"
        return target

    async def _silent(self, node: str) -> bool:
        """Whether the node stops to answer before the bound."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + READY_S
        while await self.ground.ready(node, SILENCE_S):
            if loop.time() > deadline:
                return False
            await asyncio.sleep(SILENCE_S / 10)
        return True

    async def _empty(self, pod: str) -> None:
        """Have the volumes that a pod asked for made anew: they go with the pod that holds them."""
        body = stateful(self.ground.place)
        assert body is not None, "refused when the plan was made"
        where = paths.collection(*CLAIMS, self.ground.place.namespace)
        for claim in body["spec"].get("volumeClaimTemplates") or ():
            await self.ground.api.delete(f"{where}/{claim['metadata']['name']}-{pod}")


@dataclass(slots=True)
class OfTarget(_Kind):
    """What only the target's own API does: compaction, defragmentation."""

    hands: Hands | None = None

    async def inject(self, world: World, fault: PlannedFault, victims: Sequence[str]) -> None:
        """As the shelf's kind does it."""
        await self.shelf.inject(self._through(world), fault, victims)

    async def heal(self, world: World, fault: PlannedFault, victims: Sequence[str]) -> None:
        """There is nothing to undo."""

    async def prove_injected(
        self, world: World, fault: PlannedFault, victims: Sequence[str]
    ) -> Proof:
        """As the shelf's kind measures it."""
        return await self.shelf.prove_injected(self._through(world), fault, victims)

    def _through(self, world: World) -> World:
        if self.hands is None:
            self.hands = Hands(self.ground)
        return cast(World, self.hands)


class Hands:
    """The part of `World` that compaction and defragmentation take, over the network."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._started: dict[str, float] = {}

    def _upkeep(self) -> Upkeep:
        assert isinstance(self._ground.target, Upkeep), "refused when the plan was made"
        return self._ground.target

    async def compact(self, node: str, keep_revisions: int) -> int:
        """Have the history forgotten but for the last revisions."""
        return await self._upkeep().compact(self._ground.node(node), keep_revisions)

    async def is_compacted(self, node: str, revision: int) -> bool:
        """Whether a node says that the history at a revision is gone."""
        return await self._upkeep().is_compacted(self._ground.node(node), revision)

    async def defragment(self, node: str) -> None:
        """Have a node rewrite its data file."""
        await self._upkeep().defragment(self._ground.node(node))

    async def data_file(self, node: str) -> str:
        """Which file holds the data now, by how often the node's process has rewritten it."""
        target = self._ground.target
        assert isinstance(target, Rewrites), "refused when the plan was made"
        started, times = await target.rewrites(self._ground.node(node))
        if self._started.setdefault(node, started) != started:
            raise Unavailable(f"{node} was started again meanwhile, and counts from 0")
        return f"file {times} of its process"


def _turned(victims: Sequence[str], turns: Mapping[str, Turn], said: str) -> Proof:
    measured: dict[str, Json] = {node: turn.to_json() for node, turn in turns.items()}
    old = [node for node in victims if node not in turns or turns[node].before == turns[node].after]
    if old or not victims:
        return Proof(False, f"{', '.join(old) or 'no victim'}: not restarted", measured)
    return Proof(True, f"{', '.join(victims)}: {said}", measured)


async def versions(target: Target, nodes: Sequence[Node]) -> Mapping[str, str]:
    """Name of the target → what its nodes say they run; empty where they do not say."""
    if not isinstance(target, Versioned):
        return {}
    told = await asyncio.gather(*(target.running_version(node) for node in nodes))
    by_version: dict[str, list[str]] = {}
    for node, version in zip(nodes, told, strict=True):
        if version:
            by_version.setdefault(version, []).append(node.name)
    if len(by_version) == 1:
        return {target.name: next(iter(by_version))}
    text = ", ".join(f"{v} ({', '.join(names)})" for v, names in sorted(by_version.items()))
    return {target.name: text} if text else {}

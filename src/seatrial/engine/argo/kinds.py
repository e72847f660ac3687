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
from dataclasses import dataclass, field
from itertools import permutations
from typing import Final, cast

from seatrial import faults as shelf
from seatrial.engine.argo import chaos, paths, pods
from seatrial.engine.argo.chaos import BOUNDS, SWITCH_S, Bounds, Injury
from seatrial.engine.argo.pods import PodState
from seatrial.engine.argo.run import Run
from seatrial.engine.argo.world import ClusterWorld, Link, Passage
from seatrial.errors import SeatrialError, Unavailable
from seatrial.fault import SIZES, FaultKind, PlannedFault, Proof, World
from seatrial.verdict import Json

#: Done by commands in the pods: Chaos Mesh has nothing like them.
BY_COMMAND: Final = ("pause",)
#: How long a node that should be down is given to answer all the same.
SILENCE_S: Final = 1.0
#: How long a node may take until it answers again.
READY_S: Final = 25.0
#: A link is slower if its middle connection takes so much longer, and so many times as long.
SLOWER_MS: Final = 5.0
SLOWER_TIMES: Final = 2.0

Locate = Callable[[], Awaitable[Mapping[str, tuple[str, ...]]]]


def kind(name: str, run: Run, locate: Locate, bounds: Bounds = BOUNDS) -> FaultKind:
    """The kind called `name` as this cluster does it; raises `UnknownName`."""
    found = shelf.kind(name)
    return found if name in BY_COMMAND else cast(FaultKind, OnCluster(found, run, locate, bounds))


@dataclass(slots=True)
class _Acting:
    """One fault between its injection and its healing."""

    injuries: list[Injury] = field(default_factory=list)
    pods: dict[str, PodState | None] = field(default_factory=dict)
    answered: dict[str, bool] = field(default_factory=dict)
    links: Mapping[Link, Passage] = field(default_factory=dict)
    blind: str = ""
    roles: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def evidence(self) -> dict[str, Json]:
        """What Chaos Mesh says of it, and what was so before."""
        return {
            "chaos_mesh": [one.evidence() for one in self.injuries],
            "answered_before": dict(self.answered),
            "roles_before": {role: [*names] for role, names in self.roles.items()},
        }


class OnCluster:
    """`seatrial.fault.FaultKind` by Chaos Mesh. One instance a step: it remembers what it made."""

    def __init__(self, kind: FaultKind, run: Run, locate: Locate, bounds: Bounds) -> None:
        self._kind, self._run, self._locate, self._bounds = kind, run, locate, bounds
        self._acting: dict[str, _Acting] = {}

    @property
    def name(self) -> str:
        """The name on the command line."""
        return self._kind.name

    @property
    def touches(self) -> str:
        """What it acts on."""
        return self._kind.touches

    def unavailable(self, isolation: str, nodes: Sequence[str], options: Mapping[str, Json]) -> str:
        """The shelf's word."""
        return self._kind.unavailable(isolation, nodes, options)

    def manifest(
        self, fault: PlannedFault, victims: Sequence[str], nodes: Sequence[str], namespace: str
    ) -> dict[str, Json]:
        """The shelf's manifest."""
        return self._kind.manifest(fault, victims, nodes, namespace)

    async def inject(self, world: World, fault: PlannedFault, victims: Sequence[str]) -> None:
        """Make the objects and wait until they act on all victims.

        Raises `Unavailable` if the role moved between look-up and now (nothing is made then), or
        with the reason that Chaos Mesh gives.
        """
        cluster = _cluster(world)
        acting = self._acting.setdefault(fault.id, _Acting())
        manifests = self._manifests(cluster, fault, victims)
        await self._look(cluster, acting, victims)
        await self._insist_on_role(acting, fault, victims)
        for manifest in manifests:
            acting.injuries.append(await chaos.make(cluster.api, self._run, manifest))
        await asyncio.gather(
            *(
                chaos.await_injected(cluster.api, self._run, one, self._bounds)
                for one in acting.injuries
            )
        )

    async def heal(self, world: World, fault: PlannedFault, victims: Sequence[str]) -> None:
        """Recover and remove; raises `Unavailable` if that took force."""
        acting = self._acting.get(fault.id, _Acting())
        told = await chaos.end_all(_cluster(world).api, self._run, acting.injuries, self._bounds)
        if told:
            raise Unavailable("; ".join(told))

    async def prove_injected(
        self, world: World, fault: PlannedFault, victims: Sequence[str]
    ) -> Proof:
        """Measure its effect on pods, nodes and links; Chaos Mesh's own word is kept beside it."""
        acting = self._acting.get(fault.id, _Acting())
        measured = acting.evidence()
        if self.touches == "network":
            return await self._prove_links(_cluster(world), acting, victims, measured)
        return await self._prove_pods(_cluster(world), acting, victims, measured)

    async def prove_healed(
        self, world: World, fault: PlannedFault, victims: Sequence[str]
    ) -> Proof:
        """The objects are gone, pods are ready and nodes answer, links are as they were."""
        cluster, acting = _cluster(world), self._acting.get(fault.id, _Acting())
        measured = acting.evidence()
        left = await self._left(cluster, acting)
        if left:
            return Proof(False, f"still there: {', '.join(left)}", measured)
        answers = await asyncio.gather(*(world.ready(node, READY_S) for node in victims))
        silent = [node for node, there in zip(victims, answers, strict=True) if not there]
        measured["answers"] = dict(zip(victims, answers, strict=True))
        if silent:
            return Proof(False, f"{', '.join(silent)}: no answer within {READY_S:g} s", measured)
        worse = await self._worse(cluster, acting, victims, measured)
        if worse:
            return Proof(False, f"still {', '.join(worse)}", measured)
        return Proof(True, f"{', '.join(victims)}: nothing acts any more, all answer", measured)

    # ── before ───────────────────────────────────────────────────────────────────────────────

    def _manifests(
        self, cluster: ClusterWorld, fault: PlannedFault, victims: Sequence[str]
    ) -> list[dict[str, Json]]:
        """The objects; the cluster ends them later than we do, if we do not."""
        place = cluster.placement
        longer = fault.model_copy(update={"duration_s": fault.duration_s + SWITCH_S})
        whole = self._kind.manifest(
            longer,
            [place.pods[node] for node in victims],
            [place.pods[node] for node in cluster.nodes],
            place.namespace,
        )
        return chaos.parts(whole)

    async def _look(self, cluster: ClusterWorld, acting: _Acting, victims: Sequence[str]) -> None:
        """How things are before, to compare with."""
        answers = await asyncio.gather(*(cluster.ready(node, SILENCE_S) for node in victims))
        acting.answered = dict(zip(victims, answers, strict=True))
        for node in victims:
            acting.pods[node] = await cluster.pod(node)
        if self.touches == "network":
            try:
                acting.links = await cluster.passages(_links(cluster, victims))
            except SeatrialError as error:
                acting.blind = str(error).partition("\n")[0]

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

    # ── effect ───────────────────────────────────────────────────────────────────────────────

    async def _prove_pods(
        self,
        cluster: ClusterWorld,
        acting: _Acting,
        victims: Sequence[str],
        measured: dict[str, Json],
    ) -> Proof:
        now = dict(zip(victims, await asyncio.gather(*map(cluster.pod, victims)), strict=True))
        answers = await asyncio.gather(*(cluster.ready(node, SILENCE_S) for node in victims))
        seen: list[str] = []
        unseen: list[str] = []
        for node, answer in zip(victims, answers, strict=True):
            told = [*pods.changes(acting.pods.get(node), now[node])]
            fell_silent = acting.answered.get(node, False) and not answer
            told += ["no answer to clients any more"] if fell_silent else []
            state = now[node]
            measured[node] = {
                "pod": None if state is None else state.to_json(),
                "answers": answer,
                "changes": [*told],
            }
            (seen if told else unseen).append(f"{node}: {', '.join(told)}" if told else node)
        if unseen or not seen:
            return Proof(
                False,
                f"{', '.join(unseen) or 'no victim'}: no effect was seen from outside (the pod is "
                "as before, and the node answers as before)",
                measured,
            )
        return Proof(True, "; ".join(seen), measured)

    async def _prove_links(
        self,
        cluster: ClusterWorld,
        acting: _Acting,
        victims: Sequence[str],
        measured: dict[str, Json],
    ) -> Proof:
        if acting.blind:
            return Proof(False, f"links were not measured: {acting.blind}", measured)
        now = await cluster.passages(_links(cluster, victims))
        measured["before"], measured["now"] = _readings(acting.links), _readings(now)
        changed = _worse_links(acting.links, now)
        for node in victims:
            if not any(node in link for link in changed):
                return Proof(
                    False,
                    f"{node}: connections over its links are made as before",
                    measured,
                )
        if not victims:
            return Proof(False, "no victim", measured)
        return Proof(True, "; ".join(_told(*one) for one in changed.items()), measured)

    # ── after ────────────────────────────────────────────────────────────────────────────────

    async def _left(self, cluster: ClusterWorld, acting: _Acting) -> list[str]:
        left = []
        for one in acting.injuries:
            where = paths.chaos(one.kind, self._run.namespace)
            if await cluster.api.find(f"{where}/{one.name}") is not None:
                left.append(f"{one.kind} {one.name}")
        return left

    async def _worse(
        self,
        cluster: ClusterWorld,
        acting: _Acting,
        victims: Sequence[str],
        measured: dict[str, Json],
    ) -> list[str]:
        if self.touches != "network" or acting.blind:
            return []
        now = await cluster.passages(_links(cluster, victims))
        measured["before"], measured["now"] = _readings(acting.links), _readings(now)
        return [_told(*one) for one in _worse_links(acting.links, now).items()]


def _cluster(world: World) -> ClusterWorld:
    assert isinstance(world, ClusterWorld), "kinds of a cluster act on its own world"
    return world


def _links(cluster: ClusterWorld, victims: Sequence[str]) -> list[Link]:
    """All directions that begin or end at a victim."""
    return [link for link in permutations(cluster.nodes, 2) if set(link) & set(victims)]


def _worse_links(
    before: Mapping[Link, Passage], now: Mapping[Link, Passage]
) -> dict[Link, tuple[Passage, Passage]]:
    """Links over which fewer connections are made, or slower ones."""
    return {
        link: (before[link], now[link])
        for link in sorted(now)
        if link in before and _is_worse(before[link], now[link])
    }


def _is_worse(before: Passage, now: Passage) -> bool:
    if now.lost > before.lost:
        return True
    was, found = before.median_ms, now.median_ms
    if was is None or found is None:
        return False
    return found > was + SLOWER_MS and found > SLOWER_TIMES * was


def _told(link: Link, both: tuple[Passage, Passage]) -> str:
    before, now = both
    name = f"{link[0]} → {link[1]}"
    if now.lost > before.lost:
        return f"{name}: {now.lost} of {now.tried} connections were not made"
    return f"{name}: connections take {now.median_ms:.1f} ms instead of {before.median_ms:.1f} ms"


def _readings(links: Mapping[Link, Passage]) -> dict[str, Json]:
    return {
        f"{source} → {destination}": {"lost": one.lost, "times_ms": [*one.times_ms]}
        for (source, destination), one in links.items()
    }

"""How the effect of a fault is seen on a cluster: before it, while it acts, after it.

Chaos Mesh's own word proves nothing. Every effect has a positive control: before anything is
made the same probe must find that nothing is wrong, else it could not tell. What cannot be seen
is said to be unseen, and a fault that was not seen to act never lets a trial be `valid`
(`seatrial.runner.judge`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import permutations
from typing import Any, Final, Protocol, cast

from seatrial import faults as shelf
from seatrial.engine.argo import netem, orderly, pods
from seatrial.engine.argo.alike import alike
from seatrial.engine.argo.links import Link
from seatrial.engine.argo.pods import PodState
from seatrial.engine.argo.seen import see
from seatrial.engine.argo.world import ClusterWorld, Passage
from seatrial.errors import Unavailable
from seatrial.fault import Action, FaultKind, PlannedFault, Proof
from seatrial.faults import network_options as packets
from seatrial.faults import network_proof
from seatrial.plan import Plan
from seatrial.target import Clock, Placement, Target
from seatrial.verdict import Json

#: How long a node that should be down is given to answer all the same.
SILENCE_S: Final = 1.0
#: How often is looked whether a node is down.
DOWN_POLL_S: Final = 0.5
#: A link is slower if its fastest connection takes so much longer than the slowest one before: a
#: busy machine makes some connections slow, a delay makes all.
SLOWER_MS: Final = 5.0


class Effect(Protocol):
    """One fault's effect on its victims."""

    async def look(self, cluster: ClusterWorld) -> Mapping[str, Json]:
        """How things are before it; raises `Unavailable` if the effect could not be told then."""
        ...

    async def acts(self, cluster: ClusterWorld) -> Proof:
        """Whether it is seen."""
        ...

    async def ended(self, cluster: ClusterWorld) -> Proof:
        """Whether things are as before."""
        ...


@dataclass(slots=True)
class OnPods:
    """Pods made anew, restarted or not ready; nodes that fall silent."""

    victims: Sequence[str]
    patience_s: float = 0.0
    _pods: dict[str, PodState | None] = field(default_factory=dict)
    _answered: dict[str, bool] = field(default_factory=dict)

    async def look(self, cluster: ClusterWorld) -> Mapping[str, Json]:
        """Pods and answers as they are."""
        answers = await asyncio.gather(*(cluster.ready(node, SILENCE_S) for node in self.victims))
        self._answered = dict(zip(self.victims, answers, strict=True))
        for node in self.victims:
            self._pods[node] = await cluster.pod(node)
        return {"answered_before": {**self._answered}}

    async def acts(self, cluster: ClusterWorld) -> Proof:
        """Each victim's container or pod ended, or the node fell silent; within `patience_s`."""
        deadline = time.monotonic() + self.patience_s
        while not (proof := await self._glimpse(cluster)).seen and time.monotonic() < deadline:
            await asyncio.sleep(DOWN_POLL_S)
        return proof

    async def _glimpse(self, cluster: ClusterWorld) -> Proof:
        now = await asyncio.gather(*map(cluster.pod, self.victims))
        answers = await asyncio.gather(*(cluster.ready(node, SILENCE_S) for node in self.victims))
        measured: dict[str, Json] = {}
        seen: list[str] = []
        unseen: list[str] = []
        for node, state, answer in zip(self.victims, now, answers, strict=True):
            told = [*pods.changes(self._pods.get(node), state)]
            fell_silent = self._answered.get(node, False) and not answer
            told += ["no answer to clients any more"] if fell_silent else []
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

    async def ended(self, cluster: ClusterWorld) -> Proof:
        """Nothing more than that all nodes answer, which is asked of every fault."""
        return Proof(True, "")


@dataclass(slots=True)
class Measured:
    """By the shelf's own proof: it measures through the world, which is the cluster's here."""

    kind: FaultKind
    fault: PlannedFault
    victims: Sequence[str]
    _before: Mapping[str, Json] = field(default_factory=dict)

    async def look(self, cluster: ClusterWorld) -> Mapping[str, Json]:
        """The proof of healing must hold before anything is made."""
        if self.kind.touches == "network":
            await cluster.links.calibrate()
        world = await see(cluster, self.victims)
        if self.kind.touches not in ("network", "process"):
            unseen = [node for node in self.victims if world.pid(node) is None]
            if unseen:
                raise Unavailable(
                    f"the container {cluster.placement.container!r} does not see the process "
                    f"{cluster.placement.process!r} of {', '.join(unseen)}\n\n"
                    "hint: shareProcessNamespace: true in the pod"
                )
        proof = await self.kind.prove_healed(world, self.fault, self.victims)
        if not proof.seen and not self._others_are_there(cluster):
            raise Unavailable(f"something is wrong without the fault already: {proof.sentence}")
        self._before = proof.measured
        return {"before": {**proof.measured}}

    async def acts(self, cluster: ClusterWorld) -> Proof:
        """By the shelf's proof."""
        await self._look_up(cluster)
        return await self.kind.prove_injected(
            await see(cluster, self.victims), self.fault, self.victims
        )

    async def ended(self, cluster: ClusterWorld) -> Proof:
        """By the shelf's proof, and links are no worse than before."""
        await self._look_up(cluster)
        proof = await self.kind.prove_healed(
            await see(cluster, self.victims), self.fault, self.victims
        )
        if not proof.seen and self.kind.touches == "network":
            # Clocks drift apart while a fault lasts. What is left of a delay shows all the same:
            # half of it in each direction.
            await cluster.links.calibrate()
            world = await see(cluster, self.victims)
            proof = await self.kind.prove_healed(world, self.fault, self.victims)
        worse = network_proof.worse(_links_of(self._before), _links_of(proof.measured))
        if proof.seen and worse:
            return Proof(False, f"not as before: {'; '.join(worse)}", proof.measured)
        return proof

    def _others_are_there(self, cluster: ClusterWorld) -> bool:
        """Whether another fault on links may be what is wrong."""
        books = cluster.links.books
        return self.kind.touches == "network" and any((*books.cuts.values(), *books.shapes))

    async def _look_up(self, cluster: ClusterWorld) -> None:
        if self.kind.touches == "network":
            await cluster.links.look_up()


def _links_of(measured: Mapping[str, Json]) -> Mapping[str, Mapping[str, Any]]:
    return cast(Mapping[str, Mapping[str, Any]], measured.get("links") or {})


@dataclass(slots=True)
class AllOf:
    """Several effects at once: of a fault that is like several of the shelf's."""

    parts: Sequence[Effect]

    async def look(self, cluster: ClusterWorld) -> Mapping[str, Json]:
        """Each part's, by number."""
        return {str(n): {**await one.look(cluster)} for n, one in enumerate(self.parts)}

    async def acts(self, cluster: ClusterWorld) -> Proof:
        """All parts are seen."""
        return _all([await one.acts(cluster) for one in self.parts])

    async def ended(self, cluster: ClusterWorld) -> Proof:
        """All parts have ended."""
        return _all([await one.ended(cluster) for one in self.parts])


def _all(proofs: Sequence[Proof]) -> Proof:
    measured: dict[str, Json] = {str(n): {**one.measured} for n, one in enumerate(proofs)}
    unseen = [one.sentence for one in proofs if not one.seen]
    said = unseen or [one.sentence for one in proofs]
    return Proof(not unseen and bool(proofs), "; ".join(said), measured)


@dataclass(slots=True)
class AnyOf:
    """An effect that may show in one way or another: a disk that fails may end the process."""

    ways: Sequence[Effect]

    async def look(self, cluster: ClusterWorld) -> Mapping[str, Json]:
        """All ways', by number."""
        return {str(n): {**await one.look(cluster)} for n, one in enumerate(self.ways)}

    async def acts(self, cluster: ClusterWorld) -> Proof:
        """One way is enough."""
        told = []
        for one in self.ways:
            try:
                proof = await one.acts(cluster)
            except Unavailable as error:
                proof = Proof(False, str(error).partition("\n")[0])
            if proof.seen:
                return proof
            told.append(proof.sentence)
        return Proof(False, "; ".join(told))

    async def ended(self, cluster: ClusterWorld) -> Proof:
        """All ways say so."""
        return _all([await one.ended(cluster) for one in self.ways])


@dataclass(slots=True)
class OnConnections:
    """TCP connections over the victims' links: for clusters that let no datagram through.

    It sees links that are cut, slow or lose much, in either direction, and nothing finer. Links
    that another fault was on, before or now, tell nothing of this one (`fault`, by its id).
    """

    victims: Sequence[str]
    fault: str
    why: str = ""
    _links: Mapping[Link, Passage] = field(default_factory=dict)
    _busy: frozenset[Link] = frozenset()

    async def look(self, cluster: ClusterWorld) -> Mapping[str, Json]:
        """Connections as they are made now."""
        self._links, self._busy = await self._passages(cluster)
        return {
            "instead_of_datagrams": self.why,
            "before": _readings(self._links),
            "others_on": _names(self._busy),
        }

    async def acts(self, cluster: ClusterWorld) -> Proof:
        """At each victim at least one link is worse that no other fault is on."""
        now, busy = await self._passages(cluster)
        measured = self._measured(now, busy)
        judged = self._judged(busy)
        if hidden := self._hidden(judged):
            return Proof(False, hidden, measured)
        changed = _worse_links(judged, now)
        same = [node for node in self.victims if not any(node in link for link in changed)]
        if same or not self.victims:
            said = (
                f"{', '.join(same) or 'no victim'}: connections over its links are made as before"
            )
            more = f" (nothing finer was measured: {self.why})" if self.why else ""
            return Proof(False, said + more, measured)
        return Proof(True, "; ".join(_told(*one) for one in changed.items()), measured)

    async def ended(self, cluster: ClusterWorld) -> Proof:
        """No link is worse than before, of those that no other fault is on."""
        now, busy = await self._passages(cluster)
        measured = self._measured(now, busy)
        judged = self._judged(busy)
        worse = [_told(*one) for one in _worse_links(judged, now).items()]
        if worse:
            return Proof(False, f"still {', '.join(worse)}", measured)
        if hidden := self._hidden(judged):
            return Proof(False, hidden, measured)
        return Proof(True, "connections are made as before", measured)

    async def _passages(
        self, cluster: ClusterWorld
    ) -> tuple[Mapping[Link, Passage], frozenset[Link]]:
        """Connections, and the links that other faults were on before or after them."""
        before = await cluster.links.busy(self.fault)
        found = await cluster.passages(_around(cluster, self.victims))
        busy = before | await cluster.links.busy(self.fault)
        return found, busy & frozenset(found)

    def _judged(self, busy: frozenset[Link]) -> dict[Link, Passage]:
        """Links that were measured before, with no other fault on them then or now."""
        others = self._busy | busy
        return {link: one for link, one in self._links.items() if link not in others}

    def _hidden(self, judged: Mapping[Link, Passage]) -> str:
        """Which victims have no link that tells anything, as a sentence; "" if all have one."""
        bare = [node for node in self.victims if not any(node in link for link in judged)]
        return f"{', '.join(bare)}: another fault is on each of its links" if bare else ""

    def _measured(self, now: Mapping[Link, Passage], busy: frozenset[Link]) -> dict[str, Json]:
        return {
            "before": _readings(self._links),
            "now": _readings(now),
            "others_on": _names(self._busy | busy),
        }


@dataclass(slots=True)
class Unseen:
    """Nothing here can see it."""

    why: str

    async def look(self, cluster: ClusterWorld) -> Mapping[str, Json]:
        """Says why."""
        return {"unseen": self.why}

    async def acts(self, cluster: ClusterWorld) -> Proof:
        """Never claimed."""
        return Proof(False, f"its effect cannot be seen here: {self.why}")

    async def ended(self, cluster: ClusterWorld) -> Proof:
        """Nothing is measured but what is measured after every fault."""
        return Proof(True, "")


#: Kinds that end processes, pods or machines: seen on the pods.
ON_PODS: Final = ("kill", "failure", "container-kill", "pod", "aws", "gcp", "azure")
#: Kinds that are no object of Chaos Mesh, and prove themselves by commands in the pods.
BY_COMMAND: Final = ("pause",)
#: Kinds that are seen through the node's processes, as a container sees them that shares them.
OF_PROCESSES: Final = ("io-latency", "io-error", "stress-cpu", "stress-memory")
#: Kinds for which no command is carried out in a pod: asked of the node, or not seen at all.
WITHOUT_COMMANDS: Final = (*ON_PODS, "clock", "time", "jvm", "kernel", "machine")
#: Kinds that the shelf measures through the world.
MEASURED: Final = (
    *("partition", "delay", "loss", "duplicate", "corrupt", "reorder", "rate", "bandwidth"),
    *("io-latency", "stress-cpu", "stress-memory", "clock"),
)


def of(fault: PlannedFault, victims: Sequence[str], placement: Placement, target: Target) -> Effect:
    """How the effect of a fault is seen where the target is placed so."""
    kind = shelf.kind(fault.kind)
    if fault.kind in ON_PODS:
        return OnPods(victims)
    if why := _why_not(fault, placement, target):
        return Unseen(why)
    if fault.kind in (*MEASURED, *BY_COMMAND):
        return Measured(kind, fault, victims)
    if fault.kind == "io-error":
        return AnyOf((Measured(kind, fault, victims), OnPods(victims)))
    parts = alike(fault, victims, placement)
    if parts is not None:
        return AllOf([of(part, victims, placement, target) for part in parts])
    if fault.kind == "network":
        return OnConnections(victims, fault.id)
    if fault.kind == "io":
        return _on_files(fault, victims, placement)
    if fault.kind in ("dns", "http"):
        return _on_service(fault, victims, placement)
    return Unseen(_NOTHING_LIKE_IT.format(kind=fault.kind))


_NOTHING_LIKE_IT: Final = "no probe measures what this {kind} does"


def _on_files(fault: PlannedFault, victims: Sequence[str], placement: Placement) -> Effect:
    """Wrong bytes and attributes; imported late, as few plans have such faults."""
    from seatrial.engine.argo import volumes
    from seatrial.faults.chaos import io
    from seatrial.faults.chaos.catalogue import FAMILIES

    action = FAMILIES[fault.kind].read(fault.options)
    assert isinstance(action, io.IoAction)
    if not placement.process or not volumes.is_whole_volume(action, placement):
        return Unseen("only faults on the whole volume of the nodes' data are measured")
    if isinstance(action, io.Mistake | io.AttrOverride):
        return volumes.OnFiles(victims, action)
    return Unseen(_NOTHING_LIKE_IT.format(kind=fault.kind))


def _on_service(fault: PlannedFault, victims: Sequence[str], placement: Placement) -> Effect:
    """Names and messages; imported late, as few plans have such faults."""
    from seatrial.engine.argo import services
    from seatrial.faults.chaos import dns, http
    from seatrial.faults.chaos.catalogue import FAMILIES

    action = FAMILIES[fault.kind].read(fault.options)
    if isinstance(action, dns.DnsAction):
        names = services.names_of(action, placement)
        if not names:
            return Unseen("none of the names that its patterns mean is known to resolve")
        return services.OnNames(victims, names, isinstance(action, dns.Random))
    assert isinstance(action, http.HttpAction)
    if action.tls is not None:
        return Unseen("the probe speaks plain HTTP, and this fault is on HTTPS")
    return services.OnMessages(victims, action)


def _why_not(fault: PlannedFault, placement: Placement, target: Target) -> str:
    """Why nothing can be seen of a fault before anything was tried; "" if it can."""
    if fault.kind == "clock":
        return "" if isinstance(target, Clock) else f"{target.name} does not tell the time"
    if not placement.container:
        return "no command can be carried out in the nodes' pods (no container is named for it)"
    if fault.kind in OF_PROCESSES and not placement.process:
        return "no container of the pod sees the node's processes (no process is named)"
    if fault.kind in ("io-latency", "io-error") and not placement.volume:
        return "where the nodes' data is mounted is not known (no volume is named)"
    if fault.kind in ("loss", "duplicate", "corrupt", "reorder"):
        return _too_rare(fault)
    return ""


def _too_rare(fault: PlannedFault) -> str:
    """Why chance would hide it: with a correlation netem does less than it is told."""
    action = cast(Action, fault.kind)
    asked = packets.shape(action, packets.read(action, fault.options))
    done = netem.carried_out(asked)
    if done.percent * (1 - done.correlation / 100) >= packets.PERCENT_MIN:
        return ""
    return (
        f"of {asked.percent:g} % with a correlation of {asked.correlation:g} % the kernel's netem "
        f"makes {done.percent:.2g} %, too little to be measured"
    )


def unseen(plan: Plan, target: Target, placement: Placement) -> tuple[str, ...]:
    """The faults of a plan whose effect nobody can see there, with the reason, in sentences.

    What goes through the API and the target's own commands (`orderly`) proves itself.
    """
    told = []
    for fault in plan.faults:
        if fault.kind in orderly.NAMES:
            continue
        whom = fault.nodes or plan.target.nodes[:1]
        if why := why_unseen(of(fault, whom, placement, target)):
            told.append(f"the effect of {fault.id} ({fault.kind}) cannot be seen here: {why}")
    return tuple(told)


def on_pods(effect: Effect) -> tuple[OnPods, ...]:
    """The parts of an effect that are seen on pods, which a glance is enough for."""
    if isinstance(effect, AllOf | AnyOf):
        inner = effect.parts if isinstance(effect, AllOf) else effect.ways
        return tuple(found for one in inner for found in on_pods(one))
    return (effect,) if isinstance(effect, OnPods) else ()


def why_unseen(effect: Effect) -> str:
    """Why an effect is not seen, "" if it is."""
    if isinstance(effect, AllOf):
        return "; ".join(filter(None, map(why_unseen, effect.parts)))
    return effect.why if isinstance(effect, Unseen) else ""


def _around(cluster: ClusterWorld, victims: Sequence[str]) -> list[Link]:
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
    if not before.times_ms or not now.times_ms:
        return False
    return min(now.times_ms) > max(before.times_ms) + SLOWER_MS


def _told(link: Link, both: tuple[Passage, Passage]) -> str:
    before, now = both
    name = f"{link[0]} → {link[1]}"
    if now.lost > before.lost:
        return f"{name}: {now.lost} of {now.tried} connections were not made"
    return f"{name}: connections take {now.median_ms:.1f} ms instead of {before.median_ms:.1f} ms"


def _names(links: frozenset[Link]) -> list[Json]:
    return [f"{source} → {destination}" for source, destination in sorted(links)]


def _readings(links: Mapping[Link, Passage]) -> dict[str, Json]:
    return {
        f"{source} → {destination}": {"lost": one.lost, "times_ms": [*one.times_ms]}
        for (source, destination), one in links.items()
    }

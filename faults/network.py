"""Faults on packets: `delay`, `loss`, `duplicate`, `corrupt`, `reorder`, `rate`, `bandwidth`.

What Chaos Mesh's NetworkChaos asks of netem and tbf, between the victims and their peers, in one
direction or both. Faults that overlap on a direction add up, and end in any order. The proof sends
datagrams through the faulty directions and through all others: what arrived, when, how often,
whole or not, is compared with what the books of *all* faults on that direction say.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import permutations

from seatrial.errors import Unavailable, UsageError
from seatrial.fault import (
    CLUSTER,
    Action,
    Arrivals,
    PlannedFault,
    Proof,
    Shape,
    Traffic,
    World,
)
from seatrial.faults import chaos
from seatrial.faults import network_options as options_of
from seatrial.faults import network_proof as proof
from seatrial.faults.chaos import network as objects
from seatrial.faults.leases import Leases
from seatrial.faults.network_options import Link
from seatrial.verdict import Json

#: A reading is taken anew when other faults change the links meanwhile, up to so many times.
READINGS_MAX = 4
#: What links without a fault on them are looked at with.
LIGHT = Traffic(packets=50, packet_bytes=100, interval_s=0.004, patience_s=0.3)
TUN = "/dev/net/tun"

_OBJECTS: Mapping[Action, type[objects.NetworkAction]] = {
    "delay": objects.Delay,
    "loss": objects.Loss,
    "duplicate": objects.Duplicate,
    "corrupt": objects.Corrupt,
    "reorder": objects.Reorder,
    "rate": objects.Rate,
    "bandwidth": objects.Bandwidth,
}


@dataclass(frozen=True, slots=True)
class OnPackets:
    """`seatrial.fault.FaultKind`, one a kind."""

    name: Action
    touches: str = "network"
    #: Directions that a fault shapes now.
    _shaped: Leases[Link, None] = field(default_factory=Leases)
    #: Directions that it was meant for, kept for the proof of its end.
    _meant: Leases[Link, None] = field(default_factory=Leases)

    def unavailable(self, isolation: str, nodes: Sequence[str], options: Mapping[str, Json]) -> str:
        """Not without a network of the nodes' own and a TUN device; nor with bad options."""
        try:
            found = options_of.read(self.name, options)
        except UsageError as error:
            return str(error)
        if isolation == "none":
            return (
                f"{self.name} needs a network of its own for each node, and isolation none has "
                "one loopback device for all\n\nhint: run with isolation namespace; `seatrial "
                "doctor` says how to allow it on this machine"
            )
        if isolation == "namespace" and not os.access(TUN, os.R_OK | os.W_OK):
            return (
                f"{self.name} carries packets through a TUN device, and {TUN} cannot be opened "
                f"here\n\nhint: sudo modprobe tun && sudo chmod 0666 {TUN}; in a container, give "
                "it the device"
            )
        wrong = options_of.problem(found, nodes, live=isolation != CLUSTER)
        return f"{self.name}: {wrong}" if wrong else ""

    async def inject(self, world: World, fault: PlannedFault, victims: Sequence[str]) -> None:
        """Shape all directions, one after another."""
        shape = options_of.shape(self.name, options_of.read(self.name, fault.options))
        held = set(self._shaped.of(world, fault.id))
        for source, destination in sorted(await self._links(world, fault, victims) - held):
            self._shaped.take(world, fault.id, (source, destination), None)
            await world.shape(fault.id, source, destination, shape)

    async def heal(self, world: World, fault: PlannedFault, victims: Sequence[str]) -> None:
        """Undo this fault's part on each direction; raises after all if one had ended before."""
        problems = []
        for source, destination in sorted(self._shaped.of(world, fault.id)):
            try:
                await world.unshape(fault.id, source, destination)
            except Unavailable as error:
                problems.append(f"{source} → {destination}: {error}")
            self._shaped.give_back(world, fault.id, (source, destination))
        if problems:
            raise Unavailable("; ".join(problems))

    async def prove_injected(
        self, world: World, fault: PlannedFault, victims: Sequence[str]
    ) -> Proof:
        """Datagrams through the faulty directions show it, and those through others do not."""
        own = self._own(world, fault)
        planned = await self._links(world, fault, victims)
        reading = await _read(world, planned, own)
        measured: dict[str, Json] = {
            "planned": [*_words(planned)],
            "cut_by_others": [*_words(planned & reading.cut)],
            "links": proof.readings(reading.seen),
        }
        open_links = sorted(planned - reading.cut)
        problems = []
        for link in open_links:
            there = list(reading.books[link].values())
            rest = [shape for name, shape in reading.books[link].items() if name != fault.id]
            wrong = proof.acts(own, proof.expect(there), proof.expect(rest), reading.seen[link])
            if wrong or fault.id not in reading.books[link]:
                problems.append(f"{_word(link)}: {wrong or 'the fault ended by itself'}")
        problems += reading.others_hit(planned, own)
        if problems:
            return Proof(False, "; ".join(problems), measured)
        if not open_links:
            return Proof(False, "other faults cut every link that it is meant for", measured)
        said = proof.sentence(self.name, [reading.seen[link] for link in open_links])
        whole = len(reading.whole - planned)
        return Proof(
            True, f"{said} on {len(open_links)} directions; {whole} others are whole", measured
        )

    async def prove_healed(
        self, world: World, fault: PlannedFault, victims: Sequence[str]
    ) -> Proof:
        """Datagrams through the same directions show no more than what other faults do."""
        own = self._own(world, fault)
        planned = await self._links(world, fault, victims)
        reading = await _read(world, planned, own)
        measured: dict[str, Json] = {
            "planned": [*_words(planned)],
            "cut_by_others": [*_words(planned & reading.cut)],
            "links": proof.readings(reading.seen),
        }
        problems = [f"{_word(link)}: still shaped" for link in self._shaped.of(world, fault.id)]
        open_links = sorted(planned - reading.cut)
        for link in open_links:
            rest = proof.expect([*reading.books[link].values()])
            wrong = proof.gone(own, rest, reading.seen[link])
            problems += [f"{_word(link)}: {wrong}"] if wrong else []
        if problems:
            return Proof(False, "; ".join(problems), measured)
        if not open_links:
            return Proof(False, "other faults still cut every link that it was meant for", measured)
        others = len(planned) - len(open_links)
        more = f"; {others} are still cut by other faults" if others else ""
        return Proof(True, f"{len(open_links)} directions are free of it{more}", measured)

    def _own(self, world: World, fault: PlannedFault) -> Shape:
        shape = options_of.shape(self.name, options_of.read(self.name, fault.options))
        return world.carried_out(shape)

    async def _links(
        self, world: World, fault: PlannedFault, victims: Sequence[str]
    ) -> frozenset[Link]:
        """The directions that the fault is meant for; a role is looked up the first time only."""
        if known := self._meant.of(world, fault.id):
            return frozenset(known)
        options = options_of.read(self.name, fault.options)
        peers = options_of.by_size(options, fault, world.nodes, victims)
        if peers is None:
            peers = (await world.roles()).get(str(options.peers), ())
        found = options_of.links(options.direction, victims, peers)
        if not found:
            raise UsageError(
                f"fault {fault.id!r}: {self.name} between {', '.join(victims) or 'nobody'} and "
                f"{options.peers!r} ({', '.join(peers) or 'nobody'} now) means no link\n\n"
                "hint: name peers that are not the victims themselves"
            )
        for link in found:
            self._meant.take(world, fault.id, link, None)
        return found

    def manifest(
        self, fault: PlannedFault, victims: Sequence[str], nodes: Sequence[str], namespace: str
    ) -> dict[str, Json]:
        """A NetworkChaos; raises `Unavailable` where the peers are a role, which it cannot say."""
        options = options_of.read(self.name, fault.options)
        peers = options_of.by_size(options, fault, nodes, victims)
        if peers is None:
            raise Unavailable(
                f"fault {fault.id!r}: Chaos Mesh selects pods, and who is {options.peers!r} is "
                "known at the moment only\n\nhint: name the peers, or their size"
            )
        action = _OBJECTS[self.name].model_validate(
            {
                **options_of.values(options),
                "direction": options.direction,
                "target": chaos.pods(namespace, sorted(peers)),
            }
        )
        return chaos.experiment(fault, namespace, action, chaos.pods(namespace, victims)).manifest()


@dataclass(frozen=True, slots=True)
class _Reading:
    """What one round of probes saw, and what the books said before and after it."""

    books: Mapping[Link, Mapping[str, Shape]]
    cut: frozenset[Link]
    seen: Mapping[Link, Arrivals]

    @property
    def whole(self) -> frozenset[Link]:
        """Directions on which no fault is by the books."""
        return frozenset(link for link in self.seen if not self.books[link])

    def others_hit(self, planned: frozenset[Link], own: Shape) -> list[str]:
        """Directions without a fault that show the fault all the same."""
        if own.bits_per_s:
            return []
        found = []
        for link in sorted(self.whole - planned):
            wrong = proof.gone(own, proof.expect([]), self.seen[link])
            found += [f"{_word(link)} is hit as well: {wrong}"] if wrong else []
        return found


async def _read(world: World, planned: frozenset[Link], own: Shape) -> _Reading:
    """Probe every direction that is not cut; anew if another fault changed the links meanwhile."""
    every = tuple(permutations(world.nodes, 2))
    for _ in range(READINGS_MAX):
        books = {link: world.shapes(*link) for link in every}
        cuts = frozenset(link for link in every if world.leases(*link))
        seen = await world.measure(
            {
                link: proof.traffic(own, proof.expect([*books[link].values()]))
                if link in planned
                else LIGHT
                for link in every
                if link not in cuts and (link in planned or not books[link])
            }
        )
        after = {link: world.shapes(*link) for link in every}
        if books == after and cuts == frozenset(link for link in every if world.leases(*link)):
            break
    return _Reading(books, cuts, seen)


def _word(link: Link) -> str:
    return f"{link[0]} → {link[1]}"


def _words(links: frozenset[Link]) -> list[str]:
    return [_word(link) for link in sorted(links)]


DELAY = OnPackets("delay")
LOSS = OnPackets("loss")
DUPLICATE = OnPackets("duplicate")
CORRUPT = OnPackets("corrupt")
REORDER = OnPackets("reorder")
RATE = OnPackets("rate")
BANDWIDTH = OnPackets("bandwidth")

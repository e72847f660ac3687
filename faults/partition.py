"""Fault `partition`: links between nodes are cut, in one direction or both.

Shapes, after Jepsen's nemeses (`jepsen.nemesis`: partition-halves, bridge, majorities-ring):

- `isolate`: each victim is cut from every other node, both ways.
- `halves`: the victims on one side, the rest on the other.
- `majorities-ring`: every node sees a majority, no two the same one (four nodes and up). Nodes
  stand in a ring and keep their links to the k nearest on both sides, 1 + 2k ≥ n/2 + 1. Links
  stay whole both ways or not at all, else TCP would see nothing but full isolation.
- `bridge`: the first victim sees all; the rest falls into halves that do not see each other.
- `one-way-in`, `one-way-out`: what the rest sends to the victims (what they send) is dropped.

Links between clients and nodes stay whole. Every cut link is probed with a datagram, and so is
every link that should be whole: a probe that fails everywhere proves nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import permutations
from typing import Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, ValidationError

from seatrial.errors import UsageError
from seatrial.fault import PlannedFault, Proof, World
from seatrial.faults.chaos import experiment, network, pods, workflow
from seatrial.faults.leases import Leases
from seatrial.verdict import Json

Shape = Literal["isolate", "halves", "majorities-ring", "bridge", "one-way-in", "one-way-out"]
Link: TypeAlias = tuple[str, str]

#: The fewest nodes with which a shape means something.
NODES_MIN: Mapping[Shape, int] = {
    "isolate": 2,
    "halves": 2,
    "majorities-ring": 4,
    "bridge": 3,
    "one-way-in": 2,
    "one-way-out": 2,
}
#: How long nothing must come through a link that should be cut.
SILENCE_S = 0.3
#: How long a datagram may take through a link that should be whole.
ARRIVAL_S = 2.0
#: A reading is taken anew when other faults change links meanwhile, up to so many times.
READINGS_MAX = 5


class PartitionOptions(BaseModel):
    """The options of `partition`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    shape: Shape = "isolate"


def cuts(shape: Shape, nodes: Sequence[str], victims: Sequence[str]) -> frozenset[Link]:
    """The directions (source, destination) that a shape cuts. Pure; O(nodes²).

    Raises `UsageError` where the shape would cut nothing: too few nodes, no victim, or all of
    them on one side.
    """
    if len(nodes) < NODES_MIN[shape]:
        raise UsageError(_too_few(shape, len(nodes)))
    chosen = [node for node in nodes if node in set(victims)]
    rest = [node for node in nodes if node not in set(victims)]
    found: frozenset[Link]
    if shape == "majorities-ring":
        found = _ring(nodes)
    elif shape == "bridge":
        others = [node for node in nodes if node not in chosen[:1]]
        found = _both_ways(others[: len(others) // 2], others[len(others) // 2 :])
        found = found if chosen else frozenset()
    elif shape == "isolate":
        found = _both_ways(chosen, nodes)
    elif shape == "halves":
        found = _both_ways(chosen, rest)
    elif shape == "one-way-in":
        found = _one_way(rest, chosen)
    else:
        found = _one_way(chosen, rest)
    if not found:
        raise UsageError(
            f"partition {shape!r} of {', '.join(nodes)} with victims "
            f"{', '.join(chosen) or 'none'} cuts no link\n\n"
            "hint: choose victims that leave a node on each side"
        )
    return found


def _one_way(sources: Iterable[str], destinations: Sequence[str]) -> frozenset[Link]:
    return frozenset((a, b) for a in sources for b in destinations if a != b)


def _both_ways(one: Sequence[str], other: Sequence[str]) -> frozenset[Link]:
    return _one_way(one, other) | _one_way(other, one)


def _ring(nodes: Sequence[str]) -> frozenset[Link]:
    count = len(nodes)
    majority = count // 2 + 1
    reach = majority // 2  # ceil((majority - 1) / 2) on each side
    return frozenset(
        (nodes[i], nodes[j])
        for i, j in permutations(range(count), 2)
        if min((i - j) % count, (j - i) % count) > reach
    )


def _too_few(shape: Shape, count: int) -> str:
    return f"partition {shape!r} needs at least {NODES_MIN[shape]} nodes, there are {count}"


@dataclass(frozen=True, slots=True)
class Partition:
    """`seatrial.fault.FaultKind`."""

    name: str = "partition"
    touches: str = "network"
    _cut: Leases[Link, None] = field(default_factory=Leases)

    def unavailable(self, isolation: str, nodes: Sequence[str], options: Mapping[str, Json]) -> str:
        """Not without a network of the nodes' own, nor with too few nodes for the shape."""
        try:
            shape = PartitionOptions.model_validate(options).shape
        except ValidationError as error:
            return f"partition: {_one_line(error)}"
        if isolation == "none":
            return (
                "partition needs a network of its own for each node, and isolation none has one "
                "loopback device for all\n\nhint: run with isolation namespace; `seatrial "
                "doctor` says how to allow it on this machine"
            )
        return _too_few(shape, len(nodes)) if len(nodes) < NODES_MIN[shape] else ""

    async def inject(self, world: World, fault: PlannedFault, victims: Sequence[str]) -> None:
        """Cut all links of the shape, one direction at a time."""
        held = set(self._cut.of(world, fault.id))
        for source, destination in sorted(_planned(world.nodes, fault, victims) - held):
            await world.cut(source, destination)
            self._cut.take(world, fault.id, (source, destination), None)

    async def heal(self, world: World, fault: PlannedFault, victims: Sequence[str]) -> None:
        """Undo the cuts that this fault made, and no others."""
        for source, destination in sorted(self._cut.of(world, fault.id)):
            await world.mend(source, destination)
            self._cut.give_back(world, fault.id, (source, destination))

    async def prove_injected(
        self, world: World, fault: PlannedFault, victims: Sequence[str]
    ) -> Proof:
        """Nothing comes through any cut link, and something through every other link."""
        planned = _planned(world.nodes, fault, victims)
        reading = await _read(world)
        open_cuts = sorted(planned & reading.arrived)
        dead = sorted(reading.expected_whole - reading.arrived)
        measured = reading.to_json() | {"planned_cuts": [*_words(planned)]}
        if open_cuts:
            return Proof(False, f"packets still pass {', '.join(_words(open_cuts))}", measured)
        if dead:
            return Proof(False, f"nothing passes {', '.join(_words(dead))} either", measured)
        if not planned <= reading.expected_cut:
            return Proof(False, "the cuts did not last while they were measured", measured)
        whole = len(reading.expected_whole)
        return Proof(
            True,
            f"nothing passes the {len(planned)} cut directions; {whole} others are whole",
            measured,
        )

    async def prove_healed(
        self, world: World, fault: PlannedFault, victims: Sequence[str]
    ) -> Proof:
        """Something comes through every link of the shape that no other fault holds."""
        planned = _planned(world.nodes, fault, victims)
        reading = await _read(world)
        dead = sorted((planned & reading.expected_whole) - reading.arrived)
        measured = reading.to_json() | {"planned_cuts": [*_words(planned)]}
        left = self._cut.of(world, fault.id)
        if dead or left:
            return Proof(False, f"nothing passes {', '.join(_words(dead or left))}", measured)
        others = planned & reading.expected_cut
        more = f"; {len(others)} are still held by other faults" if others else ""
        return Proof(
            True, f"packets pass {len(planned) - len(others)} mended directions{more}", measured
        )

    def manifest(
        self, fault: PlannedFault, victims: Sequence[str], nodes: Sequence[str], namespace: str
    ) -> dict[str, Json]:
        """One NetworkChaos where the cuts are one product of two sides, else a Workflow of them."""
        parts = [
            experiment(
                fault,
                namespace,
                network.Partition(direction=direction, target=pods(namespace, destinations)),
                pods(namespace, sources),
            )
            for sources, destinations, direction in _products(_planned(nodes, fault, victims))
        ]
        return parts[0].manifest() if len(parts) == 1 else workflow(fault, namespace, parts)


@dataclass(frozen=True, slots=True)
class _Reading:
    """What one round of probes saw, and what the books say should be seen."""

    expected_cut: frozenset[Link]
    expected_whole: frozenset[Link]
    arrived: frozenset[Link]

    def to_json(self) -> dict[str, Json]:
        return {
            "arrived": [*_words(self.arrived)],
            "silent": [*_words((self.expected_cut | self.expected_whole) - self.arrived)],
        }


async def _read(world: World) -> _Reading:
    """Probe every direction at once; anew if another fault cut or mended links meanwhile."""
    links = tuple(permutations(world.nodes, 2))
    for _ in range(READINGS_MAX):
        before = {link: world.leases(*link) > 0 for link in links}
        answers = await asyncio.gather(
            *(world.reaches(a, b, SILENCE_S if before[a, b] else ARRIVAL_S) for a, b in links)
        )
        after = {link: world.leases(*link) > 0 for link in links}
        if before == after:
            break
    steady = [link for link in links if before[link] == after[link]]
    return _Reading(
        expected_cut=frozenset(link for link in steady if before[link]),
        expected_whole=frozenset(link for link in steady if not before[link]),
        arrived=frozenset(link for link, came in zip(links, answers, strict=True) if came),
    )


def _planned(nodes: Sequence[str], fault: PlannedFault, victims: Sequence[str]) -> frozenset[Link]:
    try:
        shape = PartitionOptions.model_validate(fault.options).shape
    except ValidationError as error:
        raise UsageError(f"fault {fault.id!r}: {_one_line(error)}") from None
    return cuts(shape, nodes, victims)


def _products(
    links: frozenset[Link],
) -> list[tuple[list[str], list[str], network.Direction]]:
    """Links as products sources × destinations, opposite ones joined as `both`, else `to`."""
    by_source: dict[str, set[str]] = {}
    for source, destination in links:
        by_source.setdefault(source, set()).add(destination)
    by_targets: dict[tuple[str, ...], list[str]] = {}
    for source in sorted(by_source):
        by_targets.setdefault(tuple(sorted(by_source[source])), []).append(source)
    products = [(tuple(sources), targets) for targets, sources in by_targets.items()]
    found: list[tuple[list[str], list[str], network.Direction]] = []
    done = set()
    for sources, targets in sorted(products):
        if (targets, sources) in done:
            continue
        both = (targets, sources) in products and targets != sources
        done.add((sources, targets))
        found.append(([*sources], [*targets], "both" if both else "to"))
    return found


def _words(links: Iterable[Link]) -> list[str]:
    return [f"{source} → {destination}" for source, destination in sorted(links)]


def _one_line(error: ValidationError) -> str:
    first = error.errors()[0]
    where = ".".join(map(str, first["loc"]))
    return f"option {where!r}: {first['msg']} (was {first['input']!r})"


PARTITION = Partition()

"""Faults `compaction` and `defragmentation`: what an operator does to a database under load.

`compaction` forgets the history of the keys but for the last revisions; every member does so at the
same place of its log. `defragmentation` has the victims rewrite their data files, one after
another; a node answers nothing meanwhile. Neither breaks anything and neither is undone: what a
trial looks at is whether the data are the same as without them. Chaos Mesh has nothing like them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pydantic import Field

from seatrial.errors import Unavailable
from seatrial.fault import PlannedFault, Proof, World
from seatrial.faults.leases import Leases
from seatrial.faults.options import NoOptions, Options, problem, read
from seatrial.faults.volume import back_again
from seatrial.target import Target, Upkeep
from seatrial.verdict import Json


class CompactionOptions(Options):
    """`keep_revisions`: how much of the history stays."""

    keep_revisions: int = Field(default=100, ge=0)


def _lacking(target: Target) -> str:
    if isinstance(target, Upkeep):
        return ""
    return f"{target.name} has nothing to compact or defragment"


@dataclass(frozen=True, slots=True)
class Compaction:
    """`seatrial.fault.FaultKind`."""

    name: str = "compaction"
    touches: str = "data"
    #: Node that was asked → the revision below which the history is gone.
    _compacted: Leases[str, int] = field(default_factory=Leases)

    def unavailable(self, isolation: str, nodes: Sequence[str], options: Mapping[str, Json]) -> str:
        """Possible everywhere."""
        return problem(self.name, CompactionOptions, options)

    def lacking(
        self,
        target: Target,
        nodes: Sequence[str],
        victims: Sequence[str],
        options: Mapping[str, Json],
    ) -> str:
        """Not on a target without a history."""
        return _lacking(target)

    async def inject(self, world: World, fault: PlannedFault, victims: Sequence[str]) -> None:
        """Ask each victim in turn."""
        keep = read(self.name, CompactionOptions, fault.options).keep_revisions
        for node in victims:
            self._compacted.take(world, fault.id, node, await world.compact(node, keep))

    async def heal(self, world: World, fault: PlannedFault, victims: Sequence[str]) -> None:
        """What is forgotten stays so."""

    async def prove_injected(
        self, world: World, fault: PlannedFault, victims: Sequence[str]
    ) -> Proof:
        """The node refuses to read just below the revision, and not before it was asked."""
        measured: dict[str, Json] = {}
        left = []
        for node in victims:
            revision = self._compacted.note(world, fault.id, node)
            gone = revision is not None and await world.is_compacted(node, revision - 1)
            kept = revision is not None and not await world.is_compacted(node, revision)
            measured[node] = {"revision": revision, "refused_below": gone, "read_at": kept}
            if not gone:
                left.append(node)
        if left or not victims:
            return Proof(
                False, f"{', '.join(left) or 'no victim'}: nothing was compacted", measured
            )
        return Proof(True, f"{', '.join(victims)}: the history below is gone", measured)

    async def prove_healed(
        self, world: World, fault: PlannedFault, victims: Sequence[str]
    ) -> Proof:
        """The node answers."""
        return await _answers(world, victims)

    def manifest(
        self, fault: PlannedFault, victims: Sequence[str], nodes: Sequence[str], namespace: str
    ) -> dict[str, Json]:
        """Always raises: Chaos Mesh has nothing like it."""
        raise Unavailable(_no_equal(self.name))


@dataclass(frozen=True, slots=True)
class Defragmentation:
    """`seatrial.fault.FaultKind`."""

    name: str = "defragmentation"
    touches: str = "data"
    #: Node → its data file before.
    _files: Leases[str, str] = field(default_factory=Leases)

    def unavailable(self, isolation: str, nodes: Sequence[str], options: Mapping[str, Json]) -> str:
        """Possible everywhere; options there are none."""
        return problem(self.name, NoOptions, options)

    def lacking(
        self,
        target: Target,
        nodes: Sequence[str],
        victims: Sequence[str],
        options: Mapping[str, Json],
    ) -> str:
        """Not on a target without such a file."""
        return _lacking(target)

    async def inject(self, world: World, fault: PlannedFault, victims: Sequence[str]) -> None:
        """Ask one victim after another; each rewrites its own file."""
        for node in victims:
            self._files.take(world, fault.id, node, await world.data_file(node))
            await world.defragment(node)

    async def heal(self, world: World, fault: PlannedFault, victims: Sequence[str]) -> None:
        """There is nothing to undo."""

    async def prove_injected(
        self, world: World, fault: PlannedFault, victims: Sequence[str]
    ) -> Proof:
        """The data lie in another file than before."""
        measured: dict[str, Json] = {}
        same = []
        for node in victims:
            before, now = self._files.note(world, fault.id, node), await world.data_file(node)
            measured[node] = {"before": before, "now": now}
            if before is None or now == before:
                same.append(node)
        if same or not victims:
            return Proof(False, f"{', '.join(same) or 'no victim'}: the same file", measured)
        return Proof(True, f"{', '.join(victims)}: the data lie in a new file", measured)

    async def prove_healed(
        self, world: World, fault: PlannedFault, victims: Sequence[str]
    ) -> Proof:
        """The node answers."""
        return await _answers(world, victims)

    def manifest(
        self, fault: PlannedFault, victims: Sequence[str], nodes: Sequence[str], namespace: str
    ) -> dict[str, Json]:
        """Always raises: Chaos Mesh has nothing like it."""
        raise Unavailable(_no_equal(self.name))


async def _answers(world: World, victims: Sequence[str]) -> Proof:
    problems, measured = await back_again(world, victims)
    return Proof(not problems, "; ".join(problems) or f"{', '.join(victims)}: answers", measured)


def _no_equal(name: str) -> str:
    return (
        f"fault {name!r} has no equal in Chaos Mesh: it is the database's own doing\n\n"
        "hint: on a cluster the step asks the database itself"
    )


COMPACTION = Compaction()
DEFRAGMENTATION = Defragmentation()

"""Fault `member-change`: a member is taken out of the cluster, then a new one takes its place.

What an operator does with a machine that is lost for good: the cluster agrees to go on without the
member, and later to take in another one, which has no data and gets all of them from the others.
The node ends for the fault's duration; the new member has its name and address, and a number of
its own. Chaos Mesh has nothing like it: on Kubernetes the step asks the database, and has the pod
made anew with an empty volume.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from seatrial.errors import Unavailable
from seatrial.fault import PlannedFault, Proof, World
from seatrial.faults import down
from seatrial.faults.leases import Leases
from seatrial.target import Membership, Target
from seatrial.verdict import Json

#: The fewest nodes of which one can go: those left must be a majority of what they were.
NODES_MIN = 3
#: From the announcement that a member is gone to SIGKILL.
GRACE_S = 2.0

NO_EQUAL = (
    "fault 'member-change' has no equal in Chaos Mesh: it knows no members\n\n"
    "hint: on a cluster the step asks the database itself"
)


@dataclass(frozen=True, slots=True)
class MemberChange:
    """`seatrial.fault.FaultKind`."""

    name: str = "member-change"
    touches: str = "process"
    #: Node → its number in the cluster before.
    _removed: Leases[str, str] = field(default_factory=Leases)

    def unavailable(self, isolation: str, nodes: Sequence[str], options: Mapping[str, Json]) -> str:
        """Not with fewer than three nodes; options there are none."""
        if options:
            return f"member-change takes no option: {', '.join(options)}"
        if len(nodes) < NODES_MIN:
            return f"member-change needs at least {NODES_MIN} nodes, there are {len(nodes)}"
        return ""

    def lacking(
        self,
        target: Target,
        nodes: Sequence[str],
        victims: Sequence[str],
        options: Mapping[str, Json],
    ) -> str:
        """Not on a target with fixed members, nor on a majority at once."""
        if not isinstance(target, Membership):
            return f"{target.name} cannot change its members while it runs"
        many = [size for size in victims if size in ("majority", "all")]
        return f"member-change on {many[0]}: nobody would be left to agree" if many else ""

    async def inject(self, world: World, fault: PlannedFault, victims: Sequence[str]) -> None:
        """Have the cluster agree to go on without the victims, one by one, and end them."""
        for node in victims:
            world.excuse(node, fault.id, True)  # a member that learns that it is none ends itself
            down.take(world, fault, [node])
            self._removed.take(world, fault.id, node, await world.remove_member(node))
            await world.end(node, GRACE_S)

    async def heal(self, world: World, fault: PlannedFault, victims: Sequence[str]) -> None:
        """Take each in as a new member without data."""
        for node in self._removed.of(world, fault.id):
            await world.join_anew(node)
            self._removed.give_back(world, fault.id, node)
        await down.release(world, fault)

    async def prove_injected(
        self, world: World, fault: PlannedFault, victims: Sequence[str]
    ) -> Proof:
        """The cluster's own list lacks the victims; their processes are gone."""
        gone = await down.prove_gone(world, fault, victims)
        now = await world.members()
        still = [node for node in victims if node in now]
        measured = {**gone.measured, "members": dict(now)}
        if still:
            return Proof(False, f"{', '.join(still)}: still a member", measured)
        said = f"{', '.join(victims)}: no member any more, {len(now)} are left"
        return Proof(True, said, measured) if gone.seen else gone

    async def prove_healed(
        self, world: World, fault: PlannedFault, victims: Sequence[str]
    ) -> Proof:
        """The list has them again, under new numbers; new processes run and answer."""
        back = await down.prove_back(world, fault, victims)
        now = await world.members()
        measured = {**back.measured, "members": dict(now)}
        problems = [] if back.seen else [back.sentence]
        for node in victims:
            before = self._removed.note(world, fault.id, node)
            measured[f"{node} before"] = before
            if now.get(node) in (None, before):
                problems.append(f"{node}: no new member")
            else:
                world.excuse(node, fault.id, False)
        if problems:
            return Proof(False, "; ".join(problems), measured)
        said = f"{', '.join(victims)}: a new member, {len(now)} in all"
        return Proof(True, said, measured)

    def manifest(
        self, fault: PlannedFault, victims: Sequence[str], nodes: Sequence[str], namespace: str
    ) -> dict[str, Json]:
        """Always raises: Chaos Mesh has nothing like it."""
        raise Unavailable(NO_EQUAL)


MEMBER_CHANGE = MemberChange()

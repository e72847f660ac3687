"""What an operator does to the cluster, by way of what the target can do (`seatrial.target`)."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Mapping, Sequence

from seatrial.errors import Unavailable
from seatrial.target import Clock, Membership, Node, Target, Upkeep, Versions


class Operator:
    """Membership, versions and upkeep of one cluster; knows how each node is to be started."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._nodes: dict[str, Node] = {}
        self._binaries: dict[str, Target] = {}
        self._joining: dict[str, tuple[str, ...]] = {}

    def place(self, nodes: Sequence[Node]) -> None:
        """The nodes, once they have addresses."""
        self._nodes = {node.name: node for node in nodes}

    def target(self, node: str) -> Target:
        """What starts `node` now."""
        target = self._binaries.get(node, self._target)
        members = self._joining.get(node)
        if members is not None and isinstance(target, Membership):
            return target.joining(members)
        return target

    async def members(self) -> Mapping[str, str]:
        """Who is a member."""
        return await self._with_members().members(self._cluster)

    async def remove_member(self, node: str) -> str:
        """Take a node out of the cluster."""
        return await self._with_members().remove_member(self._nodes[node], self._cluster)

    async def join_anew(self, node: str) -> None:
        """Remove the data of a node that is down, and announce it."""
        target = self._with_members()
        await asyncio.to_thread(_empty, self._nodes[node])
        await target.add_member(self._nodes[node], self._cluster)
        self._joining[node] = tuple(await target.members(self._cluster))

    async def use_binary(self, node: str, binary: str | None) -> None:
        """What the node is started with from its next start on."""
        if binary is None:
            self._binaries.pop(node, None)
            return
        target = self._target
        if not isinstance(target, Versions):
            raise Unavailable(f"{target.name} has no binary to choose")
        self._binaries[node] = await asyncio.to_thread(target.with_binary, binary)

    async def running_version(self, node: str) -> str:
        """The version that a node says it runs."""
        if not isinstance(self._target, Versions):
            raise Unavailable(f"{self._target.name} does not say its version")
        return await self._target.running_version(self._nodes[node])

    async def compact(self, node: str, keep_revisions: int) -> int:
        """Have the history forgotten."""
        return await self._with_upkeep().compact(self._nodes[node], keep_revisions)

    async def is_compacted(self, node: str, revision: int) -> bool:
        """Whether the history at a revision is gone."""
        return await self._with_upkeep().is_compacted(self._nodes[node], revision)

    async def defragment(self, node: str) -> None:
        """Have a node rewrite its data file."""
        await self._with_upkeep().defragment(self._nodes[node])

    async def data_file(self, node: str) -> str:
        """Which file holds the node's data."""
        path = self._with_upkeep().data_file(self._nodes[node])
        found = await asyncio.to_thread(os.stat, path)
        return f"inode {found.st_ino}"

    async def clock_offset(self, node: str) -> float:
        """By how many seconds the node's clock is ahead, as the node says."""
        if not isinstance(self._target, Clock):
            raise Unavailable(f"{self._target.name} does not tell the time")
        return await self._target.clock_offset(self._nodes[node])

    @property
    def _cluster(self) -> tuple[Node, ...]:
        return tuple(self._nodes.values())

    def _with_members(self) -> Membership:
        if not isinstance(self._target, Membership):
            raise Unavailable(f"{self._target.name} cannot change its members while it runs")
        return self._target

    def _with_upkeep(self) -> Upkeep:
        if not isinstance(self._target, Upkeep):
            raise Unavailable(f"{self._target.name} has nothing to compact or defragment")
        return self._target


def _empty(node: Node) -> None:
    """Remove all that a node's data folder holds; the folder may be a mount, and stays."""
    for path in node.data_dir.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()

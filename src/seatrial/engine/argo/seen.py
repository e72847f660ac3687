"""The cluster as proofs ask for it that were written for any engine.

They ask for processes in between, without waiting; on a cluster each such answer is a command in
a pod. So the processes are looked at once, side by side, before a proof begins.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from typing import Any, cast

from seatrial.engine.argo import inside
from seatrial.engine.argo.world import ClusterWorld, Process
from seatrial.errors import SeatrialError
from seatrial.fault import World


class Seen:
    """`seatrial.fault.World`: a cluster's, with its processes as they were a moment ago."""

    def __init__(self, cluster: ClusterWorld, processes: Mapping[str, Process | None]) -> None:
        self._cluster, self._processes = cluster, processes

    def pid(self, node: str) -> int | None:
        """The node's process number, None if it had none."""
        found = self._processes.get(node)
        return None if found is None else found.pid

    def start_time(self, node: str) -> int | None:
        """When it began, in clock ticks since boot."""
        found = self._processes.get(node)
        return None if found is None else found.start

    def process_state(self, node: str) -> str:
        """The kernel's letter for it."""
        found = self._processes.get(node)
        return "" if found is None else found.state

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cluster, name)


async def see(cluster: ClusterWorld, victims: Collection[str]) -> World:
    """Look at the processes and the books now; only victims that are not there are waited for."""
    names = cluster.nodes
    found = await asyncio.gather(
        *(_process(cluster, node, inside.START_S if node in victims else 0.0) for node in names)
    )
    return cast(World, Seen(cluster, dict(zip(names, found, strict=True))))


async def _process(cluster: ClusterWorld, node: str, patience_s: float) -> Process | None:
    try:
        return await cluster.process(node, patience_s)
    except SeatrialError:  # the pod is not there, or nothing can be carried out in it
        return None

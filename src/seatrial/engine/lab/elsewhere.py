"""A cluster that runs elsewhere, in the lab's place: loaded and judged from here, never broken.

Its nodes are endpoints that this machine reaches. There is no sandbox around them, so nothing is
started, healed or removed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn, cast

from seatrial.engine.lab.process import Exit
from seatrial.errors import Unavailable
from seatrial.fault import World
from seatrial.target import Node, Placed, Target

#: How long every node may take until it answers.
START_TIMEOUT_S = 30.0
POLL_S = 0.1


class Reached:
    """`seatrial.fault.World` of nodes that can be asked and nothing else."""

    def __init__(self, target: Target, nodes: Sequence[Node]) -> None:
        self._target, self._nodes = target, {node.name: node for node in nodes}

    @property
    def nodes(self) -> tuple[str, ...]:
        """Names of all nodes."""
        return tuple(self._nodes)

    @property
    def isolation(self) -> str:
        """`none`."""
        return "none"

    async def ready(self, node: str, timeout_s: float) -> bool:
        """Whether the node answers clients before the timeout; asks again while it does not."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        while (left_s := deadline - loop.time()) > 0:
            if await self._target.ready(self._nodes[node], left_s):
                return True
            await asyncio.sleep(min(POLL_S, max(0.0, deadline - loop.time())))
        return False

    async def roles(self) -> Mapping[str, tuple[str, ...]]:
        """Who plays which role now."""
        return await self._target.locate(tuple(self._nodes.values()))

    def __getattr__(self, name: str) -> Callable[..., NoReturn]:
        if name.startswith("_"):
            raise AttributeError(name)

        def cannot(*args: Any, **named: Any) -> NoReturn:
            raise Unavailable(f"{name!r}: a cluster that runs elsewhere cannot be broken from here")

        return cannot


class Elsewhere:
    """In the place of `seatrial.engine.lab.world.Lab`."""

    #: Nothing of it is ours, so nothing ends that was ours to keep up.
    exits: tuple[Exit, ...] = ()

    def __init__(self, target: Target, names: Sequence[str]) -> None:
        assert isinstance(target, Placed), "only such a target runs elsewhere"
        place = target.place(names, "run", "elsewhere")
        self.nodes = tuple(
            Node(name, address, place.node_ports.get(name, place.ports), Path(), Path())
            for name, address in place.addresses.items()
        )
        self._reached = Reached(target, self.nodes)

    @property
    def world(self) -> World:
        """What can be asked of it."""
        return cast(World, self._reached)

    async def start(self) -> None:
        """Wait until every node answers; raises `Unavailable` with those that do not."""
        names = self._reached.nodes
        answers = await asyncio.gather(*(self._reached.ready(n, START_TIMEOUT_S) for n in names))
        silent = [
            f"{node.name} ({node.address}:{next(iter(node.ports.values()))})"
            for node, there in zip(self.nodes, answers, strict=True)
            if not there
        ]
        if silent:
            raise Unavailable(f"{', '.join(silent)}: no answer within {START_TIMEOUT_S:g} s")

    async def heal_everything(self) -> None:
        """Nothing was broken."""

    def audit(self) -> tuple[str, ...]:
        """Nothing of ours is there to be left."""
        return ()

    async def stop(self, keep: Path | None = None) -> None:
        """It goes on running."""

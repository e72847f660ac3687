"""A target small enough to start in a blink: each node is `tiny_node.py`."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from seatrial.target import Client, Command, Node

NODE = Path(__file__).with_name("tiny_node.py")


class TinyTarget:
    """`seatrial.target.Target` without a database; `argv` replaces the node's command."""

    name = "tiny"
    node_counts: tuple[int, ...] = (1, 3, 5)
    port_names: tuple[str, ...] = ("client",)
    roles: tuple[str, ...] = ("leader",)

    def __init__(self, argv: tuple[str, ...] = ()) -> None:
        self.argv = argv
        self.rejoins: list[tuple[str, bool]] = []

    def version(self) -> str:
        return "1"

    def command(self, node: Node, cluster: Sequence[Node], *, rejoin: bool) -> Command:
        self.rejoins.append((node.name, rejoin))
        port = str(node.ports["client"])
        argv = (sys.executable, "-I", "-S", str(NODE), node.address, port, str(node.data_dir))
        return Command(self.argv or argv, {"TINY": node.name})

    async def ready(self, node: Node, timeout_s: float) -> bool:
        return await ask(node, timeout_s) is not None

    async def locate(self, cluster: Sequence[Node]) -> Mapping[str, tuple[str, ...]]:
        return {"leader": (cluster[0].name,)}

    async def connect(self, node: Node, *, timeout_s: float) -> Client:
        raise NotImplementedError


async def ask(node: Node, timeout_s: float) -> int | None:
    """The process number that the node answers with, None if it does not answer in time."""
    with contextlib.suppress(OSError, TimeoutError, ValueError):
        async with asyncio.timeout(timeout_s):
            reader, writer = await asyncio.open_connection(node.address, node.ports["client"])
            try:
                writer.write(b"?\n")
                return int(await reader.readline())
            finally:
                writer.close()
    return None

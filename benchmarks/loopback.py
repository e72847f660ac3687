"""A real etcd cluster as plain processes on 127.0.0.1, for benchmarks and tests of the client.

Trials do not use it: engines isolate, supervise and prove what they do. Here a node is a process
with free ports and a folder, and everything is gone when the cluster is closed.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from seatrial.target import Node
from seatrial.targets.etcd import EtcdTarget

READY_TIMEOUT_S = 30.0
EXIT_TIMEOUT_S = 10.0


class LoopbackCluster:
    """`count` nodes of `target`; use it in an `async with`."""

    def __init__(self, target: EtcdTarget, count: int = 3) -> None:
        self.target = target
        self.root = Path(tempfile.mkdtemp(prefix="seatrial-etcd-"))
        ports = iter(_free_ports(2 * count))
        self.nodes = tuple(
            Node(
                name=f"n{i + 1}",
                address="127.0.0.1",
                ports={"client": next(ports), "peer": next(ports)},
                data_dir=self.root / f"n{i + 1}" / "data",
                log_file=self.root / f"n{i + 1}.log",
            )
            for i in range(count)
        )
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    async def __aenter__(self) -> Self:
        for node in self.nodes:
            self.start(node, rejoin=False)
        try:
            await self.all_ready()
        except BaseException:
            self.close()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    async def all_ready(self) -> None:
        """Wait until every node answers a linearizable read; raises `TimeoutError`."""
        answers = await asyncio.gather(
            *(self.target.ready(node, READY_TIMEOUT_S) for node in self.nodes)
        )
        for node, answer in zip(self.nodes, answers, strict=True):
            if not answer:
                tail = node.log_file.read_text(errors="replace")[-2000:]
                raise TimeoutError(f"{node.name} not ready in {READY_TIMEOUT_S} s:\n{tail}")

    def start(self, node: Node, *, rejoin: bool = True) -> None:
        """Start the node's process."""
        node.data_dir.parent.mkdir(parents=True, exist_ok=True)
        command = self.target.command(node, self.nodes, rejoin=rejoin)
        environment = {"PATH": os.environ.get("PATH", ""), **command.env}
        with node.log_file.open("ab") as log:
            self._processes[node.name] = subprocess.Popen(
                command.argv, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def kill(self, node: Node) -> None:
        """SIGKILL, and wait until the process is gone."""
        process = self._processes[node.name]
        process.kill()
        process.wait(EXIT_TIMEOUT_S)

    def pause(self, node: Node) -> None:
        """SIGSTOP."""
        self._processes[node.name].send_signal(signal.SIGSTOP)

    def resume(self, node: Node) -> None:
        """SIGCONT."""
        self._processes[node.name].send_signal(signal.SIGCONT)

    def stop(self, node: Node) -> None:
        """SIGTERM, and wait until the process is gone."""
        process = self._processes[node.name]
        process.terminate()
        process.wait(EXIT_TIMEOUT_S)

    def close(self) -> None:
        """Kill every node and delete their folders."""
        for process in self._processes.values():
            process.kill()
        for process in self._processes.values():
            process.wait(EXIT_TIMEOUT_S)
        shutil.rmtree(self.root, ignore_errors=True)


def endpoints(nodes: Sequence[Node]) -> tuple[str, ...]:
    """`ADDRESS:PORT` of each node's client port."""
    return tuple(f"{node.address}:{node.ports['client']}" for node in nodes)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for opened in sockets:
        opened.bind(("127.0.0.1", 0))
    ports = [opened.getsockname()[1] for opened in sockets]
    for opened in sockets:
        opened.close()
    return ports

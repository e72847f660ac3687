"""The inside of a lab that outlives the step that made it: the cluster, behind a control socket.

Runs in the sandbox. Steps connect to the socket and call the methods of the world (`World`), of the
board (`Board`) and of the lab itself (`Hold`). It is a lease: as long as a step is connected it
stays, and a while after the last one left. Then, or when asked, it heals and ends with all nodes.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from pathlib import Path

from seatrial import faults as shelf
from seatrial import targets
from seatrial.engine.lab.board import MemoryBoard
from seatrial.engine.lab.calls import LINE_BYTES_MAX, Server
from seatrial.engine.lab.hold import SOCKET, Hold
from seatrial.engine.lab.world import Lab
from seatrial.engine.site import Board, PlacedNode
from seatrial.errors import SeatrialError
from seatrial.fault import World
from seatrial.plan import Plan
from seatrial.target import Target

#: How long healing may take before the nodes are ended all the same.
HEAL_TIMEOUT_S = 20.0


class LateWorld:
    """The lab's world, which is there once the nodes are."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab

    def __getattr__(self, name: str) -> object:
        return getattr(self._lab.world, name)


class Holder:
    """`Hold` over a lab, and its life. `lease_s`: how long it stays when nobody is connected."""

    def __init__(self, plan: Plan, folder: Path, lease_s: float) -> None:
        self._target: Target = targets.make(plan.target.name, plan.target.settings)
        self._lab = Lab(
            self._target,
            plan.target.nodes,
            scratch=folder / "data",
            logs=folder / "logs",
            isolation=plan.isolation,
            seed=plan.seed,
            volumes=shelf.volume_need(plan.faults),
        )
        self._lease_s = lease_s
        self._start: asyncio.Task[None] | None = None
        self._gone = asyncio.Event()
        self._ends: asyncio.TimerHandle | None = None
        self._keep: Path | None = None
        self._left: tuple[str, ...] | None = None
        self._server = Server(
            {
                "world": (World, LateWorld(self._lab)),
                "board": (Board, MemoryBoard()),
                "hold": (Hold, self),
            },
            on_change=self._on_change,
        )

    async def started(self) -> tuple[PlacedNode, ...]:
        """The nodes, once all are ready."""
        assert self._start is not None
        await asyncio.shield(self._start)
        return tuple(
            PlacedNode(
                name=node.name,
                address=node.address,
                ports=dict(node.ports),
                data_dir=str(node.data_dir),
                log_file=str(node.log_file),
            )
            for node in self._lab.nodes
        )

    async def locate(self) -> dict[str, tuple[str, ...]]:
        """Roles as they are now."""
        return dict(await self._target.locate(self._lab.nodes))

    async def heal_everything(self) -> None:
        """Undo all that faults did."""
        await self._lab.heal_everything()

    async def audit(self) -> tuple[str, ...]:
        """What is still broken."""
        return self._lab.audit()

    async def unplanned(self) -> tuple[str, ...]:
        """Ends that nobody planned."""
        return tuple(end.sentence for end in self._lab.exits if not end.planned)

    async def teardown(self, keep: str) -> tuple[str, ...]:
        """End all nodes; the answer goes out before the socket closes."""
        if self._left is None:
            self._left = ()
            self._keep = Path(keep) if keep else None
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._lab.heal_everything(), HEAL_TIMEOUT_S)
            self._left = self._lab.audit()
            await self._lab.stop(keep=self._keep)
            self._gone.set()
        return self._left

    async def live(self, socket_path: str) -> None:
        """Start the nodes and serve until the end."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._gone.set)
        server = await asyncio.start_unix_server(
            self._server.serve, socket_path, limit=LINE_BYTES_MAX
        )
        self._start = asyncio.create_task(self._lab.start(), name="start")
        self._on_change()
        try:
            await self._gone.wait()
        finally:
            server.close()
            if not self._start.done():
                self._start.cancel()
            await asyncio.gather(self._start, return_exceptions=True)
            with contextlib.suppress(SeatrialError):
                await self.teardown("")
            await self._server.end()

    def _on_change(self) -> None:
        """A step came or left: the lease runs while nobody is here."""
        if self._ends is not None:
            self._ends.cancel()
            self._ends = None
        if self._server.clients == 0:
            loop = asyncio.get_running_loop()
            failed = self._start is not None and self._start.done() and self._start.exception()
            self._ends = loop.call_later(0.0 if failed else self._lease_s, self._gone.set)


def main(argv: list[str]) -> int:
    """`python -m seatrial.engine.lab.holder PLAN FOLDER PLACE LEASE_S`."""
    plan_file, folder, place, lease_s = argv
    plan = Plan.model_validate_json(Path(plan_file).read_text(encoding="utf-8"))
    there = os.open(place, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    holder = Holder(plan, Path(folder), float(lease_s))
    asyncio.run(holder.live(f"/proc/self/fd/{there}/{SOCKET}"))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

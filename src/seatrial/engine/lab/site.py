"""The lab as an engine of steps: a sandbox that outlives the step that made it.

`provision` leaves a keeper and, in its sandbox, a holder (`seatrial.engine.lab.holder`); every
later step connects to the holder's socket. A step with clients joins the sandbox first (`join`).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

from seatrial import faults, targets
from seatrial.engine.lab import keeper, sandbox
from seatrial.engine.lab.calls import GONE, Channel
from seatrial.engine.lab.hold import SOCKET, Hold
from seatrial.engine.site import Board, ClusterRecord, Line, PlacedNode
from seatrial.errors import Absent, CannotCreate, Unavailable
from seatrial.fault import FaultKind, World
from seatrial.plan import Plan
from seatrial.target import Node

#: How long one injection or healing may take.
ACT_TIMEOUT_S = 20.0
#: How long undoing everything may take.
HEAL_TIMEOUT_S = 60.0
#: How long it may take to see that a node is back.
RECOVERY_TIMEOUT_S = 30.0
#: How long keeper, sandbox and holder may take until the socket answers.
HOLDER_START_S = 20.0
#: How long a torn down lab may take until its last process is gone.
GONE_TIMEOUT_S = 30.0
#: Names the folder of the lab's sockets for all steps of a trial, where they share no folder.
PLACE_VARIABLE = "SEATRIAL_LAB"
_POLL_S = 0.02
_TAIL_CHARS = 2000


class LabSite:
    """`seatrial.engine.site.Site` over a holder's socket."""

    def __init__(self, channel: Channel, nodes: tuple[PlacedNode, ...], place: Path) -> None:
        self._channel, self._place = channel, place
        self._hold = cast(Hold, channel.to("hold", Hold))
        self._nodes = tuple(placed.node() for placed in nodes)
        self._world = cast(World, channel.to("world", World))
        self._board = cast(Board, channel.to("board", Board))

    @property
    def world(self) -> World:
        """What faults act on."""
        return self._world

    @property
    def board(self) -> Board:
        """The trial's board."""
        return self._board

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The nodes."""
        return self._nodes

    @property
    def stays(self) -> str:
        """It does not."""
        return ""

    @property
    def act_timeout_s(self) -> float:
        """How long one injection or healing may take."""
        return ACT_TIMEOUT_S

    @property
    def recovery_timeout_s(self) -> float:
        """How long it may take to see that a fault is over and its victims are back."""
        return RECOVERY_TIMEOUT_S

    @property
    def heal_timeout_s(self) -> float:
        """How long undoing everything may take."""
        return HEAL_TIMEOUT_S

    def kind(self, name: str) -> FaultKind:
        """The shelf's own: it is written for this world."""
        return faults.kind(name)

    async def locate(self) -> Mapping[str, tuple[str, ...]]:
        """Roles as they are now."""
        return await self._hold.locate()

    async def heal_everything(self) -> tuple[str, ...]:
        """Undo all that faults did; what is left the audit sees in the kernel's tables."""
        await self._hold.heal_everything()
        return ()

    async def audit(self) -> tuple[str, ...]:
        """What is still broken."""
        return await self._hold.audit()

    async def unplanned(self) -> tuple[str, ...]:
        """What nobody planned."""
        return await self._hold.unplanned()

    async def collect(self, into: Path) -> tuple[str, ...]:
        """The nodes' logs."""
        found = [node.log_file for node in self._nodes if node.log_file.is_file()]
        into.mkdir(parents=True, exist_ok=True)
        for log in found:
            shutil.copy(log, into / log.name)
        return tuple(log.name for log in found)

    async def teardown(self, keep: Path | None) -> tuple[str, ...]:
        """End the lab; returns when its last process is gone."""
        left = list(await self._hold.teardown(str(keep) if keep else ""))
        await self.close()
        deadline = time.monotonic() + GONE_TIMEOUT_S
        while keeper.alive(self._place):
            if time.monotonic() > deadline:
                left.append(f"the lab's keeper is still there after {GONE_TIMEOUT_S:.0f} s")
                break
            await asyncio.sleep(_POLL_S)
        return tuple(left)

    async def close(self) -> None:
        """Let go of the socket."""
        await self._channel.close()


class LabEngine:
    """`seatrial.engine.site.Engine` of this machine."""

    async def preflight(self, plan: Plan) -> Mapping[str, str]:
        """The target's binary starts, and a sandbox can be made."""
        target = targets.make(plan.target.name, plan.target.settings)
        code = await sandbox.run(["/bin/true"], isolation=plan.isolation)
        if code != 0:
            raise Unavailable(
                f"a sandbox of isolation {plan.isolation!r} ended with status {code}\n\n"
                "hint: `seatrial doctor` shows what this machine allows"
            )
        return {plan.target.name: target.version()}

    async def provision(self, plan: Plan, folder: Path, lease_s: float) -> ClusterRecord:
        """Start keeper, sandbox and nodes; all end by themselves if this fails."""
        place = _place(folder)
        place.mkdir(parents=True, exist_ok=True)
        if keeper.alive(place):
            raise CannotCreate(f"{folder} has a lab already\n\nhint: seatrial step teardown")
        words = [str(folder / "plan.json"), str(folder), str(place), str(lease_s), plan.isolation]
        channel = await _first_connection(keeper.start(words, place), place)
        try:
            nodes = await cast(Hold, channel.to("hold", Hold)).started()
        finally:
            await channel.close()
        return ClusterRecord(engine="lab", nodes=nodes, site={"place": str(place)})

    async def open(self, cluster: ClusterRecord | None, plan: Plan, folder: Path) -> LabSite:
        """Connect to the holder; a lab without a record may still stand and be taken down."""
        place = _place(folder, cluster)
        try:
            channel = await _connect(place)
        except OSError as error:
            raise Absent(
                f"{GONE}: {error.strerror or error}\n\nhint: its lease may have run out "
                f"({place / keeper.LOG} says more); `seatrial step provision` makes another"
            ) from None
        if cluster is not None:
            return LabSite(channel, cluster.nodes, place)
        try:
            return LabSite(channel, await cast(Hold, channel.to("hold", Hold)).started(), place)
        except BaseException:
            await channel.close()
            raise

    def entry(self, cluster: ClusterRecord, folder: Path) -> Sequence[str] | None:
        """Join the sandbox."""
        if all(node.address.startswith("127.") for node in cluster.nodes):
            return None  # isolation none: the nodes are on this machine's own loopback
        return [
            *sandbox.boot("enter", "seatrial.engine.lab.join"),
            str(_place(folder, cluster) / SOCKET),
        ]

    def line(self, folder: Path) -> Line:
        """A Unix socket: it is seen from within and without the sandbox."""
        place = _place(folder)
        place.mkdir(parents=True, exist_ok=True)
        address = f"unix:{place}/line.sock"
        return Line(address, address)


def _place(folder: Path, cluster: ClusterRecord | None = None) -> Path:
    """Where the lab's socket is: as the record says, or for all steps that share this variable,
    or in the trial's folder."""
    if cluster is not None and isinstance(cluster.site.get("place"), str):
        return Path(str(cluster.site["place"]))
    given = os.environ.get(PLACE_VARIABLE)
    return Path(given).absolute() if given else folder / "lab"


async def _first_connection(pid: int, place: Path) -> Channel:
    """Connect as soon as the socket is there; ends the keeper if it never is."""
    deadline = time.monotonic() + HOLDER_START_S
    while True:
        with contextlib.suppress(OSError):
            return await _connect(place)
        ended = keeper.ended(pid)
        if ended or time.monotonic() > deadline:
            if not ended:
                os.kill(pid, signal.SIGTERM)
            text = (place / keeper.LOG).read_text(encoding="utf-8", errors="replace").strip()
            raise Unavailable(f"the lab did not start: {text[-_TAIL_CHARS:] or 'no word of it'}")
        await asyncio.sleep(_POLL_S)


async def _connect(place: Path) -> Channel:
    """Through the folder's descriptor: the path of a Unix socket may have 107 bytes only."""
    there = os.open(place, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return await Channel.open(f"/proc/self/fd/{there}/{SOCKET}")
    finally:
        os.close(there)


ENGINE = LabEngine()

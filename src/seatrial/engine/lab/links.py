"""What a lab needs of the links between nodes, whichever way they are made.

`network` makes them real (a network namespace a node); `loopback` is the poor cousin without
namespaces. Both know the pseudo node `client`, where the trial's own process lives.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import socket
import subprocess
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

from seatrial.fault import Arrivals, Shape, Traffic

#: The pseudo node whose links are those between the clients and a node.
CLIENT: Final = "client"
_PROBE_INTERVAL_S = 0.02


class Links(Protocol):
    """The links of one trial."""

    async def start(self) -> None:
        """Make them; raises `Unavailable` where this machine cannot."""
        ...

    def address(self, name: str) -> str:
        """The IPv4 address of a node (or of `client`)."""
        ...

    def ports(self, name: str) -> Mapping[str, int]:
        """The node's ports by the target's names."""
        ...

    async def launch(
        self, name: str, popen: Callable[[Sequence[str]], subprocess.Popen[bytes]], argv: list[str]
    ) -> subprocess.Popen[bytes]:
        """Start a process where the node lives."""
        ...

    async def cut(self, source: str, destination: str) -> None:
        """Drop what `source` sends to `destination`; counted."""
        ...

    async def mend(self, source: str, destination: str) -> None:
        """Undo one `cut`."""
        ...

    async def mend_all(self) -> None:
        """Make every link whole."""
        ...

    def leases(self, source: str, destination: str) -> int:
        """How many cuts of this direction are in place by the books."""
        ...

    async def reaches(self, source: str, destination: str, timeout_s: float) -> bool:
        """Whether a datagram gets from `source` to `destination` in time."""
        ...

    async def shape(self, fault: str, source: str, destination: str, shape: Shape) -> None:
        """Let what `source` sends to `destination` suffer `shape`."""
        ...

    async def unshape(self, fault: str, source: str, destination: str) -> None:
        """Undo one `shape`."""
        ...

    def shapes(self, source: str, destination: str) -> Mapping[str, Shape]:
        """What faults do to this direction by the books."""
        ...

    async def measure(
        self, traffic: Mapping[tuple[str, str], Traffic]
    ) -> Mapping[tuple[str, str], Arrivals]:
        """Send datagrams and say what became of them."""
        ...

    def broken(self) -> tuple[str, ...]:
        """What the kernel still has cut or shaped, in words."""
        ...

    async def stop(self) -> None:
        """Free all."""
        ...


async def datagram_arrives(
    sender: socket.socket, receiver: socket.socket, address: tuple[str, int], timeout_s: float
) -> bool:
    """Send a nonce again and again until it arrives or the time is over; closes both sockets.

    Repeating is right for both answers: one arrival disproves a cut, and a datagram lost by a
    full queue does not disprove a link. A refusal by the local kernel counts as not sent.
    """
    loop = asyncio.get_running_loop()
    nonce = secrets.token_bytes(16)
    sender.setblocking(False)
    receiver.setblocking(False)

    async def listen() -> None:
        while await loop.sock_recv(receiver, 64) != nonce:
            pass

    heard = asyncio.create_task(listen())
    deadline = loop.time() + timeout_s
    try:
        while not heard.done() and (left := deadline - loop.time()) > 0:
            with contextlib.suppress(OSError):
                sender.sendto(nonce, address)
            await asyncio.wait({heard}, timeout=min(_PROBE_INTERVAL_S, left))
        return heard.done() and heard.exception() is None
    finally:
        heard.cancel()
        await asyncio.gather(heard, return_exceptions=True)
        sender.close()
        receiver.close()

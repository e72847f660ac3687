"""Links without namespaces: every node a plain process on 127.0.0.1 with ports of its own.

A port is leased by an abstract Unix socket of its number (freed by the kernel with the process),
so that trials side by side do not choose the same one, and lies outside the range from which the
kernel gives ports to outgoing connections. Nothing can be cut here.
"""

from __future__ import annotations

import contextlib
import errno
import random
import socket
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from seatrial.engine.lab.links import datagram_arrives
from seatrial.errors import Unavailable
from seatrial.fault import Arrivals, Shape, Traffic

ADDRESS = "127.0.0.1"
#: Candidates when the kernel's ephemeral range is not readable or leaves room for nothing else.
_RANGE = (20_000, 32_000)
_TRIES_MAX = 2_000


class Loopback:
    """`Links` of isolation `none`."""

    def __init__(self, names: Sequence[str], port_names: Sequence[str]) -> None:
        self._names, self._port_names = tuple(names), tuple(port_names)
        self._ports: dict[str, dict[str, int]] = {}
        self._leases: list[socket.socket] = []

    async def start(self) -> None:
        """Choose the ports; raises `Unavailable` when none is free."""
        for name in self._names:
            self._ports[name] = {port: self._lease() for port in self._port_names}

    def _lease(self) -> int:
        low, high = _outside_ephemeral()
        for _ in range(_TRIES_MAX):
            port = random.randrange(low, high)
            lease = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            try:
                lease.bind(f"\0seatrial-port-{port}")
                if _is_free(port):
                    self._leases.append(lease)
                    return port
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
            lease.close()
        raise Unavailable(f"no free port between {low} and {high} after {_TRIES_MAX} tries")

    def address(self, name: str) -> str:
        """The loopback address, for all."""
        return ADDRESS

    def ports(self, name: str) -> Mapping[str, int]:
        """The node's own ports."""
        return self._ports[name]

    async def launch(
        self, name: str, popen: Callable[[Sequence[str]], subprocess.Popen[bytes]], argv: list[str]
    ) -> subprocess.Popen[bytes]:
        """Start a process here."""
        return popen(argv)

    async def cut(self, source: str, destination: str) -> None:
        """Not possible: the nodes share one loopback device."""
        raise Unavailable(
            f"link {source} → {destination} cannot be broken: with isolation none all nodes share "
            "one loopback device\n\nhint: use isolation namespace (`seatrial doctor` says how "
            "to allow it)"
        )

    async def mend(self, source: str, destination: str) -> None:
        """Nothing was cut."""

    async def mend_all(self) -> None:
        """Nothing was cut."""

    def leases(self, source: str, destination: str) -> int:
        """Nothing was cut."""
        return 0

    async def reaches(self, source: str, destination: str, timeout_s: float) -> bool:
        """Whether a datagram gets through the loopback device."""
        sender, receiver = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
        receiver.bind((ADDRESS, 0))
        return await datagram_arrives(sender, receiver, receiver.getsockname(), timeout_s)

    async def shape(self, fault: str, source: str, destination: str, shape: Shape) -> None:
        """Not possible, for the same reason."""
        await self.cut(source, destination)

    async def unshape(self, fault: str, source: str, destination: str) -> None:
        """Nothing was shaped."""

    def shapes(self, source: str, destination: str) -> Mapping[str, Shape]:
        """Nothing was shaped."""
        return {}

    async def measure(
        self, traffic: Mapping[tuple[str, str], Traffic]
    ) -> Mapping[tuple[str, str], Arrivals]:
        """Not possible: there are no links between nodes."""
        raise Unavailable("with isolation none there are no links to measure")

    def broken(self) -> tuple[str, ...]:
        """Nothing is ever cut."""
        return ()

    async def stop(self) -> None:
        """Give the ports back."""
        while self._leases:
            self._leases.pop().close()


def _outside_ephemeral() -> tuple[int, int]:
    """The widest range of unprivileged ports that the kernel gives to nobody by itself."""
    with contextlib.suppress(OSError, ValueError):
        text = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii")
        low, high = (int(word) for word in text.split())
        below, above = (10_000, low), (high + 1, 65_536)
        widest = max(below, above, key=lambda pair: pair[1] - pair[0])
        if widest[1] - widest[0] >= 100:
            return widest
    return _RANGE


def _is_free(port: int) -> bool:
    """Whether nothing listens there now (a closed listener's remains do not count)."""
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(socket.AF_INET, kind) as probe:
            if kind == socket.SOCK_STREAM:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((ADDRESS, port))
            except OSError:
                return False
    return True

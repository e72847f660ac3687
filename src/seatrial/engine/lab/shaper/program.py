"""The process that carries the packets of a node's faulty links (standard library only).

Started in the node's network namespace with one end of a socket pair as standard input. It makes
the TUN device (see tun.txt of the kernel's documentation), which lives as long as its descriptor:
when this process ends, in whatever way, the kernel takes device and routes away and the links are
whole. It ends when the socket does, and dies with the thread that started it.

Requests and answers are JSON, one a line, with a number that both carry: `add` and `remove` a
fault's box, `count` what the boxes did.
"""

from __future__ import annotations

import contextlib
import fcntl
import gc
import json
import os
import select
import socket
import struct
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from seatrial.engine.lab import syscalls
from seatrial.engine.lab.shaper.link import Link
from seatrial.engine.lab.shaper.stages import make

#: At most so many packets are read before the ones that are due are looked at again.
BATCH = 64
REQUEST_BYTES_MAX = 1 << 16
_TUNSETIFF = 0x400454CA
_IFF_TUN_NO_PI = 0x1001
_SO_BINDTODEVICE = 25
_SEND_BUFFER_BYTES = 1 << 20
_PACKET_BYTES_MAX = 1 << 14
_TIMER_SLACK_NS = 1000
_IPV4 = 4
#: The shortest that the kernel grants: packets that are due go before work that can wait.
_SLICE_NS = 100_000


class Program:
    """TUN device, links and control socket of one node."""

    def __init__(self, control: socket.socket, tun: int, device: str) -> None:
        self._control, self._tun, self._device = control, tun, device
        self._links: dict[bytes, Link] = {}
        self._sockets: dict[bytes, socket.socket] = {}
        self._request = b""
        self.strays = self.unsent = 0
        self.open = True

    def run(self) -> None:
        """Carry packets until the control socket is closed from the other side."""
        fds = [self._control.fileno(), self._tun]
        while self.open:
            ready, _, _ = select.select(fds, [], [], self._wait_s())
            if self._tun in ready:
                self._read()
            now = time.monotonic_ns()
            for link in self._links.values():
                link.run(now)
            if fds[0] in ready:
                self._obey()

    def _wait_s(self) -> float | None:
        dues = [at for link in self._links.values() if (at := link.due()) is not None]
        return max(0, min(dues) - time.monotonic_ns()) / 1e9 if dues else None

    def _read(self) -> None:
        """Take the packets that are there, up to a batch."""
        read, tun, links, clock = os.read, self._tun, self._links, time.monotonic_ns
        with contextlib.suppress(BlockingIOError):
            for _ in range(BATCH):
                packet = read(tun, _PACKET_BYTES_MAX)
                link = links.get(packet[16:20])
                if link is None or packet[0] >> 4 != _IPV4:
                    self.strays += 1
                else:
                    link.push(packet, clock())

    def _obey(self) -> None:
        """Answer the requests that are there, one a line."""
        more = self._control.recv(REQUEST_BYTES_MAX)
        self.open = bool(more)
        *lines, self._request = (self._request + more).split(b"\n")
        for line in lines:
            request = json.loads(line)
            answer = self._answer(request)
            self._control.sendall(json.dumps(answer).encode() + b"\n")

    def _answer(self, request: Mapping[str, Any]) -> Mapping[str, object]:
        number = {"number": request["number"]}
        try:
            return {"answer": getattr(self, f"_do_{request['do']}")(request), **number}
        except (OSError, KeyError, ValueError) as error:
            return {"error": f"{type(error).__name__}: {error}", **number}

    def _do_add(self, request: Mapping[str, Any]) -> str:
        address = socket.inet_aton(request["address"])
        if address not in self._links:
            self._links[address] = Link(self._sender(address))
        stage = make(request["action"], request["values"], request["seed"])
        self._links[address].add(request["fault"], request["action"], stage)
        return "added"

    def _do_remove(self, request: Mapping[str, Any]) -> str:
        """Let what waits go on; packets that the device still holds come first."""
        self._drain()
        link = self._links.get(socket.inet_aton(request["address"]))
        if link is not None:
            link.remove(request["fault"], time.monotonic_ns())
        return "removed"

    def _do_count(self, request: Mapping[str, Any]) -> Mapping[str, object]:
        return {
            "strays": self.strays,
            "unsent": self.unsent,
            "links": {
                socket.inet_ntoa(address): {
                    name: {"held": box.held, "acted": box.acted, "dropped": box.dropped}
                    for name, box in link.faults().items()
                }
                for address, link in self._links.items()
            },
        }

    def _drain(self) -> None:
        """Read what is there now, at most twice the device's own queue."""
        for _ in range(2 * QUEUE_PACKETS // BATCH):
            if not select.select([self._tun], [], [], 0)[0]:
                return
            self._read()

    def _sender(self, address: bytes) -> Callable[[bytes], None]:
        """Sends whole IP packets through the node's real device, past the route to the TUN."""
        raw = socket.socket(socket.AF_INET, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 255)
        raw.setsockopt(socket.SOL_SOCKET, _SO_BINDTODEVICE, self._device.encode() + b"\0")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
        raw.connect((socket.inet_ntoa(address), 0))
        self._sockets[address] = raw
        emit = raw.send

        def send(packet: bytes) -> None:
            try:
                emit(packet)
            except OSError:  # no buffer, or a device that is down: lost, as on a wire
                self.unsent += 1

        return send


#: Packets that the TUN device holds until they are read (its `txqueuelen`).
QUEUE_PACKETS = 16384


def open_tun(name: str) -> int:
    """A TUN device without packet information, and its descriptor; raises OSError."""
    descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
    fcntl.ioctl(descriptor, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _IFF_TUN_NO_PI))
    return descriptor


def main() -> NoReturn:
    """`program.main()` with the TUN's name and the node's device in `sys.argv[1:]`."""
    syscalls.die_with_parent()
    syscalls.wake_exactly(_TIMER_SLACK_NS)
    with contextlib.suppress(OSError):
        syscalls.run_in_short_slices(_SLICE_NS)
    gc.disable()  # nothing here makes cycles, and a collection would delay packets
    control = socket.socket(fileno=0)
    try:
        program = Program(control, open_tun(sys.argv[1]), sys.argv[2])
    except OSError as error:
        control.sendall(
            json.dumps({"error": f"{sys.argv[1]}: {error}", "number": 0}).encode() + b"\n"
        )
        os._exit(1)
    control.sendall(b'{"answer": "ready", "number": 0}\n')
    with contextlib.suppress(ConnectionError):
        program.run()
    os._exit(0)

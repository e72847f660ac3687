"""Datagrams sent through links to measure them, and what became of them.

Both ends of a direction are held here; what goes between them is `seatrial.engine.packets`.
Throughput is counted by a packet socket at the receiver's device: all packets from the source,
the target's own as well.
"""

from __future__ import annotations

import ctypes
import select
import socket
import struct
import threading
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeVar

from seatrial.engine.packets import (
    BUFFER_BYTES,
    ETHERNET_BYTES,
    Receiver,
    Sender,
    judge,
    moment_of,
    throughput,
    udp_socket,
)
from seatrial.fault import Arrivals, Traffic

T = TypeVar("T")

_SO_TIMESTAMPNS = 35
_SO_ATTACH_FILTER = 26
_ETH_P_IP = 0x0800
_TAP_BYTES = 64
#: Datagrams sent for one direction before arrivals are looked at again.
_BURST = 16


class Place(Protocol):
    """A node's network namespace, as `network` has it."""

    @property
    def address(self) -> str:
        """The node's address."""
        ...

    @property
    def device_name(self) -> str:
        """Its real device."""
        ...

    def call(self, function: Callable[..., T], *args: Any) -> Awaitable[T]:
        """Run a function in the namespace."""
        ...


@dataclass(slots=True)
class Ends:
    """Both ends of one direction, and what is noted at them."""

    sender: Sender
    receiver: Receiver
    tap: socket.socket | None
    #: (moment, bytes) of all that passed the tap.
    passed: list[tuple[int, int]] = field(default_factory=list)

    @classmethod
    async def open(cls, source: Place, destination: Place, traffic: Traffic) -> Ends:
        """Sockets in the two namespaces, connected to each other."""
        sender = await source.call(udp_socket, source.address)
        receiver = await destination.call(udp_socket, destination.address)
        sender.connect(receiver.getsockname())
        receiver.connect(sender.getsockname())
        tap = None
        if traffic.count_bits:
            tap = await destination.call(_tap, destination.device_name, source.address)
        return cls(Sender(sender, traffic), Receiver(receiver), tap)

    def watch(self) -> None:
        """Note the sizes of what passes the tap."""
        assert self.tap is not None
        while True:
            try:
                data, notes, _, _ = self.tap.recvmsg(_TAP_BYTES, 64)
            except OSError:
                return
            size = int.from_bytes(data[2:4], "big") + ETHERNET_BYTES
            self.passed.append((moment_of(notes), size))

    def result(self) -> Arrivals:
        """What became of the datagrams."""
        near = self.sender
        found = judge(near.sent, near.traffic.packet_bytes, self.receiver.arrivals)
        return replace(
            found,
            bits_per_s=throughput(self.passed, near.first_ns, near.last_ns),
            offered_bits_per_s=near.offered_bits_per_s if self.tap is not None else 0.0,
        )

    def close(self) -> None:
        """Close the sockets."""
        for one in (self.sender.socket, self.receiver.socket, self.tap):
            if one is not None:
                one.close()


def send_and_watch(
    ends: Mapping[tuple[str, str], Ends], stop: threading.Event
) -> Mapping[tuple[str, str], Arrivals]:
    """Send all datagrams at their moments and wait for them; blocks as long as that takes, or
    until `stop`.
    """
    poll = select.epoll()
    try:
        notes = {}
        for pair in ends.values():
            notes[pair.receiver.socket.fileno()] = pair.receiver.receive
            if pair.tap is not None:
                notes[pair.tap.fileno()] = pair.watch
        for descriptor in notes:
            poll.register(descriptor, select.EPOLLIN)
        _send_all(list(ends.values()), poll, notes, stop)
    finally:
        poll.close()
    return {link: pair.result() for link, pair in ends.items()}


def _send_all(
    pairs: Sequence[Ends],
    poll: select.epoll,
    notes: Mapping[int, Callable[[], None]],
    stop: threading.Event,
) -> None:
    begin = time.monotonic()
    plans = [pair.sender.traffic for pair in pairs]
    end = max(plan.packets * plan.interval_s + plan.patience_s for plan in plans)
    while (now := time.monotonic() - begin) < end and not stop.is_set():
        left_s = min(end - now, _STOP_S)
        for pair in pairs:
            near, plan = pair.sender, pair.sender.traffic
            due = min(plan.packets, int(now / plan.interval_s) + 1)
            for _ in range(min(_BURST, due - near.sent)):
                near.send()
            if near.sent < plan.packets:
                left_s = min(left_s, near.sent * plan.interval_s - now)
        if all(_is_complete(pair) for pair in pairs):
            left_s = min(left_s, _QUIET_S)
            end = min(end, now + _QUIET_S)
        for descriptor, _ in poll.poll(max(0.0, left_s)):
            notes[descriptor]()


def _is_complete(pair: Ends) -> bool:
    return pair.sender.sent == len(pair.receiver.arrivals) == pair.sender.traffic.packets


#: When everything has arrived, wait so long for a second copy.
_QUIET_S = 0.05
#: How soon a measurement that is given up ends.
_STOP_S = 0.1


def _tap(device: str, source: str) -> socket.socket:
    """A packet socket on the device that sees IPv4 packets from `source` only."""
    made = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC, 0)
    made.setblocking(False)
    made.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
    wanted = int.from_bytes(socket.inet_aton(source), "big")
    program = b"".join(
        struct.pack("=HBBI", *step)  # load the source's address; compare; take; leave
        for step in ((0x20, 0, 0, 12), (0x15, 0, 1, wanted), (6, 0, 0, _TAP_BYTES), (6, 0, 0, 0))
    )
    held = ctypes.create_string_buffer(program)
    length = len(program) // 8
    filtered = struct.pack("@HP", length, ctypes.addressof(held))
    made.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, filtered)
    made.bind((device, _ETH_P_IP))
    return made

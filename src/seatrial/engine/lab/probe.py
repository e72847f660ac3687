"""Datagrams sent through links to measure them, and what became of them.

The receiver's kernel notes when each arrives (SO_TIMESTAMPNS, socket(7)), so a busy event loop
does not look like a slow link. UDP's checksum is left out (RFC 768 allows it), so a datagram with
a damaged bit arrives and is seen as such. Throughput is counted by a packet socket at the
receiver's device: all packets from the source, the target's own as well.
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
from zlib import crc32

from seatrial.fault import Arrivals, Traffic

T = TypeVar("T")

#: IPv4 and UDP headers without options.
HEADERS_BYTES = 28
#: What a datagram carries at least: magic, number, moment of sending, checksum of these.
_HEAD = struct.Struct("!IIQ")
_SUM = struct.Struct("!I")
PACKET_BYTES_MIN = HEADERS_BYTES + _HEAD.size + _SUM.size
PACKET_BYTES_MAX = 1500
#: What a queueing discipline counts besides the IP packet.
ETHERNET_BYTES = 14
_MAGIC = 0x53_45_41_54
_SO_TIMESTAMPNS = 35
_SO_NO_CHECK = 11
_SO_ATTACH_FILTER = 26
_ETH_P_IP = 0x0800
_BUFFER_BYTES = 4 << 20
_TIMESPEC = struct.Struct("@qq")
_TAP_BYTES = 64
#: The first share of the sending is not counted: the queues of a thin line fill meanwhile.
_SETTLE = 0.15
#: Datagrams sent for one direction before arrivals are looked at again.
_BURST = 16

Arrival = tuple[int, bytes]


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

    traffic: Traffic
    sender: socket.socket
    receiver: socket.socket
    tap: socket.socket | None
    sent: int = 0
    first_ns: int = 0
    last_ns: int = 0
    arrivals: list[Arrival] = field(default_factory=list)
    #: (moment, bytes) of all that passed the tap.
    passed: list[tuple[int, int]] = field(default_factory=list)

    @classmethod
    async def open(cls, source: Place, destination: Place, traffic: Traffic) -> Ends:
        """Sockets in the two namespaces, connected to each other."""
        sender = await source.call(_udp, source.address)
        receiver = await destination.call(_udp, destination.address)
        sender.connect(receiver.getsockname())
        receiver.connect(sender.getsockname())
        tap = None
        if traffic.count_bits:
            tap = await destination.call(_tap, destination.device_name, source.address)
        return cls(traffic, sender, receiver, tap)

    def send(self) -> None:
        """Send the next datagram; one that the local kernel refuses counts as sent and lost."""
        self.last_ns = time.time_ns()
        self.first_ns = self.first_ns or self.last_ns
        head = _HEAD.pack(_MAGIC, self.sent, self.last_ns)
        padding = bytes(max(0, self.traffic.packet_bytes - PACKET_BYTES_MIN))
        self.sent += 1
        try:
            self.sender.send(head + _SUM.pack(crc32(head)) + padding)
        except OSError:
            return

    def receive(self) -> None:
        """Note what is there."""
        while True:
            try:
                data, notes, _, _ = self.receiver.recvmsg(PACKET_BYTES_MAX, 64)
            except ConnectionError:  # an ICMP error about an earlier datagram
                continue
            except OSError:
                return
            self.arrivals.append((_moment(notes), data))

    def watch(self) -> None:
        """Note the sizes of what passes the tap."""
        assert self.tap is not None
        while True:
            try:
                data, notes, _, _ = self.tap.recvmsg(_TAP_BYTES, 64)
            except OSError:
                return
            size = int.from_bytes(data[2:4], "big") + ETHERNET_BYTES
            self.passed.append((_moment(notes), size))

    def result(self) -> Arrivals:
        """What became of the datagrams."""
        found = judge(self.sent, self.traffic.packet_bytes, self.arrivals)
        bits = (self.sent - 1) * (self.traffic.packet_bytes + ETHERNET_BYTES) * 8
        took_s = max(self.last_ns - self.first_ns, 1) / 1e9
        return replace(
            found,
            bits_per_s=throughput(self.passed, self.first_ns, self.last_ns),
            offered_bits_per_s=bits / took_s if self.tap is not None else 0.0,
        )

    def close(self) -> None:
        """Close the sockets."""
        for one in (self.sender, self.receiver, self.tap):
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
            notes[pair.receiver.fileno()] = pair.receive
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
    end = max(p.traffic.packets * p.traffic.interval_s + p.traffic.patience_s for p in pairs)
    while (now := time.monotonic() - begin) < end and not stop.is_set():
        left_s = min(end - now, _STOP_S)
        for pair in pairs:
            plan = pair.traffic
            due = min(plan.packets, int(now / plan.interval_s) + 1)
            for _ in range(min(_BURST, due - pair.sent)):
                pair.send()
            if pair.sent < plan.packets:
                left_s = min(left_s, pair.sent * plan.interval_s - now)
        if all(pair.sent == len(pair.arrivals) == pair.traffic.packets for pair in pairs):
            left_s = min(left_s, _QUIET_S)
            end = min(end, now + _QUIET_S)
        for descriptor, _ in poll.poll(max(0.0, left_s)):
            notes[descriptor]()


#: When everything has arrived, wait so long for a second copy.
_QUIET_S = 0.05
#: How soon a measurement that is given up ends.
_STOP_S = 0.1


def judge(sent: int, packet_bytes: int, arrivals: Sequence[Arrival]) -> Arrivals:
    """What became of `sent` datagrams, from (moment, payload) of each arrival. O(n log n)."""
    size = max(packet_bytes, PACKET_BYTES_MIN) - HEADERS_BYTES
    first: dict[int, tuple[int, int]] = {}
    duplicated = corrupted = nameless = 0
    for moment, data in sorted(arrivals, key=lambda arrival: arrival[0]):
        head, rest = data[: _HEAD.size], data[_HEAD.size + _SUM.size :]
        check = data[_HEAD.size : _HEAD.size + _SUM.size]
        if len(data) != size or check != _SUM.pack(crc32(head)):
            corrupted, nameless = corrupted + 1, nameless + 1
            continue
        _, number, began = _HEAD.unpack(head)
        corrupted += any(rest)
        if number in first:
            duplicated += 1
        else:
            first[number] = (moment, began)
    return Arrivals(
        sent=sent,
        arrived=min(len(first) + nameless, sent),
        duplicated=duplicated,
        corrupted=corrupted,
        overtaking=_overtaking([*first]),
        latencies_ms=tuple((moment - began) / 1e6 for _, (moment, began) in sorted(first.items())),
    )


def _overtaking(numbers: Sequence[int]) -> int:
    """How many arrive (in this order) before a smaller one."""
    found, least = 0, float("inf")
    for number in reversed(numbers):
        found += number > least
        least = min(least, number)
    return found


def throughput(passed: Sequence[tuple[int, int]], begin_ns: int, end_ns: int) -> float:
    """Bits a second of (moment, bytes) between two moments, the first share left out."""
    begin_ns += int((end_ns - begin_ns) * _SETTLE)
    inside = sum(size for moment, size in passed if begin_ns < moment <= end_ns)
    return inside * 8e9 / (end_ns - begin_ns) if end_ns > begin_ns else 0.0


def _moment(notes: Sequence[tuple[int, int, bytes]]) -> int:
    for level, kind, data in notes:
        if (level, kind) == (socket.SOL_SOCKET, _SO_TIMESTAMPNS):
            seconds, nanoseconds = _TIMESPEC.unpack(data[: _TIMESPEC.size])
            return int(seconds) * 1_000_000_000 + int(nanoseconds)
    return time.time_ns()


def _udp(address: str) -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
    made.setblocking(False)
    made.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    made.setsockopt(socket.SOL_SOCKET, _SO_NO_CHECK, 1)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
    made.bind((address, 0))
    return made


def _tap(device: str, source: str) -> socket.socket:
    """A packet socket on the device that sees IPv4 packets from `source` only."""
    made = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC, 0)
    made.setblocking(False)
    made.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
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

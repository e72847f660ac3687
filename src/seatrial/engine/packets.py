"""Numbered datagrams that measure a direction of a link: how they are made, sent, noted, judged.

Engines differ in where the two ends are: the lab holds both in one process, on a cluster each is
a process in a pod of its own. What a datagram looks like and what its arrivals mean is the same.

The receiver's kernel notes when each arrives (SO_TIMESTAMPNS, socket(7)), so a busy program does
not look like a slow link. UDP's checksum is left out (RFC 768 allows it), so a datagram with a
damaged bit arrives and is seen as such.
"""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from zlib import crc32

from seatrial.readings import Arrivals, Traffic

#: IPv4 and UDP headers without options.
HEADERS_BYTES = 28
#: What a datagram carries at least: magic, number, moment of sending, checksum of these.
HEAD = struct.Struct("!IIQ")
SUM = struct.Struct("!I")
PACKET_BYTES_MIN = HEADERS_BYTES + HEAD.size + SUM.size
PACKET_BYTES_MAX = 1500
#: What a queueing discipline counts besides the IP packet.
ETHERNET_BYTES = 14
MAGIC = 0x53_45_41_54
#: How much a socket that only listens keeps until it is read.
BUFFER_BYTES = 4 << 20
_SO_TIMESTAMPNS = 35
_SO_NO_CHECK = 11
_TIMESPEC = struct.Struct("@qq")
#: The first share of the sending is not counted: the queues of a thin line fill meanwhile.
_SETTLE = 0.15

Arrival = tuple[int, bytes]


@dataclass(slots=True)
class Sender:
    """The near end of one direction: a connected socket, and what was sent through it."""

    socket: socket.socket
    traffic: Traffic
    sent: int = 0
    first_ns: int = 0
    last_ns: int = 0

    def send(self) -> None:
        """Send the next datagram; one that the local kernel refuses counts as sent and lost."""
        self.last_ns = time.time_ns()
        self.first_ns = self.first_ns or self.last_ns
        head = HEAD.pack(MAGIC, self.sent, self.last_ns)
        padding = bytes(max(0, self.traffic.packet_bytes - PACKET_BYTES_MIN))
        self.sent += 1
        try:
            self.socket.send(head + SUM.pack(crc32(head)) + padding)
        except OSError:
            return

    @property
    def offered_bits_per_s(self) -> float:
        """What the datagrams come to, Ethernet headers included."""
        return offered(self.sent, self.traffic.packet_bytes, self.last_ns - self.first_ns)


@dataclass(slots=True)
class Receiver:
    """The far end: a socket, and (moment, payload) of what arrived there."""

    socket: socket.socket
    arrivals: list[Arrival] = field(default_factory=list)

    def receive(self) -> None:
        """Note what is there."""
        while True:
            try:
                data, notes, _, _ = self.socket.recvmsg(PACKET_BYTES_MAX, 64)
            except ConnectionError:  # an ICMP error about an earlier datagram
                continue
            except OSError:
                return
            self.arrivals.append((moment_of(notes), data))


def offered(sent: int, packet_bytes: int, took_ns: int) -> float:
    """Bits a second of `sent` datagrams, the first of them at the beginning of the time."""
    return (sent - 1) * (packet_bytes + ETHERNET_BYTES) * 8e9 / max(took_ns, 1)


def judge(sent: int, packet_bytes: int, arrivals: Sequence[Arrival]) -> Arrivals:
    """What became of `sent` datagrams, from (moment, payload) of each arrival. O(n log n)."""
    size = max(packet_bytes, PACKET_BYTES_MIN) - HEADERS_BYTES
    first: dict[int, tuple[int, int]] = {}
    duplicated = corrupted = nameless = 0
    for moment, data in sorted(arrivals, key=lambda arrival: arrival[0]):
        head, rest = data[: HEAD.size], data[HEAD.size + SUM.size :]
        check = data[HEAD.size : HEAD.size + SUM.size]
        if len(data) != size or check != SUM.pack(crc32(head)):
            corrupted, nameless = corrupted + 1, nameless + 1
            continue
        _, number, began = HEAD.unpack(head)
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


def moment_of(notes: Sequence[tuple[int, int, bytes]]) -> int:
    """When the kernel took a packet in, by the notes that came with it (Unix time, ns)."""
    for level, kind, data in notes:
        if (level, kind) == (socket.SOL_SOCKET, _SO_TIMESTAMPNS):
            seconds, nanoseconds = _TIMESPEC.unpack(data[: _TIMESPEC.size])
            return int(seconds) * 1_000_000_000 + int(nanoseconds)
    return time.time_ns()


def udp_socket(address: str) -> socket.socket:
    """A socket without checksums that notes when datagrams arrive, at a port of its own."""
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
    made.setblocking(False)
    made.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    made.setsockopt(socket.SOL_SOCKET, _SO_NO_CHECK, 1)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
    made.bind((address, 0))
    return made

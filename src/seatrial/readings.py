"""What probes are asked to do, and what they answer: plain values of the standard library.

Part of the contract of faults (`seatrial.fault` has all of them). They stand apart because some
probes are programs of their own, where a container has little processor time to start them with.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

#: What can happen to the packets of a link.
Action = Literal["delay", "loss", "duplicate", "corrupt", "reorder", "rate", "bandwidth"]


@dataclass(frozen=True, slots=True)
class Shape:
    """What packets of one direction of a link suffer; an action reads its own values only.

    `percent` of the packets are lost, doubled, damaged or let pass by others; `correlation` (in
    percent) is how likely a packet meets the same fate as the one before. `gap`: at most one
    packet in so many passes the others.
    """

    action: Action
    latency_ms: float = 0.0
    jitter_ms: float = 0.0
    percent: float = 0.0
    correlation: float = 0.0
    gap: int = 1
    bits_per_s: float = 0.0
    limit_bytes: int = 0
    buffer_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Traffic:
    """Datagrams to send through one direction of a link: how many, how large (with all headers
    of IP), how far apart, and how long to wait for the last one. `count_bits` asks for the
    throughput of the direction meanwhile.
    """

    packets: int
    packet_bytes: int
    interval_s: float
    patience_s: float
    count_bits: bool = False


@dataclass(frozen=True, slots=True)
class Arrivals:
    """What became of the datagrams of a `Traffic`, in the receiver's kernel's own times.

    `arrived` counts each datagram once, damaged ones as well. `latencies_ms` are those of first
    arrivals that can be told apart, in the order of sending. `overtaking` counts
    datagrams that arrived before one sent earlier. `bits_per_s` counts all that came through the
    direction while datagrams were sent, of other programs as well; 0 if it was not asked for.
    `offered_bits_per_s` is what the datagrams alone would have come to.
    """

    sent: int
    arrived: int
    duplicated: int
    corrupted: int
    overtaking: int
    latencies_ms: tuple[float, ...]
    bits_per_s: float = 0.0
    offered_bits_per_s: float = 0.0


@dataclass(frozen=True, slots=True)
class DiskCall:
    """One call on a node's volume: how long it took, how it ended (0 is well), bytes written."""

    took_s: float
    errno: int = 0
    written: int = 0

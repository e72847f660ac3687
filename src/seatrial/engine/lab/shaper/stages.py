"""The boxes that a packet passes on a shaped link, one for each fault that is alive on it.

The actions are those of Linux netem (tc-netem(8)), which Chaos Mesh drives, with one deliberate
difference. netem mixes each random number with the one before, x' = (1 - ρ) u + ρ x, which pulls
them to the middle: a loss of 20 % with a correlation of 50 % loses 3 % there. Here a draw is the
one before with probability ρ and fresh otherwise. Every draw stays uniform, so 20 % stay 20 %, and
the correlation of neighbours is exactly ρ.

Pure: no clock, no socket; times are nanoseconds, packets whole IPv4 packets. Standard library
only. Each operation is O(1), or O(log n) of the n packets held.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from heapq import heappop, heappush
from random import Random
from typing import Protocol

#: A box holds no more than this; what comes on top is dropped, as from a full queue.
HELD_PACKETS_MAX = 50_000
HELD_BYTES_MAX = 64 << 20
#: The queue of `rate`, as netem's default limit.
RATE_PACKETS_MAX = 1000
#: What the kernel's queueing disciplines count besides the IP packet: the Ethernet header.
HEADER_BYTES = 14

_NS = 1_000_000_000


class Draws:
    """Uniform numbers in [0, 1) in which neighbours are equal with probability `correlation`."""

    __slots__ = ("_correlation", "_last", "_random")

    def __init__(self, random: Callable[[], float], correlation: float) -> None:
        self._random, self._correlation = random, correlation
        self._last = random()

    def next(self) -> float:
        """The next number."""
        if not self._correlation or self._random() >= self._correlation:
            self._last = self._random()
        return self._last


class Stage(Protocol):
    """A box. `held` packets wait in it; `dropped` counts what it took out for good."""

    dropped: int
    acted: int

    @property
    def held(self) -> int:
        """How many packets wait inside."""
        ...

    @property
    def due(self) -> int | None:
        """When the next packet comes out; None while the box is empty."""
        ...

    def put(self, packet: bytes, now: int) -> tuple[bytes, ...]:
        """Take a packet; what comes out at once, in order."""
        ...

    def take(self) -> bytes:
        """The packet that is due next, whether its time has come or not; only if one is held."""
        ...

    def take_due(self, now: int) -> list[bytes]:
        """All packets that are due, in the order of their times."""
        ...


class _Instant:
    """A box that holds nothing."""

    held = 0
    due: int | None = None

    def __init__(self) -> None:
        self.dropped = self.acted = 0

    def take(self) -> bytes:
        """Never: nothing is held."""
        raise IndexError("this box holds no packet")

    def take_due(self, now: int) -> list[bytes]:
        """None."""
        return []


class Loss(_Instant):
    """Each packet is lost with probability `share`."""

    def __init__(self, share: float, draws: Draws) -> None:
        super().__init__()
        self._share, self._draws = share, draws

    def put(self, packet: bytes, now: int) -> tuple[bytes, ...]:
        """The packet, or nothing."""
        if self._draws.next() < self._share:
            self.acted += 1
            self.dropped += 1
            return ()
        return (packet,)


class Duplicate(_Instant):
    """Each packet comes twice with probability `share`."""

    def __init__(self, share: float, draws: Draws) -> None:
        super().__init__()
        self._share, self._draws = share, draws

    def put(self, packet: bytes, now: int) -> tuple[bytes, ...]:
        """The packet, once or twice."""
        if self._draws.next() < self._share:
            self.acted += 1
            return (packet, packet)
        return (packet,)


class Corrupt(_Instant):
    """One random bit of what the IP header carries is flipped with probability `share`.

    The header itself stays whole (its checksum would be made anew on sending, and the packet
    would go astray instead). TCP's and UDP's checksums find every single flipped bit (RFC 1071:
    a sum of 16-bit words), so applications see a loss; what has no checksum sees the bit.
    """

    def __init__(self, share: float, draws: Draws, random: Random) -> None:
        super().__init__()
        self._share, self._draws, self._random = share, draws, random

    def put(self, packet: bytes, now: int) -> tuple[bytes, ...]:
        """The packet, as it was or with one bit flipped."""
        if self._draws.next() >= self._share:
            return (packet,)
        header = (packet[0] & 15) * 4
        if len(packet) <= header:
            return (packet,)
        self.acted += 1
        place = header * 8 + int(self._random.random() * (len(packet) - header) * 8)
        damaged = bytearray(packet)
        damaged[place >> 3] ^= 1 << (place & 7)
        return (bytes(damaged),)


class _Timed:
    """A box that holds packets until their time comes; equal times leave in order of arrival."""

    def __init__(self, packets_max: int, bytes_max: int) -> None:
        self.dropped = self.acted = 0
        self._heap: list[tuple[int, int, bytes]] = []
        self._count = 0
        self._packets_max, self._bytes_max, self._bytes = packets_max, bytes_max, 0

    @property
    def held(self) -> int:
        """How many packets wait inside."""
        return len(self._heap)

    @property
    def due(self) -> int | None:
        """When the next packet comes out."""
        return self._heap[0][0] if self._heap else None

    def take(self) -> bytes:
        """The packet that is due next."""
        packet = heappop(self._heap)[2]
        self._bytes -= len(packet)
        return packet

    def take_due(self, now: int) -> list[bytes]:
        """All packets whose time has come."""
        heap, out, size = self._heap, [], 0
        while heap and heap[0][0] <= now:
            packet = heappop(heap)[2]
            size += len(packet)
            out.append(packet)
        self._bytes -= size
        return out

    def _hold(self, packet: bytes, until: int) -> bool:
        if len(self._heap) >= self._packets_max or self._bytes + len(packet) > self._bytes_max:
            self.dropped += 1
            return False
        self._count += 1
        self._bytes += len(packet)
        heappush(self._heap, (until, self._count, packet))
        return True


class Delay(_Timed):
    """Each packet waits `latency` ± up to `jitter` (uniform), and so may overtake another."""

    def __init__(self, latency: int, jitter: int, draws: Draws) -> None:
        super().__init__(HELD_PACKETS_MAX, HELD_BYTES_MAX)
        self._latency, self._jitter, self._draws = latency, jitter, draws

    def put(self, packet: bytes, now: int) -> tuple[bytes, ...]:
        """Nothing yet."""
        wait = self._latency
        if self._jitter:
            wait += int((2 * self._draws.next() - 1) * self._jitter)
        self.acted += self._hold(packet, now + max(wait, 0))
        return ()


class Reorder(_Timed):
    """Packets wait `latency`, but one in `gap` passes them at once with probability `share`."""

    def __init__(self, share: float, gap: int, latency: int, draws: Draws) -> None:
        super().__init__(HELD_PACKETS_MAX, HELD_BYTES_MAX)
        self._share, self._gap, self._latency, self._draws = share, gap, latency, draws
        self._since = 0

    def put(self, packet: bytes, now: int) -> tuple[bytes, ...]:
        """The packet if it passes the others."""
        if self._since < self._gap - 1 or self._draws.next() >= self._share:
            self._since += 1
            self._hold(packet, now + self._latency)
            return ()
        self._since = 0
        self.acted += 1
        return (packet,)


class _Row:
    """Packets one after another: each leaves when it has been sent, and not before the last."""

    def __init__(self) -> None:
        self.dropped = self.acted = 0
        self._queue: deque[tuple[int, bytes]] = deque()
        self._bytes = 0

    @property
    def held(self) -> int:
        """How many packets wait inside."""
        return len(self._queue)

    @property
    def due(self) -> int | None:
        """When the next packet comes out."""
        return self._queue[0][0] if self._queue else None

    def take(self) -> bytes:
        """The packet that is due next."""
        packet = self._queue.popleft()[1]
        self._bytes -= len(packet) + HEADER_BYTES
        return packet

    def take_due(self, now: int) -> list[bytes]:
        """All packets whose time has come."""
        out = []
        while self._queue and self._queue[0][0] <= now:
            out.append(self.take())
        return out


class Rate(_Row):
    """A line of so many bits a second: a packet takes its size over the rate, after the others."""

    def __init__(self, bits_per_s: float) -> None:
        super().__init__()
        self._bit = _NS / bits_per_s
        self._free = 0.0

    def put(self, packet: bytes, now: int) -> tuple[bytes, ...]:
        """Nothing yet; a packet that finds `RATE_PACKETS_MAX` waiting is dropped."""
        if len(self._queue) >= RATE_PACKETS_MAX:
            self.dropped += 1
            return ()
        size = len(packet) + HEADER_BYTES
        self._free = max(self._free, now) + size * 8 * self._bit
        self._queue.append((int(self._free), packet))
        self._bytes += size
        self.acted += 1
        return ()


class Bandwidth(_Row):
    """A token bucket (tc-tbf(8)): bursts of `buffer` bytes pass, then so many bits a second.

    A packet waits until there are tokens for it. One that finds more than `limit` bytes waiting
    is dropped, and so is one that is larger than the bucket: it could never pass.
    """

    def __init__(self, bits_per_s: float, limit_bytes: int, buffer_bytes: int) -> None:
        super().__init__()
        self._byte = 8 * _NS / bits_per_s
        self._limit, self._buffer = limit_bytes, buffer_bytes
        self._tokens = float(buffer_bytes)
        self._last = 0.0

    def put(self, packet: bytes, now: int) -> tuple[bytes, ...]:
        """The packet if there are tokens for it and no one waits."""
        size = len(packet) + HEADER_BYTES
        if size > self._buffer or self._bytes + size > self._limit:
            self.dropped += 1
            return ()
        at = max(self._last, float(now))
        tokens = min(self._buffer, self._tokens + (at - self._last) / self._byte)
        if tokens < size:
            at += (size - tokens) * self._byte
            tokens = size
        self._last, self._tokens = at, tokens - size
        if not self._queue and at <= now:
            return (packet,)
        self._queue.append((int(at), packet))
        self._bytes += size
        self.acted += 1
        return ()


#: The order of the boxes, whichever fault came first: so any order of healing means the same.
ORDER = ("loss", "duplicate", "corrupt", "bandwidth", "rate", "delay", "reorder")


def make(action: str, values: Mapping[str, float], seed: str) -> Stage:
    """The box for an action with the values of a `seatrial.fault.Shape`.

    All its random numbers come from `seed`. Raises `KeyError` for an action that is not in
    `ORDER`.
    """
    random = Random(seed)
    share, draws = values["percent"] / 100, Draws(random.random, values["correlation"] / 100)
    latency, jitter = (int(values[name] * 1e6) for name in ("latency_ms", "jitter_ms"))
    bits_per_s = values["bits_per_s"]
    makers: Mapping[str, Callable[[], Stage]] = {
        "loss": lambda: Loss(share, draws),
        "duplicate": lambda: Duplicate(share, draws),
        "corrupt": lambda: Corrupt(share, draws, random),
        "bandwidth": lambda: Bandwidth(
            bits_per_s, int(values["limit_bytes"]), int(values["buffer_bytes"])
        ),
        "rate": lambda: Rate(bits_per_s),
        "delay": lambda: Delay(latency, jitter, draws),
        "reorder": lambda: Reorder(share, int(values["gap"]), latency, draws),
    }
    return makers[action]()

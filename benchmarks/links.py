"""How exact the lab's faults on packets are, and what a faulty link carries.

    python -m benchmarks.links

Starts itself anew in a throwaway namespace with two nodes' networks and no target. Latencies and
losses are those of datagrams whose arrival the receiver's kernel noted; packets carried are those
that the receiver's device counted. Cuts are timed on an open TCP connection and a connected UDP
socket that send a message every half a millisecond.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import socket
import statistics
import struct
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from seatrial.engine.lab import sandbox
from seatrial.engine.lab.network import Network, _Room
from seatrial.fault import Arrivals, Shape, Traffic

RATES = (5_000, 10_000, 20_000, 30_000, 40_000, 50_000, 60_000, 80_000, 100_000)
#: A link carries a rate if it loses no more than this of it.
LOST_MAX = 0.001
BLAST_S = 2.0
PORT = 9
_UDP_SEGMENT = 103
_SEGMENTS = 10
_PACKET_BYTES = 100
_MESSAGE = struct.Struct("!d")


def row(what: str, asked: str, seen: str, bar: str) -> None:
    """One line of the table."""
    print(f"{what:44}{asked:>18}{seen:>34}   {bar}", flush=True)


async def shaped(network: Network, shape: Shape, traffic: Traffic) -> tuple[Arrivals, Arrivals]:
    """Readings of the faulty direction and of the opposite one."""
    await network.shape("f", "n1", "n2", shape)
    back = Traffic(500, _PACKET_BYTES, 0.002, 0.3)
    seen = await network.measure({("n1", "n2"): traffic, ("n2", "n1"): back})
    await network.unshape("f", "n1", "n2")
    return seen["n1", "n2"], seen["n2", "n1"]


def other(back: Arrivals) -> None:
    """The opposite direction's line."""
    lost = back.sent - back.arrived
    seen = f"{statistics.median(back.latencies_ms):.3f} ms, {lost} of {back.sent} lost"
    row("  the opposite direction meanwhile", "untouched", seen, "")


async def accuracy(network: Network) -> None:
    """Delay, shares and rates."""
    whole = (await network.measure({("n1", "n2"): Traffic(2000, 100, 0.001, 0.3)}))["n1", "n2"]
    median = statistics.median(whole.latencies_ms)
    row("a whole link: latency, median", "", f"{median:.3f} ms", "")
    delay = Shape("delay", latency_ms=50, jitter_ms=10)
    seen, back = await shaped(network, delay, Traffic(3000, 100, 0.001, 0.5))
    low, *_, high = (seen.latencies_ms[i] for i in _ordered(seen))
    text = f"{statistics.median(seen.latencies_ms):.2f} ms ({low:.1f} to {high:.1f})"
    row("delay: median (least to most)", "50 ± 10 ms", text, "within 2 ms")
    other(back)
    for action in ("loss", "duplicate", "corrupt"):
        shape = Shape(action, percent=20)  # type: ignore[arg-type]
        seen, back = await shaped(network, shape, Traffic(10_000, 500, 0.0002, 0.5))
        count = {"loss": seen.sent - seen.arrived, "duplicate": seen.duplicated}
        share = count.get(action, seen.corrupted) / seen.sent
        row(f"{action}: share of 10,000 packets", "20 %", f"{share:.2%}", "18 to 22 %")
        other(back)
    shape = Shape("loss", percent=20, correlation=50)
    seen, _ = await shaped(network, shape, Traffic(10_000, 100, 0.0002, 0.5))
    row("loss, correlation 50 %", "20 %", f"{1 - seen.arrived / seen.sent:.2%}", "18 to 22 %")
    shape = Shape("reorder", percent=20, latency_ms=20)
    seen, _ = await shaped(network, shape, Traffic(10_000, 100, 0.0002, 0.5))
    row("reorder: packets that overtook", "20 %", f"{seen.overtaking / seen.sent:.2%}", "")
    for shape in (
        Shape("rate", bits_per_s=1e6),
        Shape("bandwidth", bits_per_s=1e6, limit_bytes=100_000, buffer_bytes=10_000),
        Shape("rate", bits_per_s=20e6),
    ):
        seen, back = await shaped(network, shape, _overload(shape.bits_per_s))
        asked, got = f"{shape.bits_per_s / 1e6:g} Mbit/s", f"{seen.bits_per_s / 1e6:.3f} Mbit/s"
        row(f"{shape.action}: throughput of an overloaded link", asked, got, "within 10 %")
        other(back)


def _ordered(seen: Arrivals) -> list[int]:
    return sorted(range(seen.arrived), key=seen.latencies_ms.__getitem__)


def _overload(bits_per_s: float) -> Traffic:
    """Twice what the link carries, for three seconds."""
    interval_s = (1000 + 14) * 8 / bits_per_s / 2
    return Traffic(int(3 / interval_s), 1000, interval_s, 0.3, True)


@dataclass(slots=True)
class Stream:
    """Messages on an open connection, with the moments of sending and of arrival."""

    one: socket.socket
    two: socket.socket
    arrivals: list[tuple[float, float]] = field(default_factory=list)
    over: bool = False

    def send(self) -> None:
        """A message every half a millisecond."""
        while not self.over:
            self.one.send(_MESSAGE.pack(time.monotonic()))
            time.sleep(0.0005)

    def receive(self) -> None:
        """Note arrivals."""
        while not self.over:
            try:
                data = self.two.recv(65536)
            except TimeoutError:
                continue
            now = time.monotonic()
            whole = len(data) - len(data) % _MESSAGE.size
            self.arrivals += [(sent, now) for (sent,) in _MESSAGE.iter_unpack(data[:whole])]


async def cuts(network: Network, rounds: int) -> None:
    """How soon a cut and its mending are felt on what is open."""
    for kind in ("TCP", "UDP"):
        acts, heals = [], []
        for _ in range(rounds):
            act, heal = await _cut_once(network, kind)
            acts.append(act)
            heals.append(heal)
        row(f"cut on open {kind}: last message after it", "", _times(acts), "under 100 ms")
        row(f"mended, open {kind}: first message after it", "", _times(heals), "under 100 ms")


async def _cut_once(network: Network, kind: str) -> tuple[float, float]:
    one, two = await _pair(network, kind)
    stream = Stream(one, two)
    threads = [threading.Thread(target=act) for act in (stream.send, stream.receive)]
    for thread in threads:
        thread.start()
    await asyncio.sleep(0.1)
    began = time.monotonic()
    await network.cut("n1", "n2")
    await asyncio.sleep(0.15)
    mended = time.monotonic()
    await network.mend("n1", "n2")
    deadline = mended + 5
    while not any(at > mended for _, at in stream.arrivals) and time.monotonic() < deadline:
        await asyncio.sleep(0.01)
    stream.over = True
    for thread in threads:
        thread.join()
    one.close()
    two.close()
    last = max(at for _, at in stream.arrivals if at < mended)
    first = min(at for _, at in stream.arrivals if at > mended)
    return max(last - began, 0.0), first - mended


async def _pair(network: Network, kind: str) -> tuple[socket.socket, socket.socket]:
    source, destination = network._rooms["n1"], network._rooms["n2"]
    if kind == "TCP":
        listener = await destination.call(socket.create_server, (destination.address, 0))
        one = await source.call(socket.create_connection, listener.getsockname(), 5.0)
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        two, _ = listener.accept()
        listener.close()
    else:
        one, two = await _udp(source), await _udp(destination)
        one.connect(two.getsockname())
    two.settimeout(0.05)
    return one, two


async def _udp(room: _Room) -> socket.socket:
    made = await room.call(socket.socket, socket.AF_INET, socket.SOCK_DGRAM)
    made.bind((room.address, 0))
    return made


def _times(seconds: Sequence[float]) -> str:
    median, most = statistics.median(seconds) * 1e3, max(seconds) * 1e3
    return f"{median:.1f} ms (worst of {len(seconds)}: {most:.1f})"


async def throughput(network: Network) -> None:
    """The highest rate of small packets that one link carries whole."""
    shapes = (
        Shape("loss", percent=1e-9),
        Shape("delay", latency_ms=50, jitter_ms=10, correlation=25),
    )
    for shape in shapes:
        await network.shape("f", "n1", "n2", shape)
        carried = 0.0
        for rate in RATES:
            arrived, sent = await _blast(network, rate)
            if arrived < sent * (1 - LOST_MAX):
                break
            carried = sent / BLAST_S
        pid = network._shaping["n1"].pid
        await network.unshape("f", "n1", "n2")
        assert pid is not None
        row(f"packets/s through one link ({shape.action})", "", f"{carried:,.0f}", "20,000")


async def _blast(network: Network, rate: int) -> tuple[int, int]:
    source, destination = network._rooms["n1"], network._rooms["n2"]
    sink = await _udp(destination)
    one = await _udp(source)
    one.connect(sink.getsockname())
    one.setsockopt(socket.IPPROTO_UDP, _UDP_SEGMENT, _PACKET_BYTES - 28)
    before = await destination.call(_received, destination)
    sent = await asyncio.to_thread(_send_for, one, rate)
    await asyncio.sleep(0.5)
    after = await destination.call(_received, destination)
    one.close()
    sink.close()
    return after - before, sent


def _send_for(one: socket.socket, rate: int) -> int:
    data = bytes((_PACKET_BYTES - 28) * _SEGMENTS)
    begin, sent = time.monotonic(), 0
    while (now := time.monotonic() - begin) < BLAST_S:
        while sent < now * rate:
            one.send(data)
            sent += _SEGMENTS
        time.sleep(0.0002)
    return sent


def _received(room: _Room) -> int:
    (link,) = room.netlink.get_links(room.device)
    return int(link.get_attr("IFLA_STATS64")["rx_packets"])


async def healing(network: Network) -> None:
    """What becomes of packets that wait on a thin line when it is healed, and how long it takes."""
    await network.shape("f", "n1", "n2", Shape("rate", bits_per_s=64_000))
    traffic = {("n1", "n2"): Traffic(900, 1000, 0.0005, 2.0)}
    measuring = asyncio.create_task(network.measure(traffic))
    await asyncio.sleep(1.0)
    began = time.monotonic()
    await network.unshape("f", "n1", "n2")
    took_s = time.monotonic() - began
    seen = (await measuring)["n1", "n2"]
    row("a full line healed: until it is done", "900 packets wait", f"{took_s * 1e3:.0f} ms", "")
    text = f"{seen.arrived} of {seen.sent} arrived"
    row("  packets that waited", "", f"{text}, {seen.overtaking} out of order", "none lost")


async def memory(network: Network) -> None:
    """How much the process for faulty links holds at most."""
    await network.shape("f", "n1", "n2", Shape("delay", latency_ms=10_000))
    pid = network._shaping["n1"].pid
    empty = _resident(pid)
    for _ in range(4):
        await _blast(network, 20_000)
    text = f"{empty:.0f} MiB empty, {_resident(pid):.0f} MiB full"
    await network.unshape("f", "n1", "n2")
    row("memory of the process (50,000 packets wait)", "", text, "")


def _resident(pid: int | None) -> float:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))


async def inside(rounds: int) -> None:
    """All measurements."""
    network = Network(("n1", "n2"), (), seed=1)
    await network.start()
    load, cores = os.getloadavg()[0], len(os.sched_getaffinity(0))
    print(f"load average {load:.2f} on {cores} cores\n")
    row("what", "asked for", "measured", "bar")
    await accuracy(network)
    await cuts(network, rounds)
    await throughput(network)
    await healing(network)
    await memory(network)
    left = network.broken()
    row("left in devices, routes, rules, processes", "nothing", ", ".join(left) or "nothing", "")
    await network.stop()


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10, help="cuts a kind of connection")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.inside:
        asyncio.run(inside(chosen.rounds))
        return
    argv = [sys.executable, "-m", "benchmarks.links", "--inside", "--rounds", str(chosen.rounds)]
    sys.exit(asyncio.run(sandbox.run(argv, isolation="namespace")))


if __name__ == "__main__":
    main()

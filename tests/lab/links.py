"""Scenarios of faults on packets, inside a sandbox: `python -m tests.lab.links NAME …`."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from seatrial.engine.lab.network import Network
from seatrial.engine.lab.shaper import program
from seatrial.engine.lab.shaping import Place
from seatrial.engine.lab.world import Lab
from seatrial.errors import Unavailable
from seatrial.fault import PlannedFault, Shape, Traffic
from seatrial.faults import network as kinds
from seatrial.faults.network import OnPackets
from seatrial.faults.partition import PARTITION
from seatrial.verdict import Json
from tests.lab.inner import connected_pair, make_lab, until

ALL = (
    kinds.DELAY,
    kinds.LOSS,
    kinds.DUPLICATE,
    kinds.CORRUPT,
    kinds.REORDER,
    kinds.RATE,
    kinds.BANDWIDTH,
)
QUICK = Traffic(packets=100, packet_bytes=100, interval_s=0.001, patience_s=0.3)


def planned(kind: OnPackets, fault: str = "f1", **options: Json) -> PlannedFault:
    return PlannedFault(
        id=fault, kind=kind.name, victims="one", start_s=0, duration_s=1, options=options
    )


def network_of(lab: Lab) -> Network:
    assert isinstance(lab._links, Network)
    return lab._links


async def packets(isolation: str, folder: Path) -> None:
    """Each kind is proved while it acts and not before; in its direction only; nothing is left."""
    async with make_lab(isolation, folder) as lab:
        world = lab.world
        directions = {"delay": "to", "loss": "from", "duplicate": "both"}
        for kind in ALL:
            options: dict[str, Json] = {
                "direction": directions.get(kind.name, "to"),
                "peers": ["n2"],
            }
            fault = planned(kind, kind.name, **options)
            thorough = kind in (kinds.DELAY, kinds.DUPLICATE, kinds.RATE)
            if thorough:
                before = await kind.prove_injected(world, fault, ["n1"])
                assert not before.seen, before
            await kind.inject(world, fault, ["n1"])
            await kind.inject(world, fault, ["n1"])
            injected = await kind.prove_injected(world, fault, ["n1"])
            assert injected.seen, injected
            both = options["direction"] == "both"
            assert f"{4 if both else 5} others are whole" in injected.sentence, injected
            assert lab.audit() != ()
            if thorough:
                early = await kind.prove_healed(world, fault, ["n1"])
                assert not early.seen, early
            await kind.heal(world, fault, ["n1"])
            await kind.heal(world, fault, ["n1"])
            assert lab.audit() == (), "at once"
            healed = await kind.prove_healed(world, fault, ["n1"])
            assert healed.seen, healed


async def shaper_dies(isolation: str, folder: Path) -> None:
    """When the process that carries the packets dies, links are whole, and the fault knows."""
    async with make_lab(isolation, folder) as lab:
        world, network = lab.world, network_of(lab)
        fault = planned(kinds.LOSS, percent=100.0)
        await kinds.LOSS.inject(world, fault, ["n1"])
        assert not await world.reaches("n1", "n2", 0.2)
        pid = network._shaping["n1"].pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        await until(lambda: network._shaping["n1"].pid is None)
        assert await world.reaches("n1", "n2", 2.0)
        assert lab.audit() == ()
        assert not (await kinds.LOSS.prove_injected(world, fault, ["n1"])).seen
        second = planned(kinds.DELAY, "f2")
        await kinds.DELAY.inject(world, second, ["n1"])
        try:
            await kinds.LOSS.heal(world, fault, ["n1"])
            raise AssertionError("nobody noticed")
        except Unavailable as error:
            assert "ended: signal 9: the fault did not last" in str(error), error
        await kinds.LOSS.heal(world, fault, ["n1"])
        assert list(world.shapes("n1", "n2")) == ["f2"], "the second fault has a process of its own"
        assert (await kinds.DELAY.prove_injected(world, second, ["n1"])).seen
        await lab.heal_everything()
        assert lab.audit() == ()


async def overlap(isolation: str, folder: Path) -> None:
    """Faults on one link add up, beside a partition too, and end in any order."""
    async with make_lab(isolation, folder) as lab:
        world = lab.world
        slow = planned(kinds.DELAY, "slow", latency_ms=40.0, peers=["n2"])
        lossy = planned(kinds.LOSS, "lossy", percent=40.0, peers=["n2"])
        more = planned(kinds.DELAY, "more", latency_ms=30.0, jitter_ms=5.0)
        faults = {slow.id: kinds.DELAY, lossy.id: kinds.LOSS, more.id: kinds.DELAY}
        for fault in (slow, lossy, more):
            await faults[fault.id].inject(world, fault, ["n1"])
        assert set(world.shapes("n1", "n2")) == {"slow", "lossy", "more"}
        assert set(world.shapes("n1", "n3")) == {"more"}
        for fault in (slow, lossy, more):
            proof = await faults[fault.id].prove_injected(world, fault, ["n1"])
            assert proof.seen, proof
        await kinds.DELAY.heal(world, slow, ["n1"])
        proof = await kinds.DELAY.prove_healed(world, slow, ["n1"])
        assert proof.seen, proof
        assert (await kinds.DELAY.prove_injected(world, more, ["n1"])).seen
        cut = PlannedFault(id="cut", kind="partition", victims="one", start_s=0, duration_s=1)
        await PARTITION.inject(world, cut, ["n3"])
        assert (await PARTITION.prove_injected(world, cut, ["n3"])).seen
        proof = await kinds.DELAY.prove_injected(world, more, ["n1"])
        assert proof.seen and proof.measured["cut_by_others"] == ["n1 → n3"], proof
        await kinds.LOSS.heal(world, lossy, ["n1"])
        await kinds.DELAY.heal(world, more, ["n1"])
        assert all("is cut" in line for line in lab.audit()), "a cut outlives the shaping"
        assert not await world.reaches("n1", "n3", 0.2)
        await PARTITION.heal(world, cut, ["n3"])
        assert (await PARTITION.prove_healed(world, cut, ["n3"])).seen
        assert lab.audit() == ()
        await kinds.DELAY.inject(world, planned(kinds.DELAY, "role", peers="leader"), ["n2"])
        assert world.shapes("n2", "n1") and not world.shapes("n2", "n3"), "n1 leads"


async def wire(isolation: str, folder: Path) -> None:
    """What a network engineer would look at: bytes, sizes, headers, checksums, open connections."""
    async with make_lab(isolation, folder) as lab:
        await _tcp_survives(lab)
        await _headers_and_sizes(lab)
        await _checksums(lab)
        await _waiting_packets(lab)
        assert lab.audit() == ()


async def _tcp_survives(lab: Lab) -> None:
    """A connection open before, during and after; a megabyte each way, every byte in its place."""
    world = lab.world
    one, two = await connected_pair(lab, "n1", "n2")
    payload = os.urandom(300_000)
    await _exchange(one, two, payload)
    assert await _round_trip_ms(one, two) < 30
    await world.shape("slow", "n2", "n1", Shape("delay", latency_ms=60))
    assert 60 <= await _round_trip_ms(one, two) < 160, "an open connection feels it at once"
    await world.unshape("slow", "n2", "n1")
    assert await _round_trip_ms(one, two) < 30
    shapes: Mapping[str, Shape] = {
        "corrupt": Shape("corrupt", percent=2),
        "reorder": Shape("reorder", percent=10, latency_ms=5),
        "duplicate": Shape("duplicate", percent=10),
        "loss": Shape("loss", percent=1),
    }
    for name, shape in shapes.items():
        await world.shape(name, "n1", "n2", shape)
    await _exchange(one, two, payload)
    for name in shapes:
        await world.unshape(name, "n1", "n2")
    await _exchange(one, two, payload)
    one.close()
    two.close()


async def _round_trip_ms(one: socket.socket, two: socket.socket) -> float:
    """The least of five round trips."""

    def trip() -> float:
        began = time.monotonic()
        one.sendall(b"?")
        two.sendall(two.recv(1))
        one.recv(1)
        return (time.monotonic() - began) * 1e3

    return min([await asyncio.to_thread(trip) for _ in range(5)])


async def _exchange(one: socket.socket, two: socket.socket, payload: bytes) -> None:
    def receive(end: socket.socket) -> bytes:
        found = bytearray()
        while len(found) < len(payload):
            found += end.recv(1 << 16)
        return bytes(found)

    for source, destination in ((one, two), (two, one)):
        for end in (one, two):
            end.settimeout(20)
        got, _ = await asyncio.gather(
            asyncio.to_thread(receive, destination), asyncio.to_thread(source.sendall, payload)
        )
        assert got == payload


async def _udp_pair(lab: Lab) -> tuple[socket.socket, socket.socket]:
    network = network_of(lab)

    def opened(address: str) -> socket.socket:
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        made.bind((address, 0))
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        made.settimeout(3)
        return made

    rooms = (network._rooms[name] for name in ("n1", "n2"))
    one, two = [await room.call(opened, room.address) for room in rooms]
    one.connect(two.getsockname())
    return one, two


async def _headers_and_sizes(lab: Lab) -> None:
    """TTL, TOS, source address, fragments and the MTU are as on a whole link."""
    one, two = await _udp_pair(lab)
    one.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 37)
    one.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, 0x48)
    two.setsockopt(socket.IPPROTO_IP, 12, 1)  # IP_RECVTTL
    two.setsockopt(socket.IPPROTO_IP, 13, 1)  # IP_RECVTOS
    seen = []
    for shaped in (False, True):
        if shaped:
            await lab.world.shape("f", "n1", "n2", Shape("delay", latency_ms=5))
        large = os.urandom(20_000)  # fourteen fragments
        one.send(large)
        data, notes, _, source = two.recvmsg(65536, 256)
        assert data == large
        one.setsockopt(socket.IPPROTO_IP, 10, 2)  # IP_MTU_DISCOVER: never fragment
        one.send(bytes(1472))
        assert len(two.recv(2000)) == 1472
        try:
            one.send(bytes(1473))
            raise AssertionError("larger than the MTU, and it was sent")
        except OSError as error:
            refusal = error.errno
        one.setsockopt(socket.IPPROTO_IP, 10, 0)
        values = {kind: int.from_bytes(value, sys.byteorder) for _, kind, value in notes}
        seen.append((source, values, refusal))
    assert seen[0] == seen[1], seen
    await lab.world.unshape("f", "n1", "n2")
    one.close()
    two.close()


async def _checksums(lab: Lab) -> None:
    """What is damaged fails the receiver's checksum: it is counted, and never delivered."""
    room = network_of(lab)._rooms["n2"]
    one, two = await _udp_pair(lab)
    two.settimeout(0.3)
    before = await room.call(_checksum_errors)
    await lab.world.shape("f", "n1", "n2", Shape("corrupt", percent=50))
    for _ in range(200):
        one.send(bytes(100))
    await lab.world.unshape("f", "n1", "n2")
    arrived = await asyncio.to_thread(_all, two)  # the kernel checks a sum when it is read
    errors = await room.call(_checksum_errors) - before
    assert set(arrived) == {bytes(100)}
    assert 60 <= errors <= 140 and len(arrived) + errors >= 190, (len(arrived), errors)
    one.close()
    two.close()


def _all(end: socket.socket) -> list[bytes]:
    """Datagrams until none comes for the socket's timeout."""
    found = []
    try:
        while True:
            found.append(end.recv(1000))
    except TimeoutError:
        return found


def _checksum_errors() -> int:
    lines = Path("/proc/thread-self/net/snmp").read_text(encoding="ascii").splitlines()
    names, values = (line.split() for line in lines if line.startswith("Udp:"))
    return int(values[names.index("InCsumErrors")])


async def _waiting_packets(lab: Lab) -> None:
    """What waits on a slow link when it is healed arrives at once and in order; none is lost."""
    one, two = await _udp_pair(lab)
    await lab.world.shape("f", "n1", "n2", Shape("delay", latency_ms=10_000))
    for number in range(300):
        one.send(number.to_bytes(4, "big"))
    await asyncio.sleep(0.05)
    began = time.monotonic()
    await lab.world.unshape("f", "n1", "n2")
    took_s = time.monotonic() - began
    found = [int.from_bytes(two.recv(4), "big") for _ in range(300)]
    assert found == list(range(300))
    assert took_s < 1, took_s
    one.close()
    two.close()


def _received(room: Place) -> int:
    (index,) = room.netlink.link_lookup(ifname=room.device_name)
    (link,) = room.netlink.get_links(index)
    return int(link.get_attr("IFLA_STATS64")["rx_packets"])


async def queue(isolation: str, folder: Path) -> None:
    """A thin line's queue has an end, and memory a bound; healing an overfull one is quick."""
    async with make_lab(isolation, folder) as lab:
        one, two = await _udp_pair(lab)
        await lab.world.shape("f", "n1", "n2", Shape("rate", bits_per_s=64_000))
        room = network_of(lab)._rooms["n2"]
        before = await room.call(_received, room)
        for _ in range(3000):
            one.send(bytes(100))
        shaper = network_of(lab)._shaping["n1"]._shaper
        assert shaper is not None
        text = str(await shaper.ask("count"))
        assert "'held': 1000" in text or "'held': 99" in text, text
        await lab.world.unshape("f", "n1", "n2")
        arrived = await room.call(_received, room) - before
        assert 1000 <= arrived <= 1100, arrived
        one.close()
        two.close()
        assert program.QUEUE_PACKETS >= 3000
        assert lab.audit() == ()


SCENARIOS: dict[str, Callable[[str, Path], Awaitable[None]]] = {
    each.__name__: each for each in (packets, shaper_dies, overlap, wire, queue)
}


async def main() -> None:
    name, isolation, folder = sys.argv[1:]
    await SCENARIOS[name](isolation, Path(folder))


if __name__ == "__main__":
    asyncio.run(main())

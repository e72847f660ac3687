"""A real network for the nodes of one trial, made inside the sandbox with netlink alone.

One network namespace a node, joined by veth pairs to a bridge in the sandbox's own namespace,
where the clients live. Neighbour entries are permanent on all sides, so there is no ARP, and a
link is cut in one direction by giving the destination's entry in the source's namespace a
hardware address that nobody has: what the source sends to it vanishes without an error, on open
connections too, as on a severed line. (A blackhole route would also stop the packets, but it
tells the sender: `connect` fails at once with EINVAL, which no real partition does.) Links that
are slow, lossy or thin go through user space first (`shaper`), and then through the same table.

A node's namespace is held by a thread that lives in it (namespaces(7): network namespaces are a
property of the thread). Sockets that the thread opens and processes that it starts belong to the
namespace for good, wherever they are used afterwards.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from seatrial.engine.lab import syscalls
from seatrial.engine.lab.links import CLIENT, datagram_arrives
from seatrial.engine.lab.probe import Ends, send_and_watch
from seatrial.engine.lab.remains import Remains, remains
from seatrial.engine.lab.shaping import Shaping
from seatrial.engine.lab.sysctl import no_ipv6, no_reverse_path_filter
from seatrial.errors import Unavailable, UsageError
from seatrial.fault import Arrivals, Shape, Traffic

T = TypeVar("T")

BRIDGE = "trial0"
DEVICE = "eth0"
PORT_FIRST = 7001
#: The last byte of addresses; the bridge (the client) has the highest.
NODES_MAX = 100
_AUDIT_TIMEOUT_S = 5.0
_CLIENT_NUMBER = 254
_NOBODY = "02:53:54:ff:ff:ff"
_NUD_PERMANENT = 0x80
_AF_INET = int(socket.AF_INET)


def _ip(number: int) -> str:
    return f"10.71.0.{number}"


def _mac(number: int) -> str:
    return f"02:53:54:00:00:{number:02x}"


@dataclass(slots=True)
class _Room:
    """A network namespace, the thread that lives in it and its netlink socket."""

    name: str
    number: int
    thread: ThreadPoolExecutor
    device_name: str = DEVICE
    device: int = 0
    before: Remains = frozenset()
    _netlink: list[Any] = field(default_factory=list)

    async def call(self, function: Callable[..., T], *args: Any) -> T:
        """Run `function` in the room's thread."""
        return await asyncio.get_running_loop().run_in_executor(self.thread, function, *args)

    @property
    def address(self) -> str:
        """Its IPv4 address."""
        return _ip(self.number)

    @property
    def netlink(self) -> Any:
        """The room's own netlink socket; only for the room's thread."""
        if not self._netlink:
            self._netlink.append(IPRoute())
        return self._netlink[0]

    def close(self) -> None:
        """Give the socket back; only for the room's thread."""
        while self._netlink:
            self._netlink.pop().close()

    def point(self, number: int, hardware: str) -> None:
        """Let packets for node `number` leave towards the `hardware` address."""
        self.netlink.neigh(
            "replace", dst=_ip(number), lladdr=hardware, ifindex=self.device, state=_NUD_PERMANENT
        )

    def pointers(self) -> dict[str, str]:
        """The kernel's neighbour table: IPv4 address → hardware address."""
        return {
            entry.get_attr("NDA_DST"): entry.get_attr("NDA_LLADDR")
            for entry in self.netlink.get_neighbours(family=_AF_INET, ifindex=self.device)
        }


class Network:
    """`Links` of real namespaces; needs the sandbox's `namespace` isolation."""

    def __init__(self, names: Sequence[str], port_names: Sequence[str], seed: int = 0) -> None:
        if len(names) > NODES_MAX or CLIENT in names or len(set(names)) != len(names):
            raise UsageError(f"up to {NODES_MAX} nodes of different names, none called {CLIENT!r}")
        numbers = {name: index for index, name in enumerate(names, 1)} | {CLIENT: _CLIENT_NUMBER}
        self._rooms = {
            name: _Room(name, number, ThreadPoolExecutor(1, thread_name_prefix=f"net-{name}"))
            for name, number in numbers.items()
        }
        self._rooms[CLIENT].device_name = BRIDGE
        self._shaping = {name: Shaping(room, seed) for name, room in self._rooms.items()}
        self._ports = {name: PORT_FIRST + index for index, name in enumerate(port_names)}
        self._leases: Counter[tuple[str, str]] = Counter()
        self._lock = asyncio.Lock()
        self._begun = False

    async def start(self) -> None:
        """Make bridge, namespaces and links: about 50 ms for five nodes."""
        self._begun = True
        try:
            client = self._rooms[CLIENT]
            await client.call(_make_bridge, client)
            for room in self._rooms.values():
                if room is not client:
                    await self._join(client, room)
            await client.call(_make_neighbours, client, [*self._rooms.values()])
            for room in self._rooms.values():
                room.before = await room.call(remains, room)
        except (OSError, NetlinkError) as error:
            raise Unavailable(
                f"the trial's network cannot be made: {error}\n\n"
                "hint: `seatrial doctor` says what is missing (bridge and veth); "
                "`--isolation none` does without"
            ) from error

    async def _join(self, client: _Room, room: _Room) -> None:
        namespace = await room.call(_enter_namespace)
        try:
            await client.call(_make_link, client, room, namespace)
        finally:
            os.close(namespace)
        await room.call(_set_up, room)
        await room.call(_make_neighbours, room, [*self._rooms.values()])

    def address(self, name: str) -> str:
        """The node's address in 10.71.0.0/24."""
        return _ip(self._room(name).number)

    def ports(self, name: str) -> Mapping[str, int]:
        """The same ports on each node: they do not share an address."""
        return dict(self._ports)

    async def launch(
        self, name: str, popen: Callable[[Sequence[str]], subprocess.Popen[bytes]], argv: list[str]
    ) -> subprocess.Popen[bytes]:
        """Start a process in the node's namespace: a child is born where its thread lives."""
        return await self._room(name).call(popen, argv)

    async def cut(self, source: str, destination: str) -> None:
        """Drop what `source` sends to `destination`, about 1 ms from now; counted."""
        room, number = self._link(source, destination)
        async with self._lock:
            if self._leases[source, destination] == 0:
                await room.call(room.point, number, _NOBODY)
            self._leases[source, destination] += 1

    async def mend(self, source: str, destination: str) -> None:
        """Undo one `cut`; one too many does nothing."""
        room, number = self._link(source, destination)
        async with self._lock:
            if self._leases[source, destination] == 1:
                await room.call(room.point, number, _mac(number))
            if self._leases[source, destination] > 0:
                self._leases[source, destination] -= 1

    async def mend_all(self) -> None:
        """Make every link whole, whatever the counts and whatever the kernel holds."""
        for shaping in self._shaping.values():
            await shaping.remove_all()
        async with self._lock:
            for room in self._rooms.values():
                await room.call(_make_neighbours, room, [*self._rooms.values()])
            self._leases.clear()

    def leases(self, source: str, destination: str) -> int:
        """How many cuts of this direction are in place by the books."""
        self._link(source, destination)
        return self._leases[source, destination]

    async def reaches(self, source: str, destination: str, timeout_s: float) -> bool:
        """Whether a UDP datagram from `source`'s namespace is seen in `destination`'s."""
        room, _ = self._link(source, destination)
        target = self._room(destination)
        receiver = await target.call(_udp_socket, _ip(target.number))
        sender = await room.call(_udp_socket, _ip(room.number))
        return await datagram_arrives(sender, receiver, receiver.getsockname(), timeout_s)

    async def shape(self, fault: str, source: str, destination: str, shape: Shape) -> None:
        """Let what `source` sends to `destination` suffer `shape`; some 50 ms for the first."""
        self._link(source, destination)
        try:
            await self._shaping[source].add(self.address(destination), fault, shape)
        except (OSError, NetlinkError) as error:
            raise Unavailable(f"link {source} → {destination} cannot be shaped: {error}") from error

    async def unshape(self, fault: str, source: str, destination: str) -> None:
        """Undo one `shape`; what waits on the link goes on at once."""
        self._link(source, destination)
        await self._shaping[source].remove(self.address(destination), fault)

    def shapes(self, source: str, destination: str) -> Mapping[str, Shape]:
        """What faults do to this direction by the books."""
        self._link(source, destination)
        return self._shaping[source].shapes(self.address(destination))

    async def measure(
        self, traffic: Mapping[tuple[str, str], Traffic]
    ) -> Mapping[tuple[str, str], Arrivals]:
        """Datagrams between the nodes' namespaces; the kernel notes their arrivals."""
        ends: dict[tuple[str, str], Ends] = {}
        stop = threading.Event()
        try:
            for (source, destination), plan in traffic.items():
                room, _ = self._link(source, destination)
                target = self._room(destination)
                ends[source, destination] = await Ends.open(room, target, plan)
            work = asyncio.ensure_future(asyncio.to_thread(send_and_watch, ends, stop))
            try:
                return await asyncio.shield(work)
            finally:
                stop.set()
                await asyncio.wait({work})  # its sockets are closed next
        finally:
            for pair in ends.values():
                pair.close()

    def broken(self) -> tuple[str, ...]:
        """Each direction that the kernel's tables do not lead to its node, and each device, route
        or rule that was not there at the start, in words.
        """
        found = [
            f"{name} still has a process for faulty links (pid {shaping.pid})"
            for name, shaping in self._shaping.items()
            if shaping.pid is not None
        ]
        for room in self._rooms.values():
            table = room.thread.submit(room.pointers).result(_AUDIT_TIMEOUT_S)
            for other in self._rooms.values():
                if other is not room and table.get(_ip(other.number)) != _mac(other.number):
                    found.append(f"link {room.name} → {other.name} is cut")
            now = room.thread.submit(remains, room).result(_AUDIT_TIMEOUT_S)
            found += [f"{room.name} has {thing}" for thing in sorted(now - room.before)]
            found += [f"{room.name} lacks {thing}" for thing in sorted(room.before - now)]
        return tuple(found)

    async def stop(self) -> None:
        """End the threads; the namespaces go with them and with the nodes' processes."""
        if not self._begun:
            return  # nothing here is ours to remove
        for shaping in self._shaping.values():
            await shaping.remove_all()
        client = self._rooms[CLIENT]
        with contextlib.suppress(NetlinkError):
            await client.call(_remove_bridge, client, [*self._rooms.values()])
        for room in self._rooms.values():
            await room.call(room.close)
            room.thread.shutdown()

    def _room(self, name: str) -> _Room:
        try:
            return self._rooms[name]
        except KeyError:
            known = ", ".join(self._rooms)
            raise UsageError(f"no node is called {name!r}\n\nhint: known: {known}") from None

    def _link(self, source: str, destination: str) -> tuple[_Room, int]:
        if source == destination:
            raise UsageError(f"a link has two ends, and both are {source!r}")
        return self._room(source), self._room(destination).number


def _enter_namespace() -> int:
    """Give the calling thread a new network namespace; a file descriptor of it."""
    syscalls.unshare(syscalls.CLONE_NEWNET)
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def _make_bridge(client: _Room) -> None:
    client.netlink.link("add", ifname=BRIDGE, kind="bridge", address=_mac(client.number))
    no_ipv6(BRIDGE)
    no_reverse_path_filter(BRIDGE)
    _address(client, BRIDGE)


def _remove_bridge(client: _Room, rooms: Sequence[_Room]) -> None:
    for name in [f"to{room.number}" for room in rooms] + [BRIDGE]:
        for index in client.netlink.link_lookup(ifname=name):
            client.netlink.link("del", index=index)


def _make_link(client: _Room, room: _Room, namespace: int) -> None:
    """A veth pair: one end a port of the bridge, the other one the node's device."""
    near = f"to{room.number}"
    peer = {"ifname": DEVICE, "net_ns_fd": namespace, "address": _mac(room.number)}
    client.netlink.link("add", ifname=near, kind="veth", peer=peer)
    no_ipv6(near)
    (index,) = client.netlink.link_lookup(ifname=near)
    (bridge,) = client.netlink.link_lookup(ifname=BRIDGE)
    client.netlink.link("set", index=index, master=bridge, state="up")


def _set_up(room: _Room) -> None:
    (loopback,) = room.netlink.link_lookup(ifname="lo")
    room.netlink.link("set", index=loopback, state="up")
    no_ipv6(DEVICE)
    no_reverse_path_filter(DEVICE)
    _address(room, DEVICE)


def _address(room: _Room, device: str) -> None:
    (room.device,) = room.netlink.link_lookup(ifname=device)
    room.netlink.addr("add", index=room.device, address=_ip(room.number), prefixlen=24)
    room.netlink.link("set", index=room.device, state="up")


def _make_neighbours(room: _Room, rooms: Sequence[_Room]) -> None:
    for other in rooms:
        if other is not room:
            room.point(other.number, _mac(other.number))


def _udp_socket(address: str) -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
    made.bind((address, 0))
    return made

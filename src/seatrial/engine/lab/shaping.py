"""Which links of a trial's network are shaped, by the books and by the kernel.

The books say what each fault asked for; the kernel holds a TUN device a node with faulty links,
and a route into it for each of those. When a shaper process dies, its links are whole at once,
and the faults that were on them are told when they are healed: such a fault did not last.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from typing import Any, Protocol, TypeVar

from pyroute2.netlink.exceptions import NetlinkError

from seatrial.engine.lab.shaper.control import Shaper
from seatrial.engine.lab.shaper.program import QUEUE_PACKETS
from seatrial.engine.lab.sysctl import no_ipv6
from seatrial.errors import Unavailable
from seatrial.fault import Shape

T = TypeVar("T")

TUN = "shaped0"
_SCOPE_LINK = 253


class Place(Protocol):
    """A node's network namespace, as `network` has it."""

    @property
    def name(self) -> str:
        """The node's name."""
        ...

    @property
    def address(self) -> str:
        """The node's address."""
        ...

    @property
    def device_name(self) -> str:
        """Its real device."""
        ...

    @property
    def netlink(self) -> Any:
        """The namespace's netlink socket; only for functions that `call` runs."""
        ...

    def call(self, function: Callable[..., T], *args: Any) -> Awaitable[T]:
        """Run a function in the namespace."""
        ...


class Shaping:
    """All shaped links that leave one node."""

    def __init__(self, place: Place, seed: int) -> None:
        self._place, self._seed = place, seed
        self._shaper: Shaper | None = None
        #: Destination's address → fault → what it asked for.
        self._books: dict[str, dict[str, Shape]] = {}
        #: (address, fault) → why it ended before it was healed.
        self._broken: dict[tuple[str, str], str] = {}
        self._lock = asyncio.Lock()

    def shapes(self, address: str) -> Mapping[str, Shape]:
        """What faults do to packets for `address` now, by the books."""
        return dict(self._books.get(address, {}))

    @property
    def pid(self) -> int | None:
        """The shaper's process number while there is one."""
        return self._shaper.pid if self._shaper is not None and self._shaper.alive else None

    async def add(self, address: str, fault: str, shape: Shape) -> None:
        """Shape packets for `address` from now on; again for the same fault does nothing."""
        async with self._lock:
            if fault in self._books.get(address, {}):
                return
            fresh = address not in self._books
            self._books.setdefault(address, {})[fault] = shape
            try:
                shaper = await self._running()
                await shaper.ask(
                    "add",
                    address=address,
                    fault=fault,
                    action=shape.action,
                    values={k: v for k, v in asdict(shape).items() if k != "action"},
                    seed=f"{self._seed} {fault} {self._place.name} {address}",
                )
                if fresh:
                    await self._place.call(_add_route, self._place, address)
            except BaseException:
                await self._forget(address, fault)
                raise

    async def remove(self, address: str, fault: str) -> None:
        """Undo one `add`; packets that wait go on at once. Raises `Unavailable` if the shaper
        died meanwhile (all is undone then as well); once is told, a second time does nothing.
        """
        async with self._lock:
            if (problem := self._broken.pop((address, fault), None)) is not None:
                raise Unavailable(f"{self._place.name}: {problem}: the fault did not last")
            if fault not in self._books.get(address, {}):
                return
            try:
                if self._shaper is not None:
                    await self._shaper.ask("remove", address=address, fault=fault)
            finally:
                await self._forget(address, fault)

    async def _forget(self, address: str, fault: str) -> None:
        faults = self._books.get(address, {})
        faults.pop(fault, None)
        if not faults and self._books.pop(address, None) is not None and self._shaper is not None:
            await self._place.call(_remove_route, self._place, address)
        if not self._books and self._shaper is not None:
            shaper, self._shaper = self._shaper, None
            await shaper.stop()

    async def remove_all(self) -> None:
        """Make every link that leaves the node whole, whatever the books say."""
        async with self._lock:
            self._books.clear()
            self._broken.clear()
            if self._shaper is not None:
                shaper, self._shaper = self._shaper, None
                await shaper.stop()

    async def _running(self) -> Shaper:
        if self._shaper is None:
            self._shaper = await Shaper.start(
                self._place.call, name=TUN, device=self._place.device_name, died=self._on_death
            )
            await self._place.call(_set_up, self._place)
        return self._shaper

    def _on_death(self, sentence: str) -> None:
        """The kernel has taken device and routes away; the books follow, and remember why."""
        self._shaper = None
        for address, faults in self._books.items():
            self._broken.update({(address, fault): sentence for fault in faults})
        self._books.clear()


def _set_up(place: Place) -> None:
    """The TUN device as large as the real one, without IPv6 of its own."""
    (real,) = place.netlink.link_lookup(ifname=place.device_name)
    (index,) = place.netlink.link_lookup(ifname=TUN)
    no_ipv6(TUN)
    mtu = place.netlink.get_links(real)[0].get_attr("IFLA_MTU")
    place.netlink.link("set", index=index, mtu=mtu, txqlen=QUEUE_PACKETS, state="up")


def _add_route(place: Place, address: str) -> None:
    (index,) = place.netlink.link_lookup(ifname=TUN)
    place.netlink.route(
        "replace", dst=f"{address}/32", oif=index, prefsrc=place.address, scope=_SCOPE_LINK
    )


def _remove_route(place: Place, address: str) -> None:
    """Whatever is left all the same is found by the audit."""
    with contextlib.suppress(NetlinkError):
        (index,) = place.netlink.link_lookup(ifname=TUN) or (0,)
        place.netlink.route("del", dst=f"{address}/32", oif=index, scope=_SCOPE_LINK)

"""A rehearsal of what the lab needs, run in a sandbox by `seatrial doctor`: try it, do not guess.

Prints one JSON object: the name of each thing tried → "" or why it does not work.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import struct
import sys
import tempfile
from collections.abc import Callable

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from seatrial.engine.lab import syscalls
from seatrial.engine.lab.network import DEVICE, Network
from seatrial.errors import SeatrialError

TIMEOUT_S = 10.0
_ARRIVAL_S = 2.0
_SILENCE_S = 0.1
_TUNSETIFF = 0x400454CA
_IFF_TUN_NO_PI = 0x1001


async def rehearse() -> dict[str, str]:
    """Try each thing that the lab or one of its faults uses."""
    network = Network(("n1", "n2"), ())
    found = {"network": await _network(network)}
    if not found["network"]:
        found["netem"] = await network._rooms["n1"].call(_attempt, _netem)
    await network.stop()
    for name, action in (("tun", _tun), ("fuse", _fuse), ("tmpfs", _tmpfs)):
        found[name] = _attempt(action)
    return found


async def _network(network: Network) -> str:
    """Bridge, veth, namespaces, and a cut that acts in one direction."""
    try:
        await network.start()
        if not await network.reaches("n1", "n2", _ARRIVAL_S):
            return "no packet gets from one node to the other"
        await network.cut("n1", "n2")
        if await network.reaches("n1", "n2", _SILENCE_S):
            return "packets pass a link that is cut"
        if not await network.reaches("n2", "n1", _ARRIVAL_S):
            return "a cut stops the other direction too"
    except (SeatrialError, OSError) as error:
        return str(error).splitlines()[0]
    return ""


def _attempt(action: Callable[[], None]) -> str:
    try:
        action()
    except NetlinkError as error:
        return os.strerror(error.code)
    except OSError as error:
        return str(error)
    return ""


def _netem() -> None:
    with IPRoute() as netlink:
        (index,) = netlink.link_lookup(ifname=DEVICE)
        netlink.tc("add", "netem", index=index, handle="1:", delay=1000)


def _tun() -> None:
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.ioctl(device, _TUNSETIFF, struct.pack("16sH22x", b"rehearsal0", _IFF_TUN_NO_PI))
    finally:
        os.close(device)


def _fuse() -> None:
    device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    try:
        with tempfile.TemporaryDirectory() as folder:
            data = f"fd={device},rootmode=40000,user_id={os.getuid()},group_id={os.getgid()}"
            flags = syscalls.MS_NOSUID | syscalls.MS_NODEV
            syscalls.mount("rehearsal", folder, "fuse", flags, data)
            syscalls.unmount(folder)
    finally:
        os.close(device)


def _tmpfs() -> None:
    with tempfile.TemporaryDirectory() as folder:
        syscalls.mount("rehearsal", folder, "tmpfs", 0, "size=1m")
        syscalls.unmount(folder)


if __name__ == "__main__":
    json.dump(asyncio.run(rehearse()), sys.stdout)

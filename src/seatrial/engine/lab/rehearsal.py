"""A rehearsal of what the lab needs, run in a sandbox by `seatrial doctor`: try it, do not guess.

Prints one JSON object: the name of each thing tried → "" or why it does not work.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
from collections.abc import Callable

from seatrial.engine.lab import syscalls
from seatrial.engine.lab.network import Network
from seatrial.errors import SeatrialError
from seatrial.fault import Shape

TIMEOUT_S = 10.0
_ARRIVAL_S = 2.0
_SILENCE_S = 0.1


async def rehearse() -> dict[str, str]:
    """Try each thing that the lab or one of its faults uses."""
    network = Network(("n1", "n2"), ())
    found = {"network": await _network(network)}
    if not found["network"]:
        found["tun"] = await _shaped(network)
    await network.stop()
    for name, action in (("fuse", _fuse), ("tmpfs", _tmpfs)):
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
        await network.mend("n1", "n2")
    except (SeatrialError, OSError) as error:
        return str(error).splitlines()[0]
    return ""


async def _shaped(network: Network) -> str:
    """A link that loses all through user space, and is whole again."""
    try:
        await network.shape("rehearsal", "n1", "n2", Shape("loss", percent=100))
        if await network.reaches("n1", "n2", _SILENCE_S):
            return "packets do not take the way through user space"
        await network.unshape("rehearsal", "n1", "n2")
        if not await network.reaches("n1", "n2", _ARRIVAL_S):
            return "a faulty link does not heal"
    except (SeatrialError, OSError) as error:
        return str(error).splitlines()[0]
    return "; ".join(network.broken())


def _attempt(action: Callable[[], None]) -> str:
    try:
        action()
    except OSError as error:
        return str(error)
    return ""


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

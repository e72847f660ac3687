"""What the kinds that break a disk share: can it be done here, and is the node back."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from seatrial.fault import CLUSTER, World
from seatrial.faults import down
from seatrial.faults.broken import elsewhere
from seatrial.faults.chaos import io
from seatrial.verdict import Json

Method = Literal["read", "write", "fsync", "create", "remove", "rename"]

#: Our names of what a disk does → those of IOChaos (FUSE's own).
CALLS: Mapping[str, tuple[io.Method, ...]] = {
    "read": ("read",),
    "write": ("write",),
    "fsync": ("fsync", "fsyncdir"),
    "create": ("create", "mkdir", "mknod"),
    "remove": ("unlink", "rmdir"),
    "rename": ("rename",),
}
#: Where a node's data volume is mounted in its container.
VOLUME_PATH = "/seatrial/data"
FUSE = Path("/dev/fuse")


def calls(methods: Sequence[Method]) -> tuple[io.Method, ...]:
    """The same methods as IOChaos calls them."""
    return tuple(call for method in methods for call in CALLS[method])


def no_volume(kind: str, isolation: str) -> str:
    """Why a node has no volume of its own there, "" if it has."""
    if isolation in ("namespace", CLUSTER):
        return ""
    return (
        f"{kind} needs a volume of its own for each node, and isolation {isolation} has folders on "
        "one disk\n\nhint: run with isolation namespace; `seatrial doctor` says how to allow it "
        "on this machine"
    )


def no_fuse(kind: str, isolation: str) -> str:
    """Why the lab's own file system cannot be put under a node there, "" if it can."""
    if problem := no_volume(kind, isolation):
        return problem
    if isolation != CLUSTER and not os.access(FUSE, os.R_OK | os.W_OK):
        what = "may not be opened by this user" if FUSE.exists() else "does not exist"
        return (
            f"{kind} needs FUSE, and {FUSE} {what}\n\n"
            f"hint: sudo modprobe fuse && sudo chmod 0666 {FUSE}"
        )
    return ""


async def back_again(world: World, victims: Sequence[str]) -> tuple[list[str], dict[str, Json]]:
    """Start what a broken disk ended, and wait for the answers: problems, and what was measured."""
    for node in victims:
        if world.pid(node) is None and not down.DOWN.is_held(world, node):
            await world.restart(node)
    others = elsewhere(world, victims)
    answers = await asyncio.gather(*(world.ready(node, down.READY_TIMEOUT_S) for node in victims))
    others += elsewhere(world, victims)
    silent = [
        node
        for node, answer in zip(victims, answers, strict=True)
        if not answer and not down.DOWN.is_held(world, node)
    ]
    measured: dict[str, Json] = {"also_broken": [*others], "answers": [*answers]}
    return [f"{node}: no answer within {down.READY_TIMEOUT_S:.0f} s" for node in silent], measured

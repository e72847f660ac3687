"""What the kinds that break a disk share: can it be done here, what does the volume do, is it back.

The probes work on the node's own volume with the system calls that any process would make, so they
know nothing of how a fault is brought about.
"""

from __future__ import annotations

import asyncio
import mmap
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal

from seatrial.fault import World
from seatrial.faults import down
from seatrial.faults.broken import elsewhere
from seatrial.verdict import Json

Method = Literal["read", "write", "fsync", "create", "remove", "rename"]

FUSE = Path("/dev/fuse")
#: Names that the probes use in a node's data folder, gone again after each probe.
PROBE = ".seatrial-probe"
_PIECE = 4096
#: How long one probe of a volume may take.
PROBE_TIMEOUT_S = 20.0
#: How often a probe tries what may fail by chance.
TRIES_MAX = 50


def no_volume(kind: str, isolation: str) -> str:
    """Why a node has no volume of its own there, "" if it has."""
    if isolation == "namespace":
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
    if not os.access(FUSE, os.R_OK | os.W_OK):
        what = "may not be opened by this user" if FUSE.exists() else "does not exist"
        return (
            f"{kind} needs FUSE, and {FUSE} {what}\n\n"
            f"hint: sudo modprobe fuse && sudo chmod 0666 {FUSE}"
        )
    return ""


#: Method → (seconds, errno or 0) of each call.
Reading = Mapping[str, Sequence[tuple[float, int]]]


async def try_methods(world: World, node: str, methods: Sequence[str], times: int) -> Reading:
    """Call each method on the node's volume, up to `times` times within the bound."""
    folder = world.volume(node)
    work = asyncio.to_thread(_try_methods, folder / PROBE, folder / f"{PROBE}-2", methods, times)
    return await asyncio.wait_for(work, PROBE_TIMEOUT_S)


def _try_methods(path: Path, other: Path, methods: Sequence[str], times: int) -> Reading:
    deadline = time.monotonic() + PROBE_TIMEOUT_S / 2
    found: dict[str, list[tuple[float, int]]] = {"create": []}
    fd = -1
    for _ in range(TRIES_MAX):  # making a file may be among what fails
        begin = time.perf_counter()
        try:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_DIRECT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            found["create"].append((time.perf_counter() - begin, error.errno or 0))
            continue
        found["create"].append((time.perf_counter() - begin, 0))
        break
    if fd < 0:
        return found
    try:
        calls = _calls(fd, path, other)
        for method in methods:
            samples = found.setdefault(method, [])
            while len(samples) < times and time.monotonic() < deadline:
                samples.append(_timed(*calls[method]))
    finally:
        os.close(fd)
        for left in (other, path):
            _gladly(left.unlink)
    return {method: found[method] for method in methods}


def _calls(
    fd: int, path: Path, other: Path
) -> Mapping[str, tuple[Callable[[], object], Callable[[], object]]]:
    """Method → (what is timed, what puts things back). Direct, so that no cache answers."""
    page = mmap.mmap(-1, _PIECE)
    _gladly(lambda: os.pwrite(fd, page, 0))

    def nothing() -> None: ...

    def touch() -> None:
        os.close(os.open(other, os.O_CREAT | os.O_CLOEXEC, 0o600))

    return {
        "read": (lambda: os.preadv(fd, [page], 0), nothing),
        "write": (lambda: os.pwrite(fd, page, 0), nothing),
        "fsync": (lambda: os.fsync(fd), nothing),
        "create": (touch, other.unlink),
        "remove": (other.unlink, nothing),
        "rename": (lambda: path.rename(other), lambda: other.rename(path)),
    }


def _timed(call: Callable[[], object], back: Callable[[], object]) -> tuple[float, int]:
    begin, number = time.perf_counter(), 0
    try:
        call()
    except OSError as error:
        number = error.errno or 0
    took_s = time.perf_counter() - begin
    _gladly(back)
    return took_s, number


def _gladly(call: Callable[[], object]) -> None:
    """Do it if it can be done; the volume may refuse anything while it is broken."""
    for _ in range(TRIES_MAX):
        try:
            call()
            return
        except FileNotFoundError:
            return
        except OSError:
            continue


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

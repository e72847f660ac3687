"""The lab's side of the nodes' volumes: makes, commands, watches and removes them.

Three kinds: `plain` (a folder on the trial's tmpfs), `sized` (a tmpfs of its own for each node,
which can be made to have no space left), `fuse` (the file system of `server` on top of such a
tmpfs). All mounts belong to the sandbox's mount namespace and vanish with it, whatever happens.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import os
import socket
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import seatrial
from seatrial.engine.lab import syscalls
from seatrial.errors import CannotCreate, Unavailable
from seatrial.fault import DiskRule, VolumeNeed
from seatrial.verdict import Json

#: How long a volume's server may take to answer a command, or to end.
ANSWER_TIMEOUT_S = 10.0
#: A size is set anew when the node wrote meanwhile, so many times.
LIMIT_TRIES_MAX = 20
_FLAGS = syscalls.MS_NOSUID | syscalls.MS_NODEV
_BOOT = (
    "import sys; sys.path.insert(0, {root!r}); "
    "from seatrial.engine.lab.volume import server; server.main()"
)


@dataclass(slots=True)
class Volume:
    """One node's volume. `disk` is the tmpfs that is limited; `path` is what the node sees."""

    node: str
    path: Path
    disk: Path
    size: int
    server: asyncio.subprocess.Process | None = None
    reader: asyncio.StreamReader | None = None
    writer: asyncio.StreamWriter | None = None
    rules: dict[str, tuple[DiskRule, ...]] = field(default_factory=dict)
    limits: dict[str, int] = field(default_factory=dict)
    is_cut: bool = False
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class Volumes:
    """All nodes' volumes; empty where the plan needs none."""

    def __init__(self, need: VolumeNeed) -> None:
        self._need = need
        self._volumes: dict[str, Volume] = {}

    async def start(self, scratch: Path, names: Sequence[str], bytes_max: int) -> None:
        """Mount one volume a node over its folder; raises `CannotCreate`, `Unavailable`."""
        if self._need.kind == "plain":
            return
        for name in names:
            path = scratch / name
            disk = path if self._need.kind == "sized" else scratch / ".disks" / name
            volume = Volume(name, path, disk, _round_up(bytes_max // len(names)))
            try:
                disk.mkdir(parents=True, exist_ok=True)
                options = f"size={volume.size},mode=0700"
                syscalls.mount("seatrial", str(disk), "tmpfs", _FLAGS, options)
                self._volumes[name] = volume
                if self._need.kind == "fuse":
                    await self._serve(volume)
            except OSError as error:
                raise CannotCreate(f"the volume of {name} cannot be made: {error}") from error

    async def _serve(self, volume: Volume) -> None:
        try:
            device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            raise Unavailable(
                f"/dev/fuse cannot be opened: {error.strerror}\n\n"
                "hint: `seatrial doctor` says how to allow it"
            ) from None
        ours, theirs = socket.socketpair()
        try:
            data = f"fd={device},rootmode=40000,user_id={os.getuid()},group_id={os.getgid()}"
            syscalls.mount("seatrial", str(volume.path), "fuse", _FLAGS, data)
            spec = {
                "fuse_fd": device,
                "control_fd": theirs.fileno(),
                "folder": str(volume.disk),
                "metadata": self._need.metadata or "journalled",
            }
            root = str(Path(seatrial.__file__).parent.parent)
            volume.server = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-S", "-c", _BOOT.format(root=root), json.dumps(spec)),
                pass_fds=(device, theirs.fileno()),
                stdin=asyncio.subprocess.DEVNULL,
                start_new_session=True,
            )
        finally:
            os.close(device)
            theirs.close()
        volume.reader, volume.writer = await asyncio.open_connection(sock=ours)
        await _ask(volume, do="stats")
        await asyncio.wait_for(asyncio.to_thread(os.listdir, volume.path), ANSWER_TIMEOUT_S)

    async def stop(self) -> None:
        """Unmount all and end the servers; safe after a `start` that failed."""
        for volume in self._volumes.values():
            with contextlib.suppress(OSError):
                if volume.path != volume.disk and volume.server is not None:
                    syscalls.unmount(str(volume.path))
            if volume.writer is not None:
                volume.writer.close()
            if volume.server is not None:
                try:
                    await asyncio.wait_for(volume.server.wait(), ANSWER_TIMEOUT_S)
                except TimeoutError:
                    volume.server.kill()
                    await volume.server.wait()
            with contextlib.suppress(OSError):
                syscalls.unmount(str(volume.disk))
        self._volumes.clear()

    # ── what faults do ───────────────────────────────────────────────────────────────────────

    async def rule(self, node: str, fault: str, rules: Sequence[DiskRule]) -> None:
        """Let `rules` be what `fault` does to the node's disk; none ends it."""
        volume = self._of(node)
        if rules:
            volume.rules[fault] = tuple(rules)
        else:
            volume.rules.pop(fault, None)
        every = [asdict(rule) for kept in volume.rules.values() for rule in kept]
        await _ask(volume, do="rules", rules=[{**r, "methods": [*r["methods"]]} for r in every])

    async def limit(self, node: str, fault: str, free: int | None) -> None:
        """Leave the node's volume `free` bytes; None ends what `fault` limited."""
        volume = self._of(node)
        if free is None:
            volume.limits.pop(fault, None)
        else:
            volume.limits[fault] = free
        for _ in range(LIMIT_TRIES_MAX):
            size = volume.size
            if volume.limits:
                there = os.statvfs(volume.disk)
                used = (there.f_blocks - there.f_bfree) * there.f_frsize
                size = min(size, _round_up(used + min(volume.limits.values())))
            try:
                flags = _FLAGS | syscalls.MS_REMOUNT
                syscalls.mount("seatrial", str(volume.disk), "tmpfs", flags, f"size={size}")
                return
            except OSError as error:
                if error.errno != errno.EINVAL:  # it holds more than that by now
                    raise Unavailable(f"the volume of {node} cannot be resized: {error}") from None
        raise Unavailable(f"the volume of {node} grew faster than it could be limited")

    async def cut_power(self, node: str) -> None:
        """From now on nothing reaches the node's disk."""
        volume = self._of(node)
        await _ask(volume, do="cut")
        volume.is_cut = True

    async def restore_power(self, node: str) -> Mapping[str, Json]:
        """Throw away what had not reached the disk; what that was (counts)."""
        volume = self._of(node)
        answer = await _ask(volume, do="drop")
        volume.is_cut = False
        lost: Mapping[str, Json] = answer["lost"]
        return lost

    async def heal(self) -> None:
        """End everything that faults did to volumes."""
        for volume in self._volumes.values():
            with contextlib.suppress(Unavailable):  # what is left, `broken` says
                for fault in (*volume.limits, ""):
                    await self.limit(volume.node, fault, None)
                if volume.server is not None:
                    volume.rules.clear()
                    await self.rule(volume.node, "", ())
                    if volume.is_cut:
                        await self.restore_power(volume.node)

    def broken(self) -> tuple[str, ...]:
        """What is left of faults, in words: by the kernel's tables and the servers' state."""
        found = []
        for volume in self._volumes.values():
            there = os.statvfs(volume.disk)
            if there.f_blocks * there.f_frsize != volume.size:
                found.append(f"the volume of {volume.node} is still limited")
            if volume.server is not None and volume.server.returncode is not None:
                found.append(f"the file system of {volume.node} ended by itself")
            found += [f"{fault} still acts on the disk of {volume.node}" for fault in volume.rules]
            if volume.is_cut:
                found.append(f"the disk of {volume.node} is still without power")
        return tuple(found)

    def _of(self, node: str) -> Volume:
        found = self._volumes.get(node)
        if found is None:
            raise Unavailable(
                f"the data of {node} lie on no volume of their own, so its disk cannot be broken"
                "\n\nhint: this is a fault that the plan does not name"
            )
        return found


async def _ask(volume: Volume, **command: Any) -> dict[str, Any]:
    """One command to a volume's server, one answer."""
    if volume.reader is None or volume.writer is None:
        raise Unavailable(f"the volume of {volume.node} is no file system of the lab's own")
    try:
        async with volume.lock, asyncio.timeout(ANSWER_TIMEOUT_S):
            volume.writer.write(json.dumps(command).encode() + b"\n")
            line = await volume.reader.readline()
    except (TimeoutError, ConnectionError) as error:
        raise Unavailable(f"the file system of {volume.node} does not answer: {error}") from None
    if not line:
        raise Unavailable(f"the file system of {volume.node} ended by itself")
    answer: dict[str, Any] = json.loads(line)
    return answer


def _round_up(size: int) -> int:
    page = os.sysconf("SC_PAGE_SIZE")
    return max(page, -(-size // page) * page)

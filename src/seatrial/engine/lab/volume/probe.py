"""What a process on the node sees of its volume: the probes of the faults of the disk.

System calls that any process would make, on the node's own data folder; they know nothing of how
a fault is brought about. Everything runs in a thread: a broken disk makes its callers wait.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import mmap
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from seatrial.readings import DiskCall

T = TypeVar("T")

#: Names that the probes use in a node's data folder, gone again after each probe.
PROBE = ".seatrial-probe"
_PIECE = 4096
_FILL_PIECE = bytes(64 * 1024)
#: How long one probe of a volume may take.
PROBE_TIMEOUT_S = 20.0
#: How often a probe tries what may fail by chance.
TRIES_MAX = 50


async def try_calls(
    folder: Path, methods: Sequence[str], times: int
) -> Mapping[str, tuple[DiskCall, ...]]:
    """Call each method on the volume, up to `times` times within the bound."""
    return await _thread(_try_calls, folder / PROBE, folder / f"{PROBE}-2", methods, times)


async def fill(folder: Path, size: int) -> DiskCall:
    """Write a new file of `size` bytes and remove it: how much could be written, the error."""
    return await _thread(_fill, folder / PROBE, size)


async def put(folder: Path, name: str, text: str, *, synced: bool) -> None:
    """Write a small file; `synced` brings it and its name to the disk. Raises OSError."""
    await _thread(_put, folder, name, text.encode(), synced)


async def get(folder: Path, name: str) -> str | None:
    """The text of a small file, None if there is none."""
    return await _thread(_get, folder / name)


async def remove(folder: Path, name: str) -> None:
    """Remove a file if it is there."""
    await _thread(lambda: (folder / name).unlink(missing_ok=True))


async def _thread(work: Callable[..., T], *args: object) -> T:
    return await asyncio.wait_for(asyncio.to_thread(work, *args), PROBE_TIMEOUT_S)


def _try_calls(
    path: Path, other: Path, methods: Sequence[str], times: int
) -> Mapping[str, tuple[DiskCall, ...]]:
    deadline = time.monotonic() + PROBE_TIMEOUT_S / 2
    found: dict[str, list[DiskCall]] = {"create": []}
    fd = -1
    for _ in range(TRIES_MAX):  # making a file may be among what fails
        begin = time.perf_counter()
        try:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_DIRECT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            found["create"].append(DiskCall(time.perf_counter() - begin, error.errno or 0))
            continue
        found["create"].append(DiskCall(time.perf_counter() - begin))
        break
    if fd < 0:
        return {"create": tuple(found["create"])}
    read_from = fd
    try:
        page = mmap.mmap(-1, _PIECE)
        _gladly(lambda: os.pwrite(fd, page, 0))
        read_from = _open_to_read(fd, path.parent)
        calls = _calls(fd, read_from, path, other)
        for method in methods:
            samples = found.setdefault(method, [])
            while len(samples) < times and time.monotonic() < deadline:
                samples.append(_timed(*calls[method]))
    finally:
        for opened in {fd, read_from}:
            os.close(opened)
        for left in (other, path):
            _gladly(left.unlink)
    return {method: tuple(found[method]) for method in methods}


def _open_to_read(fd: int, folder: Path) -> int:
    """A descriptor with something to read behind it: the kernel answers for an empty file itself.

    That is the probe's own file where it could be written, else the biggest one on the volume.
    """
    if os.fstat(fd).st_size:
        return os.dup(fd)
    sizes: dict[Path, int] = {}
    for found in folder.rglob("*"):
        with contextlib.suppress(OSError):
            if found.is_file():
                sizes[found] = found.stat().st_size
    biggest = max(sizes, key=lambda one: sizes[one], default=None)
    with contextlib.suppress(OSError):
        if biggest is not None and sizes[biggest]:
            return os.open(biggest, os.O_RDONLY | os.O_DIRECT | os.O_CLOEXEC)
    return os.dup(fd)


def _calls(
    fd: int, read_from: int, path: Path, other: Path
) -> Mapping[str, tuple[Callable[[], object], Callable[[], object]]]:
    """Method → (what is timed, what puts things back). Direct, so that no cache answers."""
    page = mmap.mmap(-1, _PIECE)

    def nothing() -> None: ...

    def touch() -> None:
        os.close(os.open(other, os.O_CREAT | os.O_CLOEXEC, 0o600))

    return {
        "read": (lambda: os.preadv(read_from, [page], 0), nothing),
        "write": (lambda: os.pwrite(fd, page, 0), nothing),
        "fsync": (lambda: os.fsync(fd), nothing),
        "create": (touch, other.unlink),
        "remove": (other.unlink, nothing),
        "rename": (lambda: path.rename(other), lambda: other.rename(path)),
    }


def _timed(call: Callable[[], object], back: Callable[[], object]) -> DiskCall:
    begin, number = time.perf_counter(), 0
    try:
        call()
    except OSError as error:
        number = error.errno or 0
    took_s = time.perf_counter() - begin
    _gladly(back)
    return DiskCall(took_s, number)


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


def _fill(path: Path, size: int) -> DiskCall:
    begin, written, number = time.perf_counter(), 0, 0
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    except OSError as error:
        return DiskCall(0.0, error.errno or errno.EIO)
    try:
        while written < size:
            written += os.write(fd, _FILL_PIECE)
    except OSError as error:
        number = error.errno or errno.EIO
    finally:
        os.close(fd)
        path.unlink(missing_ok=True)
    return DiskCall(time.perf_counter() - begin, number, written)


def _put(folder: Path, name: str, content: bytes, synced: bool) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
    file = os.open(folder / name, flags, 0o600)
    try:
        os.write(file, content)
        if synced:
            os.fsync(file)  # of a file set apart: its name as well (`store.APART`)
    finally:
        os.close(file)


def _get(path: Path) -> str | None:
    try:
        return path.read_bytes().decode(errors="replace")
    except FileNotFoundError:
        return None

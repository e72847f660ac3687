"""What calls on a node's volume do, seen through the node's own mounts.

`python -m seatrial.engine.argo.inpod.disk PROCESS VOLUME TIMES METHOD…` looks below
`/proc/PID/root` of the node's process, where the file system that IOChaos (toda) puts over the
volume is seen as the node sees it. The calls are those of the lab's probe. Prints JSON: method →
list of [seconds, errno], or `{"why": …}` where it cannot be tried. Two words are no calls:
`verify` writes bytes and reads them back (list of [wrong bytes, errno]), `attributes` makes a file
and looks at it (list of what `stat` says, by the names that IOChaos' options have here).
"""

from __future__ import annotations

import asyncio
import json
import mmap
import os
import stat
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from seatrial.engine.argo.inpod.processes import PROC, oldest
from seatrial.engine.lab.volume import probe

#: A piece that is written and read back, and what it is made of.
PIECE_BYTES = 64 * 1024
PATTERN = b"\xa5"
TYPES = {
    stat.S_IFREG: "regularFile",
    stat.S_IFDIR: "directory",
    stat.S_IFLNK: "symlink",
    stat.S_IFIFO: "namedPipe",
    stat.S_IFCHR: "charDevice",
    stat.S_IFBLK: "blockDevice",
    stat.S_IFSOCK: "socket",
}


def folder_of(process: str, volume: str) -> Path | str:
    """A folder of the volume that may be written to; or why there is none."""
    pid = oldest(process)
    if pid is None:
        return f"no process {process!r} is seen from here"
    root = PROC / str(pid) / "root" / volume.lstrip("/")
    try:
        below = sorted(one for one in root.iterdir() if one.is_dir() and not one.is_symlink())
    except OSError as error:
        return f"{volume} of {process!r} cannot be looked at: {error.strerror}"
    for one in (root, *below):
        if os.access(one, os.W_OK | os.X_OK):
            return one
    return f"nothing on {volume} may be written to by user {os.getuid()}"


def verify(folder: Path, times: int) -> list[list[int]]:
    """Pieces that are written and read back past all caches: how many bytes are wrong."""
    path, found = folder / probe.PROBE, []
    with mmap.mmap(-1, PIECE_BYTES) as page, mmap.mmap(-1, PIECE_BYTES) as back:
        page[:] = PATTERN * PIECE_BYTES
        for _ in range(times):
            try:
                fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_DIRECT | os.O_CLOEXEC, 0o600)
            except OSError as error:
                found.append([0, error.errno or 0])
                continue
            try:
                os.pwrite(fd, page, 0)
                size = os.preadv(fd, [back], 0)
                found.append([PIECE_BYTES - back[:size].count(PATTERN), 0])
            except OSError as error:
                found.append([0, error.errno or 0])
            finally:
                os.close(fd)
    path.unlink(missing_ok=True)
    return found


def attributes(folder: Path, times: int) -> list[dict[str, Any]]:
    """What a new file looks like."""
    path, found = folder / probe.PROBE, []
    for _ in range(times):
        path.write_bytes(b"seen")
        there = path.stat()
        found.append(
            {
                "ino": there.st_ino,
                "size_bytes": there.st_size,
                "blocks": there.st_blocks,
                "accessed_ns": there.st_atime_ns,
                "modified_ns": there.st_mtime_ns,
                "changed_ns": there.st_ctime_ns,
                "file_type": TYPES.get(stat.S_IFMT(there.st_mode), ""),
                "permissions": stat.S_IMODE(there.st_mode),
                "links": there.st_nlink,
                "uid": there.st_uid,
                "gid": there.st_gid,
                "device": there.st_rdev,
            }
        )
        path.unlink(missing_ok=True)
    return found


def main() -> None:
    """Try the calls and tell."""
    process, volume, times, *methods = sys.argv[1:]
    folder = folder_of(process, volume)
    told: dict[str, Any]
    if isinstance(folder, str):
        told = {"why": folder}
    else:
        told = {name: OTHERS[name](folder, int(times)) for name in methods if name in OTHERS}
        if calls := [name for name in methods if name not in OTHERS]:
            found = asyncio.run(probe.try_calls(folder, calls, int(times)))
            told |= {
                name: [[round(call.took_s, 6), call.errno] for call in tried]
                for name, tried in found.items()
            }
    json.dump(told, sys.stdout)


OTHERS: Mapping[str, Callable[[Path, int], Any]] = {"verify": verify, "attributes": attributes}

if __name__ == "__main__":
    main()

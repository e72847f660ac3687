"""What calls on a node's volume do, seen through the node's own mounts.

`python -m seatrial.engine.argo.inpod.disk PROCESS VOLUME TIMES METHOD…` looks below
`/proc/PID/root` of the node's process, where the file system that IOChaos (toda) puts over the
volume is seen as the node sees it. The calls are those of the lab's probe. Prints JSON: method →
list of [seconds, errno], or `{"why": …}` where it cannot be tried.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

from seatrial.engine.argo.inpod.processes import PROC, oldest
from seatrial.engine.lab.volume import probe


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


def main() -> None:
    """Try the calls and tell."""
    process, volume, times, *methods = sys.argv[1:]
    folder = folder_of(process, volume)
    told: dict[str, Any]
    if isinstance(folder, str):
        told = {"why": folder}
    else:
        found = asyncio.run(probe.try_calls(folder, methods, int(times)))
        told = {
            name: [[round(call.took_s, 6), call.errno] for call in calls]
            for name, calls in found.items()
        }
    json.dump(told, sys.stdout)


if __name__ == "__main__":
    main()

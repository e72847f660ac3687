"""Processes that this container sees: its own, and its pod's where the pod shares them.

What other containers of the pod see of files is below `/proc/PID/root`: their mounts, too, which
is how a file system that was put over a node's volume is met (proc(5); it takes the same user and
no more capabilities than the caller's, which is how seatrial's own pods are made).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

PROC = Path("/proc")


def called(*names: str) -> Iterator[int]:
    """Numbers of the processes whose name (`comm`) begins with one of these."""
    for entry in PROC.iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                comm = (entry / "comm").read_text(encoding="utf-8", errors="replace").strip()
                if comm.startswith(names):
                    yield int(entry.name)


def oldest(name: str) -> int | None:
    """The process of exactly this name that began first; None if there is none."""
    found = [(began, pid) for pid in called(name) if (began := start(pid, name)) is not None]
    return min(found)[1] if found else None


def start(pid: int, name: str) -> int | None:
    """When a process began (clock ticks since boot), None if it has another name, or is gone."""
    try:
        text = (PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    head, _, rest = text.rpartition(")")
    return int(rest.split()[19]) if head.partition("(")[2] == name else None

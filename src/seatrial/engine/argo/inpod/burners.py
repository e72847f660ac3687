"""What processes of some names take of processor and memory, by the kernel's own count.

`python -m seatrial.engine.argo.inpod.burners OVER_S PROCESS NAME…`: Chaos Mesh starts `stress-ng`
and `memStress` in the process namespace and the cgroup of the node's container, so a container
that shares the pod's processes sees them. Prints JSON: `processes`, `over_s`, `ran_s`, `waited_s`
(for a processor, or because the limit of the container of PROCESS was used up), `memory_bytes`
(resident now).
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time

from seatrial.engine.argo.inpod.processes import PROC, called, oldest


def taken(process: str, names: tuple[str, ...], over_s: float) -> dict[str, float]:
    """Count for a stretch of time; what ended or began meanwhile counts for nothing."""
    before, held_before = {pid: _ran(pid) for pid in called(*names)}, _held_back_s(process)
    begin = time.monotonic()
    time.sleep(over_s)
    took_s = time.monotonic() - begin
    now, held = {pid: _ran(pid) for pid in called(*names)}, _held_back_s(process)
    both = set(before) & set(now)
    return {
        "processes": len(now),
        "over_s": took_s,
        "ran_s": sum(now[pid][0] - before[pid][0] for pid in both) / 1e9,
        "waited_s": sum(now[pid][1] - before[pid][1] for pid in both) / 1e9 + held - held_before,
        "memory_bytes": sum(map(_resident, now)),
    }


def _ran(pid: int) -> tuple[int, int]:
    """Nanoseconds that all threads ran, and waited for a processor (/proc/PID/task/*/schedstat)."""
    ran = waited = 0
    with contextlib.suppress(OSError):
        for task in (PROC / str(pid) / "task").iterdir():
            with contextlib.suppress(OSError, ValueError):
                one, other, _ = (task / "schedstat").read_text(encoding="ascii").split()
                ran, waited = ran + int(one), waited + int(other)
    return ran, waited


def _held_back_s(process: str) -> float:
    """How long the limit of the process' container has kept it from running (cgroup v2)."""
    pid = oldest(process)
    if pid is None:
        return 0.0
    try:
        text = (PROC / str(pid) / "root/sys/fs/cgroup/cpu.stat").read_text(encoding="ascii")
    except OSError:
        return 0.0
    told = dict(line.split() for line in text.splitlines())
    return int(told.get("throttled_usec", 0)) / 1e6


def _resident(pid: int) -> int:
    try:
        pages = (PROC / str(pid) / "statm").read_text(encoding="ascii").split()[1]
    except (OSError, IndexError):
        return 0
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    json.dump(taken(sys.argv[2], tuple(sys.argv[3:]), float(sys.argv[1])), sys.stdout)

"""What processes of some names take of processor and memory, by the kernel's own count.

`python -m seatrial.engine.argo.inpod.burners OVER_S NAME…`: Chaos Mesh starts `stress-ng` and
`memStress` in the process namespace and the cgroup of the node's container, so a container that
shares the pod's processes sees them. Prints JSON: `processes`, `over_s`, `ran_s`, `waited_s` (for
a processor), `memory_bytes` (resident now).
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time

from seatrial.engine.argo.inpod.processes import PROC, called


def taken(names: tuple[str, ...], over_s: float) -> dict[str, float]:
    """Count for a stretch of time; what ended or began meanwhile counts for nothing."""
    before = {pid: _ran(pid) for pid in called(*names)}
    begin = time.monotonic()
    time.sleep(over_s)
    took_s = time.monotonic() - begin
    now = {pid: _ran(pid) for pid in called(*names)}
    both = set(before) & set(now)
    return {
        "processes": len(now),
        "over_s": took_s,
        "ran_s": sum(now[pid][0] - before[pid][0] for pid in both) / 1e9,
        "waited_s": sum(now[pid][1] - before[pid][1] for pid in both) / 1e9,
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


def _resident(pid: int) -> int:
    try:
        pages = (PROC / str(pid) / "statm").read_text(encoding="ascii").split()[1]
    except (OSError, IndexError):
        return 0
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    json.dump(taken(tuple(sys.argv[2:]), float(sys.argv[1])), sys.stdout)

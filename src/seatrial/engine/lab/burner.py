"""A process that takes processor time or memory beside a node, and ends by itself in any case.

Run as `burner.main()` with JSON in `sys.argv[1]`: `cpus` it is pinned to, `load_percent` of one of
them that it computes for, `memory_bytes` that it holds, `seconds_max`. The kernel ends it with its
parent, and ends it first when memory runs short. Standard library only.
"""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import sys
import time
from typing import NoReturn

from seatrial.engine.lab import syscalls

#: A turn of computing and resting.
TURN_S = 0.05
#: Memory is taken in pieces, so that the kernel can end it between two.
_PIECE = 8 << 20


def main() -> NoReturn:
    """Burn as told until the time is over."""
    syscalls.die_with_parent()
    spec = json.loads(sys.argv[1])
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write("1000")
    os.sched_setaffinity(0, spec["cpus"])
    ends = time.monotonic() + float(spec["seconds_max"])
    held = _take(int(spec["memory_bytes"]))
    share = float(spec["load_percent"]) / 100
    while time.monotonic() < ends:
        turn = time.monotonic() + TURN_S
        while share > 0 and time.monotonic() < turn - TURN_S * (1 - share):
            pass
        time.sleep(max(0.0, turn - time.monotonic()) if share > 0 else TURN_S)
    del held
    os._exit(0)


def _take(size: int) -> list[mmap.mmap]:
    """Hold `size` bytes, each page written to, so that it is really there."""
    held = []
    while size > 0:
        piece = mmap.mmap(-1, min(size, _PIECE))
        for start in range(0, len(piece), mmap.PAGESIZE):
            piece[start] = 1
        held.append(piece)
        size -= len(piece)
    return held

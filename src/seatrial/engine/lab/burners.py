"""The lab's side of stress: starts burners where a node lives, pins both, reads what they take.

The node's limits are the processors that its process may use; the lab makes no cgroups (most
machines let nobody but their service manager). For the time of a stress the node's threads and the
burners share as few of them as asked for, so that they fight with each other and not with the
clients, the other nodes or the host.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import seatrial
from seatrial.engine.lab.links import Links
from seatrial.engine.lab.process import read_stat
from seatrial.engine.lab.supervisor import Supervisor
from seatrial.errors import Unavailable
from seatrial.fault import Burn, Burnt, memory_left

#: A burner ends by itself after this time, whatever becomes of the lab.
BURN_S_MAX = 600.0
#: How long the kernel may take to end a burner.
END_TIMEOUT_S = 5.0
_BOOT = (
    "import sys; sys.path.insert(0, {root!r}); "
    "from seatrial.engine.lab import burner; burner.main()"
)


@dataclass(slots=True)
class _Stress:
    """What one fault does to one node; `mask` is what the node could use before."""

    burners: list[subprocess.Popen[bytes]]
    mask: set[int]
    pinned: bool


@dataclass(slots=True)
class Burners:
    """All stress of one lab."""

    links: Links
    supervisor: Supervisor
    _acting: dict[tuple[str, str], _Stress] = field(default_factory=dict)

    async def burn(self, node: str, fault: str, burn: Burn) -> None:
        """Start what `burn` asks for beside a node; raises `Unavailable`."""
        pid = self.supervisor[node].pid
        if pid is None:
            raise Unavailable(f"{node} is down: there is nothing to put under stress")
        if burn.memory_bytes * burn.workers > memory_left():
            raise Unavailable(
                f"{burn.workers} × {burn.memory_bytes} bytes are more than half of the memory "
                "that is available now"
            )
        mask = os.sched_getaffinity(pid)
        cpus = _choose(sorted(mask), self.supervisor.names.index(node), burn.cpus)
        spec = {
            "cpus": cpus,
            "load_percent": burn.load_percent,
            "memory_bytes": burn.memory_bytes,
            "seconds_max": BURN_S_MAX,
        }
        root = str(Path(seatrial.__file__).parent.parent)
        argv = [sys.executable, "-I", "-S", "-c", _BOOT.format(root=root), json.dumps(spec)]
        stress = _Stress([], mask, pinned=burn.load_percent > 0)
        self._acting[node, fault] = stress
        for _ in range(burn.workers):
            stress.burners.append(await self.links.launch(node, _popen, argv))
        if stress.pinned:
            _pin(pid, set(cpus))

    async def end(self, node: str, fault: str) -> None:
        """End what `fault` started beside a node, and let the node use what it could before."""
        stress = self._acting.get((node, fault))
        if stress is None:
            return
        for each in stress.burners:
            each.kill()
        for each in stress.burners:
            await asyncio.to_thread(each.wait, END_TIMEOUT_S)
        pid = self.supervisor[node].pid
        if stress.pinned and pid is not None:
            _pin(pid, stress.mask)
        del self._acting[node, fault]

    async def taken(self, node: str, fault: str, over_s: float) -> Burnt:
        """What the burners of a fault took in a stretch of time, by the kernel's own count."""
        stress = self._acting.get((node, fault))
        pids = [] if stress is None else [each.pid for each in stress.burners]
        begin, before = time.monotonic(), [_schedule(pid) for pid in pids]
        await asyncio.sleep(over_s)
        took_s, after = time.monotonic() - begin, [_schedule(pid) for pid in pids]
        ran = sum(b[0] - a[0] for a, b in zip(before, after, strict=True))
        waited = sum(b[1] - a[1] for a, b in zip(before, after, strict=True))
        own = self.supervisor[node].pid
        cpus = sorted(os.sched_getaffinity(own)) if own is not None else []
        return Burnt(
            processes=sum(1 for pid in pids if (s := read_stat(pid)) is not None and s[0] != "Z"),
            over_s=took_s,
            ran_s=ran / 1e9,
            waited_s=waited / 1e9,
            memory_bytes=sum(_resident(pid) for pid in pids),
            node_cpus=len(cpus),
        )

    async def end_all(self) -> None:
        """End all stress."""
        for node, fault in tuple(self._acting):
            with contextlib.suppress(subprocess.TimeoutExpired):  # `left` says so
                await self.end(node, fault)

    def left(self) -> tuple[str, ...]:
        """What still burns, in words."""
        return tuple(f"{fault} still takes resources beside {node}" for node, fault in self._acting)


def _popen(argv: Sequence[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        list(argv),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _choose(allowed: Sequence[int], place: int, count: int) -> list[int]:
    """`count` of the allowed processors, others for each node as far as there are others."""
    return sorted({allowed[(place + i) % len(allowed)] for i in range(min(count, len(allowed)))})


def _pin(pid: int, cpus: set[int]) -> None:
    """Let all threads of a process run on these processors only; new ones inherit it."""
    for entry in os.listdir(f"/proc/{pid}/task"):
        with contextlib.suppress(ProcessLookupError):
            os.sched_setaffinity(int(entry), cpus)


def _schedule(pid: int) -> tuple[int, int]:
    """Nanoseconds that a process ran, and that it waited for a processor (/proc/PID/schedstat)."""
    try:
        ran, waited, _ = Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii").split()
    except (OSError, ValueError):
        return 0, 0
    return int(ran), int(waited)


def _resident(pid: int) -> int:
    try:
        pages = Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]
    except (OSError, IndexError):
        return 0
    return int(pages) * os.sysconf("SC_PAGE_SIZE")

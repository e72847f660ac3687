"""What there is on a machine besides a lab's nodes: compared before the faults and after healing.

Mounts, processes that are no node's, and network namespaces. Each is a line of words that is the
same as long as nothing changed, so that what a fault left behind is a difference of two sets.
What a network namespace holds is told by `seatrial.engine.lab.remains`.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

from seatrial.engine.lab.init import descendants


def of_machine(nodes: Iterable[int], *, mounts_too: bool = True) -> frozenset[str]:
    """Mounts, processes of this sandbox and their network namespaces; `nodes` are left out.

    `nodes` are the numbers of the nodes' processes, each the leader of a session of its own.
    Without `mounts_too` no mounts: where they are the host's, whose they are is not known.
    O(processes).
    """
    ours = frozenset(nodes)
    found = set(of_mounts()) if mounts_too else set()
    spaces = set()
    for pid in [os.getpid(), *descendants(os.getppid())]:
        with contextlib.suppress(OSError, IndexError, ValueError):
            session, command = _session_and_command(pid)
            if session not in ours and pid not in ours:
                spaces.add(os.readlink(f"/proc/{pid}/ns/net"))
                found.add(f"process {pid} ({command})")
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(OSError):
            spaces.add(os.readlink(task / "ns" / "net"))
    return frozenset(found | {f"network namespace {space}" for space in spaces})


def of_mounts() -> frozenset[str]:
    """The mounts alone, in the same words."""
    return frozenset(f"mount of {kind} at {where}" for where, kind in mounts())


def mounts() -> list[tuple[str, str]]:
    """Where something is mounted in this mount namespace, and what kind of file system."""
    found = []
    for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines():
        fields = line.split()
        found.append((_unescaped(fields[4]), fields[fields.index("-") + 1]))
    return found


def _unescaped(text: str) -> str:
    """mountinfo writes space, tab, newline and backslash as octal (proc(5))."""
    for code in ("040", "011", "012", "134"):
        text = text.replace(f"\\{code}", chr(int(code, 8)))
    return text


def _session_and_command(pid: int) -> tuple[int, str]:
    text = Path(f"/proc/{pid}/stat").read_bytes()
    name, _, rest = text.rpartition(b")")
    return int(rest.split()[3]), name.partition(b"(")[2].decode(errors="replace")

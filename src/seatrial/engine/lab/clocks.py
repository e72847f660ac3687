"""Putting one process's wall clock ahead or behind, and back (`seatrial.vdso` says how).

The process stands still (SIGSTOP) while its functions are replaced, and no thread may be inside
of them then; one that is runs on for a moment, and it is tried again. A process that is started
anew has the right time.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from dataclasses import dataclass
from pathlib import Path

from seatrial import vdso
from seatrial.engine.lab.process import read_stat
from seatrial.engine.lab.supervisor import Supervisor
from seatrial.errors import Unavailable

#: How often it is tried to find no thread inside the functions.
TRIES_MAX = 100
#: How long the kernel may take to stop all threads.
STOP_TIMEOUT_S = 2.0
_PAUSE_S = 0.002


@dataclass(frozen=True, slots=True)
class _Shift:
    """What a fault replaced: in which process (number, start time), and the bytes before."""

    pid: int
    began: int
    before: dict[int, bytes]


class Clocks:
    """All shifted clocks of one lab: one fault a node."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._shifts: dict[str, tuple[str, _Shift]] = {}

    async def shift(self, node: str, fault: str, offset_ns: int) -> None:
        """Put the clock of a node's process off; raises `Unavailable`."""
        if node in self._shifts:
            raise Unavailable(f"the clock of {node} is off already, by {self._shifts[node][0]}")
        pid = self._supervisor[node].pid
        stat = None if pid is None else read_stat(pid)
        if pid is None or stat is None:
            raise Unavailable(f"{node} is down: it has no clock")
        try:
            functions = vdso.find(pid)
            wanted = {
                found.address: vdso.code(name, offset_ns)
                for name, found in functions.items()
                if len(vdso.code(name, offset_ns)) <= found.size
            }
            if functions[vdso.FUNCTIONS[0]].address not in wanted:
                raise Unavailable("the kernel's clock_gettime is shorter than what replaces it")
            before = await self._write(node, pid, wanted)
        except (OSError, KeyError) as error:
            raise Unavailable(f"the clock of {node} cannot be put off: {error}") from None
        self._shifts[node] = (fault, _Shift(pid, stat[1], before))

    async def put_right(self, node: str, fault: str) -> None:
        """Give the process its own functions back, if it is still the same process."""
        owner, shift = self._shifts.get(node, ("", None))
        if shift is None or owner != fault:
            return
        if self._is_same(shift):
            try:
                await self._write(node, shift.pid, shift.before)
            except OSError as error:
                if self._is_same(shift):
                    raise Unavailable(f"the clock of {node} is still off: {error}") from None
        del self._shifts[node]

    async def put_all_right(self) -> None:
        """Give all processes their own functions back."""
        for node, (fault, _) in tuple(self._shifts.items()):
            with contextlib.suppress(Unavailable):  # `left` says so
                await self.put_right(node, fault)

    def left(self) -> tuple[str, ...]:
        """Whose clock is still off, in words."""
        return tuple(f"the clock of {node} is still off" for node in self._shifts)

    def _is_same(self, shift: _Shift) -> bool:
        stat = read_stat(shift.pid)
        return stat is not None and stat[1] == shift.began

    async def _write(self, node: str, pid: int, wanted: dict[int, bytes]) -> dict[int, bytes]:
        """Replace bytes of a process that stands still; what stood there before."""
        process = self._supervisor[node]
        for _ in range(TRIES_MAX):
            process.signal(signal.SIGSTOP)
            try:
                if await _stands_still(pid) and not _any_inside(pid, wanted):
                    return _replace(pid, wanted)
            finally:
                process.signal(signal.SIGCONT)
            await asyncio.sleep(_PAUSE_S)
        raise Unavailable(f"a thread of {node} was inside the clock functions at each of the tries")


def _replace(pid: int, wanted: dict[int, bytes]) -> dict[int, bytes]:
    with open(f"/proc/{pid}/mem", "r+b", buffering=0) as memory:
        fd = memory.fileno()
        before = {address: os.pread(fd, len(code), address) for address, code in wanted.items()}
        for address, code in wanted.items():
            os.pwrite(fd, code, address)
    return before


async def _stands_still(pid: int) -> bool:
    deadline = asyncio.get_running_loop().time() + STOP_TIMEOUT_S
    while asyncio.get_running_loop().time() < deadline:
        states = []
        for task in os.listdir(f"/proc/{pid}/task"):
            with contextlib.suppress(OSError):
                text = Path(f"/proc/{pid}/task/{task}/stat").read_bytes()
                states.append(text.rpartition(b")")[2].split()[0])
        if all(state in (b"T", b"t") for state in states):
            return True
        await asyncio.sleep(_PAUSE_S)
    return False


def _any_inside(pid: int, wanted: dict[int, bytes]) -> bool:
    """Whether a thread's next instruction is among those to be replaced (/proc/PID/syscall)."""
    for task in os.listdir(f"/proc/{pid}/task"):
        try:
            words = Path(f"/proc/{pid}/task/{task}/syscall").read_text(encoding="ascii").split()
        except OSError:
            continue
        if words == ["running"]:
            return True
        counter = int(words[-1], 16)
        if any(address <= counter < address + len(code) for address, code in wanted.items()):
            return True
    return False

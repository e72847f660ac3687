"""The system calls that the lab needs and Python 3.11 lacks, through libc.

Man pages: unshare(2), mount(2), umount2(2), prctl(2), user_namespaces(7), pid_namespaces(7).
Standard library only: `init` runs without site-packages to start in a few milliseconds.
"""

from __future__ import annotations

import ctypes
import errno
import os
import signal
import struct

CLONE_NEWNS = 0x0002_0000
CLONE_NEWUSER = 0x1000_0000
CLONE_NEWPID = 0x2000_0000
CLONE_NEWNET = 0x4000_0000

MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_NOEXEC = 0x8
MS_REMOUNT = 0x20
MS_REC = 0x4000
MS_PRIVATE = 0x4_0000
MNT_DETACH = 0x2

_PR_SET_PDEATHSIG = 1
_PR_SET_TIMERSLACK = 29
_PR_SET_CHILD_SUBREAPER = 36

#: sched_setattr(2) has no function in older C libraries.
_SCHED_SETATTR = {"x86_64": 314, "aarch64": 274}
_SCHED_ATTR = struct.Struct("=IIQiIQQQ")

_LIBC = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def unshare(flags: int) -> None:
    """Move the calling thread into new namespaces; raises OSError."""
    _check(_LIBC.unshare(ctypes.c_int(flags)), "unshare")


def join(pidfd: int, flags: int) -> None:
    """Move into those namespaces of a process; raises OSError. Needs a single thread."""
    _check(_LIBC.setns(ctypes.c_int(pidfd), ctypes.c_int(flags)), "setns")


def mount(source: str, target: str, kind: str, flags: int = 0, data: str = "") -> None:
    """Mount `source` at `target`; raises OSError that names the target."""
    result = _LIBC.mount(
        source.encode(),
        os.fsencode(target),
        kind.encode() or None,
        ctypes.c_ulong(flags),
        data.encode() or None,
    )
    _check(result, f"mount {kind or source} at {target}")


def unmount(target: str) -> None:
    """Take a mount away at once, even while it is in use; raises OSError."""
    result = _LIBC.umount2(os.fsencode(target), ctypes.c_int(MNT_DETACH))
    _check(result, f"unmount {target}")


def die_with_parent(number: int = signal.SIGKILL) -> None:
    """Have the kernel send `number` to this process when the parent *thread* that made it ends.

    A change of credentials clears this (prctl(2)), so it is set after one, never before.
    """
    _check(_LIBC.prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(number), 0, 0, 0), "prctl pdeathsig")


def become_subreaper() -> None:
    """Make orphans among the descendants children of this process instead of init's."""
    _check(_LIBC.prctl(_PR_SET_CHILD_SUBREAPER, ctypes.c_ulong(1), 0, 0, 0), "prctl subreaper")


def wake_exactly(slack_ns: int) -> None:
    """Set how late the kernel may end this thread's waits to save power (50 µs by default)."""
    _check(_LIBC.prctl(_PR_SET_TIMERSLACK, ctypes.c_ulong(slack_ns), 0, 0, 0), "prctl timerslack")


def run_in_short_slices(slice_ns: int) -> None:
    """Ask the scheduler to run this thread soon and briefly instead of late and long.

    Since Linux 6.12 `sched_runtime` of an ordinary thread is the slice of EEVDF; its share of the
    processor stays the same, so nobody needs a right for it. Raises OSError where it is unknown.
    """
    number = _SCHED_SETATTR.get(os.uname().machine)
    if number is None:
        raise OSError(errno.ENOSYS, "sched_setattr: not known for this processor")
    nice = os.getpriority(os.PRIO_PROCESS, 0)  # it is set along with the slice
    request = _SCHED_ATTR.pack(_SCHED_ATTR.size, 0, 0, nice, 0, slice_ns, 0, 0)
    _check(_LIBC.syscall(ctypes.c_long(number), 0, request, 0), "sched_setattr")

"""Joining a trial's sandbox: run a program where its nodes can be reached, and end with it.

A step with clients has to live in the sandbox's network. `enter` finds the sandbox by its control
socket (the kernel says which process listens, in the numbers of whoever asks, so no number on disk
can be stale), moves into its user, mount, network and PID namespaces and starts the program there.
A child of a PID namespace dies with its first process: whatever ends the sandbox ends the program.

Standard library only: joining a user namespace needs a process with a single thread (setns(2)),
and numerical libraries start theirs on import.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import struct
import sys
from typing import NoReturn

from seatrial.engine.lab import syscalls

#: Exit status where the sandbox is gone (EX_UNAVAILABLE).
GONE = 69
FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_NAMESPACES = {
    "user": syscalls.CLONE_NEWUSER,
    "mnt": syscalls.CLONE_NEWNS,
    "net": syscalls.CLONE_NEWNET,
    "pid": syscalls.CLONE_NEWPID,
}


def enter() -> NoReturn:
    """`SOCKET PROGRAM ARGUMENT…` in `sys.argv[1:]`; exits with the program's status."""
    path, argv = sys.argv[1], sys.argv[2:]
    try:
        here = os.getcwd()
        _move_into(_listener(path))
    except OSError as error:
        sys.stderr.write(f"seatrial: the trial's lab cannot be joined: {error.strerror}\n")
        os._exit(GONE)
    signal.pthread_sigmask(signal.SIG_BLOCK, FORWARDED)
    child = os.fork()
    if child == 0:
        _become(argv, here)
    os._exit(_wait(child))


def _listener(path: str) -> int:
    """A descriptor of the process that listens at the socket."""
    folder, _, name = path.rpartition("/")
    place = os.open(folder or ".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as control:
        control.connect(f"/proc/self/fd/{place}/{name}")  # a socket's own path is short
        cred = control.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    os.close(place)
    return os.pidfd_open(struct.unpack("3i", cred)[0])


def _move_into(pidfd: int) -> None:
    pid = _pid_of(pidfd)
    flags = 0
    for name, flag in _NAMESPACES.items():
        if os.readlink(f"/proc/{pid}/ns/{name}") != os.readlink(f"/proc/self/ns/{name}"):
            flags |= flag
    if flags:
        syscalls.join(pidfd, flags)
    os.close(pidfd)


def _pid_of(pidfd: int) -> int:
    with open(f"/proc/self/fdinfo/{pidfd}", encoding="ascii") as file:
        for line in file:
            if line.startswith("Pid:"):
                return int(line.split()[1])
    raise ProcessLookupError(3, "the listener is gone")


def _become(argv: list[str], here: str) -> NoReturn:
    try:
        syscalls.die_with_parent(signal.SIGTERM)
        os.chdir(here)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        os.execvp(argv[0], argv)
    except OSError as error:
        sys.stderr.write(f"seatrial: cannot execute {argv[0]}: {error.strerror}\n")
    os._exit(GONE)


def _wait(child: int) -> int:
    """Pass signals on until the program has ended; its status as a shell gives it."""
    for number in FORWARDED:
        signal.signal(number, lambda got, _: _pass_on(child, got))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, FORWARDED)
    _, status = os.waitpid(child, 0)  # taken up again after a signal (PEP 475)
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def _pass_on(child: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, number)

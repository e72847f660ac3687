"""The first process of a sandbox: makes the namespaces, starts the program, outlives nothing.

With isolation `namespace` there are two processes here. The *guard* unshares a user, mount,
network and PID namespace and waits; its only child is PID 1 of the new tree and starts the
program. When PID 1 ends, the kernel kills every process of its namespace before the guard can
reap it (pid_namespaces(7)), and with the last process the mounts and interfaces are gone.

With isolation `none` the guard starts the program itself. It is a subreaper: whatever loses its
parent becomes its child, so at the end it finds and kills all.

Three things end a sandbox: the program ends; the liveness pipe becomes readable (the tool asks
for the end by a byte, or is dead and its end of the pipe closed); the parent dies
(PR_SET_PDEATHSIG). The status pipe tells the tool how the start went: it closes without a byte
when the program is executed, and carries one sentence when something failed.

Standard library only (it runs without site-packages).
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import select
import signal
import socket
import struct
import sys
import time
from typing import NoReturn

from seatrial.engine.lab import syscalls

#: Signals that mean an orderly end; they go to the program, once.
FORWARDED = (signal.SIGINT, signal.SIGTERM)
#: What the guard of isolation `none` gets when the tool dies (SIGKILL would spare the nodes).
ORPHANED = signal.SIGHUP
#: The exit status when the sandbox was ended from outside, as a shell gives for SIGKILL.
KILLED_STATUS = 137
#: Holds the network namespace that the program was started in; what a lab may change.
NAMESPACE_VARIABLE = "SEATRIAL_NAMESPACE"
#: How long the guard of isolation `none` looks for processes left over.
SWEEP_TIMEOUT_S = 10.0
_SWEEP_PAUSE_S = 0.01

_SIOCSIFFLAGS = 0x8914
_IFF_UP_RUNNING = 0x41


def main() -> NoReturn:
    """Run one sandbox as told by the JSON in `sys.argv[1]`; exits with the program's status."""
    spec = json.loads(sys.argv[1])
    argv: list[str] = spec["argv"]
    liveness, status = int(spec["liveness_fd"]), int(spec["status_fd"])
    os.set_inheritable(liveness, False)
    os.set_inheritable(status, False)
    wakeup = _catch_signals()
    try:
        if spec["isolation"] == "namespace":
            child = _enter_namespaces(argv, liveness, status)
            code = _watch(child, liveness, wakeup)
            if code is None:
                code = _kill(child)
        else:
            syscalls.become_subreaper()
            syscalls.die_with_parent(ORPHANED)
            child = _start_program(argv, status)
            os.close(status)
            code = _watch(child, liveness, wakeup)
            _sweep()
    except OSError as error:
        _fail(status, error)
    os._exit(KILLED_STATUS if code is None else code)


def exec_with_parent() -> NoReturn:
    """Become the program in `sys.argv[1:]`, which the kernel kills when the parent dies."""
    syscalls.die_with_parent()
    _reset_signals()
    os.execvp(sys.argv[1], sys.argv[1:])


def _enter_namespaces(argv: list[str], liveness: int, status: int) -> int:
    """Unshare, fork PID 1, and return its number in the outer namespace."""
    _unshare()
    syscalls.die_with_parent()  # after the change of credentials, which clears it
    first = os.fork()
    if first:
        os.close(status)
        return first
    try:
        syscalls.die_with_parent()
        wakeup = _catch_signals()
        syscalls.mount("none", "/", "", syscalls.MS_REC | syscalls.MS_PRIVATE)
        flags = syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC
        syscalls.mount("proc", "/proc", "proc", flags)
        _loopback_up()
        os.environ[NAMESPACE_VARIABLE] = own_network()
        child = _start_program(argv, status)
        os.close(status)
        code = _watch(child, liveness, wakeup)
    except OSError as error:
        _fail(status, error)
    os._exit(KILLED_STATUS if code is None else code)


def _unshare() -> None:
    """New namespaces with this user as root inside; root may do without a user namespace."""
    uid, gid = os.getuid(), os.getgid()
    rest = syscalls.CLONE_NEWNS | syscalls.CLONE_NEWNET | syscalls.CLONE_NEWPID
    try:
        syscalls.unshare(syscalls.CLONE_NEWUSER | rest)
    except OSError as error:
        if uid != 0 or error.errno not in (errno.EPERM, errno.ENOSPC, errno.EINVAL):
            raise
        syscalls.unshare(rest)
        return
    _write("/proc/self/setgroups", "deny")  # else an ordinary user may not write gid_map
    _write("/proc/self/uid_map", f"0 {uid} 1")
    _write("/proc/self/gid_map", f"0 {gid} 1")


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


def own_network() -> str:
    """The name of this process's network namespace, `net:[…]`."""
    return os.readlink("/proc/self/ns/net")


def _loopback_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as anything:
        request = struct.pack("16sH14x", b"lo", _IFF_UP_RUNNING)
        fcntl.ioctl(anything, _SIOCSIFFLAGS, request)


def _start_program(argv: list[str], status: int) -> int:
    """Fork and execute the program in a session of its own: no terminal, so no Ctrl-C from it."""
    signal.pthread_sigmask(signal.SIG_BLOCK, FORWARDED)  # one sent now waits for the child
    child = os.fork()
    if child:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, FORWARDED)
        return child
    try:
        syscalls.die_with_parent()
        os.setsid()
        _reset_signals()
        os.execvp(argv[0], argv)
    except OSError as error:
        _fail(status, error, program=argv[0])


def _fail(status: int, error: OSError, program: str = "") -> NoReturn:
    """Say on the status pipe what went wrong, and end."""
    text = f"cannot execute {program}: {error.strerror}" if program else str(error.strerror)
    if error.filename and not program:
        text += f": {error.filename}"
    with contextlib.suppress(OSError):
        os.write(status, text.encode(errors="replace"))
    os._exit(KILLED_STATUS)


def _catch_signals() -> int:
    """Have signals arrive as bytes on a pipe; the read end. Calling it again makes a new pipe."""
    read, write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    for number in (*FORWARDED, signal.SIGCHLD, ORPHANED):
        signal.signal(number, lambda *_: None)
    signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    return read


def _reset_signals() -> None:
    """Undo what Python, this module or the tool's parent changed, before a program is executed."""
    signal.set_wakeup_fd(-1)
    for number in (*FORWARDED, signal.SIGCHLD, ORPHANED, signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _watch(child: int, liveness: int, wakeup: int) -> int | None:
    """Forward signals and reap until `child` ends; its status, or None when the tool ends it."""
    poll = select.poll()
    poll.register(liveness, select.POLLIN | select.POLLHUP)
    poll.register(wakeup, select.POLLIN)
    while True:
        code = _reap(child)
        if code is not None:
            return code
        ready = {fd for fd, _ in poll.poll()}
        if liveness in ready:
            return None
        for number in os.read(wakeup, 4096):
            if number == ORPHANED:
                return None
            if number in FORWARDED:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child, number)


def _reap(child: int) -> int | None:
    """Reap all that ended; the exit status of `child` if it is among them."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return KILLED_STATUS
        if pid == 0:
            return None
        if pid == child:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


def _kill(child: int) -> int:
    """Kill PID 1 and with it its namespace; returns when all of it is gone."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        os.waitpid(child, 0)
    return KILLED_STATUS


def _sweep() -> None:
    """Kill all descendants, also those that were born meanwhile, until there are none."""
    deadline = time.monotonic() + SWEEP_TIMEOUT_S
    while time.monotonic() < deadline:
        for pid in descendants(os.getpid()):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return  # no child is left, and orphans would have become children
        time.sleep(_SWEEP_PAUSE_S)


def descendants(root: int) -> list[int]:
    """The processes under `root` in /proc, zombies left out. O(processes of the machine)."""
    parents: dict[int, int] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError), open(f"/proc/{entry}/stat", "rb") as file:
                fields = file.read().rpartition(b")")[2].split()
                if fields[0] != b"Z":
                    parents[int(entry)] = int(fields[1])
    found: list[int] = []
    frontier = {root}
    while frontier:
        frontier = {pid for pid, parent in parents.items() if parent in frontier}
        found.extend(frontier)
    return found

"""The outside of a lab that outlives the step that made it: starts the sandbox, waits for its end.

`seatrial.engine.lab.sandbox` ties a sandbox to the process that started it. Between steps there is
no such process, so this one stands in: it belongs to nobody's terminal, holds a lock that says that
the lab is alive, and ends when the holder inside ends (its lease, or the step `teardown`).
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from seatrial.engine.lab import sandbox
from seatrial.engine.lab.hold import SOCKET

#: Held by the keeper as long as it lives.
LOCK = "keeper.lock"
#: What it and the holder say on standard error.
LOG = "lab.log"


def main(argv: list[str]) -> int:
    """`python -m seatrial.engine.lab.keeper PLAN FOLDER PLACE LEASE_S ISOLATION`."""
    *arguments, isolation = argv
    place = Path(arguments[2])
    with (place / LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        program = [sys.executable, "-m", "seatrial.engine.lab.holder", *arguments]
        try:
            return asyncio.run(sandbox.run(program, isolation=isolation))
        finally:
            for name in (SOCKET, LOCK):
                with contextlib.suppress(OSError):
                    os.unlink(place / name)


def start(words: Sequence[str], place: Path) -> int:
    """Start a keeper that belongs to nobody's session; its process number."""
    argv = [sys.executable, "-m", "seatrial.engine.lab.keeper", *words]
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    return os.posix_spawn(
        sys.executable,
        argv,
        os.environ,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(place / LOG), flags, 0o644),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
    )


def ended(pid: int) -> bool:
    """Whether the keeper that this process started has ended."""
    return os.waitpid(pid, os.WNOHANG)[0] == pid


def alive(place: Path) -> bool:
    """Whether a keeper holds the lock in that place."""
    try:
        with (place / LOCK).open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

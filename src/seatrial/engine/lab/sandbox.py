"""The outer side of the lab: run a program so that nothing of it outlives the tool.

`run` is what a command needs: it starts the program in a sandbox, passes Ctrl-C and SIGTERM on
once for an orderly end, and kills it on the second one or when the grace is over. `start` is the
part without signal handling. What `init` promises holds for both: however this process ends
(SIGKILL, a crash, a power-off of the terminal), no process, namespace, mount or interface stays.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Literal

import seatrial
from seatrial.errors import Unavailable, UsageError

Isolation = Literal["namespace", "none"]
ISOLATIONS: tuple[Isolation, ...] = ("namespace", "none")

#: How long making the namespaces and executing the program may take.
START_TIMEOUT_S = 10.0
#: How long a program may take for its orderly end before it is killed.
GRACE_S = 60.0
#: How long the kernel may take to bring a killed sandbox down.
KILL_TIMEOUT_S = 20.0
_STATUS_BYTES_MAX = 4096

_BOOT = "import sys; sys.path.insert(0, {root!r}); from {m} import {f}; {f}()"


def boot(function: str, module: str = "seatrial.engine.lab.init") -> list[str]:
    """The command line that runs a function of a module, without site-packages (some 20 ms)."""
    root = str(Path(seatrial.__file__).parent.parent)
    return [sys.executable, "-I", "-S", "-c", _BOOT.format(root=root, f=function, m=module)]


@dataclass(slots=True)
class Sandbox:
    """A running program and the pipe that keeps it alive. Made by `start`."""

    process: asyncio.subprocess.Process
    _liveness: int | None = field(repr=False)

    def send_signal(self, number: int) -> None:
        """Send SIGINT or SIGTERM to the program (and to nothing else in the sandbox)."""
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)

    async def wait(self) -> int:
        """The program's exit status, 128 + signal if one killed it; returns when all is gone."""
        code = await self.process.wait()
        self._let_go()
        return code

    async def kill(self) -> int:
        """End everything in the sandbox at once; returns when all is gone."""
        self._let_go()
        try:
            return await asyncio.wait_for(self.process.wait(), KILL_TIMEOUT_S)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                self.process.kill()
            return await self.process.wait()

    async def stop(self, number: int = signal.SIGTERM, grace_s: float = GRACE_S) -> int:
        """Ask for an orderly end, and kill what is left after `grace_s`."""
        self.send_signal(number)
        try:
            return await asyncio.wait_for(self.wait(), grace_s)
        except TimeoutError:
            return await self.kill()

    def _let_go(self) -> None:
        """Let init see the end: a byte, because a forked child may hold a copy of the pipe."""
        if self._liveness is not None:
            with contextlib.suppress(OSError):
                os.write(self._liveness, b".")
            os.close(self._liveness)
            self._liveness = None


async def start(
    argv: Sequence[str],
    *,
    isolation: str,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: int | IO[bytes] | None = asyncio.subprocess.DEVNULL,
    stdout: int | IO[bytes] | None = None,
    stderr: int | IO[bytes] | None = None,
    pass_fds: Sequence[int] = (),
) -> Sandbox:
    """Start `argv` in a fresh sandbox and return once the program is executed.

    `namespace`: own user, mount, network and PID namespace; the program is root in there, and
    what it writes belongs to this user. `none`: a plain process. In both the program has a
    session of its own: signals of the terminal do not reach it. Call it from a thread that lives
    as long as the sandbox (the kernel ties the two). Raises `Unavailable` if this machine does
    not allow it, `UsageError` for another isolation.
    """
    if isolation not in ISOLATIONS:
        raise UsageError(f"isolation {isolation!r} is none of {', '.join(ISOLATIONS)}")
    alive_read, alive_write = os.pipe2(os.O_CLOEXEC)
    status_read, status_write = os.pipe2(os.O_CLOEXEC)
    spec = {
        "isolation": isolation,
        "argv": list(argv),
        "liveness_fd": alive_read,
        "status_fd": status_write,
    }
    try:
        process = await asyncio.create_subprocess_exec(
            *boot("main"),
            json.dumps(spec),
            env=None if env is None else dict(env),
            cwd=cwd,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            pass_fds=(alive_read, status_write, *pass_fds),
            start_new_session=True,
        )
    except BaseException:
        os.close(alive_write)
        os.close(status_read)
        raise
    finally:
        os.close(alive_read)
        os.close(status_write)
    sandbox = Sandbox(process, alive_write)
    try:
        problem = await asyncio.wait_for(_read_status(status_read), START_TIMEOUT_S)
    except BaseException as error:
        await sandbox.kill()
        if isinstance(error, TimeoutError):
            raise Unavailable(
                f"the sandbox did not start within {START_TIMEOUT_S:.0f} s\n\n"
                "hint: `seatrial doctor` shows what this machine allows"
            ) from None
        raise
    if problem:
        await sandbox.kill()
        raise Unavailable(_explain(problem, isolation))
    return sandbox


async def run(
    argv: Sequence[str],
    *,
    isolation: str,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdout: int | IO[bytes] | None = None,
    stderr: int | IO[bytes] | None = None,
    pass_fds: Sequence[int] = (),
    grace_s: float = GRACE_S,
) -> int:
    """Run `argv` in a sandbox to its end and return its exit status.

    The first Ctrl-C, SIGTERM or SIGHUP goes to the program (SIGHUP as SIGTERM) for an orderly
    end within `grace_s`; the second one, or the end of the grace, kills everything. Call it in
    the main thread: signal handlers are set meanwhile.
    """
    sandbox: Sandbox | None = None
    with _signals() as received:
        try:
            sandbox = await start(
                argv,
                isolation=isolation,
                env=env,
                cwd=cwd,
                stdout=stdout,
                stderr=stderr,
                pass_fds=pass_fds,
            )
            ended = asyncio.create_task(sandbox.wait())
            first = asyncio.create_task(received.get())
            await asyncio.wait({ended, first}, return_when="FIRST_COMPLETED")
            if not ended.done():
                sandbox.send_signal(first.result())
                first = asyncio.create_task(received.get())
                await asyncio.wait({ended, first}, timeout=grace_s, return_when="FIRST_COMPLETED")
            first.cancel()
            if not ended.done():
                await sandbox.kill()
            return await ended
        except BaseException:
            if sandbox is not None:
                await sandbox.kill()
            raise


@contextlib.contextmanager
def _signals() -> Iterator[asyncio.Queue[int]]:
    """The signals that ask for an end, as the program is to get them; handlers are put back."""
    loop = asyncio.get_running_loop()
    received: asyncio.Queue[int] = asyncio.Queue()
    meanings = {
        signal.SIGINT: signal.SIGINT,
        signal.SIGTERM: signal.SIGTERM,
        signal.SIGHUP: signal.SIGTERM,
    }
    before = {number: signal.getsignal(number) for number in meanings}
    ours = [number for number, handler in before.items() if handler != signal.SIG_IGN]  # nohup, &
    for number in ours:
        loop.add_signal_handler(number, received.put_nowait, meanings[number])
    try:
        yield received
    finally:
        for number in ours:
            loop.remove_signal_handler(number)
            signal.signal(number, before[number])


async def _read_status(fd: int) -> str:
    """All that init writes before the pipe closes: nothing when the program was executed."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=_STATUS_BYTES_MAX)
    transport, _ = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(fd, "rb", buffering=0)
    )
    try:
        return (await reader.read(_STATUS_BYTES_MAX)).decode(errors="replace")
    finally:
        transport.close()


def _explain(problem: str, isolation: str) -> str:
    if isolation == "none" or problem.startswith("cannot execute"):
        return f"the sandbox did not start: {problem}"
    return (
        f"this machine does not allow the lab's namespaces: {problem}\n\n"
        "hint: `seatrial doctor` says how to allow them; `--isolation none` does without, "
        "and then only faults on processes (kill, pause) are possible"
    )

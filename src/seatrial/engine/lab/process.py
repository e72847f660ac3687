"""One node's process: started, watched, killed, paused and started again, as in a StatefulSet.

The kernel says when it ends (a pidfd becomes readable), so an exit is seen at once and a process
number is never mistaken for a later process of the same number. Every exit is kept.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from seatrial.engine.lab.sandbox import boot
from seatrial.errors import Unavailable
from seatrial.target import Command

#: A process that ended unplanned is started again after this long, doubled each quick time.
RESTART_DELAY_S = 0.25
RESTART_DELAY_MAX_S = 5.0
#: A process that ran this long has recovered; its next restart is quick again.
RESTART_CALM_S = 10.0
#: After so many automatic restarts in one trial the node stays down.
RESTARTS_MAX = 500
#: How long the kernel may take to end a killed process.
KILL_TIMEOUT_S = 10.0
#: How long a process may take for its orderly end.
STOP_TIMEOUT_S = 5.0
LOG_TAIL_LINES = 12
#: What is quoted of its last line.
COMPLAINT_CHARS_MAX = 200
_LOG_TAIL_BYTES = 8192

Popen = subprocess.Popen[bytes]
Launch = Callable[[Callable[[Sequence[str]], Popen], list[str]], Awaitable[Popen]]


@dataclass(frozen=True, slots=True)
class Exit:
    """How a node's process ended. `time_ns` is on CLOCK_MONOTONIC.

    `why`: it ended itself by the target's design, for this reason (which counts as planned).
    """

    node: str
    pid: int
    planned: bool
    code: int | None
    signal: int | None
    uptime_s: float
    time_ns: int
    why: str = ""

    @property
    def sentence(self) -> str:
        """The exit in words."""
        how = f"exit status {self.code}"
        if self.signal is not None:
            with contextlib.suppress(ValueError):
                how = signal.Signals(self.signal).name
        kind = "planned" if self.planned else "unplanned"
        kind = f"by design: {self.why}" if self.why else kind
        return f"{self.node} (pid {self.pid}) ended after {self.uptime_s:.1f} s: {how}, {kind}"


def read_stat(pid: int) -> tuple[str, int] | None:
    """State letter and start time (clock ticks since boot) from /proc/PID/stat; None if gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = text.rpartition(b")")[2].split()  # the name before it may hold spaces and brackets
    return fields[0].decode("ascii"), int(fields[19])


def _environment(command: Command) -> dict[str, str]:
    """What a node's process gets: this process's variables, as the command wants them."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(command.env_not)
    }
    return {**kept, **command.env}


class NodeProcess:
    """The process of one node. All methods belong to the thread of the running loop."""

    def __init__(
        self,
        name: str,
        command: Callable[[], Command],
        launch: Launch,
        log_file: Path,
        *,
        tied: bool,
        why_it_ended: Callable[[str], str] = lambda _: "",
    ) -> None:
        """`tied`: the kernel is to kill the process with this one (no PID namespace does it).

        `why_it_ended` reads the end of the log for a reason to end by design, "" if there is none.
        """
        self.name = name
        self.log_file = log_file
        self.exits: list[Exit] = []
        self.starts = 0
        self.automatic = False
        self._command, self._launch, self._tied = command, launch, tied
        self._why_it_ended = why_it_ended
        self._popen: Popen | None = None
        self._started = 0.0
        self._pidfd = -1
        self._gone = asyncio.Event()
        self._planned = self._held = False
        self._excuses: set[str] = set()
        self._quick_exits = self._restarts = 0
        self._again: asyncio.Task[None] | None = None
        self._lock = asyncio.Lock()

    @property
    def pid(self) -> int | None:
        """The process number, None while there is none."""
        return None if self._popen is None else self._popen.pid

    @property
    def held(self) -> bool:
        """Whether it stays down until `restart`."""
        return self._held

    async def restart(self) -> None:
        """Start it if it is down; returns when the process runs. Raises `Unavailable`."""
        self._held = False
        async with self._lock:
            if self._popen is None:
                await self._start()

    async def kill(self, *, hold: bool) -> None:
        """SIGKILL the process and its group; returns when it is gone."""
        self._held = self._held or hold
        async with self._lock:  # a start under way ends first, else it would be missed
            await self._kill()

    async def end(self, grace_s: float) -> None:
        """SIGTERM, and SIGKILL after a grace; stays down until `restart`."""
        self._held = True
        async with self._lock:
            if self._popen is None:
                return
            self._planned = True
            self.signal(signal.SIGTERM)
            self.signal(signal.SIGCONT)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._gone.wait(), grace_s)
                return
            await self._kill()

    async def stop(self, *, orderly: bool) -> None:
        """End it for good: by SIGKILL, or `orderly` by SIGTERM and SIGKILL after a bound."""
        self.automatic, self._held = False, True
        async with self._lock:
            if self._again is not None:
                self._again.cancel()  # it sleeps or waits for the lock: no start is under way
            if self._popen is None:
                return
            self._planned = True
            if orderly:
                self.signal(signal.SIGTERM)
                self.signal(signal.SIGCONT)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._gone.wait(), STOP_TIMEOUT_S)
                    return
            await self._kill()

    def signal(self, number: int) -> None:
        """Send a signal to the process and what it started; nothing if it is down."""
        if self._popen is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._popen.pid, number)

    def excuse(self, fault: str, excused: bool) -> None:
        """While a fault excuses it, an end of the process counts as planned."""
        (self._excuses.add if excused else self._excuses.discard)(fault)

    def last_words(self) -> str:
        """The last lines of the log."""
        return "\n".join(self._tail().splitlines()[-LOG_TAIL_LINES:])

    def _tail(self) -> str:
        try:
            with self.log_file.open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - _LOG_TAIL_BYTES))
                return file.read().decode(errors="replace")
        except FileNotFoundError:
            return ""

    def last_complaint(self) -> str:
        """The last line of the log; of a structured one, its error or message."""
        last = self.last_words().rpartition("\n")[2].strip()
        with contextlib.suppress(ValueError):
            entry = json.loads(last)
            if isinstance(entry, dict):
                last = str(entry.get("error") or entry.get("msg") or last)
        return last[:COMPLAINT_CHARS_MAX]

    async def _kill(self) -> None:
        if self._popen is None:
            return
        self._planned = True
        self.signal(signal.SIGKILL)
        try:
            await asyncio.wait_for(self._gone.wait(), KILL_TIMEOUT_S)
        except TimeoutError:
            raise Unavailable(
                f"{self.name} (pid {self.pid}) did not end within {KILL_TIMEOUT_S:.0f} s of "
                "SIGKILL: the kernel holds it (state D?)"
            ) from None

    async def _start(self) -> None:
        command = self._command()
        argv = list(command.argv)
        self.starts += 1
        stamp = datetime.now(UTC).isoformat(timespec="milliseconds")
        try:
            with self.log_file.open("ab", buffering=0) as log:
                marker = f"--- {self.name} start {self.starts} at {stamp}: {' '.join(argv)}\n"
                log.write(marker.encode())
                environment = _environment(command)

                def popen(line: Sequence[str]) -> Popen:
                    return _popen(line, log.fileno(), environment)

                wrapped = [*boot("exec_with_parent"), *argv] if self._tied else argv
                await self._launch_and_adopt(popen, wrapped)
        except OSError as error:
            raise Unavailable(
                f"{self.name} cannot be started: {error.strerror}: {error.filename or argv[0]}"
            ) from error

    async def _launch_and_adopt(
        self, popen: Callable[[Sequence[str]], Popen], argv: list[str]
    ) -> None:
        """Start the process; one that was born while this was cancelled is ours all the same."""
        birth = asyncio.ensure_future(self._launch(popen, argv))
        try:
            await asyncio.shield(birth)
        finally:
            self._adopt(await birth)

    def _adopt(self, process: Popen) -> None:
        self._popen, self._started = process, time.monotonic()
        self._planned = False
        self._gone.clear()
        self._pidfd = os.pidfd_open(process.pid)
        asyncio.get_running_loop().add_reader(self._pidfd, self._on_exit)

    def _on_exit(self) -> None:
        """The kernel says that the process ended: bury it, record it, start it again."""
        process = self._popen
        assert process is not None
        self.signal(signal.SIGKILL)  # the rest of its group, as a container's end would
        code = process.wait()
        asyncio.get_running_loop().remove_reader(self._pidfd)
        os.close(self._pidfd)
        uptime_s = time.monotonic() - self._started
        planned = self._planned or bool(self._excuses)
        why = "" if planned else self._why_it_ended(self._tail())
        self.exits.append(
            Exit(
                node=self.name,
                pid=process.pid,
                planned=planned or bool(why),
                code=code if code >= 0 else None,
                signal=-code if code < 0 else None,
                uptime_s=uptime_s,
                time_ns=time.monotonic_ns(),
                why=why,
            )
        )
        self._popen = None
        self._gone.set()
        if self.automatic and not self._held:
            self._again = asyncio.create_task(self._start_again(uptime_s))

    def _may_restart(self) -> bool:
        return self.automatic and not self._held and self._restarts <= RESTARTS_MAX

    async def _start_again(self, uptime_s: float) -> None:
        """Restart with a back-off that a process which keeps ending cannot outrun."""
        quick = not self._planned and uptime_s < RESTART_CALM_S
        self._quick_exits = self._quick_exits + 1 if quick else 0
        while self._may_restart():
            self._restarts += 1
            await asyncio.sleep(
                min(RESTART_DELAY_S * 2 ** min(self._quick_exits, 10), RESTART_DELAY_MAX_S)
            )
            try:
                async with self._lock:
                    if self._popen is None and self._may_restart():
                        await self._start()
                return
            except Unavailable:  # fork or exec failed: try again, later each time
                self._quick_exits += 1


def _popen(argv: Sequence[str], log: int, environment: Mapping[str, str]) -> Popen:
    return subprocess.Popen(
        list(argv),
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        env=dict(environment),
        start_new_session=True,
    )

"""The nodes' processes together: started until ready, looked after, stopped.

While the cluster starts for the first time nothing is restarted: a process that ends then has a
bad binary, a bad flag or a port in use, and its log is the message. After that, a node that dies
unplanned comes back by itself with its data.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable, Mapping
from typing import Protocol

from seatrial.engine.lab.process import Exit, NodeProcess, read_stat
from seatrial.errors import Unavailable, UsageError

#: How often it is looked whether a process died while the cluster starts.
WATCH_INTERVAL_S = 0.05
#: How much longer than asked a target may take to say that a node is not ready.
READY_GRACE_S = 2.0


class Ready(Protocol):
    """Whether a node answers clients before the timeout."""

    async def __call__(self, node: str, timeout_s: float) -> bool:
        """See `Target.ready`."""
        ...


class Supervisor:
    """All node processes of one trial."""

    def __init__(self, processes: Mapping[str, NodeProcess]) -> None:
        self._processes = dict(processes)

    def __getitem__(self, node: str) -> NodeProcess:
        try:
            return self._processes[node]
        except KeyError:
            known = ", ".join(self._processes)
            raise UsageError(f"no node is called {node!r}\n\nhint: known: {known}") from None

    @property
    def names(self) -> tuple[str, ...]:
        """All nodes."""
        return tuple(self._processes)

    @property
    def exits(self) -> tuple[Exit, ...]:
        """All exits so far, in order of time."""
        found = [end for process in self._processes.values() for end in process.exits]
        return tuple(sorted(found, key=lambda end: end.time_ns))

    async def start(self, ready: Ready, timeout_s: float) -> None:
        """Start all and wait until all are ready; raises `Unavailable` with the log's end."""
        await asyncio.gather(*(process.restart() for process in self._processes.values()))
        answers = {
            node: asyncio.create_task(ready(node, timeout_s), name=node) for node in self._processes
        }
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s + READY_GRACE_S
        try:
            waiting = set(answers.values())
            while waiting and loop.time() < deadline:
                self._complain_of_the_dead()
                _, waiting = await asyncio.wait(waiting, timeout=WATCH_INTERVAL_S)
            silent = [n for n, task in answers.items() if not (task.done() and task.result())]
        finally:
            for task in answers.values():
                task.cancel()
            await asyncio.gather(*answers.values(), return_exceptions=True)
        self._complain_of_the_dead()
        if silent:
            raise Unavailable(self._not_ready(silent, timeout_s))
        for process in self._processes.values():
            process.automatic = True

    def _complain_of_the_dead(self) -> None:
        for process in self._processes.values():
            if process.exits:
                raise Unavailable(
                    f"{process.exits[-1].sentence}; the last it said was "
                    f"{process.last_complaint()!r}\n\n"
                    f"Its log ends:\n{process.last_words()}\n\n"
                    f"hint: the whole log is {process.log_file}"
                )

    def _not_ready(self, silent: list[str], timeout_s: float) -> str:
        process = self._processes[silent[0]]
        return (
            f"not ready after {timeout_s:g} s: {', '.join(silent)}; the last that {silent[0]} "
            f"said was {process.last_complaint()!r}\n\n"
            f"The log of {silent[0]} ends:\n{process.last_words()}\n\n"
            f"hint: the whole log is {process.log_file}"
        )

    def down(self) -> tuple[str, ...]:
        """Nodes without a process."""
        return tuple(node for node, process in self._processes.items() if process.pid is None)

    def stopped(self) -> tuple[str, ...]:
        """Nodes whose process stands still (state T or t)."""
        return self._where(lambda state: state in ("T", "t"))

    def _where(self, wanted: Callable[[str], bool]) -> tuple[str, ...]:
        found = []
        for node, process in self._processes.items():
            stat = read_stat(process.pid) if process.pid is not None else None
            if stat is not None and wanted(stat[0]):
                found.append(node)
        return tuple(found)

    async def heal(self) -> None:
        """Let all run on that stand still, and start all that are down, as far as they start."""
        for process in self._processes.values():
            process.signal(signal.SIGCONT)
            with contextlib.suppress(Unavailable):  # it stays down, which `down` says
                await process.restart()

    async def stop(self, *, orderly: bool) -> None:
        """End all processes; returns when they are gone. `orderly`: their data is still wanted."""
        processes = self._processes.values()
        await asyncio.gather(*(process.stop(orderly=orderly) for process in processes))

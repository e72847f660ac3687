"""Stopping every trial of this user: pull the lever, wait, and help those that do not end."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass

from seatrial.runner import lever
from seatrial.runner.lever import Running

_POLL_S = 0.1
#: How long a trial may take after SIGTERM, and then after SIGKILL.
TERM_TIMEOUT_S = 20.0
KILL_TIMEOUT_S = 20.0


@dataclass(frozen=True, slots=True)
class Stopped:
    """What became of a trial that ran: `healed` by itself, `terminated`, `killed`, `lives`."""

    trial: Running
    how: str
    seconds: float


def stop_all(reason: str, timeout_s: float, say: Callable[[str], None]) -> tuple[Stopped, ...]:
    """Pull the lever and wait until no listed trial lives any more.

    One that does not end within `timeout_s` gets SIGTERM, and SIGKILL after `TERM_TIMEOUT_S`: the
    kernel ends a sandbox with its tool. Raises `CannotCreate` where the lever cannot be pulled.
    """
    lived = _living()  # before it is pulled: one that obeys may be gone in the next moment
    lever.pull(reason)
    began = time.monotonic()
    waiting = [*{one.trial: one for one in (*lived, *_living())}.values()]
    done: list[Stopped] = []
    steps = (("healed", 0, timeout_s), ("terminated", signal.SIGTERM, TERM_TIMEOUT_S))
    for how, number, bound_s in (*steps, ("killed", signal.SIGKILL, KILL_TIMEOUT_S)):
        if number:
            for one in waiting:
                say(f"{one.trial.name} did not end: {signal.Signals(number).name} to {one.pid}")
                _signal(one, number)
        waiting = _wait(waiting, done, how, began, bound_s)
    return (*done, *(Stopped(one, "lives", time.monotonic() - began) for one in waiting))


def _living() -> list[Running]:
    return [one for one in lever.listed() if lever.lives(one.trial)]


def _signal(one: Running, number: int) -> None:
    """Signal the tool, as long as its trial lives: then the number is still its own."""
    if lever.lives(one.trial):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(one.pid, number)


def _wait(
    waiting: list[Running], done: list[Stopped], how: str, began: float, timeout_s: float
) -> list[Running]:
    """Those that still live at the end of the bound; the others are done."""
    deadline = time.monotonic() + timeout_s
    while waiting:
        for one in list(waiting):
            if not lever.lives(one.trial):
                waiting.remove(one)
                done.append(Stopped(one, how, time.monotonic() - began))
        if not waiting or time.monotonic() > deadline:
            break
        time.sleep(_POLL_S)
    return waiting

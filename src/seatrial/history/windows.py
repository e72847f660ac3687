"""Phases and fault windows, read from the nemesis' ops in a history.

The nemesis writes `f` = `phase` (value: the phase's name) when a phase begins, and an `invoke`
and an `info` with `f` = `inject` or `heal` (value: a map of `fault`, `kind` and `victims`, names
joined by commas) around each injection and each healing. An `error` on the `info` says that it
failed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from seatrial.history.columns import History
from seatrial.op import NEMESIS, Op, Type


@dataclass(frozen=True, slots=True)
class Phase:
    """One phase, from its beginning to the next one's (or the history's last op)."""

    name: str
    start_ns: int
    end_ns: int


@dataclass(frozen=True, slots=True)
class FaultWindow:
    """When a fault really was alive.

    `start_ns`, `acting_ns`: its injection began, was complete. `healing_ns`, `end_ns`: its
    healing began, was complete. None where that never happened (the trial was cut short).
    """

    fault: str
    kind: str
    victims: tuple[str, ...]
    start_ns: int
    acting_ns: int | None = None
    healing_ns: int | None = None
    end_ns: int | None = None
    error: str | None = None


def phases(history: History) -> tuple[Phase, ...]:
    """All phases in order."""
    rows = np.flatnonzero((history.process == NEMESIS) & history.is_f("phase"))
    last = int(history.time_ns[-1]) if len(history) else 0
    starts = [int(history.time_ns[row]) for row in rows]
    ends = [*starts[1:], last]
    return tuple(
        Phase(str(history.value(int(row))), start, max(start, end))
        for row, start, end in zip(rows, starts, ends, strict=False)
    )


def fault_windows(history: History) -> tuple[FaultWindow, ...]:
    """All faults that were begun, in order of their beginning."""
    rows = np.flatnonzero((history.process == NEMESIS) & history.is_f("inject", "heal"))
    windows: dict[str, FaultWindow] = {}
    for row in rows:
        _place(windows, history.op(int(row)))
    return tuple(windows.values())


def _place(windows: dict[str, FaultWindow], op: Op) -> None:
    if not isinstance(op.value, Mapping):
        return
    fault = str(op.value["fault"])
    begun = op.type == Type.INVOKE
    if op.f == "inject" and begun:
        victims = tuple(filter(None, str(op.value["victims"]).split(",")))
        windows[fault] = FaultWindow(fault, str(op.value["kind"]), victims, op.time_ns)
        return
    window = windows.get(fault)
    if window is None:
        return
    if op.f == "inject":
        windows[fault] = replace(window, acting_ns=op.time_ns, error=op.error)
    elif begun:
        windows[fault] = replace(window, healing_ns=op.time_ns)
    else:
        windows[fault] = replace(window, end_ns=op.time_ns, error=window.error or op.error)

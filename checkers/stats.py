"""Non-vacuity: whether a trial did enough for its other verdicts to mean anything.

A green verdict over a history in which nothing succeeded, or nothing was even tried while a
fault was alive, proves nothing. This checker never says `invalid`: what is too few is `unknown`.
The rule of one `ok` op at least of each `f` is Jepsen's (`checker.clj`, `stats`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from seatrial.checker import Budget, CheckOptions
from seatrial.checkers.settings import names, whole
from seatrial.checkers.wording import count, listed
from seatrial.history import History
from seatrial.history.windows import FaultWindow, fault_windows
from seatrial.op import Type
from seatrial.verdict import Json, Verdict

NAME = "stats"


@dataclass(frozen=True, slots=True)
class Stats:
    """Enough `ok` ops of each `f`, and enough of any `f` inside each real fault window.

    `fs`: the kinds that must have been seen; empty means those in the history. `may_stop`: ids of
    faults that rightly stop everything (a lost majority): they need attempts, not `ok` ops.
    """

    fs: tuple[str, ...] = ()
    min_ok: int = 1
    min_ok_in_fault: int = 1
    min_attempts_in_fault: int = 1
    may_stop: tuple[str, ...] = ()
    name: str = NAME

    def check(self, history: History, budget: Budget) -> Verdict:
        """O(n) for the counts, O(n) for each fault window."""
        table = _table(history)
        fs = self.fs or tuple(table)
        lacks = [self._too_few(f, table.get(f, {}).get("ok", 0)) for f in fs]
        windows = [_in_window(history, window) for window in _real(history)]
        for window in windows:
            lacks.extend(self._empty_window(window))
        judged = sum(n for row in table.values() for label, n in row.items() if label != "invoke")
        details = _details(table, windows)
        problems = [lack for lack in lacks if lack]
        if judged == 0:
            return Verdict.unknown("no client op completed", details=details)
        if problems:
            return Verdict.unknown(listed(problems), judged=judged, details=details)
        ok = sum(row.get("ok", 0) for row in table.values())
        cause = f"{count(ok, 'ok op')} of {count(len(fs), 'kind')}"
        if windows:
            cause += f", and enough of them inside each of {count(len(windows), 'fault window')}"
        return Verdict.valid(cause, judged=judged, details=details)

    def _too_few(self, f: str, ok: int) -> str:
        return "" if ok >= self.min_ok else f"{ok:,} ok {f} ops of {self.min_ok:,} needed"

    def _empty_window(self, window: _Count) -> list[str]:
        out = []
        while_alive = f"while {window.who} was alive"
        if window.attempts < self.min_attempts_in_fault:
            what = "no op was" if not window.attempts else f"{count(window.attempts, 'op')} were"
            out.append(
                f"{what} attempted {while_alive}: "
                f"{window.attempts:,} of {self.min_attempts_in_fault:,}"
            )
        if window.fault not in self.may_stop and window.ok < self.min_ok_in_fault:
            what = "no op" if not window.ok else f"only {count(window.ok, 'op')}"
            out.append(f"{what} succeeded {while_alive}: {window.ok:,} of {self.min_ok_in_fault:,}")
        return out


@dataclass(frozen=True, slots=True)
class _Count:
    """What clients did inside one fault window."""

    fault: str
    who: str
    attempts: int
    ok: int
    completed: int


def make(options: CheckOptions) -> Stats:
    """The checker with the thresholds of `options.extra`; raises `UsageError`."""
    return Stats(
        fs=names(options, NAME, "fs") or (),
        min_ok=whole(options, NAME, "min_ok", 1),
        min_ok_in_fault=whole(options, NAME, "min_ok_in_fault", 1),
        min_attempts_in_fault=whole(options, NAME, "min_attempts_in_fault", 1),
        may_stop=names(options, NAME, "may_stop") or (),
    )


def _table(history: History) -> dict[str, dict[str, int]]:
    """Number of client ops by `f` and type, `f` in order of the history's names."""
    kinds = len(Type)
    rows = history.client
    f = history.f[rows].astype(np.int64)
    cells = np.bincount((f + 1) * kinds + history.type[rows], minlength=kinds)
    out: dict[str, dict[str, int]] = {}
    for code in range(len(cells) // kinds + 1):
        row = cells[code * kinds : (code + 1) * kinds]
        if row.any():
            name = history.names[code - 1] if code else ""
            out[name] = {Type(i).label: int(n) for i, n in enumerate(row)}
    return out


def _real(history: History) -> list[FaultWindow]:
    """The faults that were really alive: injected, and without an error."""
    return [w for w in fault_windows(history) if w.acting_ns is not None and w.error is None]


def _in_window(history: History, window: FaultWindow) -> _Count:
    """Attempts, and ops both begun and ended, while the fault acted."""
    start = window.acting_ns if window.acting_ns is not None else window.start_ns
    end = window.healing_ns if window.healing_ns is not None else np.iinfo(np.int64).max
    inside = history.client & (history.time_ns >= start) & (history.time_ns <= end)
    begun = inside & (history.type == Type.INVOKE)
    mates = history.pair[begun]
    mates = mates[mates >= 0]
    mates = mates[inside[mates]]
    who = f"{window.fault} ({window.kind} of {', '.join(window.victims) or 'nobody'})"
    ok = int(np.count_nonzero(history.type[mates] == Type.OK))
    return _Count(window.fault, who, int(np.count_nonzero(begun)), ok, len(mates))


def _details(table: dict[str, dict[str, int]], windows: list[_Count]) -> dict[str, Json]:
    ok = sum(row.get("ok", 0) for row in table.values())
    completed = sum(n for row in table.values() for label, n in row.items() if label != "invoke")
    return {
        "by_f": {f: dict(row) for f, row in table.items()},
        "availability": round(ok / completed, 6) if completed else None,
        "windows": {
            w.fault: {"attempts": w.attempts, "ok": w.ok, "completed": w.completed} for w in windows
        },
    }

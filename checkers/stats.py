"""Non-vacuity: whether a trial did enough for its other verdicts to mean anything.

A green verdict over a history in which nothing succeeded, or nothing was even tried while a
fault was alive, proves nothing. This checker never says `invalid`: what is too few is `unknown`.
The rule of one `ok` op at least of each `f` is Jepsen's (`checker.clj`, `stats`).

A fault that rightly stops everything needs attempts, but no success. Where it is two faults
*together* that may (each costs one node of three), only the time of their overlap is excused: what
is left of each window before it and after it still needs its `ok` ops, if it is long enough for
an election (before), and for nodes to come back first (after).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from seatrial.checker import Budget, CheckOptions
from seatrial.checkers.settings import names, spans, whole
from seatrial.checkers.wording import count, listed
from seatrial.history import History
from seatrial.history.windows import FaultWindow, fault_windows
from seatrial.op import Type
from seatrial.verdict import Json, Verdict

NAME = "stats"
#: What is left of a window before an excused stretch asks for successes from this length on: an
#: election and an op's timeout together fit into it.
BEFORE_NS = 3_000_000_000
#: The same after an excused stretch: nodes start again, join and elect first.
AFTER_NS = 5_000_000_000


@dataclass(frozen=True, slots=True)
class Stats:
    """Enough `ok` ops of each `f`, and enough of any `f` inside each real fault window.

    `fs`: the kinds that must have been seen; empty means those in the history. `may_stop`: ids of
    faults that rightly stop everything (a lost majority): they need attempts, not `ok` ops.
    `may_stop_ns`: stretches of the trial's clock, from and to, in which everything may stop.
    """

    fs: tuple[str, ...] = ()
    min_ok: int = 1
    min_ok_in_fault: int = 1
    min_attempts_in_fault: int = 1
    may_stop: tuple[str, ...] = ()
    may_stop_ns: tuple[tuple[int, int], ...] = ()
    name: str = NAME

    def check(self, history: History, budget: Budget) -> Verdict:
        """O(n) for the counts, O(n) for each fault window."""
        table = _table(history)
        fs = self.fs or tuple(table)
        lacks = [self._too_few(f, table.get(f, {}).get("ok", 0)) for f in fs]
        windows = [_in_window(history, window, self.may_stop_ns) for window in _real(history)]
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
        asked = window.asked and window.fault not in self.may_stop
        if asked and window.ok_asked < self.min_ok_in_fault:
            what = "no op" if not window.ok_asked else f"only {count(window.ok_asked, 'op')}"
            apart = ", apart from when everything may stop" if window.excused else ""
            told = f"{window.ok_asked:,} of {self.min_ok_in_fault:,}"
            out.append(f"{what} succeeded {while_alive}{apart}: {told}")
        return out


@dataclass(frozen=True, slots=True)
class _Count:
    """What clients did inside one fault window.

    `ok_asked` counts where successes are asked for: in that part of the window outside of the
    excused stretches which has the fewest. `excused` says whether there is such a stretch, and
    `asked` whether anything else is left.
    """

    fault: str
    who: str
    attempts: int
    ok: int
    completed: int
    ok_asked: int
    asked: bool
    excused: bool


def make(options: CheckOptions) -> Stats:
    """The checker with the thresholds of `options.extra`; raises `UsageError`."""
    return Stats(
        fs=names(options, NAME, "fs") or (),
        min_ok=whole(options, NAME, "min_ok", 1),
        min_ok_in_fault=whole(options, NAME, "min_ok_in_fault", 1),
        min_attempts_in_fault=whole(options, NAME, "min_attempts_in_fault", 1),
        may_stop=names(options, NAME, "may_stop") or (),
        may_stop_ns=spans(options, NAME, "may_stop_ns"),
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


def _in_window(
    history: History, window: FaultWindow, may_stop: Sequence[tuple[int, int]]
) -> _Count:
    """Attempts, and ops both begun and ended, while the fault acted."""
    start = window.acting_ns if window.acting_ns is not None else window.start_ns
    end = window.healing_ns if window.healing_ns is not None else int(np.iinfo(np.int64).max)
    inside = history.client & (history.time_ns >= start) & (history.time_ns <= end)
    begun = inside & (history.type == Type.INVOKE)
    mates = history.pair[begun]
    mates = mates[mates >= 0]
    mates = mates[inside[mates]]
    ok_ns = history.time_ns[mates[history.type[mates] == Type.OK]]
    excused = [span for span in may_stop if span[0] < end and span[1] > start]
    pieces = _left(start, end, excused)
    return _Count(
        fault=window.fault,
        who=f"{window.fault} ({window.kind} of {', '.join(window.victims) or 'nobody'})",
        attempts=int(np.count_nonzero(begun)),
        ok=len(ok_ns),
        completed=len(mates),
        ok_asked=min(
            (int(np.count_nonzero((ok_ns >= a) & (ok_ns <= b))) for a, b in pieces), default=0
        ),
        asked=bool(pieces),
        excused=bool(excused),
    )


def _left(start: int, end: int, excused: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """What of a window is not excused and long enough to ask for successes in it."""
    if not excused:
        return [(start, end)]
    pieces, at, least = [], start, BEFORE_NS
    for low, high in sorted(excused):
        if low - at >= least:
            pieces.append((at, low))
        at, least = max(at, high), AFTER_NS
    if end - at >= least:
        pieces.append((at, end))
    return pieces


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

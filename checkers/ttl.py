"""Time to live: a value is there for its time, and then it is gone.

A `write` is a map of `value` and `ttl_s` (no `ttl_s`: for good); a `read` shows the value or null.
Values are unique. By the clients' clock, and with `tolerance_s` to either side:

- `expired-read`: a read begun later than the write's end + ttl + tolerance still shows the value;
- `early-expiry`: a read that ended before the write's beginning + ttl − tolerance shows null,
  although nobody else wrote or deleted the key from the write's beginning to the read's end;
- `resurrected`: a read shows a value although one that ended before it began had found it gone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from seatrial.checker import Budget, CheckOptions
from seatrial.checkers import keyed
from seatrial.checkers.settings import number
from seatrial.checkers.wording import EXAMPLES_MAX, count, indexes, quote
from seatrial.history import History
from seatrial.op import Type, Value
from seatrial.verdict import Anomaly, Verdict

NAME = "ttl"
#: Clocks and timers of databases are coarse.
TOLERANCE_S = 1.0
#: The clock is looked at once in so many ops.
CLOCK_OPS = 4096


@dataclass(frozen=True, slots=True)
class Ttl:
    """`tolerance_s`: how late or early is still in time."""

    tolerance_s: float = TOLERANCE_S
    name: str = NAME

    def check(self, history: History, budget: Budget) -> Verdict:
        """O(n) for each key; decodes each op."""
        tolerance_ns = int(self.tolerance_s * 1e9)
        return keyed.judge(history, lambda part: _check(part, tolerance_ns, budget))


def make(options: CheckOptions) -> Ttl:
    """The checker; option `tolerance_s`."""
    given = number(options, NAME, "tolerance_s")
    return Ttl(TOLERANCE_S if given is None else given)


@dataclass(slots=True)
class _Write:
    """An attempt to write: its row, when it began and ended (None: never known), its ttl."""

    row: int
    began_ns: int
    ended_ns: int | None
    ttl_ns: int | None
    changes: int = 0


@dataclass(slots=True)
class _Key:
    """What is known of one key while its history is walked."""

    writes: dict[int, _Write] = field(default_factory=dict)
    latest: _Write | None = None
    under_way: set[int] = field(default_factory=set)
    changes: int = 0
    gone: dict[int, int] = field(default_factory=dict)


def _check(history: History, tolerance_ns: int, budget: Budget) -> Verdict:
    state, judged = _Key(), 0
    begun: dict[int, tuple[int, int, bool]] = {}
    found: dict[str, list[tuple[str, list[int]]]] = {}
    rows = np.flatnonzero(history.client & history.is_f("write", "delete", "read"))
    # A completion of a write often lacks its value: the invocation has it.
    origin = np.where(history.type[rows] == Type.INVOKE, rows, history.pair[rows])
    source = np.where(history.is_f("read")[rows] | (origin < 0), rows, origin)
    columns = (rows, history.type[rows], history.process[rows], history.f[rows])
    plain = zip(*(column.tolist() for column in columns), history.values(source), strict=True)
    types = list(Type)
    for place, (row, type_code, process, code, value) in enumerate(plain):
        if place % CLOCK_OPS == 0 and budget.left_s <= 0:
            said = f"out of time after {place:,} of {len(rows):,} ops"
            return Verdict.unknown(said, judged=judged)
        f, kind = history.names[code], types[type_code]
        if f != "read":
            wrong = _change(history, state, row, f, kind, value)
            if wrong:
                return Verdict.unknown(wrong, judged=judged)
        elif kind == Type.INVOKE:
            begun[process] = (row, state.changes, bool(state.under_way))
        elif kind == Type.OK:
            judged += 1
            start = begun.get(process, (row, state.changes, True))
            for name, said, proof in _read(history, state, row, value, start, tolerance_ns):
                found.setdefault(name, []).append((said, proof))
    if found:
        anomalies = [_anomaly(history, name, cases) for name, cases in found.items()]
        return Verdict.invalid(anomalies[0].explanation, judged=judged, anomalies=anomalies)
    if not judged or not state.writes:
        return Verdict.unknown("no ok read or no write to judge")
    return Verdict.valid(f"{count(judged, 'read')} in time", judged=judged)


def _change(history: History, state: _Key, row: int, f: str, kind: Type, value: Value) -> str:
    """Note a write or a deletion; what is malformed about it, or ""."""
    state.changes += 1
    at = int(history.time_ns[row])
    origin = row if kind == Type.INVOKE else int(history.pair[row])
    if kind == Type.INVOKE:
        state.under_way.add(row)
    elif kind in (Type.OK, Type.FAIL):
        state.under_way.discard(origin)
    if f == "delete":
        if kind == Type.OK:
            state.latest = None
        return ""
    if not isinstance(value, Mapping) or "value" not in value:
        return f"{quote(history, row)} is no map of a value and its ttl_s"
    ttl = value.get("ttl_s")
    if ttl is not None and not _is_time(ttl):
        return f"{quote(history, row)} has a ttl_s that is no time"
    ttl_ns = None if ttl is None else int(ttl * 1e9)  # type: ignore[operator]  # just asked
    code = history.atoms.encode(value["value"])
    if kind == Type.INVOKE:
        state.writes[code] = _Write(row, at, None, ttl_ns, state.changes)
    write = state.writes.setdefault(code, _Write(row, at, None, ttl_ns))
    if kind == Type.OK:
        write.ended_ns = at
        alone = state.changes == write.changes + 1
        state.latest = write if alone else None
    return ""


def _is_time(ttl: Value) -> bool:
    """Whether a time to live is a number of seconds that a history can hold."""
    return isinstance(ttl, (int, float)) and not isinstance(ttl, bool) and 0 <= ttl < 2**33


def _read(
    history: History,
    state: _Key,
    row: int,
    value: Value,
    start: tuple[int, int, bool],
    tolerance_ns: int,
) -> list[tuple[str, str, list[int]]]:
    """What is wrong with one `ok` read: (name, sentence, rows)."""
    origin, changes, busy = start
    code = history.atoms.encode(value)
    began_ns, ended_ns = int(history.time_ns[origin]), int(history.time_ns[row])
    if value is None:
        if busy or changes != state.changes:
            return []
        for shown in state.writes:
            state.gone.setdefault(shown, row)
        write = state.latest
        if write is None:
            return []
        if write.ttl_ns is None or ended_ns < write.began_ns + write.ttl_ns - tolerance_ns:
            said = f"{quote(history, row)} finds nothing, before the time of"
            proof = [write.row, row]
            return [("early-expiry", f"{said} {quote(history, write.row)} is over", proof)]
        return []
    found = []
    gone = state.gone.get(code)
    if gone is not None and gone < origin:
        said = f"{quote(history, row)} shows a value that {quote(history, gone)} had found gone"
        found.append(("resurrected", said, [gone, row]))
    written = state.writes.get(code)
    if written is None or written.ttl_ns is None or written.ended_ns is None:
        return found
    if began_ns > written.ended_ns + written.ttl_ns + tolerance_ns:
        said = f"{quote(history, row)} shows the value of {quote(history, written.row)}"
        found.append(("expired-read", f"{said} after its time", [written.row, row]))
    return found


def _anomaly(history: History, name: str, cases: list[tuple[str, list[int]]]) -> Anomaly:
    said, _ = cases[0]
    more = "" if len(cases) == 1 else f" ({count(len(cases), 'case')})"
    rows = [row for _, proof in cases[:EXAMPLES_MAX] for row in proof]
    return Anomaly(name, said + more, ops=indexes(history, rows), count=len(cases))

"""A tiny language for histories: `tiny("i0 add 1; o0 add 1; i1 read; o1 read [1]")`.

Each op: a letter for the type (`i`nvoke, `o`k, `f`ail, i`n`fo), the process, then `f`, then the
value as JSON (nothing: null). `@5` before the value is the independent key 5. Ops stand one
millisecond apart.
"""

from __future__ import annotations

import json

from seatrial.checker import Budget, CheckOptions
from seatrial.checkers import make
from seatrial.history import History, HistoryBuilder
from seatrial.op import Atom, Op, Type, Value
from seatrial.verdict import Json, Verdict

TYPES = {"i": Type.INVOKE, "o": Type.OK, "f": Type.FAIL, "n": Type.INFO}
STEP_NS = 1_000_000


def tiny(text: str) -> History:
    """The history that `text` says."""
    builder = HistoryBuilder()
    for place, part in enumerate(filter(None, map(str.strip, text.split(";")))):
        head, f, *rest = part.split(None, 2)
        tail, key = (rest[0] if rest else "null"), None
        if tail.startswith("@"):
            name, _, tail = tail[1:].partition(" ")
            key = json.loads(name)
        builder.append(
            Op(
                TYPES[head[0]],
                int(head[1:]),
                f if f != "-" else "",
                freeze(json.loads(tail or "null")),
                key=_atom(key),
                time_ns=place * STEP_NS,
            )
        )
    return builder.history()


def freeze(value: object) -> Value:
    """JSON as the core's `Value`: lists become tuples."""
    if isinstance(value, list):
        return tuple(freeze(item) for item in value)
    if isinstance(value, dict):
        return {str(key): freeze(item) for key, item in value.items()}
    assert value is None or isinstance(value, (bool, int, float, str))
    return value


def _atom(value: object) -> Atom:
    assert value is None or isinstance(value, (bool, int, float, str))
    return value


def judge(
    name: str, history: History | str, options: CheckOptions | None = None, /, **extra: Json
) -> Verdict:
    """The verdict of checker `name` on a history or its text; `extra` are its own settings."""
    found = tiny(history) if isinstance(history, str) else history
    return make(name, options or CheckOptions(extra=extra)).check(found, Budget.start())


def anomalies(verdict: Verdict) -> list[str]:
    """Names of the anomalies, sorted."""
    return sorted(anomaly.name for anomaly in verdict.anomalies)

"""Elle's tiny language for transactions, and histories built from it.

`"ax1 ry12"` appends 1 to x and reads y = [1 2]; `"rx"` reads x = nil; `"wx1"` writes 1 to the
register x, and `"rx1"` then reads it (`registers=True`). Single letters are keys, single digits
values.
"""

from __future__ import annotations

from dataclasses import dataclass

from seatrial.checker import Budget, CheckOptions
from seatrial.checkers import make
from seatrial.history import History, HistoryBuilder
from seatrial.op import Op, Type, Value
from seatrial.verdict import Json, Verdict


def txn(text: str, *, registers: bool = False) -> tuple[Value, ...]:
    """A transaction's micro-ops."""
    return tuple(_micro(word, registers) for word in text.split())


def _micro(word: str, registers: bool) -> tuple[Value, ...]:
    f, key, digits = word[0], word[1], word[2:]
    if f == "r":
        if registers:
            return ("r", key, int(digits) if digits else None)
        return ("r", key, tuple(map(int, digits)) if digits else None)
    return ("append" if f == "a" else f, key, int(digits))


def _blank(value: tuple[Value, ...]) -> tuple[Value, ...]:
    """A transaction as invoked: its reads have no value yet."""
    return tuple((m[0], m[1], None) if isinstance(m, tuple) and m[0] == "r" else m for m in value)


@dataclass(frozen=True)
class T:
    """A transaction: its text, process, and the interval in which it ran (in steps)."""

    text: str
    process: int
    begin: float
    end: float | None
    type: Type = Type.OK


def serial(*texts: str) -> list[T]:
    """One process, one transaction after another. `!` in front: it failed; `?`: nobody knows."""
    return [_typed(text, 0, 2 * i, 2 * i + 1) for i, text in enumerate(texts)]


def concurrent(*texts: str) -> list[T]:
    """All at the same time, each by a process of its own, completing in the order given."""
    return [_typed(text, i, i / 1000, 1 + i) for i, text in enumerate(texts)]


def _typed(text: str, process: int, begin: float, end: float) -> T:
    kind = {"!": Type.FAIL, "?": Type.INFO}.get(text[:1], Type.OK)
    return T(text.lstrip("!?"), process, begin, end, kind)


def history(txns: list[T], *, registers: bool = False, invocations: bool = True) -> History:
    """The history in which these transactions ran."""
    events: list[tuple[float, int, Op]] = []
    for i, t in enumerate(txns):
        value = txn(t.text, registers=registers)
        if invocations:
            events.append((t.begin, i, Op(Type.INVOKE, t.process, "txn", _blank(value))))
        if t.end is not None:
            events.append((t.end, i, Op(t.type, t.process, "txn", value)))
    events.sort(key=lambda event: (event[0], event[1]))
    return HistoryBuilder().extend(op for _, _, op in events).history()


def judge(
    txns: list[T],
    *,
    checker: str = "list-append",
    model: str | None = None,
    anomalies: list[Json] | None = None,
    version_order: tuple[str, ...] = (),
    invocations: bool = True,
) -> Verdict:
    """The verdict on a history of these transactions."""
    extra: dict[str, Json] = {} if anomalies is None else {"anomalies": anomalies}
    options = CheckOptions(consistency_model=model, version_order=version_order, extra=extra)
    told = history(txns, registers=checker != "list-append", invocations=invocations)
    return make(checker, options).check(told, Budget.start())


def names(verdict: Verdict) -> set[str]:
    """The names of a verdict's anomalies."""
    return {anomaly.name for anomaly in verdict.anomalies}

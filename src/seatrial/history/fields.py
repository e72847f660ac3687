"""What the fields of an op in a text file mean, for JSON and EDN alike.

Missing fields are tolerated where that loses no op: no `index` (counted), no `time` (−1), no
`process` (0: such files hold the ops of one client, one after another), no `f` (`txn` for a
transaction, else empty). A `type` is a must.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from seatrial.history.columns import History, Kind, canonical
from seatrial.op import NEMESIS, Atom, Op, Type, Value

_TYPES = {kind.label: kind for kind in Type}
_INT32, _INT64 = 1 << 31, 1 << 63
#: How much of a bad line or value a message quotes.
QUOTE_CHARS = 60


def quoted(text: str) -> str:
    """The beginning of some text, in quotes, for a message."""
    text = text.strip()
    return repr(text if len(text) <= QUOTE_CHARS else text[:QUOTE_CHARS] + "…")


def op_from_fields(fields: Mapping[str, Value]) -> Op:
    """The op that a parsed JSON object or EDN map describes; raises `ValueError` saying what not.

    `index` is −1 where the file has none.
    """
    kind = fields.get("type")
    if not isinstance(kind, str) or kind not in _TYPES:
        raise ValueError(
            f"an op's type is invoke, ok, fail or info, not {_shown(kind)}"
            if "type" in fields
            else "an op without a type"
        )
    key = fields.get("key")
    if not (key is None or isinstance(key, (bool, int, float, str))):
        raise ValueError(f"an op's key is one scalar, not {_shown(key)}")
    return Op(
        type=_TYPES[kind],
        process=_process(fields.get("process")),
        f=_f(fields.get("f")),
        value=fields.get("value"),
        key=key,
        time_ns=_whole(fields.get("time"), "time"),
        error=error_text(fields.get("error")),
        index=max(-1, _whole(fields.get("index"), "index")),
    )


def error_text(error: Value) -> str | None:
    """An error as text: itself if it is text, else its JSON."""
    return error if error is None or isinstance(error, str) else canonical(error)


def keyed_value(op: Op) -> Value:
    """The value as files have it: `[k v]` where the op has an independent key, as in Jepsen."""
    key: Atom = op.key
    return op.value if key is None else (key, op.value)


def settled(history: History, named: bool, counted: bool) -> History:
    """An imported history with its gaps filled: indexes, and the `f` of transactions.

    Indexes stay if every op has one and they ascend; else ops are counted from 0. `named` says
    that every op has an `f`, `counted` that some have no index.
    """
    rows = len(history)
    index = history.index
    if counted or not bool(np.all(index[1:] > index[:-1])):
        index = np.arange(rows, dtype=np.int64)
    if named:
        return history.with_columns(index=index)
    f, names = history.f, history.names
    empty = history.name_code("")
    lists = (history.kind == Kind.LIST) & (history.element_start[1:] == history.element_start[:-1])
    bare = (f == empty) & ((history.kind == Kind.TXN) | lists)
    if empty >= 0 and bool(bare.any()):
        code = history.name_code("txn")
        if code < 0:
            code, names = len(names), (*names, "txn")
        f = np.where(bare, np.int32(code), f)
    return history.with_columns(index=index, f=f, names=names)


def _process(process: Value) -> int:
    if process is None:
        return 0
    if process == "nemesis":
        return NEMESIS
    if isinstance(process, int) and not isinstance(process, bool) and 0 <= process < _INT32:
        return process
    raise ValueError(f'an op\'s process is a whole number or "nemesis", not {_shown(process)}')


def _f(f: Value) -> str:
    if f is None:
        return ""
    return f if isinstance(f, str) else canonical(f)


def _whole(number: Value, name: str) -> int:
    if number is None:
        return -1
    if isinstance(number, float) and number.is_integer():
        number = int(number)
    if isinstance(number, int) and not isinstance(number, bool) and abs(number) < _INT64:
        return number
    raise ValueError(f"an op's {name} is a whole number, not {_shown(number)}")


def _shown(value: Value) -> str:
    return quoted(canonical(value))

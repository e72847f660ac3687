"""Histories as JSON: one op a line (ours), or one array of ops (what elle-cli and others keep).

An op is `{"index", "process", "type", "f", "value", "time", "error"}`; the nemesis' process is
`"nemesis"`, and an op with an independent key has the value `[key, value]`, as in Jepsen: read
such a file with `lift_keys`. A field `key` beside `value` is understood too.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from seatrial.errors import BadData, CannotCreate, NoInput
from seatrial.history.arrow import tuples
from seatrial.history.builder import HistoryBuilder
from seatrial.history.columns import History
from seatrial.history.fields import keyed_value, op_from_fields, quoted, settled
from seatrial.op import NEMESIS, Op


def write_jsonl(history: History, path: Path | str) -> None:
    """Write a history as JSON Lines, over a file that is there already. O(n).

    Text outside ASCII is escaped. Raises `CannotCreate`.
    """
    try:
        with Path(path).open("w", encoding="ascii") as file:
            file.writelines(f"{line_of(op)}\n" for op in history.ops())
    except OSError as error:
        raise CannotCreate(f"cannot write {str(path)!r}: {error.strerror or error}") from error


def line_of(op: Op) -> str:
    """One op as a line of JSON, without the line's end."""
    document = {
        "index": op.index,
        "process": "nemesis" if op.process == NEMESIS else op.process,
        "type": op.type.label,
        "f": op.f,
        "value": keyed_value(op),
        "time": op.time_ns,
        "error": op.error,
    }
    return json.dumps(document)


def read_jsonl(path: Path | str) -> History:
    """The history in a file of JSON Lines or of one JSON array of ops. O(n).

    Raises `NoInput` if it cannot be read and `BadData`, with the line, if it is malformed.
    """
    try:
        with Path(path).open("rb") as file:
            start = file.read(4096).lstrip(b"\xef\xbb\xbf \t\r\n")
            file.seek(0)
            pairs = _array(file.read(), path) if start.startswith(b"[") else _lines(file, path)
            return _build(pairs, path)
    except OSError as error:
        raise NoInput(f"cannot read {str(path)!r}: {error.strerror or error}") from error


def _lines(file: Iterable[bytes], path: Path | str) -> Iterator[tuple[str, object]]:
    for number, line in enumerate(file, start=1):
        if line.isspace():
            continue
        yield f"line {number}", _parsed(line, f"{path}: line {number}")


def _array(data: bytes, path: Path | str) -> Iterator[tuple[str, object]]:
    document = _parsed(data, str(path))
    if not isinstance(document, list):
        raise BadData(f"{path}: a JSON history is an array of ops or one op a line")
    for place, item in enumerate(document):
        yield f"op {place} of the array", item


def _parsed(data: bytes, where: str) -> object:
    try:
        return json.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        text = data.decode("utf-8", "replace")
        reason = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
        if isinstance(error, json.JSONDecodeError) and "line" not in where:
            where, text = f"{where}: line {error.lineno}", text[error.pos :]
        raise BadData(f"{where} is not JSON ({reason}): {quoted(text)}") from error


def _build(pairs: Iterable[tuple[str, object]], path: Path | str) -> History:
    builder = HistoryBuilder()
    named = True
    counted = False
    for where, document in pairs:
        try:
            if not isinstance(document, dict):
                raise ValueError("an op is an object")
            op = op_from_fields({key: tuples(value) for key, value in document.items()})
            builder.append(op)
        except (ValueError, RecursionError) as error:
            shown = quoted(json.dumps(document, default=str))
            raise BadData(f"{path}: {where}: {error}: {shown}") from error
        named = named and bool(op.f)
        counted = counted or op.index < 0
    return settled(builder.history(), named, counted)

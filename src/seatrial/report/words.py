"""How the report says numbers, moments, values and ops: short, exact, one way each."""

from __future__ import annotations

import datetime
import json
import math
from collections.abc import Mapping

from seatrial.op import NEMESIS, Op, Type, Value
from seatrial.timeline import NS_PER_S
from seatrial.verdict import Json

#: Longer values are cut in the middle.
VALUE_CHARS_MAX = 160
#: Longer lists show their ends.
LIST_SHOWN = 12

MISSING = "–"


def count(number: int) -> str:
    """1234567 → `1,234,567`."""
    return f"{number:,}"


def number(value: float | None) -> str:
    """Three significant digits, no exponent where it can be avoided."""
    if value is None or math.isnan(value):
        return MISSING
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}".replace("-", "−")
    if abs(value) >= 1000:
        return f"{value:,.0f}".replace("-", "−")
    text = f"{value:.3g}"
    return text.replace("-", "−", 1) if value < 0 else text


def milliseconds(value: float) -> str:
    """A latency with its unit: `0.42 ms`, `12 ms`, `3.1 s`."""
    if value < 0.1:
        return f"{number(value * 1000)} µs"
    return f"{number(value)} ms" if value < 1000 else f"{number(value / 1000)} s"


def latency(value: float | None) -> str:
    """A latency with its unit, a dash where there is none."""
    return MISSING if value is None else milliseconds(value)


def seconds(value: float | None) -> str:
    """A moment or a length: `3.21 s`, `2 min 5 s`, `42 ms`."""
    if value is None:
        return MISSING
    if value and abs(value) < 0.1:
        return f"{number(value * 1000)} ms"
    if abs(value) < 120:
        return f"{value:.2f}".rstrip("0").rstrip(".").replace("-", "−") + " s"
    minutes, rest = divmod(round(abs(value)), 60)
    sign = "−" if value < 0 else ""
    if minutes < 120:
        return f"{sign}{minutes} min {rest} s"
    return f"{sign}{minutes // 60} h {minutes % 60} min"


def date(started: str) -> str:
    """A date and time for people: `2026-11-21 04:35:51 UTC`; other text stays as it is."""
    try:
        moment = datetime.datetime.fromisoformat(started)
    except ValueError:
        return started
    zone = moment.strftime("%Z").replace("UTC+00:00", "UTC")
    return f"{moment:%Y-%m-%d %H:%M:%S} {zone}".strip()


def label(name: str) -> str:
    """A field's name for people: `waited_s` is `waited s`."""
    return name.replace("_", " ")


def moment(time_ns: int | None, origin_ns: int) -> str:
    """A moment on the report's clock, to the millisecond: `12.345 s`."""
    if time_ns is None:
        return MISSING
    return f"{(time_ns - origin_ns) / NS_PER_S:.3f} s".replace("-", "−")


def window(start_s: float | None, end_s: float | None) -> str:
    """`3.21 to 8.4 s`; an open end is said."""
    if start_s is None:
        return MISSING
    begin = f"{start_s:.2f}".replace("-", "−")
    if end_s is None:
        return f"{begin} s, no end"
    return f"{begin} to {end_s:.2f} s".replace("-", "−")


def cut(text: str, chars_max: int = VALUE_CHARS_MAX) -> str:
    """The text, its middle left out where it is too long."""
    if len(text) <= chars_max:
        return text
    tail = chars_max // 4
    return f"{text[: chars_max - tail - 3]} … {text[-tail:]}"


def value(given: Value) -> str:
    """A value as a person writes it: `nil`, `5`, `[1 2 3]`, `append 7 1 · r 7 [1]`."""
    if isinstance(given, tuple):
        if given and all(isinstance(part, tuple) and len(part) == 3 for part in given):
            return " · ".join(_atom(micro) for micro in given)
        return _list(given)
    if isinstance(given, Mapping):
        return "{" + ", ".join(f"{key}: {value(item)}" for key, item in given.items()) + "}"
    return _scalar(given)


def _atom(micro: Value) -> str:
    assert isinstance(micro, tuple)
    return f"{micro[0]} {value(micro[1])} {value(micro[2])}"


def _list(items: tuple[Value, ...]) -> str:
    if len(items) <= 2 * LIST_SHOWN:
        return "[" + " ".join(value(item) for item in items) + "]"
    head = " ".join(value(item) for item in items[:LIST_SHOWN])
    tail = " ".join(value(item) for item in items[-LIST_SHOWN:])
    return f"[{head} … {tail}] ({len(items)} elements)"


def _scalar(given: Value) -> str:
    if given is None:
        return "nil"
    if isinstance(given, bool):
        return "true" if given else "false"
    return given if isinstance(given, str) else str(given)


def process(number: int) -> str:
    """`nemesis` or `process 7`."""
    return "nemesis" if number == NEMESIS else f"process {number}"


def deed(op: Op) -> str:
    """What an op does, with its key and value: `write 3 := 5`, `read 3 → 4`, `cas 3 1 ⇒ 2`."""
    key = "" if op.key is None else f" {value(op.key)}"
    if op.f == "read" and op.type == Type.INVOKE:
        return f"read{key}"
    if op.f in ("read", "r"):
        return f"{op.f}{key} → {value(op.value)}"
    if op.f == "cas" and isinstance(op.value, tuple) and len(op.value) == 2:
        return f"cas{key} {value(op.value[0])} ⇒ {value(op.value[1])}"
    if op.f == "write":
        return f"write{key} := {value(op.value)}"
    return f"{op.f}{key} {value(op.value)}"


def details(given: Json) -> str:
    """A JSON value in a table: plain where it is a scalar, compact JSON otherwise."""
    if given is None:
        return MISSING
    if isinstance(given, bool):
        return "yes" if given else "no"
    if isinstance(given, float):
        return number(given)
    if isinstance(given, int):
        return count(given)
    if isinstance(given, str):
        return cut(given, 2000)
    if isinstance(given, (list, tuple)) and all(isinstance(i, (str, int, float)) for i in given):
        return cut(", ".join(str(item) for item in given), 2000) or MISSING
    if isinstance(given, Mapping) and not any(
        isinstance(item, (Mapping, list, tuple)) for item in given.values()
    ):
        said = (f"{label(key)} {details(item)}" for key, item in given.items())
        return cut(", ".join(said), 2000) or MISSING
    return cut(json.dumps(given, ensure_ascii=False), 2000)

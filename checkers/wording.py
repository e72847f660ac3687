"""How checkers speak: one op, one value or one count said to a person.

Only called for the few ops that an anomaly quotes, never for each op of a history.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from seatrial.history import History
from seatrial.history.columns import I64
from seatrial.op import NEMESIS, Value

#: How many instances of one cause are told; the rest is a count.
EXAMPLES_MAX = 8
#: How many characters of a value are shown.
VALUE_CHARS_MAX = 80


def show(value: Value) -> str:
    """A value as JSON, cut to `VALUE_CHARS_MAX` characters."""
    text = json.dumps(value, ensure_ascii=False)
    if len(text) <= VALUE_CHARS_MAX:
        return text
    return text[: VALUE_CHARS_MAX - 1] + "…"


def quote(history: History, row: int) -> str:
    """One op for a sentence: `op 17 (process 3: ok read 5)`."""
    op = history.op(row)
    who = "nemesis" if op.process == NEMESIS else f"process {op.process}"
    f = f" {op.f}" if op.f else ""
    return f"op {op.index} ({who}: {op.type.label}{f} {show(op.value)})"


def count(n: int, noun: str, plural: str = "") -> str:
    """`1 read`, `2,000 reads`."""
    return f"{n:,} {noun if n == 1 else plural or noun + 's'}"


def listed(items: Iterable[str], last: str = "and") -> str:
    """`a`, `a and b`, `a, b and c`; beyond `EXAMPLES_MAX` the rest as a number."""
    texts = list(items)
    if len(texts) > EXAMPLES_MAX:
        rest = len(texts) - EXAMPLES_MAX
        texts = [*texts[:EXAMPLES_MAX], f"{rest:,} more"]
    if len(texts) < 2:
        return "".join(texts)
    return f"{', '.join(texts[:-1])} {last} {texts[-1]}"


def values(history: History, codes: Sequence[int] | I64) -> str:
    """Values for a sentence, by their codes; beyond `EXAMPLES_MAX` the rest as a number."""
    shown = [show(history.atoms.decode(int(code))) for code in codes[:EXAMPLES_MAX]]
    rest = len(codes) - len(shown)
    return f"{', '.join(shown)} and {rest:,} more" if rest else listed(shown)


def indexes(history: History, rows: Iterable[int]) -> tuple[int, ...]:
    """The op indexes of rows, ascending and once each; rows of −1 (there is none) are left out."""
    return tuple(sorted({int(history.index[row]) for row in rows if row >= 0}))

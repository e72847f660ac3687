"""Any EDN form as a value: the general, slow reader behind `edn`, and the writer's spelling.

EDN is Clojure's notation for data (github.com/edn-format/edn). Here keywords, symbols and
characters become their text (`:x` is `x`); lists, vectors and sets become tuples in the order they
are written; tags and metadata are dropped and what they stand before is kept; ratios stay text,
being neither integers nor floats. Keys of maps become text, as in JSON.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from seatrial.history.builder import is_micro, map_key
from seatrial.history.columns import canonical
from seatrial.op import Value

#: Forms nested deeper are refused: no op of a history is, and JSON writers recurse.
MAX_DEPTH = 100
_TOKEN = re.compile(
    r"""(?P<skip>[\s,]+|;[^\n]*)
    |(?P<string>"(?:[^"\\]|\\.)*")
    |(?P<char>\\(?:.[^\s,()\[\]{}";\\]*))
    |(?P<open>\#\{|[(\[{])
    |(?P<close>[)\]}])
    |(?P<discard>\#_)
    |(?P<special>\#\#[^\s,()\[\]{}";]+)
    |(?P<tag>\#[^\s,()\[\]{}";]*)
    |(?P<meta>\^)
    |(?P<atom>[^\s,()\[\]{}";]+)""",
    re.VERBOSE | re.DOTALL | re.ASCII,
)
_CLOSER = {"(": ")", "[": "]", "{": "}", "#{": "}"}
_INTEGER = re.compile(r"[+-]?\d+N?\Z", re.ASCII)
_HEX = re.compile(r"[+-]?0[xX][0-9a-fA-F]+\Z")
_FLOAT = re.compile(r"[+-]?\d+(\.\d*)?([eE][+-]?\d+)?M?\Z", re.ASCII)
_SPECIAL = {"##NaN": math.nan, "##Inf": math.inf, "##-Inf": -math.inf}
_WORDS: dict[str, Value] = {"nil": None, "true": True, "false": False}
_CHARS = {"newline": "\n", "space": " ", "tab": "\t", "return": "\r", "backspace": "\b",
          "formfeed": "\f"}  # fmt: skip
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|[0-7]{1,3}|.)", re.DOTALL)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", '"': '"', "\\": "\\", "'": "'",
            "/": "/"}  # fmt: skip
_KEYWORD = re.compile(r"[A-Za-z*!_?$%&=<>][A-Za-z0-9*!_?$%&=<>.+-]*\Z")


class Unclosed(ValueError):
    """The text ends inside a form."""


@dataclass(slots=True)
class _Frame:
    """A form that is not finished: what opened it, and the forms inside so far."""

    opener: str
    at: int
    items: list[Value] = field(default_factory=list)


def parse(text: str, at: int = 0) -> tuple[Value, int]:
    """The first form from `at` on, and where it ends. O(length), no recursion.

    Raises `Unclosed` where the text ends first, and `ValueError` for what is no EDN.
    """
    stack: list[_Frame] = [_Frame("", at)]
    while True:  # bounded: each turn consumes a token or returns
        match = _TOKEN.match(text, at)
        if match is None:
            if at >= len(text):
                raise Unclosed("the text ends inside a form")
            raise ValueError("a string is never closed")
        at = match.end()
        kind, token = match.lastgroup, match.group()
        if kind == "skip":
            continue
        if kind in ("open", "discard", "tag", "meta"):
            if len(stack) > MAX_DEPTH:
                raise ValueError(f"forms are nested deeper than {MAX_DEPTH}")
            stack.append(_Frame({"open": token, "tag": "tag"}.get(kind, token), match.start()))
            continue
        if kind == "close":
            frame = stack.pop()
            if _CLOSER.get(frame.opener) != token:
                raise ValueError(f"{token!r} closes nothing that is open")
            done: Value = _collection(frame)
        else:
            done = _scalar(str(kind), token)
        if _place(stack, done):
            return stack[0].items[0], at


def _place(stack: list[_Frame], done: Value) -> bool:
    """Put a finished form where it belongs; True when the outermost form is complete."""
    while True:  # bounded by the stack's depth
        frame = stack[-1]
        if frame.opener == "#_":
            stack.pop()
            return False
        if frame.opener == "tag":
            stack.pop()
            continue
        frame.items.append(done)
        if frame.opener == "^" and len(frame.items) == 2:
            stack.pop()
            continue
        return frame.opener == ""


def _collection(frame: _Frame) -> Value:
    if frame.opener == "#{":
        return tuple(sorted(frame.items, key=_rank))
    if frame.opener != "{":
        return tuple(frame.items)
    if len(frame.items) % 2:
        raise ValueError("a map has a key without a value")
    keys = [key if isinstance(key, str) else canonical(key) for key in frame.items[::2]]
    return dict(zip(keys, frame.items[1::2], strict=True))


def _rank(item: Value) -> tuple[bool, int, str]:
    """A set is written in any order: whole numbers first, as in the columns, then the rest."""
    if isinstance(item, int) and not isinstance(item, bool):
        return False, item, ""
    return True, 0, canonical(item)


def _scalar(kind: str, token: str) -> Value:
    if kind == "string":
        return _ESCAPE.sub(_unescape, token[1:-1]) if "\\" in token else token[1:-1]
    if kind == "char":
        name = token[1:]
        if len(name) == 5 and name[0] == "u":
            return chr(int(name[1:], 16))
        return _CHARS.get(name, name)
    if kind == "special":
        if token not in _SPECIAL:
            raise ValueError(f"{token!r} is no number")
        return _SPECIAL[token]
    if token in _WORDS:
        return _WORDS[token]
    if token[0] == ":":
        return token[1:]
    if _INTEGER.match(token):
        return int(token.rstrip("N"))
    if _FLOAT.match(token):
        return float(token.rstrip("M"))
    return int(token, 16) if _HEX.match(token) else token


def _unescape(match: re.Match[str]) -> str:
    name = match.group(1)
    if name[0] == "u" and len(name) == 5:
        return chr(int(name[1:], 16))
    if name[0] in "01234567":
        return chr(int(name, 8))
    if name not in _ESCAPES:
        raise ValueError(f"a string has the unknown escape \\{name}")
    return _ESCAPES[name]


def keyword(text: str) -> str:
    """A name as a keyword, or as a string where EDN has no such keyword."""
    return f":{text}" if _KEYWORD.match(text) else written(text)


def written(value: Value) -> str:
    """A value as EDN: text is quoted, but a transaction's micro-ops begin with keywords."""
    if value is None:
        return "nil"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value) if abs(value) < 1 << 63 else f"{value}N"
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else _special(value)
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, Mapping):
        pairs = (f"{written(map_key(key))} {written(item)}" for key, item in value.items())
        return f"{{{', '.join(pairs)}}}"
    if value and all(map(is_micro, value)):
        return f"[{' '.join(map(_micro, value))}]"
    return f"[{' '.join(map(written, value))}]"


def _micro(value: Value) -> str:
    assert isinstance(value, tuple) and isinstance(value[0], str)
    return f"[{keyword(value[0])} {written(value[1])} {written(value[2])}]"


def _special(value: float) -> str:
    return "##NaN" if math.isnan(value) else "##Inf" if value > 0 else "##-Inf"


def _string(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    for letter, char in (("n", "\n"), ("t", "\t"), ("r", "\r"), ("b", "\b"), ("f", "\f")):
        escaped = escaped.replace(char, f"\\{letter}")
    return f'"{escaped}"'

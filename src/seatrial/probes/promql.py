"""Which series a PromQL query reads: its selectors, found by its tokens.

Needed to look at raw samples beside a query's answer: the answer of an instant query is at most
five minutes old (the server's lookback), and says nothing of how old it is, nor that a counter
began again. The lexical rules are those of https://prometheus.io/docs/prometheus/latest/querying/.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_TOKEN: Final = re.compile(
    r"""(?P<space>\s+|\#[^\n]*)
      | (?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`)
      | (?P<number>\d[\w.]*)
      | (?P<word>[a-zA-Z_:][\w:]*)
      | (?P<mark>.)""",
    re.VERBOSE | re.DOTALL,
)
_LISTS: Final = {"by", "without", "on", "ignoring", "group_left", "group_right"}
_WORDS: Final = {"and", "or", "unless", "bool", "offset", "atan2", "inf", "nan"}
_AGGREGATIONS: Final = {
    "sum", "min", "max", "avg", "group", "stddev", "stdvar", "count", "count_values", "bottomk",
    "topk", "quantile",
}  # fmt: skip
#: How the names of counters end (https://prometheus.io/docs/practices/naming/).
COUNTER_ENDS: Final = ("_total", "_count", "_bucket")


@dataclass(frozen=True, slots=True)
class Selector:
    """The text of a selector without range and offset, and its metric's name (or empty)."""

    text: str
    name: str

    @property
    def counts(self) -> bool:
        """Whether it selects counters, by the convention of names."""
        return self.name.endswith(COUNTER_ENDS)


def selectors(query: str) -> tuple[Selector, ...]:
    """The selectors of a query, each once, in order; of a wrong query whatever is found. O(n)."""
    tokens = [m for m in _TOKEN.finditer(query) if m.lastgroup != "space"]
    found: dict[str, Selector] = {}
    at = 0
    while at < len(tokens):
        token = tokens[at]
        following = tokens[at + 1].group() if at + 1 < len(tokens) else ""
        if token.lastgroup == "word":
            word = token.group()
            if word.lower() in _LISTS:
                at = _after(tokens, at + 1, "(", ")") if following == "(" else at + 1
                continue
            skipped = word.lower() in _WORDS or following == "("
            aggregates = word.lower() in _AGGREGATIONS and following.lower() in ("by", "without")
            if not skipped and not aggregates:
                end = _after(tokens, at + 1, "{", "}") if following == "{" else at + 1
                text = query[token.start() : tokens[end - 1].end()]
                found.setdefault(text, Selector(text, word))
                at = end
                continue
        elif token.group() == "{":
            end = _after(tokens, at, "{", "}")
            text = query[token.start() : tokens[end - 1].end()]
            found.setdefault(text, Selector(text, ""))
            at = end
            continue
        elif token.group() == "[":
            at = _after(tokens, at, "[", "]")
            continue
        at += 1
    return tuple(found.values())


def _after(tokens: list[re.Match[str]], at: int, opening: str, closing: str) -> int:
    """The place after the bracket that closes the one at `at`."""
    depth = 0
    for place in range(at, len(tokens)):
        text = tokens[place].group() if tokens[place].lastgroup == "mark" else ""
        depth += (text == opening) - (text == closing)
        if depth == 0:
            return place + 1
    return len(tokens)

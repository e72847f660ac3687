"""Log patterns: panics, failed assertions and the like in what nodes wrote (Jepsen,
`checker.clj`, `log-file-pattern`).

Lines come as ops `log` (of anybody, nemesis too; a text, or a map of `node` and `line`), and as
the option `text`: a text, or a map from node to text. A line that matches one of `patterns` and
none of `ignore` (regular expressions) is a `log-pattern`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from seatrial.checker import Budget, CheckOptions
from seatrial.checkers.settings import names
from seatrial.checkers.wording import EXAMPLES_MAX, count
from seatrial.errors import UsageError
from seatrial.history import History
from seatrial.op import Type
from seatrial.verdict import Anomaly, Verdict

NAME = "log-pattern"
#: What no healthy server writes: Go, C and C++, Rust, Java, sanitizers.
PATTERNS = (
    r"^panic: ",
    r'"level":"(panic|fatal)"',
    r"fatal error: ",
    r"runtime error: ",
    r"goroutine \d+ \[running\]",
    r"[Aa]ssert(ion)? .*fail",
    r"Assertion [`'].*['`] failed",
    r"thread '.*' panicked at",
    r"(SIGSEGV|SIGABRT|SIGBUS|[Ss]egmentation fault)",
    r"WARNING: DATA RACE",
    r"ERROR: (Address|Thread|Memory|UndefinedBehavior)Sanitizer",
    r"java\.lang\.(OutOfMemoryError|AssertionError|StackOverflowError)",
)
LINE_CHARS_MAX = 300


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a log, with the op that brought it (−1: an option did)."""

    node: str
    text: str
    index: int


@dataclass(frozen=True, slots=True)
class LogPattern:
    """Looks for `patterns` in all lines but those that match `ignore`."""

    patterns: tuple[re.Pattern[str], ...]
    ignore: tuple[re.Pattern[str], ...] = ()
    texts: Mapping[str, str] | None = None
    name: str = NAME

    def check(self, history: History, budget: Budget) -> Verdict:
        """O(characters × patterns)."""
        judged = 0
        hits: dict[str, list[Line]] = {}
        for line in (*self._given(), *_logged(history)):
            judged += 1
            for pattern in self.patterns:
                if pattern.search(line.text):
                    if not any(one.search(line.text) for one in self.ignore):
                        hits.setdefault(pattern.pattern, []).append(line)
                    break
        if not judged:
            return Verdict.unknown("no log line to judge")
        if hits:
            anomalies = [_anomaly(pattern, lines) for pattern, lines in hits.items()]
            cause = anomalies[0].explanation
            return Verdict.invalid(cause, judged=judged, anomalies=anomalies)
        cause = f"{count(judged, 'line')} without a match of {count(len(self.patterns), 'pattern')}"
        return Verdict.valid(cause, judged=judged)

    def _given(self) -> Iterator[Line]:
        for node, text in (self.texts or {}).items():
            for line in text.splitlines():
                yield Line(node, line, -1)


def make(options: CheckOptions) -> LogPattern:
    """The checker; options `patterns`, `ignore` (lists) and `text` (or a map from node to text)."""
    text = options.extra.get("text", {})
    texts = {"log": text} if isinstance(text, str) else text
    if not isinstance(texts, Mapping) or not all(isinstance(t, str) for t in texts.values()):
        raise UsageError(
            f"checker {NAME!r}: option 'text' is a {type(text).__name__}, not a text\n\n"
            "hint: give a text, or a map from node to text"
        )
    return LogPattern(
        _compiled("patterns", names(options, NAME, "patterns") or PATTERNS),
        _compiled("ignore", names(options, NAME, "ignore") or ()),
        {node: str(lines) for node, lines in texts.items()},
    )


def _compiled(option: str, patterns: tuple[str, ...]) -> tuple[re.Pattern[str], ...]:
    out = []
    for pattern in patterns:
        try:
            out.append(re.compile(pattern))
        except re.error as error:
            raise UsageError(
                f"checker {NAME!r}: option {option!r} holds {pattern!r}, which is no regular "
                f"expression ({error})\n\nhint: put a backslash before special characters"
            ) from None
    return tuple(out)


def _logged(history: History) -> Iterator[Line]:
    for row in np.flatnonzero(history.is_f("log") & (history.type != Type.INVOKE)).tolist():
        value, index = history.value(row), int(history.index[row])
        if isinstance(value, str):
            yield Line("", value, index)
        elif isinstance(value, Mapping):
            yield Line(str(value.get("node", "")), str(value.get("line", "")), index)


def _anomaly(pattern: str, lines: list[Line]) -> Anomaly:
    def said(line: Line) -> str:
        where = f"{line.node}: " if line.node else ""
        return f"{where}{line.text[:LINE_CHARS_MAX]}"

    more = "" if len(lines) == 1 else f" ({count(len(lines), 'line')})"
    return Anomaly(
        "log-pattern",
        f"a log line matches {pattern!r}: {said(lines[0])}{more}",
        ops=tuple(sorted({line.index for line in lines[:EXAMPLES_MAX] if line.index >= 0})),
        steps=tuple(said(line) for line in lines[:EXAMPLES_MAX]) if len(lines) > 1 else (),
        count=len(lines),
    )

"""Histories of other checkers' test suites get the verdict that those state.

The folder of histories is not part of the repository: `SEATRIAL_HISTORIES` names it. It holds a
`MANIFEST.tsv` (path, format, model, expected, source), Porcupine's and Knossos' files as they are.
A few small histories stand here, so that something is judged in any case.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from seatrial.checker import Budget, CheckOptions
from seatrial.checkers.linearizable import make
from seatrial.history import History, HistoryBuilder
from seatrial.op import NEMESIS, Op, Type, Value

_TYPES = {label: kind for kind in Type for label in (kind.label, f":{kind.label}")}
_TOKEN = re.compile(r';[^\n]*|"((?:[^"\\]|\\.)*)"|([\[\]{}()])|([^\s,\[\]{}()";]+)')


def edn(text: str) -> list[Value]:
    """All top-level forms of an EDN text, as far as histories need it."""
    stack: list[list[Value]] = [[]]
    for match in _TOKEN.finditer(text):
        quoted, bracket, word = match.groups()
        if bracket and bracket in "[{(":
            stack.append([])
        elif bracket:
            done = tuple(stack.pop())
            pairs = zip(done[::2], done[1::2], strict=True) if bracket == "}" else ()
            stack[-1].append({str(k): v for k, v in pairs} if bracket == "}" else done)
        elif quoted is not None:
            stack[-1].append(quoted)
        elif word:
            stack[-1].append(_atom(word))
    return stack[0]


def _atom(word: str) -> Value:
    if word == "nil":
        return None
    if word in ("true", "false"):
        return word == "true"
    if re.fullmatch(r"-?\d+", word):
        return int(word)
    return word.removeprefix(":")


def from_edn(text: str) -> History:
    """A history from a vector of op maps, or op maps one after another."""
    forms = edn(text)
    first = forms[0]
    maps = first if isinstance(first, tuple) else tuple(forms)
    builder = HistoryBuilder()
    for op in maps:
        assert isinstance(op, dict)
        process = op["process"]
        builder.append(
            Op(
                _TYPES[str(op["type"])],
                process if isinstance(process, int) else NEMESIS,
                str(op["f"]),
                op.get("value"),
                key=str(op["key"]) if "key" in op else None,
            )
        )
    return builder.history()


def from_log(text: str) -> History:
    """A history from Jepsen's console log: process, type, f, value between tabs."""
    builder = HistoryBuilder()
    for line in text.splitlines():
        match = re.fullmatch(r"INFO\s+jepsen\.util - (\d+)\t:(\w+)\t:(\w+)\t(.*)", line)
        if match is not None:
            process, kind, f, value = match.groups()
            builder.append(Op(_TYPES[kind], int(process), f, edn(value)[0]))
    return builder.history()


def _options(path: str) -> CheckOptions | None:
    if path.startswith("porcupine/jepsen/"):
        return CheckOptions(model="cas-register")
    if path.startswith("porcupine/kv/"):
        return CheckOptions(model="kv", initial="")
    if path.startswith("knossos/cas-register/"):
        return CheckOptions(model="cas-register", initial=0)
    if path.startswith("knossos/multi-register/"):
        return CheckOptions(model="multi-register", initial={"x": 0, "y": 0})
    return None


def test_every_history_of_the_manifest_gets_its_verdict() -> None:
    """Porcupine's and Knossos' own verdicts, file by file."""
    folder = Path(os.environ.get("SEATRIAL_HISTORIES", ""))
    if not os.environ.get("SEATRIAL_HISTORIES") or not (folder / "MANIFEST.tsv").exists():
        pytest.skip("SEATRIAL_HISTORIES names no folder with a MANIFEST.tsv")
    wrong, judged = [], 0
    for line in (folder / "MANIFEST.tsv").read_text().splitlines()[1:]:
        path, _, _, expected, _ = line.split("\t")
        options = _options(path)
        if options is None:
            continue
        text = (folder / path).read_text()
        made = from_log(text) if path.endswith(".log") else from_edn(text)
        verdict = make(options).check(made, Budget.start())
        judged += 1
        if not expected.startswith(verdict.verdict.value):
            wrong.append((path, expected, verdict.cause))
    assert judged and not wrong


SMALL = (
    (
        "[{:process 0, :type :invoke, :f :write, :value 1} ; a comment\n"
        " {:process 0, :type :ok, :f :write, :value 1}\n"
        " {:process 1, :type :invoke, :f :read, :value nil}\n"
        " {:process 1, :type :ok, :f :read, :value 1}]",
        "valid",
    ),
    (
        "{:process 0 :type :invoke :f :cas :value [0 1]}"
        "{:process 0 :type :ok :f :cas :value [0 1]}"
        "{:process 1 :type :invoke :f :cas :value [0 2]}"
        "{:process 1 :type :ok :f :cas :value [0 2]}",
        "invalid",
    ),
    (
        "{:process 0 :type :invoke :f :write :value 3} {:process 0 :type :info :f :write :value 3}"
        "{:process 1 :type :invoke :f :read :value nil} {:process 1 :type :ok :f :read :value 0}"
        "{:process 1 :type :invoke :f :read :value nil} {:process 1 :type :ok :f :read :value 3}",
        "valid",
    ),
)


@pytest.mark.parametrize(("text", "expected"), SMALL)
def test_small_histories_in_edn(text: str, expected: str) -> None:
    """The same reader, on histories that are always here."""
    verdict = make(CheckOptions(initial=0)).check(from_edn(text), Budget.start())
    assert verdict.verdict == expected


def test_a_console_log() -> None:
    """Jepsen's console log: an absent register is read as nil."""
    log = (
        "INFO  jepsen.util - 0\t:invoke\t:read\tnil\nINFO  jepsen.util - 0\t:ok\t:read\tnil\n"
        "INFO  jepsen.util - 1\t:invoke\t:write\t4\nINFO  jepsen.util - 1\t:ok\t:write\t4\n"
        "INFO  jepsen.util - 0\t:invoke\t:read\tnil\nINFO  jepsen.util - 0\t:ok\t:read\tnil\n"
    )
    verdict = make(CheckOptions(model="cas-register")).check(from_log(log), Budget.start())
    assert (verdict.verdict, verdict.anomalies[0].name) == ("invalid", "stale-read")

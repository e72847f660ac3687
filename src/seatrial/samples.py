"""Samples of probes in a trial's folder: JSON Lines, written as they come, read back as columns.

The first line names the format. Each other line is one sample of one steady state (`s`: its number
in the plan, `t`: seconds from the start of the trial, and `v` a number, `x` text, or `why` there
is neither), or a finding about a stretch of time (`find`: `gap` or `reset`, `from`, `to`, `node`,
`series`, `say`). A crash loses what was not flushed, at most `FLUSH_S`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np

from seatrial.calls import F64
from seatrial.history.columns import I64

FORMAT: Final = "seatrial/samples/1"
FLUSH_S: Final = 1.0
#: Text of a sample is kept up to so many characters.
TEXT_CHARS_MAX: Final = 2000


@dataclass(frozen=True, slots=True)
class Sample:
    """What one steady state's probe read at a moment: a number, text, or why neither."""

    state: int
    t_ns: int
    value: float | None = None
    text: str | None = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that makes samples doubtful between two moments.

    `gap`: a series under the query had no samples; `reset`: a counter began again. `node` is the
    node that the series is of, empty where that is not known.
    """

    state: int
    kind: Literal["gap", "reset"]
    from_ns: int
    to_ns: int
    node: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Recorded:
    """All samples of one steady state, in order of time; `value` is NaN where there is none."""

    t_ns: I64
    value: F64
    text: tuple[str | None, ...]
    why: tuple[str, ...]
    findings: tuple[Finding, ...] = ()


NOTHING: Final = Recorded(np.zeros(0, np.int64), np.zeros(0), (), ())


class SampleWriter:
    """Writes samples and findings to one file."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("a", encoding="utf-8")
        if not self._file.tell():
            self._line({"format": FORMAT})

    def sample(self, sample: Sample) -> None:
        """Append one sample."""
        line: dict[str, object] = {"s": sample.state, "t": round(sample.t_ns / 1e9, 6)}
        if sample.value is not None:
            line["v"] = _number(sample.value)
        elif sample.text is not None:
            line["x"] = sample.text[:TEXT_CHARS_MAX]
        else:
            line["why"] = sample.why
        self._line(line)

    def finding(self, found: Finding) -> None:
        """Append one finding."""
        self._line(
            {
                "s": found.state,
                "find": found.kind,
                "from": round(found.from_ns / 1e9, 6),
                "to": round(found.to_ns / 1e9, 6),
                "node": found.node,
                "say": found.sentence,
            }
        )

    def flush(self) -> None:
        """Hand what was appended to the kernel."""
        self._file.flush()

    def close(self) -> None:
        """Flush and close."""
        self._file.close()

    def _line(self, line: Mapping[str, object]) -> None:
        self._file.write(json.dumps(line, ensure_ascii=False) + "\n")


def _number(value: float) -> float | str:
    return value if math.isfinite(value) else repr(value)


@dataclass(slots=True)
class _Columns:
    samples: list[Sample] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)


def read_samples(paths: Iterable[Path]) -> dict[int, Recorded]:
    """The samples of each steady state (by its number in the plan). O(n log n).

    A line that does not parse (the last one of a crash) is left out.
    """
    found: dict[int, _Columns] = {}
    for path in paths:
        for text in path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                line = json.loads(text)
                if "s" in line:
                    _take(found.setdefault(int(line["s"]), _Columns()), line)
            except (ValueError, TypeError, KeyError):
                continue
    return {number: _recorded(columns) for number, columns in found.items()}


def _take(columns: _Columns, line: Mapping[str, Any]) -> None:
    number = int(line["s"])
    if "find" in line:
        kind: Literal["gap", "reset"] = "reset" if line["find"] == "reset" else "gap"
        low, high = _ns(line["from"]), _ns(line["to"])
        columns.findings.append(
            Finding(number, kind, low, high, str(line["node"]), str(line["say"]))
        )
        return
    value = float(line["v"]) if "v" in line else None
    text = str(line["x"]) if "x" in line else None
    columns.samples.append(Sample(number, _ns(line["t"]), value, text, str(line.get("why", ""))))


def _ns(seconds: float) -> int:
    return round(float(seconds) * 1e9)


def _recorded(columns: _Columns) -> Recorded:
    samples = sorted(columns.samples, key=lambda sample: sample.t_ns)
    return Recorded(
        t_ns=np.array([sample.t_ns for sample in samples], np.int64),
        value=np.array([np.nan if s.value is None else s.value for s in samples], np.float64),
        text=tuple(sample.text for sample in samples),
        why=tuple(sample.why for sample in samples),
        findings=tuple(columns.findings),
    )

"""One op: an event of a trial's history, and the values it can carry.

An op is an *event*: the invocation of something, or its completion. A process is a logical
single-threaded client: it invokes, then completes, then invokes again. After an `info`
completion the process never returns (the engine goes on with a fresh process number).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import TypeAlias

#: The process number of the nemesis, whose ops (faults and phases) stand in the history too.
NEMESIS = -1

Atom: TypeAlias = bool | int | float | str | None
"""A scalar value or key."""

Value: TypeAlias = Atom | tuple["Value", ...] | Mapping[str, "Value"]
"""What an op carries: a scalar; a tuple (lists and sets become tuples); a map.

A transaction is a tuple of micro-ops, each a triple `(f, key, value)`:
`(("append", 7, 1), ("r", 7, None))`.
"""


class Type(IntEnum):
    """What an op is. `FAIL` is certain to have had no effect; `INFO` means nobody knows."""

    INVOKE = 0
    OK = 1
    FAIL = 2
    INFO = 3

    @property
    def label(self) -> str:
        """The name in files: `invoke`, `ok`, `fail`, `info`."""
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Op:
    """One event of a history.

    `time_ns` counts from the start of the trial, on one monotonic clock. `key` is the independent
    key of workloads that run many small objects side by side (Jepsen's `independent`); it is None
    where there is none. `index` is the op's place in the history, −1 while it has none.
    """

    type: Type
    process: int
    f: str
    value: Value = None
    key: Atom = None
    time_ns: int = 0
    error: str | None = None
    index: int = -1

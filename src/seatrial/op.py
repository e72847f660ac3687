"""One op: an event of a trial's history, and the values it can carry.

An op is an *event*: the invocation of something, or its completion. A process is a logical
single-threaded client: it invokes, then completes, then invokes again. After an `info`
completion the process never returns (the engine goes on with a fresh process number).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final, TypeAlias

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


@dataclass(frozen=True, slots=True, init=False)
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

    def __init__(
        self,
        type: Type,
        process: int,
        f: str,
        value: Value = None,
        key: Atom = None,
        time_ns: int = 0,
        error: str | None = None,
        index: int = -1,
    ) -> None:
        # As the generated one would, but through the slots' own setters: half the time, on a path
        # that makes four ops for each one of a load.
        _set_type(self, type)
        _set_process(self, process)
        _set_f(self, f)
        _set_value(self, value)
        _set_key(self, key)
        _set_time_ns(self, time_ns)
        _set_error(self, error)
        _set_index(self, index)


def _setter(name: str) -> Any:
    return getattr(Op, name).__set__


_set_type: Final = _setter("type")
_set_process: Final = _setter("process")
_set_f: Final = _setter("f")
_set_value: Final = _setter("value")
_set_key: Final = _setter("key")
_set_time_ns: Final = _setter("time_ns")
_set_error: Final = _setter("error")
_set_index: Final = _setter("index")

"""The contract of a checker: a history in, a verdict out, nothing else.

A checker reads no file, knows no target and keeps no state between two calls. What it needs to
know (a model, an initial value, a consistency model) it is given when it is made.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from seatrial.history import History
from seatrial.op import Value
from seatrial.verdict import Json, Verdict


@dataclass(frozen=True, slots=True)
class Budget:
    """What one check may cost. At a bound the checker says `unknown` and how far it got.

    `deadline` is on `time.monotonic()`'s clock.
    """

    timeout_s: float = 60.0
    memory_bytes: int = 4 << 30
    deadline: float = field(default=float("inf"))

    @classmethod
    def start(cls, timeout_s: float = 60.0, memory_bytes: int = 4 << 30) -> Budget:
        """A budget whose clock runs from now."""
        return cls(timeout_s, memory_bytes, time.monotonic() + timeout_s)

    @property
    def left_s(self) -> float:
        """Seconds left, never negative."""
        return max(0.0, self.deadline - time.monotonic())


class Checker(Protocol):
    """Judges a history."""

    @property
    def name(self) -> str:
        """The name in the catalogue and in verdicts: `linearizable`, `list-append`."""
        ...

    def check(self, history: History, budget: Budget) -> Verdict:
        """Judge `history` within `budget`. Never raises for what a history can hold."""
        ...


@dataclass(frozen=True, slots=True)
class CheckOptions:
    """What can be said to checkers from the command line or a case; each takes what it knows.

    `extra` holds settings of single checkers (thresholds of `stats`, accounts of `bank`, …).
    """

    model: str | None = None
    initial: Value = None
    consistency_model: str | None = None
    version_order: tuple[str, ...] = ()
    group_size: int | None = None
    negative_balances: bool = False
    extra: Mapping[str, Json] = field(default_factory=dict)

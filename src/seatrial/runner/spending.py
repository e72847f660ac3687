"""An error budget while it is spent: second by second, and an end when nothing is left.

The verdict counts the same seconds again from the whole history (`seatrial.steady.budget`).
"""

from __future__ import annotations

from collections.abc import Callable

from seatrial.op import Op, Type
from seatrial.runner.remembered import Budget

_SECOND_NS = 1_000_000_000


class Spending:
    """Hears ops; `tick` closes seconds and calls `abort` once when the allowance is spent."""

    def __init__(self, budget: Budget, abort: Callable[[str], None]) -> None:
        self._budget, self._abort = budget, abort
        self._slo = budget.slo
        self._open: set[int] = set()
        self._second: int | None = None
        self._ok = self._bad = self._done = 0
        self._latency: list[int] = []
        self._begun: dict[int, int] = {}
        self.spent_s = 0

    def note(self, op: Op) -> None:
        """Take one op of a client. O(1)."""
        if op.process < 0:
            return
        if op.type is Type.INVOKE:
            self._begun[op.process] = op.time_ns
            self._open.add(op.process)
            return
        self._open.discard(op.process)
        begun = self._begun.pop(op.process, op.time_ns)
        self._done += 1
        if op.type is Type.OK:
            self._ok += 1
            if self._slo.p99_ms_max is not None:
                self._latency.append(op.time_ns - begun)
        elif op.error is not None:
            self._bad += 1

    def tick(self, now_ns: int, phase: str) -> None:
        """Close the second before `now_ns` if it was under load."""
        second = now_ns // _SECOND_NS
        if self._second is None or second == self._second:
            self._second = second
            return
        self._second = second
        if phase in ("steady-before", "workload", "heal", "steady-after") and self._is_bad():
            self.spent_s += 1
        self._ok = self._bad = self._done = 0
        self._latency = []
        if self.spent_s > self._budget.allowed_s:
            self._abort(
                f"the error budget of SLO {self._slo.name!r} is spent "
                f"({self.spent_s} s; {self._budget.allowed_s:,.1f} s were allowed)"
            )

    def _is_bad(self) -> bool:
        slo = self._slo
        if self._bad > slo.error_rate_max * self._done:
            return True
        if not self._ok and (self._open or self._done):
            return True
        if slo.p99_ms_max is None or not self._latency:
            return False
        ranked = sorted(self._latency)
        return ranked[max(0, -(-len(ranked) * 99 // 100) - 1)] / 1e6 > slo.p99_ms_max

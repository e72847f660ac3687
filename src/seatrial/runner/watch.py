"""Steady states read while a trial runs, for what must end by itself: aborts and ramps.

The verdict reads the same probes from the whole history (`seatrial.steady.ops`); here they
are read over the last seconds. Each metric, over the window:

- `error_rate`: completions with an error over all completions (a refusal is no error).
- `throughput`: `ok` completions over the window's length.
- `latency_ms`: percentile (nearest rank) of the `ok` ops that completed; of fewer than 20 none.
- `unavailable_s`: the time since the last `ok` completion.

A ratio is taken against the same reading of the stretch before the faults.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from seatrial.op import Op, Type
from seatrial.safety import Watched

#: A percentile of fewer ops is chance.
OPS_MIN = 20
_SECOND_NS = 1_000_000_000


class _Done(NamedTuple):
    """One completion."""

    time_ns: int
    f: str
    ok: bool
    error: bool
    latency_ns: int


class Watch:
    """The ops of the last seconds. `keep_s`: how far back readings go."""

    def __init__(self, watched: Sequence[Watched], keep_s: float) -> None:
        longest = max((one.window_s for one in watched), default=0.0)
        self._keep_ns = int(max(longest, keep_s) * _SECOND_NS)
        self._done: deque[_Done] = deque()
        self._begun: dict[int, int] = {}
        self._start_ns: int | None = None
        self._baseline: dict[str, float | None] = {}

    def note(self, op: Op) -> None:
        """Take one op of a client. O(1) amortised."""
        if op.process < 0:
            return
        if op.type is Type.INVOKE:
            self._begun[op.process] = op.time_ns
            if self._start_ns is None:
                self._start_ns = op.time_ns
            return
        begun = self._begun.pop(op.process, op.time_ns)
        ok = op.type is Type.OK
        self._done.append(
            _Done(op.time_ns, op.f, ok, not ok and op.error is not None, op.time_ns - begun)
        )
        while self._done and self._done[0].time_ns < op.time_ns - self._keep_ns:
            self._done.popleft()

    def take_baseline(self, watched: Sequence[Watched], now_ns: int) -> None:
        """Remember each reading of all that was kept, for ratios."""
        for one in watched:
            start_ns = max(self._start_ns or 0, now_ns - self._keep_ns)
            self._baseline[one.steady_state] = self._read(one, start_ns, now_ns)

    def read(self, watched: Watched, now_ns: int) -> float | None:
        """The reading over the window that ends now; None where nothing can be read."""
        return self._read(watched, now_ns - int(watched.window_s * _SECOND_NS), now_ns)

    def broken(self, watched: Watched, value: float | None) -> str:
        """How a reading breaks the tolerance, in words; "" if it does not (or there is none)."""
        if value is None:
            return ""
        for bound, high, words in self._bounds(watched):
            if value > bound if high else value < bound:
                return f"{watched.steady_state} read {_plain(value)}, {words} allowed"
        return ""

    def _bounds(self, watched: Watched) -> list[tuple[float, bool, str]]:
        """Each bound with its side and its words; ratios without a baseline say nothing."""
        tolerance, base = watched.tolerance, self._baseline.get(watched.steady_state)
        found = []
        for bound, high, ratio in (
            (tolerance.max, True, False),
            (tolerance.min, False, False),
            (tolerance.max_ratio, True, True),
            (tolerance.min_ratio, False, True),
        ):
            if bound is None or (ratio and base is None):
                continue
            limit = bound * (base or 0.0) if ratio else bound
            found.append((limit, high, f"at {'most' if high else 'least'} {_plain(limit)}"))
        return found

    def _read(self, watched: Watched, start_ns: int, now_ns: int) -> float | None:
        probe = watched.probe
        done = [
            one
            for one in self._done
            if start_ns <= one.time_ns <= now_ns and (not probe.f or one.f in probe.f)
        ]
        ok = [one for one in done if one.ok]
        match probe.metric:
            case "error_rate":
                return sum(one.error for one in done) / len(done) if done else None
            case "throughput":
                return len(ok) / max((now_ns - start_ns) / _SECOND_NS, 1e-9)
            case "latency_ms":
                if len(ok) < OPS_MIN:
                    return None
                latencies = sorted(one.latency_ns for one in ok)
                return latencies[math.ceil(len(ok) * probe.percentile / 100) - 1] / 1e6
            case "unavailable_s":
                return self._silent_s(watched, now_ns)
        return None

    def _silent_s(self, watched: Watched, now_ns: int) -> float | None:
        for one in reversed(self._done):
            if one.ok and (not watched.probe.f or one.f in watched.probe.f):
                return (now_ns - one.time_ns) / _SECOND_NS
        return None if self._start_ns is None else (now_ns - self._start_ns) / _SECOND_NS


def _plain(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"

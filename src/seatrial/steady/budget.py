"""How much of an SLO's error budget a trial spent: its bad seconds, from the history."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from seatrial.calls import calls, failed, percentiles
from seatrial.history import History
from seatrial.history.windows import phases
from seatrial.op import Type
from seatrial.slo import Slo

_SECOND_NS = 1_000_000_000
_LOAD = ("steady-before", "workload", "heal", "steady-after")


@dataclass(frozen=True, slots=True)
class Spent:
    """Bad seconds of `seconds` of load; `reason` says why nothing could be counted."""

    bad: int
    seconds: int
    reason: str = ""


def spent(history: History, slo: Slo) -> Spent:
    """Count the seconds under load in which the indicator was outside. O(n log n)."""
    known = [phase for phase in phases(history) if phase.name in _LOAD]
    start = min((phase.start_ns for phase in known), default=0)
    end = max((phase.end_ns for phase in known), default=0)
    bins = (end - start) // _SECOND_NS
    if bins < 1:
        return Spent(0, 0, "the trial had no second of load")
    done = calls(history)
    inside = (done.ended_ns >= start) & (done.ended_ns < start + bins * _SECOND_NS)
    place = (done.ended_ns[inside] - start) // _SECOND_NS
    good = done.type[inside] == Type.OK
    total = np.bincount(place, minlength=bins)
    ok = np.bincount(place, weights=good, minlength=bins)
    bad = np.bincount(place, weights=failed(history, done)[inside], minlength=bins)
    out = bad > slo.error_rate_max * total
    out |= (ok == 0) & _tried(history, start, int(bins))
    if slo.p99_ms_max is not None:
        latency = done.latency_ns[inside][good]
        (p99,) = percentiles(place[good], latency, int(bins), (99.0,))
        out |= p99 / 1e6 > slo.p99_ms_max
    return Spent(int(np.count_nonzero(out)), int(bins))


def _tried(
    history: History, start: int, bins: int
) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """In which seconds some op was under way."""
    begun = np.flatnonzero(history.client & (history.type == Type.INVOKE))
    first = (history.time_ns[begun] - start) // _SECOND_NS
    pair = history.pair[begun]
    ended = np.where(pair >= 0, history.time_ns[pair], start + bins * _SECOND_NS)
    last = (ended - start) // _SECOND_NS
    marks = np.zeros(bins + 1, np.int64)
    seen = (first < bins) & (last >= 0)
    np.add.at(marks, np.clip(first[seen], 0, bins), 1)
    np.add.at(marks, np.clip(last[seen] + 1, 0, bins), -1)
    out: np.ndarray[tuple[int, ...], np.dtype[np.bool_]] = np.cumsum(marks[:bins]) > 0
    return out

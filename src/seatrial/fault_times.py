"""What a fault cost in time: to detect, to fail over, to recover, and the longest unavailability.

All from the fault's injection (its beginning, as the nemesis recorded it):

- *detect*: until no survivor follows the victim that led, by what the nodes say of themselves.
- *fail over*: until there is a leader again. Both only where a victim led, and as exact as the
  roles were asked (`ASK_S` while a fault is alive).
- *recover*: until the end of the last second with less than half of the baseline's `ok` ops, before
  the next fault begins or the load ends. 0 where no second fell below; infinite where the last did.
- *longest unavailability*: the longest time without an `ok` op, from the injection until the next
  fault begins or the load ends.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from seatrial.history.columns import I64
from seatrial.history.windows import FaultWindow, Phase
from seatrial.recovery import RECOVERED_PART
from seatrial.verdict import Json

_SECOND_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Roles:
    """Who led and who followed a leader at a moment, by what the nodes said."""

    t_ns: int
    leader: str
    followers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FaultTimes:
    """Seconds; None where it does not apply, infinite where it did not happen in time."""

    detect_s: float | None
    fail_over_s: float | None
    recover_s: float | None
    unavailable_s: float | None

    def to_json(self) -> dict[str, Json]:
        """For a verdict document; an infinite time is the text `inf`."""
        found = {
            "detect_s": self.detect_s,
            "fail_over_s": self.fail_over_s,
            "recover_s": self.recover_s,
            "unavailable_s": self.unavailable_s,
        }
        return {name: _plain(value) for name, value in found.items()}


def _plain(value: float | None) -> Json:
    if value is None:
        return None
    return "inf" if math.isinf(value) else round(value, 3)


def read_roles(path: Path) -> tuple[Roles, ...]:
    """The roles over time of a trial; a file that is not there is none, as is a broken line."""
    out = []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return ()
    for text in lines:
        try:
            line = json.loads(text)
            at = round(float(line["t"]) * 1e9)
            out.append(Roles(at, str(line["leader"]), tuple(map(str, line["followers"]))))
        except (ValueError, KeyError, TypeError):
            continue
    return tuple(sorted(out, key=lambda roles: roles.t_ns))


def fault_times(
    windows: Sequence[FaultWindow],
    ok_ns: I64,
    before: Phase | None,
    load_end_ns: int,
    roles: Sequence[Roles],
) -> Mapping[str, FaultTimes]:
    """The times of each fault by its id. `ok_ns` ascending. O(n log n + faults · roles)."""
    need = _need(ok_ns, before)
    begins = sorted(window.start_ns for window in windows)
    out = {}
    for window in windows:
        later = [begin for begin in begins if begin > window.start_ns]
        end = min([*later[:1], load_end_ns])
        detect, over = _fail_over(window, roles, end)
        recover = None if need is None else _recover(ok_ns, window.start_ns, end, need)
        out[window.fault] = FaultTimes(detect, over, recover, _gap(ok_ns, window.start_ns, end))
    return out


def _need(ok_ns: I64, before: Phase | None) -> float | None:
    """`ok` ops a second that count as recovered; None without a baseline."""
    if before is None or before.end_ns <= before.start_ns:
        return None
    low, high = np.searchsorted(ok_ns, [before.start_ns, before.end_ns])
    rate = float(high - low) / ((before.end_ns - before.start_ns) / 1e9)
    return RECOVERED_PART * rate if rate > 0 else None


def _recover(ok_ns: I64, start: int, end: int, need: float) -> float | None:
    bins = (end - start) // _SECOND_NS
    if bins < 1:
        return None
    edges = start + np.arange(bins + 1, dtype=np.int64) * _SECOND_NS
    counts = np.diff(np.searchsorted(ok_ns, edges))
    low = np.flatnonzero(counts < need)
    if not len(low):
        return 0.0
    return math.inf if int(low[-1]) == bins - 1 else float(low[-1] + 1)


def _gap(ok_ns: I64, start: int, end: int) -> float | None:
    if end <= start:
        return None
    low, high = np.searchsorted(ok_ns, [start, end])
    marks = np.concatenate([[start], ok_ns[low:high], [end]])
    return float(np.diff(marks).max()) / 1e9


def _fail_over(
    window: FaultWindow, roles: Sequence[Roles], end: int
) -> tuple[float | None, float | None]:
    known = [one for one in roles if one.t_ns <= window.start_ns and one.leader]
    if not known or known[-1].leader not in window.victims:
        return None, None
    old = known[-1].leader
    later = [one for one in roles if window.start_ns < one.t_ns <= end]
    survivors = {name for one in known[-1:] for name in one.followers} - set(window.victims)
    detect = over = math.inf
    for one in later:
        new = bool(one.leader) and one.leader != old
        left = new or not survivors & set(one.followers)
        if left and math.isinf(detect):
            detect = (one.t_ns - window.start_ns) / 1e9
        if not math.isinf(detect) and one.leader and (new or one.followers):
            over = (one.t_ns - window.start_ns) / 1e9
            break
    return detect, over

"""How long after its healing a fault's effect lasted, from the moments at which ops succeeded.

Faults that overlap in time are one injury, which ends when the last of them began to be healed.
From that moment it takes until the start of the first second that holds at least half as many `ok`
ops as a second of the baseline did on average. An injury that is followed by the next one before
this happens has lasted at least until then, and is otherwise judged with the next one's healing.
Not recovered before the load ends: infinite.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from seatrial.history.columns import I64
from seatrial.history.windows import FaultWindow, Phase

#: Recovered is: one second with this part of the baseline's `ok` ops.
RECOVERED_PART = 0.5
_SECOND_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Recovery:
    """How long after healing (at `from_ns`) ops succeeded as before; infinite if they never did."""

    faults: tuple[str, ...]
    from_ns: int
    seconds: float


def recoveries(
    ok_ns: I64, windows: Sequence[FaultWindow], before: Phase | None, load_end_ns: int
) -> tuple[tuple[Recovery, ...], str]:
    """The recovery from each injury, or nothing and why it cannot be told. O(n log n).

    `ok_ns` are the moments of `ok` completions, ascending; `before` is the baseline's stretch.
    """
    if not windows:
        return (), "no fault was injected"
    calm = 0
    if before is not None:
        low, high = np.searchsorted(ok_ns, [before.start_ns, before.end_ns])
        calm = int(high - low)
    if before is None or not calm:
        return (), "no op succeeded before the faults, so there is no baseline"
    unhealed = [window.fault for window in windows if window.healing_ns is None]
    if unhealed:
        return (), f"{unhealed[0]} was never healed"
    need = math.ceil(RECOVERED_PART * calm / ((before.end_ns - before.start_ns) / 1e9))
    joined = injuries(windows)
    found = []
    for injury, following in zip(joined, [*joined[1:], None], strict=True):
        limit = load_end_ns if following is None else following.start_ns
        if following is None and limit - injury.end_ns < _SECOND_NS:
            return (), f"the load ended within a second of healing {injury.faults[-1]}"
        seconds = _back(ok_ns, injury.end_ns, limit, max(1, need))
        if math.isinf(seconds) and following is not None:
            seconds = (limit - injury.end_ns) / 1e9
        found.append(Recovery(injury.faults, injury.end_ns, seconds))
    return tuple(found), ""


@dataclass(frozen=True, slots=True)
class Injury:
    """Faults that overlap: from the first one's injection to the last one's healing."""

    faults: tuple[str, ...]
    start_ns: int
    end_ns: int


def injuries(windows: Sequence[FaultWindow]) -> list[Injury]:
    """Faults that overlap, joined; each ends when the last of its faults began to be healed."""
    out: list[Injury] = []
    for window in sorted(windows, key=lambda one: one.start_ns):
        end = window.healing_ns if window.healing_ns is not None else window.start_ns
        if out and window.start_ns <= out[-1].end_ns:
            last = out.pop()
            faults = (*last.faults, window.fault)
            out.append(Injury(faults, last.start_ns, max(last.end_ns, end)))
        else:
            out.append(Injury((window.fault,), window.start_ns, end))
    return out


def _back(ok_ns: I64, healed_ns: int, limit_ns: int, need: int) -> float:
    """Seconds from healing to the first second, begun before the limit, with `need` ok ops.

    Such a second may as well begin at an `ok` op (or at the healing itself), so only those
    beginnings are tried.
    """
    low, high = np.searchsorted(ok_ns, [healed_ns, limit_ns])
    begins = np.concatenate([[healed_ns], ok_ns[low:high]])
    inside = np.searchsorted(ok_ns, begins + _SECOND_NS) - np.searchsorted(ok_ns, begins)
    enough = np.flatnonzero(inside >= need)
    return float(begins[enough[0]] - healed_ns) / 1e9 if len(enough) else math.inf

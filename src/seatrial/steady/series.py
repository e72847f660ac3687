"""A probe over time, and what can be said of a stretch of it: is it there, does it keep inside.

No evidence is never green: a stretch in which more than `gap_ns` passed without a sample, or whose
samples are doubtful (a scrape gap, a counter that began again), is `unknown` unless some sample
in it broke the tolerance, which is proof whatever else is missing.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from seatrial.calls import F64
from seatrial.history.columns import I64
from seatrial.history.windows import FaultWindow
from seatrial.samples import Finding, Recorded

#: How long after its healing a victim may still be without samples (it starts, it is scraped).
SETTLE_NS = 15_000_000_000


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of the trial and how it is said (`during the faults`)."""

    start_ns: int
    end_ns: int
    said: str


@dataclass(frozen=True, slots=True)
class Series:
    """Samples in order of time. `value` is NaN where there is no number; `why` says why.

    `step_ns`: from one sample to the next. `gap_ns`: a longer time without one is a hole.
    `findings`: what makes a stretch doubtful; those that a planned fault explains are in `notes`.
    """

    t_ns: I64
    value: F64
    text: tuple[str | None, ...]
    why: tuple[str, ...]
    step_ns: int
    gap_ns: int
    findings: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()
    #: Where sentences count from: the beginning of the load.
    origin_ns: int = 0

    def moment(self, time_ns: int) -> str:
        """A moment as sentences say it."""
        return f"{(time_ns - self.origin_ns) / 1e9:.1f} s of the load"

    @property
    def there(self) -> NDArray[np.bool_]:
        """Which samples hold something."""
        text = np.array([item is not None for item in self.text], np.bool_)
        return text | ~np.isnan(self.value)

    def inside(self, span: Span) -> NDArray[np.bool_]:
        """Which samples lie in the span."""
        return (self.t_ns >= span.start_ns) & (self.t_ns < span.end_ns)

    def doubt(self, span: Span) -> str:
        """Why the span was not observed whole, empty if it was."""
        hole = self.hole(span)
        if hole is not None:
            low, high = hole
            seconds = (high - low) / 1e9
            since = self.moment(low)
            return f"nothing was read for {seconds:.1f} s from {since}: {self._why(hole)}"
        found = [f for f in self.findings if f.from_ns < span.end_ns and f.to_ns > span.start_ns]
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        return f"{found[0].sentence}, at {self.moment(found[0].from_ns)}{more}" if found else ""

    def hole(self, span: Span) -> tuple[int, int] | None:
        """The longest time in the span without a sample, if it is longer than allowed."""
        good = self.t_ns[self.inside(span) & self.there]
        edges = np.concatenate([[span.start_ns], good, [span.end_ns]])
        widths = np.diff(edges)
        widest = int(np.argmax(widths))
        if int(widths[widest]) <= self.gap_ns and len(good):
            return None
        return int(edges[widest]), int(edges[widest + 1])

    def _why(self, hole: tuple[int, int]) -> str:
        low, high = hole
        rows = np.flatnonzero((self.t_ns >= low) & (self.t_ns <= high) & ~self.there)
        reasons = Counter(self.why[row] for row in rows.tolist() if self.why[row])
        return reasons.most_common(1)[0][0] if reasons else "no sample was taken"


def from_recorded(
    recorded: Recorded,
    *,
    step_s: float,
    gap_s: float,
    excuse_victims: bool,
    windows: tuple[FaultWindow, ...],
    origin_ns: int = 0,
) -> Series:
    """What a sampler kept, with the findings that planned faults explain set apart."""
    series = Series(
        t_ns=recorded.t_ns,
        value=recorded.value,
        text=recorded.text,
        why=recorded.why,
        step_ns=round(step_s * 1e9),
        gap_ns=round(gap_s * 1e9),
        origin_ns=origin_ns,
    )
    doubtful, excused = [], []
    for found in recorded.findings:
        window = _explains(found, windows) if excuse_victims else None
        if window is None:
            doubtful.append(found)
        else:
            at = series.moment(found.from_ns)
            excused.append(f"{found.sentence}, at {at}: {window.fault} ({window.kind}) explains it")
    return replace(series, findings=tuple(doubtful), notes=tuple(excused))


def _explains(found: Finding, windows: tuple[FaultWindow, ...]) -> FaultWindow | None:
    """The fault on the finding's node that was alive (or hardly healed) then."""
    for window in windows:
        ends = window.end_ns if window.end_ns is not None else 1 << 62
        meets = found.from_ns <= ends + SETTLE_NS and found.to_ns >= window.start_ns
        if meets and found.node in window.victims:
            return window
    return None

"""A tolerance made concrete: its ratios resolved against a baseline, and the whole in words."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seatrial.calls import F64
from seatrial.steady.reading import number
from seatrial.tolerance import Tolerance


@dataclass(frozen=True, slots=True)
class Baseline:
    """What ratios are taken to; `value` None: there is none, and `reason` says why."""

    value: float | None
    reason: str = ""
    spread: float = math.nan
    said: str = "before"


@dataclass(frozen=True, slots=True)
class Limits:
    """Absolute bounds, the same in words, and why they cannot be told (`reason`)."""

    low: float = -math.inf
    high: float = math.inf
    said: str = ""
    reason: str = ""
    matches: str | None = None
    equals: bool | float | str | None = None

    @property
    def of_text(self) -> bool:
        """Whether text is judged."""
        return self.matches is not None or self.equals is not None

    def allows(self, value: float) -> bool:
        """Whether a number is inside."""
        return self.low <= value <= self.high

    def kept(self, value: F64, text: Sequence[str | None]) -> NDArray[np.int8]:
        """For each sample: 1 inside, 0 outside, -1 nothing there."""
        if self.of_text:
            return np.array(
                [self._one(v, x) for v, x in zip(value.tolist(), text, strict=True)], np.int8
            )
        inside = (value >= self.low) & (value <= self.high)
        return np.where(np.isnan(value), -1, inside).astype(np.int8)

    def _one(self, value: float, text: str | None) -> int:
        if text is None and math.isnan(value):
            return -1
        if self.equals is not None and not _equal(self.equals, value, text):
            return 0
        said = f"{value:g}" if text is None else text
        return int(self.matches is None or re.search(self.matches, said) is not None)


def _equal(wanted: bool | float | str, value: float, text: str | None) -> bool:
    if isinstance(wanted, bool):
        return text == ("true" if wanted else "false")
    if isinstance(wanted, str):
        return (f"{value:g}" if text is None else text).strip() == wanted
    return text is None and value == wanted


def resolve(tolerance: Tolerance, baseline: Baseline, unit: str) -> Limits:
    """The bounds of a tolerance; `reason` says why a ratio cannot be taken."""
    if tolerance.of_text:
        parts = []
        if tolerance.matches is not None:
            parts.append(f"text that matches {tolerance.matches!r} needed")
        if tolerance.equals is not None:
            parts.append(f"{tolerance.equals!r} needed")
        both = " and ".join(parts)
        return Limits(said=both, matches=tolerance.matches, equals=tolerance.equals)
    if tolerance.of_slope:
        return _of_slope(tolerance, unit)
    low, high = -math.inf, math.inf
    said: list[str] = []
    if tolerance.min is not None:
        low = tolerance.min
        said.append(f"at least {number(low, unit)} needed")
    if tolerance.max is not None:
        high = tolerance.max
        said.append(f"at most {number(high, unit)} allowed")
    if not tolerance.of_baseline:
        return Limits(low, high, " and ".join(said))
    return _of_baseline(tolerance, baseline, unit, low, high, said)


def _of_slope(tolerance: Tolerance, unit: str) -> Limits:
    low, high, said = -math.inf, math.inf, []
    per = f"{unit}/min".lstrip("/") if unit else "/min"
    if tolerance.min_slope is not None:
        low = tolerance.min_slope
        said.append(f"at least {number(low, per)} needed")
    if tolerance.max_slope is not None:
        high = tolerance.max_slope
        said.append(f"at most {number(high, per)} allowed")
    return Limits(low, high, " and ".join(said))


def _of_baseline(
    tolerance: Tolerance, baseline: Baseline, unit: str, low: float, high: float, said: list[str]
) -> Limits:
    base = baseline.value
    for bound, word in _relative(tolerance, baseline):
        verb = "needed" if word.startswith("at least") else "allowed"
        if base is None or math.isnan(bound):
            why = baseline.reason or "the baseline has no spread yet"
            return Limits(said=f"{word} the baseline {verb}", reason=why)
        if not base and "×" in word:
            zero = "the baseline before the faults is zero, so no ratio can be taken"
            return Limits(said=f"{word} the baseline {verb}", reason=zero)
        if verb == "needed":
            low = max(low, bound)
        else:
            high = min(high, bound)
        of = f"{word.removeprefix('at least ').removeprefix('at most ')} {number(base, unit)}"
        head = "at least" if verb == "needed" else "at most"
        said.append(f"{head} {number(bound, unit)} ({of} {baseline.said}) {verb}")
    return Limits(low, high, " and ".join(said))


def _relative(tolerance: Tolerance, baseline: Baseline) -> list[tuple[float, str]]:
    """Each relative bound (NaN where it cannot be told) and how it is said."""
    base = math.nan if baseline.value is None else baseline.value
    out = []
    if tolerance.min_ratio is not None:
        out.append((tolerance.min_ratio * base, f"at least {tolerance.min_ratio:g} ×"))
    if tolerance.max_ratio is not None:
        out.append((tolerance.max_ratio * base, f"at most {tolerance.max_ratio:g} ×"))
    if tolerance.within_percent is not None:
        part, said = tolerance.within_percent / 100, f"{tolerance.within_percent:g} %"
        out.append((base - part * abs(base), f"at least {said} below"))
        out.append((base + part * abs(base), f"at most {said} above"))
    if tolerance.within_spreads is not None:
        room, said = tolerance.within_spreads * baseline.spread, f"{tolerance.within_spreads:g}"
        out.append((base - room, f"at least {said} spreads below"))
        out.append((base + room, f"at most {said} spreads above"))
    return out

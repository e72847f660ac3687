"""Looking at the raw samples under a query: were its targets scraped, did a counter begin again.

Each selector's raw samples are fetched as a range vector, some seconds of them at a time. A target
is the `instance` (or pod) of a series. A *gap* is a time in which none of a target's series had a
sample; a *reset* is a counter that fell. Cost: one query a selector each `LOOK_S`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from seatrial.probes.prometheus import NoAnswer, Point, PrometheusServer
from seatrial.probes.promql import Selector
from seatrial.samples import Finding

#: How often the raw samples are looked at.
LOOK_S: Final = 15.0
#: How far a look reaches back over the last one: what was scraped late is seen then.
OVERLAP_S: Final = 2.0
#: A look never asks for more than this (a server that was away is not asked for hours).
WINDOW_S_MAX: Final = 300.0
_TARGET_LABELS: Final = ("pod", "node", "instance")


@dataclass(slots=True)
class _Target:
    last: float
    open_gap: bool = False


@dataclass(slots=True)
class RawLook:
    """One selector, watched for the states (by number) whose queries hold it."""

    selector: Selector
    gaps_s: Mapping[int, float]
    began: float
    _targets: dict[str, _Target] = field(default_factory=dict)
    _series: dict[str, tuple[float, float]] = field(default_factory=dict)
    _looked: float = 0.0

    def look(
        self, server: PrometheusServer, now: float, place: Callable[[float], int], *, last: bool
    ) -> list[Finding]:
        """Fetch what is new up to `now` (s since 1970) and tell what is doubtful in it.

        `place` puts a moment on the trial's clock. With `last`, targets that are silent now are
        told too. A server that does not answer tells nothing: the samples themselves are missing.
        """
        since = max(self._looked or self.began, now - WINDOW_S_MAX) - OVERLAP_S
        query = f"{self.selector.text}[{round((now - since) * 1000)}ms]"
        try:
            points = server.instant(query)
        except NoAnswer:
            return []
        self._looked = now
        found = self._resets(points, place) if self.selector.counts else []
        return found + self._gaps(points, now, place, last=last)

    def _gaps(
        self, points: Sequence[Point], now: float, place: Callable[[float], int], *, last: bool
    ) -> list[Finding]:
        moments: dict[str, set[float]] = {}
        for point in points:
            moments.setdefault(target_of(point.labels), set()).update(t for t, _ in point.values)
        found: list[Finding] = []
        for name, times in moments.items():
            target = self._targets.setdefault(name, _Target(min(times)))
            for moment in sorted(times):
                found += self._gap(name, target.last, moment, place)
                target.last = max(target.last, moment)
        if last:
            for name, target in self._targets.items():
                found += self._gap(name, target.last, now, place)
        return found

    def _gap(
        self, name: str, start: float, end: float, place: Callable[[float], int]
    ) -> list[Finding]:
        if end <= self.began:
            return []
        start = max(start, self.began)
        said = f"{self.selector.name or self.selector.text} of {name or 'a target'}"
        return [
            Finding(
                state,
                "gap",
                place(start),
                place(end),
                name,
                f"{said} was not scraped for {end - start:.1f} s",
            )
            for state, gap_s in self.gaps_s.items()
            if end - start > gap_s
        ]

    def _resets(self, points: Sequence[Point], place: Callable[[float], int]) -> list[Finding]:
        """At most one finding a target and look: all counters of a process begin again at once."""
        first: dict[str, tuple[float, float, float, float]] = {}
        for point in points:
            key = json.dumps(point.labels, sort_keys=True)
            before = self._series.get(key)
            for moment, value in point.values:
                if before is not None and moment <= before[0]:
                    continue
                if before is not None and value < before[1] and moment > self.began:
                    first.setdefault(target_of(point.labels), (*before, moment, value))
                before = (moment, value)
            if before is not None:
                self._series[key] = before
        return [
            Finding(
                state,
                "reset",
                place(start),
                place(end),
                name,
                f"the counter {self.selector.name} of {name or 'a target'} began again (from "
                f"{high:g} to {low:g}; what it counted in between is lost)",
            )
            for name, (start, high, end, low) in first.items()
            for state in self.gaps_s
        ]


def target_of(labels: Mapping[str, str]) -> str:
    """The name of a series' target, without its port."""
    for label in _TARGET_LABELS:
        if labels.get(label):
            return labels[label].partition(":")[0]
    return ""

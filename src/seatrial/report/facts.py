"""What the report's plots show, computed from a history's columns: bounded in size for any length.

The bounds (`BINS_MAX`, the grids of the scatter) are of the picture, not of the history: a report
of 500,000 ops is no bigger than one of 50,000.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from seatrial.history import History
from seatrial.history.columns import I64
from seatrial.history.windows import Phase, phases
from seatrial.op import Type
from seatrial.report.faults import FaultView
from seatrial.timeline import (
    F64,
    NS_PER_S,
    Spans,
    bin_width_s,
    counts,
    edges_ns,
    load_start_ns,
    longest_gap,
    quantiles,
    rates,
    recovered_ns,
    spans,
)

BINS_MAX: Final = 200
#: A rate over less than this says nothing.
BIN_S_MIN: Final = 0.1
#: Rows of the table of errors.
ERRORS_MAX: Final = 30
#: Phases drawn.
PHASES_MAX: Final = 40

TYPES: Final = (Type.OK, Type.FAIL, Type.INFO)
#: What a completion is to the plots; a refusal (`fail` without an error) is no failure.
OUTCOMES: Final = ("ok", "refused", "fail", "info")


@dataclass(frozen=True, slots=True)
class ErrorRow:
    """How often one error stood on one type of completion; first and last on the clock."""

    error: str
    type: str
    count: int
    fs: str
    first_s: float
    last_s: float


@dataclass(frozen=True, slots=True)
class FRow:
    """The completions of one `f`, and the latencies of its `ok` ops in milliseconds."""

    f: str
    ok: int
    fail: int
    info: int
    p50: float | None
    p99: float | None
    max: float | None


@dataclass(frozen=True, slots=True)
class Recovery:
    """What followed one fault's healing: when ops were back, and until when it was looked at."""

    fault: FaultView
    healed_s: float
    back_s: float | None
    took_s: float | None
    baseline_per_s: float


@dataclass(frozen=True, slots=True)
class Facts:
    """A history over time, on the report's clock (seconds from the start of the load).

    `edges` has one more entry than the binned columns. `latency` rows are p50, p99 and maximum of
    `ok` ops in milliseconds, NaN in a bin without any. `outcome` indexes `OUTCOMES` for each span;
    `rate` has a row for each of them: completions a second.
    """

    origin_ns: int
    start_s: float
    end_s: float
    spans: Spans
    outcome: I64
    edges: F64
    latency: F64
    rate: F64
    phases: tuple[Phase, ...]
    never_completed: int


def gather(history: History, faults: tuple[FaultView, ...], origin_ns: int) -> Facts | None:
    """The facts of a history, None where no op carries a usable time. O(n log n)."""
    found = spans(history)
    if not len(found) or int(found.end_ns.max()) <= 0:
        return None
    start = min(int(found.start_ns.min()), origin_ns)
    end = max(int(found.end_ns.max()), start + 1)
    width = max(BIN_S_MIN, bin_width_s((end - start) / NS_PER_S, BINS_MAX))
    edges = edges_ns(start, end + 1, width)
    ok = found.type == Type.OK
    latency = quantiles(found.end_ns[ok], found.latency_ms[ok], edges, (0.5, 0.99, 1.0))
    outcome = outcomes(found)
    rate = np.stack([rates(found.end_ns[outcome == i], edges) for i in range(len(OUTCOMES))])
    rate[:, -1] *= width / max(width / 2, (end - int(edges[-2])) / NS_PER_S)
    planned = [f.planned[1] for f in faults if f.planned]
    real = [f.end_s for f in faults if f.end_s is not None]
    pending = history.client & (history.type == Type.INVOKE) & (history.pair < 0)
    return Facts(
        origin_ns=origin_ns,
        start_s=(start - origin_ns) / NS_PER_S,
        end_s=max([(end - origin_ns) / NS_PER_S, *planned, *real]),
        spans=found,
        outcome=outcome,
        edges=(np.minimum(edges, end) - origin_ns) / NS_PER_S,
        latency=latency,
        rate=rate,
        phases=phases(history)[:PHASES_MAX],
        never_completed=int(np.count_nonzero(pending)),
    )


def outcomes(found: Spans) -> I64:
    """The place in `OUTCOMES` of each completion. O(n)."""
    refused = (found.type == Type.FAIL) & (found.error < 0)
    out = np.zeros(len(found), dtype=np.int64)
    out[found.type == Type.FAIL] = OUTCOMES.index("fail")
    out[found.type == Type.INFO] = OUTCOMES.index("info")
    out[refused] = OUTCOMES.index("refused")
    return out


def origin_of(history: History | None, before_s: float | None = None) -> int:
    """The zero of the report's clock: where planned moments count from (`load_start_ns`)."""
    return load_start_ns(history, before_s) if history is not None else 0


def by_f(history: History, found: Spans) -> tuple[FRow, ...]:
    """Completions and latencies of each `f`, the most frequent first. O(n log n)."""
    rows: list[FRow] = []
    codes, sizes = np.unique(found.f, return_counts=True)
    for code in codes[np.argsort(-sizes, kind="stable")][:ERRORS_MAX].tolist():
        mine = found.f == code
        ok, fail, info = (int(np.count_nonzero(mine & (found.type == kind))) for kind in TYPES)
        ms = np.sort(found.latency_ms[mine & (found.type == Type.OK)])
        p50, p99, top = (
            (float(ms[max(0, int(np.ceil(q * len(ms))) - 1)]) for q in (0.5, 0.99, 1.0))
            if len(ms)
            else (None, None, None)
        )
        rows.append(FRow(history.names[code], ok, fail, info, p50, p99, top))
    return tuple(rows)


def errors(history: History, found: Spans, origin_ns: int) -> tuple[ErrorRow, ...]:
    """Completions that are not `ok`, by error and type, the most frequent first. O(n log n)."""
    bad = np.flatnonzero(found.type != Type.OK)
    code = (found.error[bad].astype(np.int64) + 1) * 4 + found.type[bad]
    groups, inverse, sizes = np.unique(code, return_inverse=True, return_counts=True)
    out: list[ErrorRow] = []
    for group in np.argsort(-sizes, kind="stable")[:ERRORS_MAX].tolist():
        mine = bad[inverse == group]
        error, kind = divmod(int(groups[group]), 4)
        fs, each = np.unique(found.f[mine], return_counts=True)
        times = (found.end_ns[mine] - origin_ns) / NS_PER_S
        out.append(
            ErrorRow(
                error=history.names[error - 1] if error else "",
                type=Type(kind).label,
                count=len(mine),
                fs=", ".join(f"{history.names[f]} {n:,}" for f, n in zip(fs, each, strict=True)),
                first_s=float(times.min()),
                last_s=float(times.max()),
            )
        )
    return tuple(out)


def recoveries(facts: Facts, faults: tuple[FaultView, ...]) -> tuple[Recovery, ...]:
    """How soon ops succeeded again after each healing, against the rate before the first fault.

    Until the load ends or the next fault begins, whichever is first. O(n · faults).
    """
    begun = sorted(f.start_s for f in faults if f.start_s is not None)
    if not begun:
        return ()
    ok = np.sort(facts.spans.end_ns[facts.spans.type == Type.OK]) - facts.origin_ns
    quiet = (0, round(begun[0] * NS_PER_S))
    before = np.count_nonzero((ok >= quiet[0]) & (ok < quiet[1]))
    baseline = float(before) / begun[0] if begun[0] > 0 else 0.0
    out: list[Recovery] = []
    for fault in faults:
        if fault.end_s is None:
            continue
        healed = round(fault.end_s * NS_PER_S)
        later = [s for s in begun if s > fault.end_s]
        until = round(min([facts.end_s, *later]) * NS_PER_S)
        back = recovered_ns(ok, healed, until, baseline)
        out.append(
            Recovery(
                fault,
                fault.end_s,
                None if back is None else back / NS_PER_S,
                None if back is None else (back - healed) / NS_PER_S,
                baseline,
            )
        )
    return tuple(out)


@dataclass(frozen=True, slots=True)
class Availability:
    """The longest stretch without an `ok`, and the part of busy seconds that had one."""

    gap_from_s: float
    gap_to_s: float
    seconds: int
    seconds_with_ok: int

    @property
    def gap_s(self) -> float:
        """Length of the longest stretch."""
        return self.gap_to_s - self.gap_from_s


def availability(facts: Facts) -> Availability:
    """Over the stretch in which ops were attempted, first invocation to last completion."""
    found = facts.spans
    start, end = int(found.start_ns.min()), int(found.end_ns.max())
    ok = found.end_ns[found.type == Type.OK]
    gap = longest_gap(ok, start, end)
    edges = edges_ns(start, end + 1, 1.0)
    tried = counts(found.start_ns, edges) > 0
    served = counts(ok, edges) > 0
    return Availability(
        (gap[0] - facts.origin_ns) / NS_PER_S,
        (gap[1] - facts.origin_ns) / NS_PER_S,
        int(np.count_nonzero(tried | served)),
        int(np.count_nonzero(served)),
    )

"""A grow-only set, element by element through all reads (Jepsen, `checker.clj`, `set-full`).

An element is *known* from the completion of its add, or of the first read that shows it,
whichever is earlier. Of the reads that completed after its add began, the latest *invoked* one
that shows it and the latest invoked one that lacks it decide: it is

- *stable* if the latest that shows it was invoked after the latest that lacks it;
- `lost` if it is known, and the latest that lacks it was invoked after that and after the latest
  that shows it;
- never read otherwise (no read can tell).

A stable element that some read invoked after it was known lacks is stale: a `stale-read` if the
set should be linearizable, else only counted, with the time it took to become stable. An element
twice in one read is a `duplicate`; one that nobody added is `unexpected` (Jepsen leaves this one
to `set`).

The reads are ranked by invocation, latest first. The latest read that lacks an element is then
the smallest rank missing among the ranks of the reads that show it, which one sort of all
(element, rank) pairs gives for all elements together.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from seatrial.checker import Budget
from seatrial.checkers import keyed
from seatrial.checkers.codes import codes, members
from seatrial.checkers.wording import EXAMPLES_MAX, count, indexes, show, values
from seatrial.history import History
from seatrial.history.columns import I64, Bool
from seatrial.op import Type
from seatrial.verdict import Anomaly, Json, Verdict

#: Greater than every row and rank.
_NEVER = 2**62
#: Working arrays per element read, in bytes, for the memory bound.
BYTES_PER_PAIR = 64


@dataclass(frozen=True, slots=True)
class SetFull:
    """`linearizable`: a stale read is a violation."""

    linearizable: bool = False
    name: str = "set-full"

    def check(self, history: History, budget: Budget) -> Verdict:
        """O(m log m) for m elements added or read; says `unknown` beyond the memory bound."""
        pairs = len(history.elements)
        if pairs * BYTES_PER_PAIR > budget.memory_bytes:
            need = pairs * BYTES_PER_PAIR >> 20
            return Verdict.unknown(
                f"the reads hold {pairs:,} elements, which need {need:,} MiB; "
                f"{budget.memory_bytes >> 20:,} MiB are allowed"
            )
        return keyed.judge(history, lambda part: _check(part, self.linearizable))


@dataclass(frozen=True, slots=True)
class _Reads:
    """Ok reads, latest invocation first; `element` and `rank` are their (element, read) pairs."""

    began: I64
    ended: I64
    code: I64
    rank: I64
    wrong: I64


@dataclass(frozen=True, slots=True)
class _Elements:
    """What became of each added element: rows of the ops that tell, −1 for none."""

    code: I64
    add: I64
    known: I64
    shown: I64
    lacking: I64
    stable: Bool
    lost: Bool
    stable_ms: I64
    lost_ms: I64


def _check(history: History, linearizable: bool) -> Verdict:
    reads = _reads(history)
    if len(reads.wrong):
        return Verdict.unknown(f"op {history.index[reads.wrong[0]]} read no collection")
    code, add, acknowledged = _adds(history)
    element = np.searchsorted(code, reads.code)
    element[element == len(code)] = 0
    added = code[element] == reads.code if len(code) else np.zeros(len(element), np.bool_)
    width = max(1, len(reads.ended))
    pairs = np.sort(element[added] * width + reads.rank[added])
    again = pairs[1:][pairs[1:] == pairs[:-1]]
    elements = _follow(history, reads, code, add, acknowledged, pairs)
    anomalies = [
        *_lost(history, elements),
        *_unexpected(history, reads, ~added),
        *_duplicates(history, reads, code, again),
        *(_stale(history, elements) if linearizable else ()),
    ]
    return _verdict(elements, len(reads.began), anomalies)


def _reads(history: History) -> _Reads:
    rows = np.flatnonzero(history.client & history.is_f("read") & (history.type == Type.OK))
    mate = history.pair[rows]
    began = np.where(mate >= 0, mate, rows)
    order = np.argsort(-began, kind="stable")
    rows, began = rows[order], began[order]
    start, elements, wrong = members(history, rows)
    rank = np.repeat(np.arange(len(rows), dtype=np.int64), np.diff(start))
    return _Reads(began, rows, elements, rank, wrong)


def _adds(history: History) -> tuple[I64, I64, I64]:
    """Elements ascending, the row at which the add of each began, and the row of its `ok`.

    An element added twice starts anew with the second add, as in Jepsen.
    """
    rows = np.flatnonzero(history.client & history.is_f("add"))
    value = codes(history, rows)
    code, which = np.unique(value, return_inverse=True)
    kind = history.type[rows]
    begun, ok = kind == Type.INVOKE, kind == Type.OK
    add = np.full(len(code), -1, np.int64)
    np.maximum.at(add, which[begun], rows[begun])
    counts = ok & (rows > add[which])
    acknowledged = np.full(len(code), _NEVER, np.int64)
    np.minimum.at(acknowledged, which[counts], rows[counts])
    return code, add, acknowledged


def _follow(
    history: History,
    reads: _Reads,
    code: I64,
    add: I64,
    acknowledged: I64,
    pairs: I64,
) -> _Elements:
    """Decide each element from the sorted pairs (element · reads + rank of a read showing it)."""
    n, width = len(code), max(1, len(reads.ended))
    new = np.ones(len(pairs), np.bool_)
    new[1:] = pairs[1:] != pairs[:-1]
    element, rank = pairs[new] // width, pairs[new] % width
    counts = reads.ended[rank] > add[element]
    element, rank = element[counts], rank[counts]
    size = np.bincount(element, minlength=n)
    first = np.concatenate([[0], np.cumsum(size)[:-1]]).astype(np.int64) if n else size
    some = np.flatnonzero(size)
    shown = np.full(n, _NEVER, np.int64)
    shown[some] = rank[first[some]]
    known = acknowledged.copy()
    missing = np.zeros(n, np.int64)
    if len(some):
        seen = np.minimum.reduceat(reads.ended[rank], first[some])
        known[some] = np.minimum(known[some], seen)
        place = np.arange(len(rank)) - np.repeat(first[some], size[some])
        gap = np.where(rank != place, place, _NEVER)
        missing[some] = np.minimum(np.minimum.reduceat(gap, first[some]), size[some])
    lacking = _counted(reads, add, missing, shown, element, rank, first, size)
    return _decide(history, reads, code, add, known, shown, lacking)


def _counted(
    reads: _Reads,
    add: I64,
    missing: I64,
    shown: I64,
    element: I64,
    rank: I64,
    first: I64,
    size: I64,
) -> I64:
    """Rank of the latest read that lacks each element, among those that ended after its add began.

    A read that ended before the add began says nothing. Reads invoked earlier still may say
    something only if they were under way when the add began; they matter only to an element whose
    every showing read was, too (then it is stable or never read), and there are few of those.
    """
    total = len(reads.ended)
    out = np.where(missing < total, missing, _NEVER)
    asked = np.flatnonzero(out != _NEVER)
    silent = asked[reads.ended[out[asked]] <= add[asked]]
    out[silent] = _NEVER
    for e in silent[(shown[silent] != _NEVER) & (shown[silent] > missing[silent])].tolist():
        held = set(rank[first[e] : first[e] + size[e]].tolist())
        between = range(int(missing[e]) + 1, int(shown[e]))
        counted = (r for r in between if reads.ended[r] > add[e] and r not in held)
        out[e] = next(counted, _NEVER)
    return out


def _decide(
    history: History, reads: _Reads, code: I64, add: I64, known: I64, shown: I64, lacking: I64
) -> _Elements:
    stable = (shown != _NEVER) & (shown < lacking)
    lacking_row = _row(reads.began, lacking)
    shown_row = _row(reads.began, shown)
    lost = (known != _NEVER) & (lacking != _NEVER) & (lacking < shown) & (known < lacking_row)
    since = _time(history, np.where(known == _NEVER, -1, known))
    stable_ms = np.where(stable, _ms(_time(history, lacking_row) - since, lacking_row), 0)
    lost_ms = np.where(lost, _ms(_time(history, shown_row) - since, shown_row), 0)
    return _Elements(
        code, add, known, shown_row, lacking_row, stable, lost & ~stable, stable_ms, lost_ms
    )


def _row(began: I64, rank: I64) -> I64:
    out = np.full(len(rank), -1, np.int64)
    there = rank != _NEVER
    out[there] = began[rank[there]]
    return out


def _time(history: History, row: I64) -> I64:
    if not len(history):
        return np.zeros(len(row), np.int64)
    return np.where(row >= 0, history.time_ns[row], 0)


def _ms(since_ns: I64, row: I64) -> I64:
    """Whole milliseconds from known to one ns after that row; 0 if there is no row."""
    return np.where(row >= 0, np.maximum(since_ns + 1, 0) // 1_000_000, 0)


def _verdict(elements: _Elements, reads: int, anomalies: list[Anomaly]) -> Verdict:
    n, stable = len(elements.code), int(np.count_nonzero(elements.stable))
    lost = int(np.count_nonzero(elements.lost))
    stale = int(np.count_nonzero(elements.stable_ms > 0))
    details: dict[str, Json] = {
        "attempts": n,
        "stable": stable,
        "lost": lost,
        "never_read": n - stable - lost,
        "stale": stale,
        "reads": reads,
    }
    if stable:
        details["stable_latency_ms"] = _spread(elements.stable_ms[elements.stable])
    if lost:
        details["lost_latency_ms"] = _spread(elements.lost_ms[elements.lost])
    if anomalies:
        cause = "; ".join(anomaly.explanation for anomaly in anomalies)
        return Verdict.invalid(cause, judged=max(n, 1), anomalies=anomalies, details=details)
    if not stable:
        seen = f"{count(n, 'element')} attempted, {count(reads, 'ok read')}"
        return Verdict.unknown(f"no element was ever read back ({seen})", details=details)
    late = f"; {stale:,} of them late" if stale else ""
    cause = f"{stable:,} of {count(n, 'element')} became stable, none was lost{late}"
    return Verdict.valid(cause, judged=n, details=details)


def _spread(latency_ms: I64) -> dict[str, Json]:
    """Quantiles as Jepsen takes them: the value at place ⌊n·q⌋ of the sorted ones."""
    ordered = np.sort(latency_ms)
    points = (0, 0.5, 0.95, 0.99, 1)
    return {f"{q:g}": int(ordered[min(len(ordered) - 1, int(len(ordered) * q))]) for q in points}


# ── telling ──────────────────────────────────────────────────────────────────────────────────


def _story(history: History, elements: _Elements, e: int, end: str) -> str:
    element = show(history.atoms.decode(int(elements.code[e])))
    known, lacking = int(elements.known[e]), int(elements.lacking[e])
    how = "its add was acknowledged" if history.type[known] == Type.OK else "it was known"
    if history.names[history.f[known]] == "read":
        how = "a read showed it"
    return (
        f"element {element}: {how} by op {history.index[known]}, but the read that began "
        f"later, at op {history.index[lacking]}, lacks it{end}"
    )


def _lost(history: History, elements: _Elements) -> list[Anomaly]:
    lost = np.flatnonzero(elements.lost)
    if not len(lost):
        return []
    steps = []
    for e in lost[:EXAMPLES_MAX].tolist():
        last = elements.shown[e]
        end = ", and no read ever showed it"
        if last >= 0:
            end = f", and none that began after op {history.index[last]} showed it"
        steps.append(_story(history, elements, e, end))
    verb = "was" if len(lost) == 1 else "were"
    return [
        Anomaly(
            "lost",
            f"{count(len(lost), 'element')} ({values(history, elements.code[lost])}) {verb} in "
            f"the set and then gone for good: {steps[0]}",
            ops=_ops(history, elements, lost),
            steps=tuple(steps),
            count=len(lost),
        )
    ]


def _stale(history: History, elements: _Elements) -> list[Anomaly]:
    stale = np.flatnonzero(elements.stable_ms > 0)
    if not len(stale):
        return []
    worst = stale[np.argsort(-elements.stable_ms[stale], kind="stable")][:EXAMPLES_MAX]
    steps = [
        _story(history, elements, e, f" (stable only {int(elements.stable_ms[e]):,} ms later)")
        for e in worst.tolist()
    ]
    return [
        Anomaly(
            "stale-read",
            f"{count(len(stale), 'element')} missed by reads that began after they were known: "
            f"{steps[0]}",
            ops=_ops(history, elements, worst),
            steps=tuple(steps),
            count=len(stale),
        )
    ]


def _ops(history: History, elements: _Elements, which: I64) -> tuple[int, ...]:
    rows = []
    for e in which[:EXAMPLES_MAX].tolist():
        lacking = int(elements.lacking[e])
        rows += [int(elements.known[e]), lacking, int(history.pair[lacking])]
    return indexes(history, rows)


def _unexpected(history: History, reads: _Reads, strange: Bool) -> list[Anomaly]:
    if not strange.any():
        return []
    code = np.unique(reads.code[strange])
    row = int(reads.ended[reads.rank[strange].max()])
    return [
        Anomaly(
            "unexpected",
            f"reads show {count(len(code), 'element')} ({values(history, code)}) that nobody "
            f"tried to add, the first in op {history.index[row]}",
            ops=indexes(history, [row]),
            count=len(code),
        )
    ]


def _duplicates(history: History, reads: _Reads, code: I64, again: I64) -> list[Anomaly]:
    """`again` are the pairs (element · reads + rank) that stood in their read before."""
    if not len(again):
        return []
    width = max(1, len(reads.ended))
    row = int(reads.ended[(again % width).max()])
    twice = code[np.unique(again // width)]
    return [
        Anomaly(
            "duplicate",
            f"{count(len(twice), 'element')} ({values(history, twice)}) stood more than once in "
            f"one read, for instance in op {history.index[row]}",
            ops=indexes(history, [row]),
            count=len(twice),
        )
    ]

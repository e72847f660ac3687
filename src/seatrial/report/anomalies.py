"""Anomalies as the report tells them: the story, the ops quoted, lanes, the checker's picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from markupsafe import Markup

from seatrial.history import History
from seatrial.op import Type
from seatrial.report import lanes, words
from seatrial.report.document import AnomalyPart, VerdictDocument
from seatrial.report.faults import FaultView
from seatrial.report.picture import clean
from seatrial.report.source import Material
from seatrial.timeline import NS_PER_S
from seatrial.verdict import Validity

#: Anomalies told in full, of all checkers together; the rest are counted.
TOLD_MAX: Final = 12
#: Faults named as alive at an anomaly.
ALIVE_MAX: Final = 8
#: Ops quoted under one anomaly.
QUOTED_MAX: Final = 24


@dataclass(frozen=True, slots=True)
class Quote:
    """One op of the proof, both halves in one line."""

    index: str
    process: str
    deed: str
    outcome: str
    invoked: str
    completed: str
    error: str


@dataclass(frozen=True, slots=True)
class AnomalyView:
    """One anomaly."""

    anchor: str
    checker: str
    checker_verdict: Validity
    name: str
    count: int
    explanation: str
    steps: tuple[str, ...]
    quotes: tuple[Quote, ...]
    ops: int
    alive: tuple[str, ...]
    lanes: Markup | None
    picture: Markup | None


@dataclass(frozen=True, slots=True)
class Anomalies:
    """The anomalies told, and how many are not."""

    told: tuple[AnomalyView, ...]
    untold: int


def views(
    material: Material,
    verdict: VerdictDocument,
    faults: tuple[FaultView, ...],
    origin_ns: int,
) -> Anomalies:
    """Those of invalid checkers first, at most `TOLD_MAX`, a fair share of each checker."""
    found = [
        (checker.verdict != Validity.INVALID, number, name, part)
        for name, checker in verdict.checkers.items()
        for number, part in enumerate(checker.anomalies)
    ]
    found.sort(key=lambda entry: entry[:3])
    chosen = sorted(found[:TOLD_MAX], key=lambda entry: (entry[0], entry[2], entry[1]))
    told = tuple(
        _view(material, verdict, faults, name, number, part, origin_ns)
        for _, number, name, part in chosen
    )
    return Anomalies(told, len(found) - len(told))


def _view(
    material: Material,
    verdict: VerdictDocument,
    faults: tuple[FaultView, ...],
    checker: str,
    number: int,
    part: AnomalyPart,
    origin_ns: int,
) -> AnomalyView:
    history = material.history
    anchor = f"anomaly-{checker}-{number}"
    picture = material.pictures.get((checker, number))
    return AnomalyView(
        anchor=anchor,
        checker=checker,
        checker_verdict=verdict.checkers[checker].verdict,
        name=part.name,
        count=part.count,
        explanation=part.explanation,
        steps=part.steps,
        quotes=_quotes(history, part, origin_ns) if history is not None else (),
        ops=len(part.ops),
        alive=_alive(history, part, faults, origin_ns) if history is not None else (),
        lanes=lanes.draw(history, part.ops, origin_ns) if history is not None else None,
        picture=clean(picture, f"{anchor}-") if picture else None,
    )


def _alive(
    history: History, part: AnomalyPart, faults: tuple[FaultView, ...], origin_ns: int
) -> tuple[str, ...]:
    """The faults whose real window meets the time from the first op of the proof to the last."""
    times = history.time_ns[lanes.rows_of(history, part.ops)]
    times = times[times >= 0]
    if not len(times):
        return ()
    first, last = ((int(t) - origin_ns) / NS_PER_S for t in (times.min(), times.max()))
    return tuple(
        fault.label
        for fault in faults
        if fault.start_s is not None
        and fault.start_s <= last
        and (fault.end_s is None or fault.end_s >= first)
    )[:ALIVE_MAX]


def _quotes(history: History, part: AnomalyPart, origin_ns: int) -> tuple[Quote, ...]:
    seen: dict[int, Quote] = {}
    for row in lanes.rows_of(history, part.ops[: 2 * QUOTED_MAX]):
        other = int(history.pair[row])
        begun = history.type[row] == Type.INVOKE
        invoke, complete = (row, other) if begun else (other, row)
        first = invoke if invoke >= 0 else complete
        seen.setdefault(first, _quote(history, invoke, complete, origin_ns))
    ordered = [seen[first] for first in sorted(seen)]
    return tuple(ordered[:QUOTED_MAX])


def _quote(history: History, invoke: int, complete: int, origin_ns: int) -> Quote:
    begun = history.op(invoke) if invoke >= 0 else None
    done = history.op(complete) if complete >= 0 else None
    told = done if done is not None and (done.type == Type.OK or begun is None) else begun
    assert told is not None
    timed = [op.time_ns if op and op.time_ns >= 0 else None for op in (begun, done)]
    return Quote(
        index=" → ".join(str(op.index) for op in (begun, done) if op),
        process=words.process(told.process),
        deed=words.cut(words.deed(told), 600),
        outcome=done.type.label if done else "never completed",
        invoked=words.moment(timed[0], origin_ns),
        completed=words.moment(timed[1], origin_ns),
        error=(done.error if done else None) or "",
    )

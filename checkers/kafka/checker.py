"""The checker `kafka`: all rules and cycles joined to a verdict.

Not everything that can be named breaks Kafka's promise. Tolerated, as in Jepsen: `int-send-skip`
and G0 always (transactions interleave their sends); with `sub_via: subscribe` also `poll-skip` and
`nonmonotonic-poll` (a consumer may be rebalanced); with `ww_deps` also G1c.
"""

from __future__ import annotations

from dataclasses import dataclass

from seatrial.checker import Budget, CheckOptions
from seatrial.checkers.kafka import cycles
from seatrial.checkers.kafka.events import DATA, Event, Malformed, OutOfTime, read_events
from seatrial.checkers.kafka.orders import find_orders
from seatrial.checkers.kafka.rules import Case, all_cases
from seatrial.checkers.nothing import as_jepsen, nothing
from seatrial.checkers.settings import choice, flag
from seatrial.checkers.wording import EXAMPLES_MAX, count
from seatrial.history import History
from seatrial.op import Type
from seatrial.verdict import Anomaly, Json, Validity, Verdict

NAME = "kafka"
#: No edge between any two ops: cycles cannot be judged (Elle's name for it).
NO_GRAPH = "empty-transaction-graph"
#: Elle's names for what a cycle shows to exist, and the model that it rules out.
RULED_OUT = {
    "G1c": "read committed",
    "G1c-process": "strong session read committed",
    "G1c-realtime": "strong read committed",
}
CYCLE_EXISTS = {
    "G1c": "PL-2-cycle-exists",
    "G1c-process": "strong-session-PL-2-cycle-exists",
    "G1c-realtime": "strong-PL-2-cycle-exists",
}


@dataclass(frozen=True, slots=True)
class Kafka:
    """`subscribe`: consumers may be rebalanced. `ww_deps`: offsets order transactions."""

    subscribe: bool = False
    ww_deps: bool = False
    as_jepsen: bool = False
    name: str = NAME

    def check(self, history: History, budget: Budget) -> Verdict:
        """O(n log n), one object for each op and message."""
        try:
            events = read_events(history, budget)
        except (Malformed, OutOfTime) as wrong:
            return Verdict.unknown(str(wrong))
        judged = sum(_weight(event) for event in events)
        if not judged:
            return nothing(
                "no send and no poll completed",
                Validity.INVALID,
                wanted=self.as_jepsen,
                anomalies=(Anomaly(NO_GRAPH, "no op depends on another"),),
            )
        orders = find_orders(events)
        graph = cycles.build(history, events, orders, ww=self.ww_deps)
        found: dict[str, list[Case]] = {}
        for case in (*all_cases(events, orders), *cycles.find(graph)):
            found.setdefault(case.name, []).append(case)
        return self._verdict(found, judged, empty=graph.empty)

    def _verdict(self, found: dict[str, list[Case]], judged: int, *, empty: bool) -> Verdict:
        bad = [name for name in found if name not in self._tolerated()]
        details: dict[str, Json] = {"counts": {name: len(found[name]) for name in sorted(found)}}
        if not bad:
            also = f"; tolerated: {', '.join(sorted(found))}" if found else ""
            cause = f"{count(judged, 'message')} sent and polled in order{also}"
            return Verdict.valid(cause, judged=judged, details=details)
        anomalies = [_anomaly(found[name]) for name in (*bad, *sorted(set(found) - set(bad)))]
        weakest = next((name for name in CYCLE_EXISTS if name in bad), None)
        if weakest is not None:
            said = f"the cycle of {weakest} rules out {RULED_OUT[weakest]}"
            anomalies.append(Anomaly(CYCLE_EXISTS[weakest], said, ops=_ops(found[weakest])))
        if empty:
            anomalies.append(Anomaly(NO_GRAPH, "no op depends on another, cycles were not judged"))
        return Verdict.invalid(
            anomalies[0].explanation, judged=judged, anomalies=anomalies, details=details
        )

    def _tolerated(self) -> set[str]:
        names = {"int-send-skip", "G0", "G0-process", "G0-realtime"}
        if self.subscribe:
            names |= {"poll-skip", "nonmonotonic-poll"}
        if self.ww_deps:
            names |= {"G1c", "G1c-process", "G1c-realtime"}
        return names


def make(options: CheckOptions) -> Kafka:
    """The checker; options: `sub_via` (`assign` or `subscribe`), `ww_deps`, `empty`."""
    subscribe = choice(options, NAME, "sub_via", ("assign", "subscribe")) == "subscribe"
    return Kafka(subscribe, flag(options, NAME, "ww_deps"), as_jepsen(options, NAME))


def _weight(event: Event) -> int:
    if event.type == Type.INVOKE or event.f not in DATA:
        return 0
    lists = (*event.sends.values(), *event.polls.values())
    return sum(len(pairs) for pairs in lists)


def _anomaly(cases: list[Case]) -> Anomaly:
    first = cases[0]
    more = "" if len(cases) == 1 else f" ({count(len(cases), 'case')})"
    return Anomaly(
        first.name,
        first.said + more,
        ops=_ops(cases),
        steps=tuple(case.said for case in cases[:EXAMPLES_MAX]) if len(cases) > 1 else (),
        count=len(cases),
    )


def _ops(cases: list[Case]) -> tuple[int, ...]:
    events = [event for case in cases[:EXAMPLES_MAX] for event in case.events]
    return tuple(sorted({event.index for event in events}))

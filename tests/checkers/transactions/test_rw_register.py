"""rw-register: each anomaly in a hand-written history, and a valid near-miss of each."""

from __future__ import annotations

import pytest

from seatrial.checker import Budget, CheckOptions
from seatrial.checkers import make
from seatrial.errors import UnknownName
from seatrial.history import HistoryBuilder
from seatrial.op import Op, Type
from seatrial.verdict import Validity, Verdict
from tests.checkers.transactions.notation import T, concurrent, judge, names, serial

ALL = ("wfr", "sequential", "linearizable")


def told(
    txns: list[T], model: str | None = None, sources: tuple[str, ...] = (), *, invoked: bool = True
) -> Verdict:
    """The verdict on registers."""
    return judge(
        txns, checker="rw-register", model=model, version_order=sources, invocations=invoked
    )


RU, RC, CV, RA = "read-uncommitted", "read-committed", "consistent-view", "read-atomic"
SKEW = concurrent("wx1", "rx1 ry", "wy1", "ry1 rx")
BACK = serial("wx1", "wx2", "rx2", "rx1")

#: Name, model, sources of version orders, a history with it, and its last transaction mended.
CASES = [
    ("G0", RU, ("wfr",), concurrent("ry2 wx1 wy9", "rx1 wy2 wx5"), "wy2 wx5"),
    ("G1a", RC, (), concurrent("wx1", "!wx2", "rx2"), "rx1"),
    ("G1b", RC, (), concurrent("wx1 wx2", "wy1", "rx1"), "rx2"),
    ("G1c", RC, (), concurrent("wx1 ry1", "wy1 rx1"), "wy1 rx"),
    ("G-single", CV, ("wfr",), concurrent("wx1 wy1", "rx1 ry"), "rx1 ry1"),
    ("G-nonadjacent", "snapshot-isolation", (), SKEW, "ry1 rx1"),
    ("G2-item", "repeatable-read", (), concurrent("rx wy1", "ry wx1"), "ry1 wx1"),
    ("internal", RA, (), concurrent("wx1", "wx2 rx1"), "wx2 rx2"),
    ("future-read", RA, (), concurrent("wy1", "rx1 wx1"), "rx wx1"),
    ("lost-update", "cursor-stability", (), concurrent("wx1", "rx1 wx2", "rx1 wx3"), "rx2 wx3"),
    ("garbage-read", RU, (), concurrent("wx1", "rx", "rx7"), "rx1"),
    ("cyclic-versions", RU, ("sequential",), BACK, "rx2"),
]


@pytest.mark.parametrize(
    ("name", "model", "sources", "bad", "mended"), CASES, ids=[c[0] for c in CASES]
)
def test_each_anomaly_is_named_and_its_near_miss_is_not(
    name: str, model: str, sources: tuple[str, ...], bad: list[T], mended: str | None
) -> None:
    """The anomaly refutes its model and is explained; with the last transaction mended it is
    gone."""
    verdict = told(bad, model, sources)
    assert verdict.verdict is Validity.INVALID
    assert name in names(verdict)
    anomaly = next(a for a in verdict.anomalies if a.name == name)
    assert anomaly.ops and anomaly.explanation and anomaly.steps
    if mended is not None:
        last = bad[-1]
        near = [*bad[:-1], T(mended, last.process, last.begin, last.end)]
        assert told(near, model, sources).verdict is not Validity.INVALID


def test_real_time_order_of_a_key_is_used_only_when_granted() -> None:
    """A read of an old value after a newer one was written is stale if keys are linearizable."""
    stale = [T("wx1", 0, 0, 1), T("wx2", 1, 2, 3), T("rx1", 2, 4, 5)]
    assert told(stale).verdict is Validity.VALID
    verdict = told(stale, None, ("linearizable",))
    assert names(verdict) == {"cyclic-versions"}
    assert "linearizable" in verdict.anomalies[0].explanation


def test_one_unwritten_value_may_be_what_the_key_held_first() -> None:
    """It is told in the details; two of them, or nil beside it, cannot both be."""
    verdict = told(serial("wx2", "rx3", "rx2"))
    assert verdict.verdict is Validity.VALID
    assert verdict.details["unwritten_values"] == 1
    assert "garbage-read" in names(told(serial("wx2", "rx3", "rx4")))


def test_an_initial_value_other_than_nil() -> None:
    """Reads of the initial value come before every write."""
    skew = [
        Op(Type.OK, 0, "txn", (("r", "x", 0), ("w", "y", 1))),
        Op(Type.OK, 1, "txn", (("r", "y", 0), ("w", "x", 1))),
    ]
    history = HistoryBuilder().extend(skew).history()
    checker = make("rw-register", CheckOptions(initial=0))
    assert names(checker.check(history, Budget.start())) == {"G2-item"}


def test_a_value_written_twice_raises_no_alarm() -> None:
    """Who wrote what was read is not known then: unknown, and said so."""
    verdict = told(concurrent("wx1 ry1", "wx1", "wy1 rx1"))
    assert verdict.verdict is Validity.UNKNOWN
    assert "more than one transaction" in verdict.cause


def test_a_transaction_nobody_knows_the_end_of_counts_where_it_was_seen() -> None:
    """The writer of what was read took effect, however it ended."""
    assert "G-single" in names(told(concurrent("?wx1 wy1", "rx1 ry")))
    assert told(concurrent("?wx1 wy1", "rx ry")).verdict is Validity.VALID


def test_nothing_judged_is_unknown() -> None:
    """No committed transaction, or nothing that orders two of them, is never green."""
    assert told([]).verdict is Validity.UNKNOWN
    alone = told(concurrent("wx1", "wy1"), "serializable")
    assert names(alone) == {"empty-transaction-graph"}
    aborted = told(concurrent("rx1", "!wx1"), "repeatable-read", invoked=False)
    assert names(aborted) == {"G1a", "empty-transaction-graph"}


def test_unknown_sources_of_version_orders_are_refused() -> None:
    """Typing errors get a suggestion."""
    with pytest.raises(UnknownName, match="did you mean 'linearizable'"):
        make("rw-register", CheckOptions(version_order=("linearisable",)))

"""list-append: each anomaly in a hand-written history, and a valid near-miss of each."""

from __future__ import annotations

import pytest

from seatrial.checker import Budget, CheckOptions
from seatrial.checkers import make
from seatrial.errors import UnknownName
from seatrial.history import HistoryBuilder
from seatrial.op import Op, Type
from seatrial.verdict import Validity
from tests.checkers.transactions.notation import T, concurrent, history, judge, names, serial

#: What is wrong, the weakest model that sees it, its name; then a history without it.
CASES = [
    ("G0", "read-uncommitted", concurrent("ax1 ay1", "ax2 ay2", "rx12 ry21"), "rx12 ry12"),
    ("G1a", "read-committed", concurrent("ax1", "!ax2", "rx12"), "rx1"),
    ("G1b", "read-committed", concurrent("ax1 ax2", "ay1", "rx1"), "rx12"),
    ("G1c", "read-committed", concurrent("ax1 ry1", "ay1 rx1", "rx1"), None),
    ("G-single", "consistent-view", concurrent("ax1 ay1", "rx1 ry", "ry1"), None),
    ("G-nonadjacent", "snapshot-isolation", concurrent("ax1", "rx1 ry", "ay1", "ry1 rx"), "ry rx"),
    ("G2-item", "repeatable-read", concurrent("ax1 ry", "ay1 rx", "rx1"), None),
    ("internal", "read-atomic", concurrent("ax1", "ax2 rx1", "rx12"), None),
    ("duplicate-elements", "read-uncommitted", concurrent("ax1", "ay1", "rx11"), "rx1"),
    ("incompatible-order", "read-committed", concurrent("ax1", "ax2", "rx12", "rx21"), "rx12"),
    ("lost-update", "cursor-stability", concurrent("rx ax1", "rx ax2", "rx12"), None),
    ("future-read", "read-atomic", concurrent("rx1 ax1", "ay1", "rx1"), None),
    ("dirty-update", "read-committed", concurrent("!ax1", "ax2", "rx12"), "rx2"),
    ("garbage-read", "read-uncommitted", concurrent("ax1", "ax2", "rx129"), "rx12"),
]


@pytest.mark.parametrize(("name", "model", "bad", "mended"), CASES, ids=[c[0] for c in CASES])
def test_each_anomaly_is_named_and_its_near_miss_is_not(
    name: str, model: str, bad: list[T], mended: str | None
) -> None:
    """The anomaly refutes its model and is explained; with the last read mended it is gone."""
    verdict = judge(bad, model=model)
    assert verdict.verdict is Validity.INVALID
    assert name in names(verdict)
    anomaly = next(a for a in verdict.anomalies if a.name == name)
    assert anomaly.ops and anomaly.explanation and anomaly.steps
    assert model.replace("-", " ") in verdict.cause or model not in verdict.details["not"]  # type: ignore[operator]
    if mended is not None:
        last = bad[-1]
        near = [*bad[:-1], T(mended, last.process, last.begin, last.end)]
        assert name not in names(judge(near, model=model))
        assert judge(near, model=model).verdict is Validity.VALID


def test_weaker_models_allow_what_stronger_ones_forbid() -> None:
    """Write skew is fine under snapshot isolation, and told as seen but allowed."""
    skew = concurrent("ax1 ry", "ay1 rx", "rx1 ry1")
    verdict = judge(skew, model="snapshot-isolation")
    assert verdict.verdict is Validity.VALID
    assert verdict.details["seen_but_allowed"] == {"G2-item": 1}
    assert verdict.details["not"] == ["repeatable-read"]
    assert judge(skew, model="serializable").verdict is Validity.INVALID


def test_real_time_order_is_kept_only_by_strict_models() -> None:
    """A read that misses a write acknowledged before it began is serializable, not strictly."""
    stale = [T("ax1", 0, 0, 1), T("ax2", 1, 2, 3), T("rx1", 2, 4, 5), T("rx12", 3, 6, 7)]
    assert judge(stale, model="serializable").verdict is Validity.VALID
    verdict = judge(stale)
    assert names(verdict) == {"G-single-realtime"}
    assert verdict.details["not"] == ["strong-snapshot-isolation"]
    assert judge(stale, invocations=False).verdict is Validity.VALID


def test_process_order_is_kept_by_session_models() -> None:
    """A process that does not see its own earlier append breaks session guarantees only."""
    forgot = [T("ax1", 0, 0, 1), T("rx", 0, 2, 3), T("rx1", 1, 0, 5)]
    verdict = judge(forgot, model="strong-session-serializable")
    assert names(verdict) == {"G-single-process"}
    assert judge(forgot, model="serializable").verdict is Validity.VALID


def test_a_transaction_nobody_knows_the_end_of_counts_where_it_was_seen() -> None:
    """An info append that was read is part of the order, one that was not proves nothing."""
    assert judge(concurrent("ax1", "?ax2", "rx1")).verdict is Validity.VALID
    assert judge(concurrent("ax1", "?ax2", "rx12")).verdict is Validity.VALID
    seen = concurrent("ax1", "?ax2 ay1", "rx12 ry", "ry1")
    assert "G-single" in names(judge(seen))
    pending = [T("ax1", 0, 0, None), T("rx1", 1, 2, 3), T("ay1", 2, 4, 5)]
    assert judge(pending).verdict is Validity.VALID


def test_appends_of_one_transaction_stay_in_its_order() -> None:
    """A list that shows a transaction's appends turned round, or the second only, is wrong."""
    for text in ("rx21", "rx2"):
        verdict = judge(concurrent("ax1 ax2", "ay1", text), model="read-committed")
        assert "incompatible-order" in names(verdict)
        assert "stands without the first" in verdict.anomalies[0].explanation


def test_a_retried_append_is_not_an_aborted_read() -> None:
    """What failed and was done again under the same value was done once."""
    assert judge(serial("!ax1", "ax1", "rx1")).verdict is Validity.VALID


def test_nothing_judged_is_unknown() -> None:
    """No committed transaction, or nothing that orders two of them, is never green."""
    assert judge([]).verdict is Validity.UNKNOWN
    assert judge(serial("?ax1", "!rx")).verdict is Validity.UNKNOWN
    alone = judge(concurrent("ax1", "ay1"), model="serializable")
    assert alone.verdict is Validity.UNKNOWN
    assert names(alone) == {"empty-transaction-graph"}
    assert "G1a" in names(judge(concurrent("!ax1", "rx1"), anomalies=["G1"]))


def test_what_cannot_be_judged_is_said() -> None:
    """Repeated elements, other micro-ops and reads of scalars keep a history from being valid."""
    assert judge(serial("ax1", "ax1", "rx1")).verdict is Validity.UNKNOWN
    odd = [
        Op(Type.OK, 0, "txn", (("append", "x", 1), ("cas", "x", 3))),
        Op(Type.OK, 1, "txn", (("r", "x", 7), ("r", "y", None))),
        Op(Type.OK, 1, "txn", (("r", "x", (1,)),)),
    ]
    verdict = make("list-append").check(HistoryBuilder().extend(odd).history(), Budget.start())
    assert verdict.verdict is Validity.UNKNOWN
    assert len(verdict.details["doubts"]) == 2  # type: ignore[arg-type]


def test_short_micro_ops_and_keys_that_are_lists_are_understood() -> None:
    """`[r y]` is a read of nothing, and any value can be a key."""
    ops = [
        Op(Type.OK, 0, "txn", (("append", ("k", 1), 1), ("r", "y"))),
        Op(Type.OK, 1, "txn", (("append", "y", 1), ("r", ("k", 1)))),
        Op(Type.OK, 1, "txn", (("r", "y", (1,)),)),
    ]
    told = HistoryBuilder().extend(ops).history()
    verdict = make("list-append").check(told, Budget.start())
    assert names(verdict) == {"G2-item"}


def test_a_thousand_instances_of_one_cause_are_one_finding() -> None:
    """Separate groups with the same class are counted, not listed."""
    ops: list[Op] = []
    for i in range(1000):
        skew = (
            (("append", 2 * i, 1), ("r", 2 * i + 1, ())),
            (("append", 2 * i + 1, 1), ("r", 2 * i, ())),
        )
        ops += [Op(Type.INVOKE, j, "txn", skew[j]) for j in (0, 1)]
        ops += [Op(Type.OK, j, "txn", skew[j]) for j in (0, 1)]
    verdict = make("list-append").check(HistoryBuilder().extend(ops).history(), Budget.start())
    assert [(a.name, a.count) for a in verdict.anomalies] == [("G2-item", 1000)]


def test_the_picture_is_an_svg_without_scripts() -> None:
    """A cycle is drawn with its transactions and the kinds of its edges."""
    anomaly = judge(concurrent("ax1 ry1", "ay1 rx1", "rx1")).anomalies[0]
    assert anomaly.picture.startswith("<svg") and anomaly.picture.endswith("</svg>")
    assert "script" not in anomaly.picture and ">wr<" in anomaly.picture
    assert anomaly.steps[-1].endswith("a contradiction")


def test_unknown_models_and_anomalies_are_refused_with_a_hint() -> None:
    """Typing errors get a suggestion."""
    with pytest.raises(UnknownName, match="did you mean 'serializable'"):
        make("list-append", CheckOptions(consistency_model="serialisable"))
    with pytest.raises(UnknownName, match="G-single"):
        make("list-append", CheckOptions(extra={"anomalies": ["G-singel"]}))


def test_a_budget_that_is_used_up_is_said() -> None:
    """Without time or memory the verdict is unknown, and says how far it got."""
    told = history(serial("ax1", "rx1"))
    late = make("list-append").check(told, Budget.start(timeout_s=0))
    assert late.verdict is Validity.UNKNOWN and "out of time" in late.cause
    small = make("list-append").check(told, Budget.start(memory_bytes=1000))
    assert small.verdict is Validity.UNKNOWN and "MiB" in small.cause

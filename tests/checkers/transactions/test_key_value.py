"""serializable and snapshot-isolation: an order of writes is found, or there is none."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seatrial.checker import CheckOptions
from seatrial.checkers import make
from seatrial.errors import UnknownName
from seatrial.verdict import Validity, Verdict
from tests.checkers.transactions.notation import T, concurrent, judge, names
from tests.checkers.transactions.oracle import execution
from tests.checkers.transactions.test_against_definitions import (
    BOTH,
    by_definition,
    check,
    history_of,
    ops_of,
)


def checker_of(model: str) -> str:
    """The checker that judges a model."""
    return "snapshot-isolation" if "snapshot" in model else "serializable"


def told(txns: list[T], model: str = "serializable") -> Verdict:
    """The verdict on registers."""
    return judge(txns, checker=checker_of(model), model=model, version_order=())


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32))
def test_registers_are_judged_exactly_as_defined(seed: int) -> None:
    """`valid` and `invalid` are what the model's definition says, without any assumption."""
    case = execution(seed, registers=True, final=seed % 2 == 0)
    history = history_of(ops_of(case))
    for model in BOTH:
        verdict = check(history, model, checker_of(model)).verdict
        if verdict is not Validity.UNKNOWN:
            assert (verdict is Validity.VALID) is by_definition(case, model, registers=True), model


#: Blind writes whose order nothing tells, and reads that no order explains.
TORN = concurrent("wx1 wy1", "wx2 wy2", "rx1 ry2", "rx2 ry1")


def test_what_no_single_inference_shows_is_found() -> None:
    """rw-register cannot order blind writes; the search shows that no order fits."""
    rw = judge(TORN, checker="rw-register", model="serializable", version_order=("wfr",))
    assert rw.verdict is Validity.VALID
    verdict = told(TORN)
    assert names(verdict) == {"not-serializable"}
    assert verdict.anomalies[0].ops and verdict.anomalies[0].steps
    assert verdict.details["decided_by"] == "search"
    assert told(TORN, "snapshot-isolation").verdict is Validity.INVALID
    assert told(TORN[:3]).verdict is Validity.INVALID
    fits = concurrent("wx1 wy1", "wx2 wy2", "rx1 ry1", "rx2 ry2")
    assert told(fits).verdict is Validity.VALID


def test_an_order_far_from_real_time_is_found() -> None:
    """The writes committed against the order in which they were acknowledged."""
    turned = concurrent("wx1 wy1", "wx2 wz2", "rx1 rz2")
    verdict = told(turned)
    assert verdict.verdict is Validity.VALID
    assert verdict.details["decided_by"] == "search"
    assert told(turned, "strict-serializable").verdict is Validity.VALID


def test_write_skew_separates_the_two() -> None:
    """Snapshot isolation allows what serializability does not."""
    skew = concurrent("rx wy1", "ry wx1")
    assert names(told(skew)) == {"G2-item"}
    assert told(skew, "snapshot-isolation").verdict is Validity.VALID


def test_lost_updates_and_aborted_reads_break_both() -> None:
    """They are named as such."""
    for model in ("serializable", "snapshot-isolation"):
        assert "lost-update" in names(told(concurrent("rx wx1", "rx wx2"), model))
        assert "G1a" in names(told(concurrent("!wx1", "rx1"), model))


def test_writes_that_all_follow_reads_leave_nothing_to_choose() -> None:
    """Mini-transactions form one chain a key."""
    chain = [T(f"rx{i or ''} wx{i + 1}", i, 0, 1 + i) for i in range(6)]
    verdict = told(chain)
    assert verdict.verdict is Validity.VALID
    assert verdict.details["chains"] == 1


def test_nothing_judged_is_unknown_and_models_are_known() -> None:
    """No committed transaction is never green; a model of another checker is refused."""
    assert told([]).verdict is Validity.UNKNOWN
    with pytest.raises(UnknownName, match="serializable"):
        make("serializable", CheckOptions(consistency_model="read-committed"))

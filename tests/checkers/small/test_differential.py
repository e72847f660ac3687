"""Two histories of the same ops compared, with an oracle for what may differ."""

from __future__ import annotations

import pytest

from seatrial.checker import Budget
from seatrial.checkers.differential import Differential, MayDiffer, compare
from seatrial.verdict import Validity
from tests.checkers.small.tiny import tiny

FIRST = "i0 write 1; o0 write 1; i0 read; o0 read 1; i1 list; o1 list [1, 2]"


def test_the_same_answers_agree_in_any_interleaving() -> None:
    """Ops are matched by process and order, not by place."""
    other = "i1 list; i0 write 1; o0 write 1; o1 list [1, 2]; i0 read; o0 read 1"
    verdict = Differential(tiny(other)).check(tiny(FIRST), Budget.start())
    assert (verdict.verdict, verdict.judged) == (Validity.VALID, 3)


@pytest.mark.parametrize("answer", ["o0 read 2", "o0 read", "f0 read", 'o0 read "1"'])
def test_another_answer_is_a_difference(answer: str) -> None:
    """Value or outcome differ, and both ops are quoted."""
    verdict = compare(tiny(FIRST), tiny(FIRST.replace("o0 read 1", answer)))
    assert verdict.verdict is Validity.INVALID
    assert verdict.anomalies[0].name == "different-answer"
    assert verdict.anomalies[0].ops == (3,)
    assert "op 3 (process 0: ok read 1) in the first" in verdict.cause


@pytest.mark.parametrize("answer", ["n0 read", "i9 noop"])
def test_what_nobody_knows_agrees_with_everything(answer: str) -> None:
    """An indeterminate or missing completion is no difference."""
    second = FIRST.replace("o0 read 1", answer)
    if answer.startswith("i9"):
        second = second.replace("i9 noop; ", "")
    assert compare(tiny(FIRST), tiny(second)).verdict is not Validity.INVALID


@pytest.mark.parametrize(
    ("oracle", "answer"),
    [
        (MayDiffer(values=frozenset({"read"})), "o0 read 7"),
        (MayDiffer(types=frozenset({"read"})), "f0 read"),
    ],
)
def test_the_oracle_says_what_may_differ(oracle: MayDiffer, answer: str) -> None:
    """Allowed differences are counted, not reported."""
    verdict = compare(tiny(FIRST), tiny(FIRST.replace("o0 read 1", answer)), oracle)
    assert verdict.verdict is Validity.VALID
    assert "1 allowed difference" in verdict.cause


def test_order_may_differ_but_not_the_elements() -> None:
    """`unordered` forgives order only."""
    oracle = MayDiffer(unordered=frozenset({"list"}))
    turned = FIRST.replace("[1, 2]", "[2, 1]")
    assert compare(tiny(FIRST), tiny(turned), oracle).verdict is Validity.VALID
    other = FIRST.replace("[1, 2]", "[2, 3]")
    assert compare(tiny(FIRST), tiny(other), oracle).verdict is Validity.INVALID


@pytest.mark.parametrize("second", ["", FIRST.replace("write 1", "write 2"), FIRST + "; i3 read"])
def test_other_ops_cannot_be_compared(second: str) -> None:
    """Histories of different ops say nothing about each other."""
    verdict = compare(tiny(FIRST), tiny(second))
    assert verdict.verdict is Validity.UNKNOWN
    assert "not the same ops" in verdict.cause


def test_nothing_to_compare_is_unknown() -> None:
    """Two empty histories prove nothing."""
    assert compare(tiny(""), tiny("")).verdict is Validity.UNKNOWN

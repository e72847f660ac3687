"""Whatever a history holds, the transactional checkers answer and never raise."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seatrial.checker import Budget, CheckOptions
from seatrial.checkers import make
from seatrial.history import HistoryBuilder
from seatrial.op import Op, Type, Value
from seatrial.verdict import Validity

CHECKERS = (
    "list-append",
    "rw-register",
    "weak-isolation",
    "serializable",
    "snapshot-isolation",
)
ATOMS: tuple[Value, ...] = (None, 0, 1, 2, -5, 2**70, 1.5, True, "a", "b", (1, 2), (2, 1), (), (1,))


def _op(rng: random.Random, registers: bool) -> Op:
    names = ("r", "w") if registers else ("r", "append")
    size = rng.randint(0, 3)
    value: Value = tuple(
        (rng.choice((*names, *names, "cas")), rng.choice(ATOMS), rng.choice(ATOMS))[
            : 3 if rng.random() < 0.95 else 2
        ]
        for _ in range(size)
    )
    if rng.random() < 0.1:
        value = rng.choice(ATOMS)
    return Op(rng.choice(list(Type)), rng.choice((-1, 0, 1, 2, 3)), "txn", value)


@pytest.mark.parametrize("name", CHECKERS)
@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32))
def test_any_history_gets_an_answer(name: str, seed: int) -> None:
    """Random ops of any type, with odd micro-ops, keys and values; nothing judged is not valid."""
    rng = random.Random(seed)
    ops = [_op(rng, name != "list-append") for _ in range(rng.randint(0, 14))]
    history = HistoryBuilder().extend(ops).history()
    order = ("wfr", "sequential", "linearizable") if name == "rw-register" else ()
    verdict = make(name, CheckOptions(version_order=order)).check(history, Budget.start())
    assert verdict.verdict in Validity
    assert verdict.cause
    for anomaly in verdict.anomalies:
        assert anomaly.explanation
    if not verdict.judged:
        assert verdict.verdict is not Validity.VALID

"""The other models, and a user's own: one history of each that is right, and a near miss."""

from __future__ import annotations

from collections.abc import Hashable

import pytest

from seatrial.checker import Budget, CheckOptions
from seatrial.checkers.linearizable import make, make_with_model
from seatrial.errors import UnknownName, UsageError
from seatrial.history import History, HistoryBuilder
from seatrial.op import Op, Type, Value
from seatrial.verdict import Validity
from tests.checkers.linearizable.tiny import history


def judge(model: str, made: History, initial: Value = None, **extra: int) -> Validity:
    """The verdict of one model."""
    options = CheckOptions(model=model, initial=initial, extra=extra)
    return make(options).check(made, Budget.start()).verdict


def sequence(*steps: tuple[int, str, Value, Value]) -> History:
    """Ops one after another: process, f, value asked, value answered."""
    builder = HistoryBuilder()
    for process, f, asked, answered in steps:
        builder.append(Op(Type.INVOKE, process, f, asked))
        builder.append(Op(Type.OK, process, f, answered))
    return builder.history()


@pytest.mark.parametrize(
    ("model", "right", "wrong"),
    [
        ("counter", "0:add2 1:read 1=0 0. 1:read 1=2", "0:add2 0. 1:read 1=0"),
        ("counter", "0:add2 0? 1:read 1=2", "0:add2 0! 1:read 1=2"),
        ("counter", "0:increment 0. 0:decrement 0. 0:read 0=0", "0:increment 0. 0:read 0=2"),
        ("mutex", "0:acquire 0. 0:release 1:acquire 1. 0.", "0:acquire 0. 1:acquire 1."),
        ("mutex", "0:acquire 0? 1:acquire 1.", "0:acquire 0? 1:release 1. 1:release 1."),
        ("owner-mutex", "0:acquire 0. 0:release 0.", "0:acquire 0. 1:release 1."),
        (
            "reentrant-mutex",
            "0:acquire 0. 0:acquire 0. 0:release 0. 0:release 0. 1:acquire 1.",
            "0:acquire 0. 0:acquire 0. 0:release 0. 1:acquire 1.",
        ),
        (
            "fenced-mutex",
            "0:acquire 0=1 0:release 0. 1:acquire 1=2",
            "0:acquire 0=2 0:release 0. 1:acquire 1=2",
        ),
        ("semaphore", "0:acquire 0. 0:release 0. 1:acquire 1.", "0:acquire 0. 1:acquire 1."),
        ("set", "0:add1 0. 1:contains1 1=1,1 0:remove1 0.", "0:add1 0. 1:read 1=nil"),
        ("grow-only-set", "0:add1 0. 0:add2 1:read 1=1,2 0.", "0:add1 0. 0:add2 0. 1:read 1=2,3"),
        ("kv", "0:put1@x 0. 0:get@x 0=1 0:delete@x 0. 0:get@x 0=nil", "0:put1 0. 0:get 0=2"),
        ("kv", "0:append1 0. 0:append2 0. 0:put3 1:get 1=3 0.", "0:put1 0. 0:put2 0. 0:get 0=1"),
    ],
)
def test_right_and_near_miss(model: str, right: str, wrong: str) -> None:
    """What the model allows is valid, what it does not is invalid."""
    if "contains" in right:
        made = sequence((0, "add", 1, 1), (1, "contains", 1, (1, True)), (0, "remove", 1, 1))
    else:
        made = history(right)
    assert judge(model, made) == "valid"
    assert judge(model, history(wrong)) == "invalid"


def test_a_semaphore_has_as_many_permits_as_said() -> None:
    """Two permits admit two holders, not three."""
    two = "0:acquire 0. 1:acquire 1."
    assert judge("semaphore", history(two), permits=2) == "valid"
    assert judge("semaphore", history(two + " 2:acquire 2."), permits=2) == "invalid"


def test_a_set_is_judged_element_by_element() -> None:
    """Told answers count: an add that was told the element was there saw it."""
    right = sequence((0, "add", 1, (1, True)), (1, "add", 1, (1, False)), (1, "add", 2, (2, True)))
    wrong = sequence((0, "add", 1, (1, True)), (1, "add", 1, (1, True)))
    gone = sequence((0, "add", 1, 1), (0, "remove", 1, 1), (1, "contains", 1, (1, True)))
    assert [judge("set", made) for made in (right, wrong, gone)] == ["valid", "invalid", "invalid"]


def test_texts_are_appended() -> None:
    """The store's append puts texts one after another."""
    right = sequence((0, "append", "a", "a"), (1, "append", "b", "b"), (0, "get", None, "ab"))
    wrong = sequence((0, "append", "a", "a"), (1, "append", "b", "b"), (0, "get", None, "ba"))
    assert [judge("kv", made, "") for made in (right, wrong)] == ["valid", "invalid"]


def test_pairs_of_key_and_value_are_split() -> None:
    """A store's history without keys may carry them in its values."""
    right = sequence((0, "put", ("x", 1), ("x", 1)), (1, "get", ("y", None), ("y", None)))
    wrong = sequence((0, "put", ("x", 1), ("x", 1)), (1, "get", ("x", None), ("x", None)))
    assert [judge("kv", made) for made in (right, wrong)] == ["valid", "invalid"]


def test_transactions_over_registers() -> None:
    """All reads and writes of one transaction take effect at one instant."""
    write = (("write", "x", 1), ("write", "y", 1))
    torn: Value = (("read", "x", 1), ("read", "y", 0))
    whole: Value = (("read", "x", 1), ("read", "y", 1))
    start = {"x": 0, "y": 0}
    for seen, expected in ((whole, "valid"), (torn, "invalid")):
        made = sequence((0, "txn", write, write), (1, "txn", seen, seen))
        assert judge("multi-register", made, start) == expected


class Toggle:
    """A user's model: a switch."""

    initial: Hashable = False
    reads = frozenset({"look"})

    def step(self, state: Hashable, f: str, value: object) -> Hashable | None:
        """Flip it, or look at it."""
        if f == "flip":
            return state is False
        return state if value is state else None


def test_a_users_own_model() -> None:
    """A class with `step` is enough."""
    checker = make_with_model("toggle", Toggle(), {"flip", "look"})
    right = history("0:flip 0. 1:look 1=true")
    wrong = history("0:flip 0. 1:look 1=false")
    got = [checker.check(made, Budget.start()) for made in (right, wrong)]
    assert [verdict.verdict for verdict in got] == ["valid", "invalid"]
    assert "look of False by process 1" in got[1].cause


def test_a_model_that_raises_makes_the_verdict_unknown() -> None:
    """A mistake in a user's model is no crash of the checker."""

    class Broken(Toggle):
        def step(self, state: Hashable, f: str, value: object) -> Hashable | None:
            raise RuntimeError("no such luck")

    checker = make_with_model("broken", Broken(), {"flip", "look"})
    verdict = checker.check(history("0:flip 0."), Budget.start())
    assert verdict.verdict == "unknown"
    assert "no such luck" in verdict.cause


def test_wrong_options_are_told() -> None:
    """An unknown model gets a suggestion, a wrong setting a hint."""
    with pytest.raises(UnknownName, match="did you mean 'cas-register'"):
        make(CheckOptions(model="cas-registr"))
    with pytest.raises(UsageError, match="whole number"):
        make(CheckOptions(model="semaphore", extra={"permits": "many"}))

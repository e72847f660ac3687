"""The register: hand-written histories, and random ones against brute force."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seatrial.checker import Budget, CheckOptions
from seatrial.checkers.linearizable import make
from seatrial.checkers.linearizable.checker import Linearizable
from seatrial.checkers.linearizable.families import family
from seatrial.history import HistoryBuilder
from seatrial.op import Op, Type, Value
from seatrial.verdict import Verdict
from tests.checkers.linearizable.tiny import brute_force, calls, history, register_step


def judge(text: str, initial: Value = 0, **extra: str) -> Verdict:
    """The verdict on a history in the tiny language."""
    options = CheckOptions(model="cas-register", initial=initial, extra=extra)
    return make(options).check(history(text), Budget.start())


@pytest.mark.parametrize(
    "text",
    [
        "0:w1 0. 1:r 1=1",
        "0:w1 1:r 1=0 0.",
        "0:w1 1:r 1=1 0.",
        "0:w1 1:r 1=1 0?",
        "0:w1 0? 1:r 1=0 1:r 1=1",
        "0:w1 0? 1:r 1=0",
        "0:c0,1 0. 1:r 1=1",
        "0:c0,1 1:c1,2 0. 1. 2:r 2=2",
        "0:c0,1 0? 1:c1,2 1. 2:r 2=2",
        "0:w1 1:w2 0. 1. 2:r 2=1",
        "0:w1 0. 1:w1 1. 2:r 2=1",
        "0:c5,6 0! 1:r 1=0",
        "0:w1 0. 1:r 1! 1:r 1? 2:r 2=1",
        "0:r 1:w1 1. 0=0",
        "0:w1@x 0. 1:r@y 1=0 1:r@x 1=1",
    ],
)
def test_linearizable(text: str) -> None:
    """Each of these can be ordered."""
    assert judge(text).verdict == "valid"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("0:w1 0. 1:r 1=0", "stale-read"),
        ("0:w1 0. 0:w2 0. 1:r 1=1", "stale-read"),
        ("0:w1 1:r 1=1 2:r 2=0 0.", "stale-read"),
        ("0:w1 0? 1:r 1=1 1:r 1=0", "stale-read"),
        ("0:r 0=7", "garbage-read"),
        ("0:r 0=1 1:w1 1.", "future-read"),
        ("0:c0,1 1:c0,2 0. 1.", "nonlinearizable"),
        ("0:c5,6 0. 1:r 1=6", "garbage-read"),
        ("0:c1,2 1:c2,1 0. 1.", "nonlinearizable"),
        ("0:w1 1:w2 0. 1. 2:r 3:r 2=1 3=2 2:r 2=1", "nonlinearizable"),
        ("0:w1@x 0. 1:r@y 1=0 1:r@x 1=0", "stale-read"),
    ],
)
def test_not_linearizable(text: str, name: str) -> None:
    """Each of these cannot be ordered, and the anomaly has its name."""
    verdict = judge(text)
    assert (verdict.verdict, verdict.anomalies[0].name) == ("invalid", name)


def test_the_explanation_names_the_ops() -> None:
    """The sentence says which read, which write, and why."""
    cause = judge("0:w4 0. 0:w5 0. 7:r 7=4").cause
    assert "read of 4 by process 7 (op 5) began after the write of 5 by process 0 (op 3)" in cause
    assert "had been acknowledged" in cause


@pytest.mark.parametrize(
    ("text", "index"), [("0:w1 0. 0.", 2), ("0:w1 0:w2 0.", 1), ("0:dance1 0.", 0), ("0:c1 0.", 0)]
)
def test_a_malformed_history_is_unknown_and_names_the_op(text: str, index: int) -> None:
    """No crash, no guess: the index of the op that cannot be."""
    verdict = judge(text)
    assert verdict.verdict == "unknown"
    assert verdict.details["index"] == index


@pytest.mark.parametrize("text", ["", "0:w1", "0:w1 0?", "0:r 0? 1:w1"])
def test_nothing_ok_is_unknown(text: str) -> None:
    """Without one completed op there is nothing to judge."""
    assert judge(text).verdict == "unknown"


def test_nil_is_a_value_unless_said_otherwise() -> None:
    """Nil is the absent initial value; with an initial value it says nothing (Knossos)."""
    assert judge("0:r 0=nil", None).verdict == "valid"
    assert judge("0:w1 0. 0:r 0=nil", None).verdict == "invalid"
    assert judge("0:w1 0. 0:r 0=nil", 0).verdict == "valid"
    assert judge("0:w1 0. 0:r 0=nil", 0, **{"nil-reads": "value"}).verdict == "invalid"
    assert judge("0:w1 0. 0:r 0=nil", None, **{"nil-reads": "any"}).verdict == "valid"


def test_a_failed_cas_can_be_taken_at_its_word() -> None:
    """By default a failed compare-and-set says nothing; `failed-cas` makes it an observation."""
    text = "0:w1 0. 1:c1,2 1!"
    assert judge(text).verdict == "valid"
    assert judge(text, **{"failed-cas": "yes"}).verdict == "invalid"


@st.composite
def events(draw: st.DrawFn, unique: bool) -> list[Op]:
    """A random history of up to seven ops on a register: well formed, seldom linearizable."""
    out: list[Op] = []
    opened: dict[int, Op] = {}
    free, fresh, written = [0, 1, 2], 10, [0]
    left = draw(st.integers(1, 7))
    while left or opened:
        choices = [p for p in free if p in opened or left]
        process = draw(st.sampled_from(choices))
        if process not in opened:
            left -= 1
            f = draw(st.sampled_from(("read", "write", "cas")))
            new = len(written) if unique else draw(st.integers(0, 2))
            old = draw(st.sampled_from(written)) if unique else draw(st.integers(0, 2))
            value: Value = None if f == "read" else new if f == "write" else (old, new)
            if f != "read":
                written.append(new)
            opened[process] = Op(Type.INVOKE, process, f, value)
            out.append(opened[process])
            continue
        call = opened.pop(process)
        kind = draw(st.sampled_from((Type.OK, Type.OK, Type.OK, Type.INFO, Type.FAIL)))
        answer = call.value
        if call.f == "read" and kind == Type.OK:
            answer = draw(st.sampled_from(written[-3:]))
        out.append(Op(kind, process, call.f, answer))
        if kind == Type.INFO:
            free.remove(process)
            fresh += 1
            free.append(fresh)
    return out


@settings(max_examples=300, deadline=None)
@given(st.booleans().flatmap(lambda unique: events(unique)))
def test_the_verdict_is_brute_forces(ops: list[Op]) -> None:
    """Zones and the search agree with brute force on every small history."""
    made = HistoryBuilder().extend(ops).history()
    expected = brute_force(calls(ops, frozenset({"read"})), (0,), register_step)
    whole = family(CheckOptions(initial=0))
    for which in (whole, dataclasses.replace(whole, fast=None)):
        verdict = Linearizable(which).check(made, Budget.start())
        if any(op.type == Type.OK for op in ops):
            assert verdict.verdict == ("valid" if expected else "invalid")

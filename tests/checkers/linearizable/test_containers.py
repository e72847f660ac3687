"""Queues, stacks, bags, priority queues: hand-written histories, and random ones."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Hashable

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
from tests.checkers.linearizable.tiny import Done, brute_force, calls, history


def judge(model: str, text: str) -> Verdict:
    """The verdict on a history in the tiny language."""
    return make(CheckOptions(model=model)).check(history(text), Budget.start())


@pytest.mark.parametrize(
    ("model", "text"),
    [
        ("fifo-queue", "0:enqueue1 0. 0:enqueue2 0. 1:dequeue 1=1 1:dequeue 1=2 1:dequeue 1=nil"),
        ("fifo-queue", "0:enqueue1 1:enqueue2 0. 1. 2:dequeue 2=2 2:dequeue 2=1"),
        ("fifo-queue", "0:enqueue1 0? 1:dequeue 1=nil 1:dequeue 1=1"),
        ("fifo-queue", "0:enqueue1 0. 0:enqueue2 0. 1:dequeue 1? 2:dequeue 2=2"),
        ("stack", "0:push1 0. 0:push2 0. 1:pop 1=2 1:pop 1=1 1:pop 1=nil"),
        ("stack", "0:push1 1:push2 0. 1. 2:pop 2=1 2:pop 2=2"),
        ("stack", "0:push1 0. 1:pop 0:push2 0. 1=1"),
        ("stack", "0:push1 0. 0:push2 0. 1:pop 1? 2:pop 2=1"),
        ("stack", "0:push1 0. 1:peek 1=1 1:pop 1=1"),
        ("priority-queue", "0:add5 0. 0:add2 0. 1:poll 1=2 1:poll 1=5"),
        ("priority-queue", "0:add5 0. 0:add2 1:poll 1=5 0."),
        ("unordered-queue", "0:enqueue1 0. 0:enqueue2 0. 1:dequeue 1=2 1:dequeue 1=1"),
        ("unordered-queue", "0:enqueue1 0. 0:enqueue1 0. 1:dequeue 1=1 1:dequeue 1=1"),
    ],
)
def test_linearizable(model: str, text: str) -> None:
    """Each of these can be ordered."""
    assert judge(model, text).verdict == "valid"


@pytest.mark.parametrize(
    ("model", "text", "name"),
    [
        (
            "fifo-queue",
            "0:enqueue1 0. 0:enqueue2 0. 1:dequeue 1=2 1:dequeue 1=1",
            "nonlinearizable",
        ),
        ("fifo-queue", "0:dequeue 0=9", "garbage-read"),
        ("fifo-queue", "0:enqueue1 0. 1:dequeue 1=1 1:dequeue 1=1", "duplicate"),
        ("fifo-queue", "0:enqueue1 0. 1:dequeue 1=nil", "lost"),
        ("fifo-queue", "0:enqueue1 0. 0:enqueue2 0. 1:dequeue 1=2", "lost"),
        ("fifo-queue", "0:dequeue 0=1 1:enqueue1 1.", "nonlinearizable"),
        ("stack", "0:push1 0. 0:push2 0. 1:pop 1=1", "lost"),
        ("stack", "0:push1 0. 0:push2 0. 1:pop 1=1 1:pop 1=2", "nonlinearizable"),
        ("stack", "0:push1 0. 1:pop 1=1 1:pop 1=1", "duplicate"),
        ("stack", "0:push1 0. 1:pop 1=nil", "lost"),
        ("priority-queue", "0:add5 0. 0:add2 0. 1:poll 1=5 1:poll 1=2", "nonlinearizable"),
        ("unordered-queue", "0:enqueue1 0. 1:dequeue 1=nil 1:dequeue 1=1", "nonlinearizable"),
        ("unordered-queue", "0:enqueue1 0. 1:dequeue 1=1 1:dequeue 1=1", "duplicate"),
    ],
)
def test_not_linearizable(model: str, text: str, name: str) -> None:
    """Each of these cannot be ordered, and the anomaly has its name."""
    verdict = judge(model, text)
    assert (verdict.verdict, verdict.anomalies[0].name) == ("invalid", name)


def test_the_largest_first_if_said_so() -> None:
    """The order of a priority queue is an option."""
    made = history("0:add5 0. 0:add2 0. 1:poll 1=5")
    options = CheckOptions(model="priority-queue", extra={"order": "largest"})
    assert make(options).check(made, Budget.start()).verdict == "valid"


def _take(state: Hashable, call: Done, place: int) -> Hashable | None:
    assert isinstance(state, tuple)
    rest = state[1:] if place == 0 else state[:-1]
    if call.pending:
        return rest
    if not state:
        return state if call.value is None else None
    return rest if state[place] == call.value else None


def _fifo(state: Hashable, call: Done) -> Hashable | None:
    assert isinstance(state, tuple)
    return (*state, call.value) if call.f == "enqueue" else _take(state, call, 0)


def _stack(state: Hashable, call: Done) -> Hashable | None:
    assert isinstance(state, tuple)
    return (*state, call.value) if call.f == "push" else _take(state, call, -1)


def _priority(state: Hashable, call: Done) -> Hashable | None:
    assert isinstance(state, tuple)
    return tuple(sorted((*state, call.value))) if call.f == "add" else _take(state, call, 0)


_MODELS: dict[str, tuple[str, str, Callable[[Hashable, Done], Hashable | None]]] = {
    "fifo-queue": ("enqueue", "dequeue", _fifo),
    "stack": ("push", "pop", _stack),
    "priority-queue": ("add", "poll", _priority),
}


@st.composite
def events(draw: st.DrawFn, put: str, take: str) -> list[Op]:
    """A random history of up to seven puts and takes, with pending ones."""
    out: list[Op] = []
    opened: dict[int, Op] = {}
    free, fresh, made = [0, 1, 2], 10, 0
    repeat = draw(st.integers(0, 3)) == 0
    held: list[int] = []
    left = draw(st.integers(1, 7))
    while left or opened:
        process = draw(st.sampled_from([p for p in free if p in opened or left]))
        if process not in opened:
            left -= 1
            f = draw(st.sampled_from((put, take)))
            value: Value = None
            if f == put:
                made += 1
                value = made % 2 if repeat else made * 5 % 11
                held.append(value)
            opened[process] = Op(Type.INVOKE, process, f, value)
            out.append(opened[process])
            continue
        call = opened.pop(process)
        kind = draw(st.sampled_from((Type.OK,) * 6 + (Type.INFO, Type.FAIL)))
        answer = call.value
        if call.f == take and kind == Type.OK and held and draw(st.integers(0, 3)):
            answer = held.pop(draw(st.integers(0, len(held) - 1)))
        out.append(Op(kind, process, call.f, answer))
        if kind == Type.INFO:
            free.remove(process)
            fresh += 1
            free.append(fresh)
    return out


@pytest.mark.parametrize("model", sorted(_MODELS))
@settings(max_examples=100, deadline=None)
@given(st.data())
def test_the_verdict_is_brute_forces(model: str, data: st.DataObject) -> None:
    """The fast paths and the search agree with brute force on every small history."""
    put, take, step = _MODELS[model]
    ops = data.draw(events(put, take))
    expected = brute_force(calls(ops, frozenset({take})), (), step)
    made = HistoryBuilder().extend(ops).history()
    whole = family(CheckOptions(model=model))
    for which in (whole, dataclasses.replace(whole, fast=None)):
        verdict = Linearizable(which).check(made, Budget.start())
        if any(op.type == Type.OK for op in ops):
            assert verdict.verdict == ("valid" if expected else "invalid")

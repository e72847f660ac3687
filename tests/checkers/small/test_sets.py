"""`set` and `set-full` against hand-written histories and Jepsen's fold written naively."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seatrial.history import History, HistoryBuilder
from seatrial.op import Op, Type
from seatrial.verdict import Validity
from tests.checkers.small.tiny import anomalies, judge, tiny


def test_set_names_a_lost_element() -> None:
    """An acknowledged element that the last read lacks is lost."""
    verdict = judge("set", "i0 add 1; o0 add 1; i0 add 2; o0 add 2; i1 read; o1 read [2]")
    assert (verdict.verdict, anomalies(verdict)) == (Validity.INVALID, ["lost"])
    assert verdict.anomalies[0].ops == (1, 5)
    assert "1 element (1) was acknowledged" in verdict.cause


def test_set_names_an_unexpected_element() -> None:
    """An element that nobody tried to add is unexpected."""
    verdict = judge("set", "i0 add 1; o0 add 1; i1 read; o1 read [1, 7]")
    assert anomalies(verdict) == ["unexpected"]


@pytest.mark.parametrize(
    "rest",
    ["i0 add 2; o0 add 2", "i1 add 2; o1 add 2; i0 add 3; n0 add 3"],
)
def test_set_does_not_miss_what_was_added_after_the_last_read(rest: str) -> None:
    """A trial that was stopped before its final reads has lost nothing by it."""
    verdict = judge("set", f"i0 add 1; o0 add 1; i1 read; o1 read [1]; {rest}")
    assert verdict.verdict is Validity.VALID
    assert verdict.cause.endswith("; 1 element came later and nobody looked")


def test_set_does_not_miss_what_was_acknowledged_while_the_last_read_ran() -> None:
    """A read may take effect before an add that ran beside it."""
    history = "i0 add 1; i1 read; o0 add 1; o1 read []; i2 add 2; n2 add 2"
    assert anomalies(judge("set", history)) == []


def test_set_accepts_recovered_and_unread_indeterminate_adds() -> None:
    """An add that nobody acknowledged may be there or not; only the last read counts."""
    history = "i0 add 1; n0 add 1; i2 add 2; n2 add 2; i1 read; o1 read []; i1 read; o1 read [1]"
    verdict = judge("set", history)
    assert verdict.verdict is Validity.VALID
    assert verdict.details["recovered"] == 1


@pytest.mark.parametrize("name", ["set", "set-full"])
@pytest.mark.parametrize(
    "history", ["", "i0 add 1; o0 add 1", "i1 read; o1 read []", "i1 read; f1 read"]
)
def test_nothing_to_judge_is_unknown(name: str, history: str) -> None:
    """Without adds, or without a read, nothing is proved."""
    assert judge(name, history).verdict is Validity.UNKNOWN


@pytest.mark.parametrize("name", ["set", "set-full"])
def test_a_read_of_no_collection_is_unknown_and_names_the_op(name: str) -> None:
    """A malformed read is no evidence; its op is named."""
    verdict = judge(name, 'i0 add 1; o0 add 1; i1 read; o1 read {"a": [1]}')
    assert verdict.verdict is Validity.UNKNOWN
    assert "op 3" in verdict.cause


def test_each_key_is_a_set_of_its_own() -> None:
    """With independent keys, an element of one key does not excuse another's."""
    verdict = judge(
        "set",
        "i0 add @1 1; o0 add @1 1; i0 read @1; o0 read @1 [1]; "
        "i0 add @2 1; o0 add @2 1; i0 read @2; o0 read @2 []",
    )
    assert verdict.verdict is Validity.INVALID
    assert verdict.cause.startswith("key 2: ")
    assert verdict.details["keys"] == {"valid": 1, "invalid": 1, "unknown": 0}


def test_structured_elements_compare_by_value() -> None:
    """An element may be a list; a bare number is another element."""
    verdict = judge("set-full", "i0 add [0,5]; o0 add [0,5]; i0 read; o0 read [0, 5]")
    assert anomalies(verdict) == ["lost", "unexpected"]
    verdict = judge("set-full", "i0 add [0,5]; o0 add [0,5]; i0 read; o0 read [[0, 5]]")
    assert verdict.verdict is Validity.VALID


# The cases of Jepsen's own set-full test: i/o add by process 0, reads by process 1.
ADD, ADDED = "i0 add 0", "o0 add 0"
READ, WITH, WITHOUT = "i1 read", "o1 read [0]", "o1 read []"


@pytest.mark.parametrize(
    ("ops", "expected"),
    [
        ((ADD, ADDED), "unknown"),
        ((ADD, READ, WITHOUT), "unknown"),
        ((READ, ADD, WITH, ADDED), "valid"),
        ((READ, ADD, ADDED, WITH), "valid"),
        ((ADD, READ, WITH, ADDED), "valid"),
        ((ADD, ADDED, READ, WITH), "valid"),
        ((ADD, ADDED, READ, WITHOUT), "invalid"),
        ((READ, ADD, WITHOUT, ADDED), "unknown"),
        ((ADD, READ, WITHOUT, ADDED), "unknown"),
        ((ADD, READ, ADDED, WITHOUT), "unknown"),
    ],
)
def test_set_full_weighs_reads_by_their_invocation(ops: tuple[str, ...], expected: str) -> None:
    """A read under way when the add completed may rightly lack the element."""
    assert judge("set-full", "; ".join(ops)).verdict.value == expected


def test_set_full_stale_read_only_breaks_a_linearizable_set() -> None:
    """Missing, then there: late for an eventual set, a violation for a linearizable one."""
    history = f"{ADD}; {ADDED}; {READ}; {WITHOUT}; {READ}; {WITH}"
    lax, strict = judge("set-full", history), judge("set-full", history, linearizable=True)
    assert lax.verdict is Validity.VALID
    assert lax.details["stale"] == 1
    assert anomalies(strict) == ["stale-read"]
    assert strict.anomalies[0].ops == (1, 2, 3)


def test_set_full_finds_a_duplicate_in_one_read() -> None:
    """Twice in one read is a duplicate; once in each of two reads is not."""
    twice = f"{ADD}; {ADDED}; {READ}; o1 read [0, 0]"
    assert anomalies(judge("set-full", twice)) == ["duplicate"]
    assert anomalies(judge("set-full", f"{ADD}; {ADDED}; {READ}; {WITH}; {READ}; {WITH}")) == []


def test_set_full_measures_the_time_to_stable() -> None:
    """From the acknowledgement (1 ms) to just after the last read that lacked it (began 4 ms)."""
    history = f"{ADD}; {ADDED}; {READ}; {WITHOUT}; {READ}; {WITHOUT}; {READ}; {WITH}"
    verdict = judge("set-full", history)
    assert verdict.details["stable_latency_ms"] == {"0": 3, "0.5": 3, "0.95": 3, "0.99": 3, "1": 3}


# ── against Jepsen's fold ────────────────────────────────────────────────────────────────────


@dataclass
class Element:
    """What the naive fold knows of one element; numbers are op indexes."""

    known: int | None = None
    present: int = -1
    absent: int = -1


def fold(history: History) -> dict[object, str]:
    """Jepsen's set-full, op by op: the outcome of each element."""
    state: dict[object, Element] = {}
    invoked: dict[int, int] = {}
    for op in history.ops():
        if op.type == Type.INVOKE:
            invoked[op.process] = op.index
        if op.f == "add" and op.type == Type.INVOKE:
            state[op.value] = Element()
        elif op.f == "add" and op.type == Type.OK:
            element = state[op.value]
            element.known = op.index if element.known is None else element.known
        elif op.f == "read" and op.type == Type.OK:
            assert isinstance(op.value, tuple)
            for value, element in state.items():
                if value in op.value:
                    element.known = op.index if element.known is None else element.known
                    element.present = max(element.present, invoked[op.process])
                else:
                    element.absent = max(element.absent, invoked[op.process])
    return {value: outcome(element) for value, element in state.items()}


def outcome(element: Element) -> str:
    """Stable, lost or never read."""
    if element.present >= 0 and element.absent < element.present:
        return "stable"
    known = element.known
    if known is not None and element.absent > element.present and known < element.absent:
        return "lost"
    return "never"


@st.composite
def set_histories(draw: st.DrawFn) -> History:
    """Histories of up to four processes that add fresh elements and read any subset."""
    builder = HistoryBuilder()
    open_ops: dict[int, tuple[str, int | None]] = {}
    fresh = 0
    for _ in range(draw(st.integers(0, 24))):
        process = draw(st.integers(0, 3))
        if process not in open_ops:
            f = draw(st.sampled_from(["add", "read"]))
            value = fresh if f == "add" else None
            fresh += f == "add"
            open_ops[process] = (f, value)
            builder.append(Op(Type.INVOKE, process, f, value))
            continue
        f, value = open_ops.pop(process)
        if f == "add":
            kind = draw(st.sampled_from([Type.OK, Type.FAIL, Type.INFO]))
            builder.append(Op(kind, process, f, value))
        else:
            seen = draw(st.sets(st.integers(0, max(0, fresh - 1)))) if fresh else set()
            builder.append(Op(Type.OK, process, f, tuple(sorted(seen))))
    return builder.history()


@settings(max_examples=150, deadline=None)
@given(set_histories())
def test_set_full_equals_the_naive_fold(history: History) -> None:
    """Counts of stable, lost and never read agree with the op-by-op definition."""
    outcomes = list(fold(history).values())
    verdict = judge("set-full", history)
    found = {name: verdict.details[name] for name in ("stable", "lost", "never_read")}
    assert found == {
        "stable": outcomes.count("stable"),
        "lost": outcomes.count("lost"),
        "never_read": outcomes.count("never"),
    }
    if "lost" in outcomes:
        assert verdict.verdict is Validity.INVALID
    elif "stable" not in outcomes:
        assert verdict.verdict is not Validity.VALID


@settings(max_examples=50, deadline=None)
@given(set_histories(), st.integers(100, 10**6))
def test_renaming_elements_changes_nothing(history: History, shift: int) -> None:
    """Elements are opaque: another name, the same verdict."""
    renamed = HistoryBuilder()
    for op in history.ops():
        value = op.value
        if isinstance(value, int):
            value += shift
        elif isinstance(value, tuple):
            value = tuple(item + shift for item in value if isinstance(item, int))
        renamed.append(Op(op.type, op.process, op.f, value, time_ns=op.time_ns))
    for name in ("set", "set-full"):
        first, second = judge(name, history), judge(name, renamed.history())
        assert (first.verdict, first.details) == (second.verdict, second.details)


def test_the_language_says_what_it_means() -> None:
    """The tiny language gives types, processes, values, keys and times."""
    history = tiny("i0 add @5 1; n2 - [[1]]")
    assert history.op(0) == Op(Type.INVOKE, 0, "add", 1, key=5, time_ns=0, index=0)
    assert history.op(1) == Op(Type.INFO, 2, "", ((1,),), time_ns=1_000_000, index=1)

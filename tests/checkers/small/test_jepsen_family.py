"""bank, long-fork, counter, queues, unique-ids, sequential, causal, causal-reverse, g2."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seatrial.checker import CheckOptions
from seatrial.errors import UsageError
from seatrial.history import History, HistoryBuilder
from seatrial.op import Op, Type, Value
from seatrial.verdict import Json, Validity
from tests.checkers.small.tiny import anomalies, judge

#: checker, history, options, the anomalies expected (none: valid)
Case = tuple[str, str, dict[str, Json], list[str]]

CASES: dict[str, Case] = {
    "bank: constant total": (
        "bank", 'o0 read {"0": 10, "1": 0}; i0 transfer {"from": 0}; o1 read {"0": 3, "1": 7}',
        {}, [],
    ),
    "bank: wrong total": (
        "bank", 'o0 read {"0": 10, "1": 0}; o1 read {"0": 3, "1": 8}', {}, ["wrong-total"],
    ),
    "bank: wrong from the start": (
        "bank", 'o0 read {"0": 10, "1": 0}', {"total": 11}, ["wrong-total"],
    ),
    "bank: negative": (
        "bank", 'o0 read {"0": 10, "1": 0}; o0 read {"0": 11, "1": -1}', {}, ["negative-value"],
    ),
    "bank: unexpected account": (
        "bank", 'o0 read {"0": 10}; o0 read {"0": 9, "7": 1}', {}, ["unexpected-key"],
    ),
    "bank: a missing account is no error if the total is right": (
        "bank", 'o0 read {"0": 10, "1": 0}; o0 read {"0": 10}', {}, [],
    ),
    "bank: nil": (
        "bank", 'o0 read {"0": 10, "1": 0}; o0 read {"0": 10, "1": null}', {}, ["nil-balance"],
    ),
    "bank: given accounts": (
        "bank", 'o0 read {"0": 10, "1": 0}', {"accounts": [0]}, ["unexpected-key"],
    ),
    "counter: in bounds": (
        "counter", "i0 read; i1 add 1; i2 add 2; o0 read 3; o1 add 1; n2 add 2; i0 read; o0 read 1",
        {}, [],
    ),
    "counter: too much": ("counter", "i0 read; o0 read 1", {}, ["out-of-bounds"]),
    "counter: too little": (
        "counter", "i0 add 1; o0 add 1; i0 read; o0 read 0", {}, ["out-of-bounds"],
    ),
    "counter: failed adds never count": (
        "counter", "i0 add 1; i1 read; f0 add 1; o1 read 1", {}, ["out-of-bounds"],
    ),
    "queue: from a pending enqueue": ("queue", "i2 dequeue; i1 enqueue 1; o2 dequeue 1", {}, []),
    "queue: an enqueue alone": ("queue", "i1 enqueue 1", {}, []),
    "queue: acknowledged alone": ("queue", "o1 enqueue 1", {}, []),
    "queue: from nowhere": ("queue", "o1 dequeue 1", {}, ["unexpected"]),
    "queue: before its enqueue": (
        "queue", "o1 dequeue 1; i2 enqueue 1; o2 enqueue 1", {}, ["unexpected"],
    ),
    "queue: twice": (
        "queue", "i1 enqueue 1; o1 enqueue 1; o2 dequeue 1; o3 dequeue 1", {}, ["unexpected"],
    ),
    "total queue: sane": (
        "total-queue",
        "i1 enqueue 1; i2 enqueue 2; o2 enqueue 2; o3 dequeue 1; o3 dequeue 2", {}, [],
    ),
    "total queue: lost and unexpected, duplicates tolerated": (
        "total-queue",
        'i1 enqueue "hung"; i2 enqueue "e"; o2 enqueue "e"; i3 enqueue "dup"; o3 enqueue "dup"; '
        'o5 dequeue "wtf"; o6 dequeue "dup"; o7 dequeue "dup"',
        {}, ["lost", "unexpected"],
    ),
    "total queue: drained": (
        "total-queue", "i1 enqueue 1; o1 enqueue 1; i2 drain; o2 drain [1]", {}, [],
    ),
    "unique ids: distinct": ("unique-ids", 'o0 generate 1; o1 generate "1"', {}, []),
    "unique ids: twice": ("unique-ids", "o0 generate 1; o1 generate 1", {}, ["duplicate"]),
    "sequential: all": ("sequential", 'o1 read [0, ["3","2","1","0"]]', {}, []),
    "sequential: a prefix": ("sequential", 'o1 read [0, [null,"2","1","0"]]', {}, []),
    "sequential: none": ("sequential", "o1 read [0, [null, null]]; o1 read [1, null]", {}, []),
    "sequential: a hole": (
        "sequential", 'o1 read [0, ["3","2",null,null]]', {}, ["nonsequential-read"],
    ),
    "sequential: independent keys": (
        "sequential", 'o1 read @0 ["3",null]', {}, ["nonsequential-read"],
    ),
    "causal: r w r w r": (
        "causal", "o0 read-init 0; o0 write 1; o0 read 1; o0 write 2; o0 read 2", {}, [],
    ),
    "causal: an old value": (
        "causal", "o0 read-init 0; o0 write 1; o0 read 0", {}, ["causal-violation"],
    ),
    "causal: a write out of order": ("causal", "o0 write 2", {}, ["causal-violation"]),
    "causal: a wrong link": (
        "causal",
        'o0 read-init {"value": 0, "position": 7, "link": "init"}; '
        'o0 write {"value": 1, "position": 8, "link": 6}',
        {}, ["causal-violation"],
    ),
    "causal: right links": (
        "causal",
        'o0 read-init {"value": 0, "position": 7, "link": "init"}; '
        'o0 write {"value": 1, "position": 8, "link": 7}',
        {}, [],
    ),
    "causal-reverse: both": (
        "causal-reverse", "i0 write 1; o0 write 1; i0 write 2; o0 write 2; o0 read [1, 2]", {}, [],
    ),
    "causal-reverse: the first only": (
        "causal-reverse", "i0 write 1; o0 write 1; i0 write 2; o0 write 2; o0 read [1]", {}, [],
    ),
    "causal-reverse: the second only": (
        "causal-reverse", "i0 write 1; o0 write 1; i0 write 2; o0 write 2; o0 read [2]",
        {}, ["causal-reverse"],
    ),
    "causal-reverse: concurrent writes": (
        "causal-reverse", "i0 write 1; i1 write 2; o1 write 2; o0 write 1; o0 read [2]", {}, [],
    ),
    "comments: as in elle-cli": (
        "comments",
        "i1 read; i0 write 425; o0 write 425; i0 write 430; o0 write 430; o1 read [2, 10, 430]",
        {}, ["causal-reverse"],
    ),
    "g2: one of two": (
        "g2", "o0 insert [1, [null, 2]]; f1 insert [1, [1, null]]; o0 insert [2, [3, null]]",
        {}, [],
    ),
    "g2: both": ("g2", "o0 insert [1, [null, 2]]; o1 insert [1, [1, null]]", {}, ["G2"]),
    "g2: both, independent": ("g2", "o0 insert @1 [null, 2]; o1 insert @1 [1, null]", {}, ["G2"]),
    "long fork: a chain": (
        "long-fork",
        'o0 read [["r",0,1],["r",1,null]]; o1 read [["r",1,1],["r",0,1]]', {}, [],
    ),
    "long fork": (
        "long-fork",
        'o0 read [["r",0,1],["r",1,1],["r",2,null]]; o1 read [["r",2,1],["r",0,1],["r",1,null]]',
        {}, ["long-fork"],
    ),
    "long fork: other groups do not meet": (
        "long-fork",
        'o0 read [["r",0,1],["r",1,null]]; o1 read [["r",1,1],["r",2,null]]; '
        'o2 read [["r",2,1],["r",3,null]]',
        {}, [],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_each_anomaly_and_its_near_miss(name: str) -> None:
    """The verdict and the anomalies of a hand-written history."""
    checker, history, extra, expected = CASES[name]
    verdict = judge(checker, history, CheckOptions(extra=extra))
    assert anomalies(verdict) == expected
    assert verdict.verdict is (Validity.INVALID if expected else Validity.VALID)
    assert all(anomaly.ops for anomaly in verdict.anomalies)


EMPTY = sorted({case[0] for case in CASES.values()})


@pytest.mark.parametrize("checker", EMPTY)
@pytest.mark.parametrize("history", ["", "i0 other 1; o0 other 1"])
def test_nothing_to_judge_is_unknown(checker: str, history: str) -> None:
    """No evidence is never green."""
    assert judge(checker, history).verdict is Validity.UNKNOWN


UNKNOWN = {
    "bank: no map": ("bank", "o0 read 7", "op 0"),
    "bank: no number": ("bank", 'o0 read {"0": "ten"}', "op 0"),
    "bank: a later one": ("bank", 'o0 read {"0": 1}; o0 read {"0": "ten"}', "op 1"),
    "counter: a negative add": ("counter", "i0 add -1; o0 read 0", "op 0"),
    "counter: no number": ("counter", 'i0 add 1; o0 read "x"', "op 1"),
    "total-queue: a crashed drain": ("total-queue", "i0 enqueue 1; n1 drain", "op 1"),
    "sequential: no pair": ("sequential", "o0 read 7", "op 0"),
    "causal-reverse: no list": ("causal-reverse", "i0 write 1; o0 read 7", "op 1"),
    "g2: no pair": ("g2", "o0 insert 7", "op 0"),
    "long-fork: two writes of a key": (
        "long-fork", 'i0 write [["w",0,1]]; i1 write [["w",0,2]]', "op 1",
    ),
    "long-fork: two values of a key": (
        "long-fork", 'o0 read [["r",0,1],["r",1,1]]; o1 read [["r",0,2],["r",1,1]]', "op 1",
    ),
    "long-fork: a key twice": ("long-fork", 'o0 read [["r",0,1],["r",0,1]]', "op 0"),
}  # fmt: skip


@pytest.mark.parametrize("name", UNKNOWN)
def test_what_cannot_be_judged_names_the_op(name: str) -> None:
    """A malformed value is unknown, with the op's index."""
    checker, history, said = UNKNOWN[name]
    verdict = judge(checker, history)
    assert verdict.verdict is Validity.UNKNOWN
    assert said in verdict.cause


def test_bank_may_allow_negative_balances() -> None:
    """With `--negative-balances` a debt is no error."""
    history = 'o0 read {"0": 10, "1": 0}; o0 read {"0": 11, "1": -1}'
    assert judge("bank", history, CheckOptions(negative_balances=True)).verdict is Validity.VALID


def test_bank_says_where_the_total_comes_from() -> None:
    """An inferred total is said to be one."""
    assert "as in op 0" in judge("bank", 'o0 read {"0": 10}').cause
    assert "given" in judge("bank", 'o0 read {"0": 10}', total=10).cause
    with pytest.raises(UsageError, match="'accounts' is 3"):
        judge("bank", 'o0 read {"0": 10}', accounts=3)


def test_long_fork_holds_reads_to_the_group_size() -> None:
    """A read of another number of keys is unknown and names the op."""
    options = CheckOptions(group_size=3)
    verdict = judge("long-fork", 'o0 read [["r",0,1],["r",1,null]]', options)
    assert verdict.verdict is Validity.UNKNOWN
    assert "op 0" in verdict.cause


# ── oracles ──────────────────────────────────────────────────────────────────────────────────

EVENTS = st.lists(st.tuples(st.sampled_from(["in", "sure", "out"]), st.integers(0, 2)), max_size=14)


def queue_history(events: list[tuple[str, int]]) -> History:
    """Attempted and acknowledged enqueues, and dequeues."""
    builder = HistoryBuilder()
    for process, (what, element) in enumerate(events):
        f, kind = {
            "in": ("enqueue", Type.INVOKE),
            "sure": ("enqueue", Type.OK),
            "out": ("dequeue", Type.OK),
        }[what]
        builder.append(Op(kind, process, f, element))
    return builder.history()


@settings(max_examples=100, deadline=None)
@given(EVENTS)
def test_queue_equals_a_multiset_replayed(events: list[tuple[str, int]]) -> None:
    """Walk the events with a multiset; each dequeue that finds nothing is one surplus."""
    inside: Counter[int] = Counter()
    surplus = 0
    for what, element in events:
        if what == "in":
            inside[element] += 1
        elif what == "out" and inside[element]:
            inside[element] -= 1
        elif what == "out":
            surplus += 1
    verdict = judge("queue", queue_history(events))
    assert sum(anomaly.count for anomaly in verdict.anomalies) == surplus
    assert (verdict.verdict is Validity.INVALID) == (surplus > 0)


@settings(max_examples=100, deadline=None)
@given(EVENTS)
def test_total_queue_equals_multiset_arithmetic(events: list[tuple[str, int]]) -> None:
    """Lost, unexpected, duplicated and recovered as Jepsen computes them with multisets."""
    kinds = {
        what: Counter(element for kind, element in events if kind == what)
        for what in ("in", "sure", "out")
    }
    attempts, sure, out = kinds["in"], kinds["sure"], kinds["out"]
    unexpected = Counter({e: n for e, n in out.items() if e not in attempts})
    expected = {
        "lost": (sure - out).total(),
        "unexpected": unexpected.total(),
        "duplicated": (out - attempts - unexpected).total(),
        "recovered": ((out & attempts) - sure).total(),
    }
    verdict = judge("total-queue", queue_history(events))
    assert {name: verdict.details[name] for name in expected} == expected


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 3), st.sampled_from(["add", "read"]), st.integers(0, 3),
            st.sampled_from([Type.OK, Type.FAIL, Type.INFO]),
        ),
        max_size=14,
    )
)  # fmt: skip
def test_counter_equals_jepsens_loop(steps: list[tuple[int, str, int, Type]]) -> None:
    """Each process alternates invocation and completion; bounds as in the op-by-op definition."""
    builder, pending = HistoryBuilder(), dict[int, tuple[str, int, Type]]()
    done: list[tuple[int, str, int, Type]] = []
    for process, f, value, kind in steps:
        if process in pending:
            f, value, kind = pending.pop(process)
            shown: Value = value if f == "add" or kind == Type.OK else None
            builder.append(Op(kind, process, f, shown))
            done.append((process, f, value, kind))
        else:
            pending[process] = (f, value, kind)
            builder.append(Op(Type.INVOKE, process, f, value if f == "add" else None))
            done.append((process, f, value, Type.INVOKE))
    fate = {}
    for place, (process, _, _, kind) in enumerate(done):
        if kind == Type.INVOKE:
            rest = [k for q, _, _, k in done[place + 1 :] if q == process]
            fate[place] = rest[0] if rest else Type.INFO
    low = high = errors = 0
    began: dict[int, int] = {}
    for place, (process, f, value, kind) in enumerate(done):
        if f == "add" and kind == Type.INVOKE and fate[place] != Type.FAIL:
            high += value
        elif f == "add" and kind == Type.OK:
            low += value
        elif f == "read" and kind == Type.INVOKE:
            began[process] = low
        elif f == "read" and kind == Type.OK:
            errors += not began[process] <= value <= high
    verdict = judge("counter", builder.history())
    assert sum(anomaly.count for anomaly in verdict.anomalies) == errors


READS = st.lists(st.lists(st.booleans(), min_size=3, max_size=3), min_size=1, max_size=6)


@settings(max_examples=100, deadline=None)
@given(READS)
def test_long_fork_equals_all_pairs(reads: list[list[bool]]) -> None:
    """Comparing neighbours finds a fork exactly when comparing all pairs does."""
    builder = HistoryBuilder()
    for seen in reads:
        value = tuple(("r", key, 1 if there else None) for key, there in enumerate(seen))
        builder.append(Op(Type.OK, 0, "read", value))
    sets = [{key for key, there in enumerate(seen) if there} for seen in reads]
    forked = any(not (a <= b or b <= a) for a in sets for b in sets)
    verdict = judge("long-fork", builder.history())
    assert verdict.verdict is (Validity.INVALID if forked else Validity.VALID)


@st.composite
def insert_histories(draw: st.DrawFn) -> History:
    """Blind inserts of fresh values, and reads of any subset."""
    builder, pending, fresh = HistoryBuilder(), dict[int, int](), 0
    for _ in range(draw(st.integers(0, 14))):
        process = draw(st.integers(0, 3))
        if process == 3:
            seen = draw(st.sets(st.integers(0, max(fresh, 1))))
            builder.append(Op(Type.OK, process, "read", tuple(seen)))
        elif process in pending:
            kind = draw(st.sampled_from([Type.OK, Type.INFO]))
            builder.append(Op(kind, process, "write", pending.pop(process)))
        else:
            pending[process] = fresh
            builder.append(Op(Type.INVOKE, process, "write", fresh))
            fresh += 1
    return builder.history()


@settings(max_examples=100, deadline=None)
@given(insert_histories())
def test_causal_reverse_equals_jepsens_graph(history: History) -> None:
    """Expected sets written out, as Jepsen does, agree with the prefix rule."""
    completed: set[object] = set()
    expected: dict[object, set[object]] = {}
    bad = 0
    for op in history.ops():
        if op.f == "write" and op.type == Type.INVOKE:
            expected[op.value] = set(completed)
        elif op.f == "write" and op.type == Type.OK:
            completed.add(op.value)
    for op in history.ops():
        if op.f == "read":
            assert isinstance(op.value, tuple)
            must = set[object]().union(*(expected.get(value, set()) for value in op.value))
            bad += not must <= set(op.value)
    verdict = judge("causal-reverse", history)
    assert sum(anomaly.count for anomaly in verdict.anomalies) == bad

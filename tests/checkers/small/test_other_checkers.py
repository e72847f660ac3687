"""sessions, lock, monotonic, watch, ttl, availability, log-pattern."""

from __future__ import annotations

import json
from itertools import pairwise, permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seatrial.checker import CheckOptions
from seatrial.errors import UsageError
from seatrial.history import HistoryBuilder
from seatrial.op import Op, Type
from seatrial.verdict import Json, Validity
from tests.checkers.small.tiny import anomalies, judge


def rows(*pairs: tuple[int, int]) -> str:
    """Rows of the monotonic workload: (value, timestamp)."""
    return json.dumps([{"val": value, "sts": str(at)} for value, at in pairs])


def watch(*events: object, start: int = 0, key: str | None = None) -> str:
    """A watch: events as (revision, key), bookmarks as numbers."""
    listed: list[object] = [
        {"bookmark": e} if isinstance(e, int) else dict(zip(("revision", "key"), e, strict=True))
        for e in events
        if isinstance(e, (int, tuple))
    ]
    value: dict[str, object] = {"start": start, "events": listed}
    if key is not None:
        value["key"] = key
    return f"o0 watch {json.dumps(value)}"


LEASED = '{"ttl_s": 0.005}'

#: checker, history, options, the anomalies expected (none: valid)
CASES: dict[str, tuple[str, str, dict[str, Json], list[str]]] = {
    "sessions: in order": (
        "sessions", "o0 write 1; o0 read 1; o1 read 1; o2 write 2; o1 read 2; o0 read 2", {}, [],
    ),
    "sessions: read your writes": (
        "sessions", "o1 write 1; o0 read 1; o0 write 2; o0 read 1", {}, ["read-your-writes"],
    ),
    "sessions: back to the beginning": (
        "sessions", "o0 write 1; o0 read", {}, ["read-your-writes"],
    ),
    "sessions: monotonic reads": (
        "sessions", "o1 write 1; o2 write 2; o0 read 1; o0 read 2; o0 read 1",
        {}, ["monotonic-reads"],
    ),
    "sessions: monotonic writes": (
        "sessions", "o1 read 2; o1 read 1; o0 write 1; o0 write 2", {}, ["monotonic-writes"],
    ),
    "sessions: writes follow reads": (
        "sessions", "o1 read 2; o1 read 1; o0 read 1; o0 write 2", {}, ["writes-follow-reads"],
    ),
    "sessions: other keys do not meet": (
        "sessions", "o0 write @1 1; o0 read @2; o0 write @2 1; o0 read @1 1", {}, [],
    ),
    "sessions: in transactions": (
        "sessions", 'o0 txn [["w",1,1]]; o0 txn [["r",1,null]]', {}, ["read-your-writes"],
    ),
    "lock: one after the other": (
        "lock", "i0 acquire; o0 acquire; i0 release; i1 acquire; o1 acquire; o0 release", {}, [],
    ),
    "lock: two at once": (
        "lock", "i0 acquire; o0 acquire; i1 acquire; o1 acquire; i0 release; o0 release",
        {}, ["mutual-exclusion"],
    ),
    "lock: two locks": (
        "lock", "i0 acquire @1; o0 acquire @1; i1 acquire @2; o1 acquire @2", {}, [],
    ),
    "lock: a lease that is over": (
        "lock", f"i0 acquire; o0 acquire {LEASED}; {'i9 noop; ' * 4} i1 acquire; o1 acquire",
        {}, [],
    ),
    "lock: a lease that is not over": (
        "lock", f"i0 acquire; o0 acquire {LEASED}; i1 acquire; o1 acquire {LEASED}",
        {}, ["mutual-exclusion"],
    ),
    "lock: the lease of the option": (
        "lock", f"i0 acquire; o0 acquire; {'i9 noop; ' * 4} i1 acquire; o1 acquire",
        {"ttl_s": 0.003}, [],
    ),
    "lock: a stranger releases": (
        "lock", "i0 acquire; o0 acquire; i1 release; o1 release", {}, ["release-without-holding"],
    ),
    "lock: a token that does not grow": (
        "lock",
        'i0 acquire; o0 acquire {"token": 5}; i0 release; o0 release; '
        'i1 acquire; o1 acquire {"token": 5}',
        {}, ["fencing-token"],
    ),
    "monotonic: numbers": ("monotonic", "o0 read 1; o1 read 0; o0 read 1; o1 read 2", {}, []),
    "monotonic: numbers go down": (
        "monotonic", "o0 read 1; o0 read 0", {}, ["nonmonotonic-read"],
    ),
    "monotonic: rows": ("monotonic", f"o0 read {rows((1, 1), (2, 2), (3, 2))}", {}, []),
    "monotonic: values out of order": (
        "monotonic", f"o0 read {rows((1, 1), (3, 2), (2, 3))}", {}, ["value-reorder"],
    ),
    "monotonic: timestamps out of order": (
        "monotonic", f"o0 read {rows((1, 2), (2, 1))}", {}, ["timestamp-reorder"],
    ),
    "monotonic: lost and revived": (
        "monotonic",
        f'o0 add {{"val": 7, "sts": "1"}}; f1 add 2; o0 read {rows((1, 1), (2, 2))}',
        {}, ["lost", "revived"],
    ),
    "monotonic: twice": (
        "monotonic", f"o0 read {rows((1, 1), (1, 2))}", {}, ["duplicate", "value-reorder"],
    ),
    "watch: in order": (
        "watch", f"{watch((2, 'a'), (3, 'b'), 3, (4, 'a'))}; {watch((3, 'b'), (4, 'a'), start=3)}",
        {}, [],
    ),
    "watch: unordered": ("watch", watch((3, "a"), (2, "b")), {}, ["watch-unordered"]),
    "watch: duplicate": ("watch", watch((2, "a"), (2, "a")), {}, ["watch-duplicate"]),
    "watch: torn": (
        "watch", f"{watch((2, 'a'), (2, 'b'), (3, 'a'))}; {watch((2, 'a'), (3, 'a'))}",
        {}, ["watch-torn"],
    ),
    "watch: lost": (
        "watch",
        f'o1 put {{"key": "b", "value": 1, "revision": 3}}; {watch((2, "a"), (4, "a"))}',
        {}, ["watch-lost"],
    ),
    "watch: a watch of one key needs no other": (
        "watch",
        f'o1 put {{"key": "b", "value": 1, "revision": 3}}; {watch((2, "a"), (4, "a"), key="a")}',
        {}, [],
    ),
    "watch: not resumed": (
        "watch", f"{watch((2, 'a'), (3, 'b'))}; {watch((3, 'b'), start=2)}",
        {}, ["watch-not-resumed"],
    ),
    "watch: an event after its bookmark": (
        "watch", watch((2, "a"), 3, (3, "b")), {}, ["watch-bookmark"],
    ),
    "watch: a bookmark without its event": (
        "watch", f"{watch((2, 'a'), (3, 'b'))}; {watch((2, 'a'), 3)}", {}, ["watch-bookmark"],
    ),
    "ttl: in time": (
        "ttl", f'i0 write {{"value": 1, "ttl_s": 0.005}}; o0 write; i1 read; o1 read 1; '
        f"{'i9 noop; ' * 6} i1 read; o1 read", {"tolerance_s": 0}, [],
    ),
    "ttl: expired": (
        "ttl", f'i0 write {{"value": 1, "ttl_s": 0.005}}; o0 write; {"i9 noop; " * 6} '
        "i1 read; o1 read 1", {"tolerance_s": 0}, ["expired-read"],
    ),
    "ttl: within the tolerance": (
        "ttl", f'i0 write {{"value": 1, "ttl_s": 0.005}}; o0 write; {"i9 noop; " * 6} '
        "i1 read; o1 read 1", {}, [],
    ),
    "ttl: too early": (
        "ttl", 'i0 write {"value": 1, "ttl_s": 0.005}; o0 write; i1 read; o1 read',
        {"tolerance_s": 0}, ["early-expiry"],
    ),
    "ttl: deleted, not expired": (
        "ttl", 'i0 write {"value": 1, "ttl_s": 0.009}; o0 write; i0 delete; o0 delete; '
        "i1 read; o1 read", {"tolerance_s": 0}, [],
    ),
    "ttl: resurrected": (
        "ttl", 'i0 write {"value": 1}; o0 write; i0 delete; o0 delete; i1 read; o1 read; '
        "i1 read; o1 read 1", {}, ["resurrected"],
    ),
    "availability: enough": (
        "availability", "i0 read; o0 read; i0 read; f0 read", {"min_fraction": 0.9}, [],
    ),
    "availability: too little": (
        "availability", "i0 read; o0 read; i0 read; n0 read", {"min_fraction": 0.9},
        ["unavailable"],
    ),
    "availability: too long": (
        "availability", f"i0 read; o0 read; {'i9 noop; ' * 5} i0 read; o0 read",
        {"max_gap_s": 0.004}, ["unavailable"],
    ),
    "log-pattern: clean": ("log-pattern", 'o0 log "all is well"', {}, []),
    "log-pattern: panic": ("log-pattern", 'o0 log "panic: oh no"', {}, ["log-pattern"]),
    "log-pattern: by node": (
        "log-pattern", 'o0 log {"node": "n1", "line": "Assertion `x` failed."}',
        {}, ["log-pattern"],
    ),
    "log-pattern: ignored": (
        "log-pattern", 'o0 log "panic: oh no"', {"ignore": ["oh no"]}, [],
    ),
    "log-pattern: own pattern": (
        "log-pattern", 'o0 log "all is well"', {"patterns": ["w.ll"]}, ["log-pattern"],
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


@pytest.mark.parametrize("checker", sorted({case[0] for case in CASES.values()}))
@pytest.mark.parametrize("history", ["", "i0 other 1"])
def test_nothing_to_judge_is_unknown(checker: str, history: str) -> None:
    """No evidence is never green."""
    assert judge(checker, history).verdict is Validity.UNKNOWN


UNKNOWN = {
    "monotonic: text": ("monotonic", 'o0 read "x"', "op 0"),
    "monotonic: no rows": ("monotonic", "o0 read [1, 2]", "op 0"),
    "watch: no map": ("watch", "o0 watch 3", "op 0"),
    "watch: an event of nothing": ("watch", 'o0 watch {"events": [{"key": "a"}]}', "op 0"),
    "ttl: no map": ("ttl", "i0 write 3; o0 write 3", "op 0"),
    "availability: no limit": ("availability", "i0 read; o0 read", "min_fraction"),
    "sessions: ambiguous": ("sessions", "o0 write 1; o1 write 1; o0 read", "1 key left out"),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_what_cannot_be_judged_says_why(name: str) -> None:
    """Malformed values name the op; missing limits and ambiguity are said."""
    checker, history, said = UNKNOWN[name]
    verdict = judge(checker, history)
    assert verdict.verdict is Validity.UNKNOWN
    assert said in verdict.cause


def test_a_log_may_come_as_text_by_node() -> None:
    """Logs that are no ops are handed over as an option."""
    text: dict[str, Json] = {"n1": "fine\nfatal error: stack overflow", "n2": "fine"}
    verdict = judge("log-pattern", "", CheckOptions(extra={"text": text}))
    assert verdict.judged == 3
    assert "n1: fatal error: stack overflow" in verdict.cause


def test_a_wrong_pattern_is_the_users_mistake() -> None:
    """A broken regular expression is named."""
    with pytest.raises(UsageError, match="no regular expression"):
        judge("log-pattern", "", patterns=["("])


# ── oracles ──────────────────────────────────────────────────────────────────────────────────

TOUCHES = st.lists(st.tuples(st.integers(0, 2), st.integers(1, 3)), max_size=9)


@settings(max_examples=100, deadline=None)
@given(TOUCHES)
def test_sessions_equal_trying_every_order(touches: list[tuple[int, int]]) -> None:
    """Reads by three processes of three versions: valid exactly if some order of the versions
    never goes back in any process."""
    builder = HistoryBuilder()
    for process, version in touches:
        builder.append(Op(Type.OK, process, "read", version))
    orders = permutations((1, 2, 3))
    fits = any(
        all(
            order.index(a) <= order.index(b)
            for process in range(3)
            for mine in [[version for who, version in touches if who == process]]
            for a, b in pairwise(mine)
        )
        for order in orders
    )
    verdict = judge("sessions", builder.history())
    if touches:
        assert verdict.verdict is (Validity.VALID if fits else Validity.INVALID)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 3), max_size=14))
def test_lock_equals_a_set_of_holders(steps: list[int]) -> None:
    """Each process acquires, then releases, each in two steps; surely held is between the inner."""
    builder, stage = HistoryBuilder(), dict.fromkeys(range(4), 0)
    names = (
        ("acquire", Type.INVOKE), ("acquire", Type.OK), ("release", Type.INVOKE),
        ("release", Type.OK),
    )  # fmt: skip
    holders: set[int] = set()
    clash = False
    for process in steps:
        f, kind = names[stage[process]]
        stage[process] = (stage[process] + 1) % 4
        builder.append(Op(kind, process, f))
        if (f, kind) == ("acquire", Type.OK):
            clash |= bool(holders)
            holders.add(process)
        elif (f, kind) == ("release", Type.INVOKE):
            holders.discard(process)
    found = anomalies(judge("lock", builder.history()))
    assert ("mutual-exclusion" in found) == clash

"""Logs: each anomaly by hand, with the cases of Jepsen's own tests, and a near-miss of each."""

from __future__ import annotations

import json

import pytest

from seatrial.checker import Budget, CheckOptions
from seatrial.checkers import make
from seatrial.verdict import Json, Validity
from tests.checkers.small.tiny import anomalies, judge, tiny

X = "x"


def op(process: int, f: str, *micro: object, end: str = "o") -> str:
    """An op and its completion. Micro-ops: `s("a", 0)` sends, `p((0, "a"))` polls."""
    text = json.dumps(list(micro))
    return f"i{process} {f} {text}; {end}{process} {f} {text}"


def s(message: str, offset: int | None = None, key: str = X) -> list[object]:
    """A send, with its offset where it is known."""
    return ["send", key, message if offset is None else [offset, message]]


def p(*pairs: tuple[int, str], key: str = X) -> list[object]:
    """A poll of one key."""
    return ["poll", {key: [list(pair) for pair in pairs]}]


ALL = op(9, "send", s("a"), s("b"), s("c"), s("d"), s("e"), s("g"), end="n")

CASES: dict[str, tuple[tuple[str, ...], set[str], set[str]]] = {
    # name: ops, anomalies that must be there, anomalies that must not be there
    "in order": (
        (op(0, "send", s("a", 0), s("b", 1)), op(1, "poll", p((0, "a"), (1, "b")))),
        set(), {"poll-skip", "unseen"},
    ),
    "G1a": (
        (op(0, "send", s("a"), end="f"), op(1, "poll", p((0, "a")))), {"G1a"}, {"garbage-read"},
    ),
    "garbage": ((op(1, "poll", p((0, "a"))),), {"garbage-read"}, {"G1a"}),
    "inconsistent offsets": (
        (op(0, "send", s("a", 3)), op(1, "send", s("b", 3)), op(2, "poll", p((3, "a")))),
        {"inconsistent-offsets"}, {"duplicate"},
    ),
    "an info send that nobody saw proves nothing": (
        (op(0, "send", s("a", 0), end="n"), op(1, "send", s("b", 0)), op(2, "poll", p((0, "b")))),
        set(), {"inconsistent-offsets"},
    ),
    "duplicate": (
        (ALL, op(0, "send", s("z", 1)), op(2, "poll", p((2, "b"), (3, "z")))),
        {"duplicate"}, {"inconsistent-offsets"},
    ),
    "lost write": (
        (
            op(0, "send", s("a", 0)), op(0, "send", s("b", 1), s("d", 3)),
            op(1, "send", s("c"), end="n"), op(0, "poll", p((2, "c"))),
        ),
        {"lost-write", "unseen"}, {"G1a"},
    ),
    "lost write of a crashed op that was seen": (
        (
            op(0, "send", s("a"), ["send", "y", [0, "b"]], end="n"), op(1, "send", s("c", key="y"),
            end="n"), op(2, "poll", p((0, "a"))), op(3, "poll", p((1, "c"), key="y")),
        ),
        {"lost-write"}, {"unseen"},
    ),
    "a crashed op that nobody saw lost nothing": (
        (
            op(0, "send", s("a"), ["send", "y", [0, "b"]], end="n"), op(1, "send", s("c", key="y"),
            end="n"), op(3, "poll", p((1, "c"), key="y")),
        ),
        set(), {"lost-write"},
    ),
    "poll skip": (
        (ALL, op(0, "poll", p((1, "a"))), op(1, "poll", p((2, "b"))), op(0, "poll", p((3, "c")))),
        {"poll-skip"}, {"nonmonotonic-poll", "int-poll-skip"},
    ),
    "no poll skip after choosing other keys": (
        (
            ALL, op(0, "poll", p((1, "a"))), op(1, "poll", p((2, "b"))),
            op(0, "assign", "y"), op(0, "poll", p((3, "c"))),
        ),
        set(), {"poll-skip"},
    ),
    "a poll skip although the key stays chosen": (
        (
            ALL, op(0, "poll", p((1, "a"))), op(1, "poll", p((2, "b"))),
            op(0, "subscribe", "x", "y"), op(0, "poll", p((3, "c"))),
        ),
        {"poll-skip"}, set(),
    ),
    "an aborted poll is polled again": (
        (
            ALL, op(0, "txn", p((1, "a"))), op(0, "txn", p((2, "b")), end="f"),
            op(0, "txn", p((2, "b"), (3, "c"))),
        ),
        set(), {"nonmonotonic-poll", "poll-skip"},
    ),
    "an aborted poll must not advance": (
        (
            ALL, op(0, "txn", p((1, "a"))), op(0, "txn", p((2, "b")), end="f"),
            op(0, "txn", p((3, "c"))),
        ),
        {"poll-skip"}, set(),
    ),
    "nonmonotonic poll": (
        (ALL, op(0, "poll", p((1, "a"), (2, "b"))), op(0, "poll", p((2, "b"), (3, "c")))),
        {"nonmonotonic-poll"}, {"int-nonmonotonic-poll", "poll-skip"},
    ),
    "inside one poll: skip": (
        (ALL, op(0, "poll", p((1, "a"), (4, "d"))), op(1, "poll", p((2, "b")))),
        {"int-poll-skip"}, {"poll-skip"},
    ),
    "inside one poll: back": (
        (ALL, op(0, "poll", p((3, "c"), (1, "a")))), {"int-nonmonotonic-poll"}, {"int-poll-skip"},
    ),
    "inside one send: skip": (
        (
            op(0, "send", s("a", 1), s("c")), op(1, "send", s("b"), end="n"),
            op(2, "poll", p((1, "a"), (2, "b"), (3, "c"))),
        ),
        set(), {"int-nonmonotonic-send"},
    ),
    "inside one send: back": (
        (op(0, "send", s("c", 3), s("a", 1)), op(1, "poll", p((1, "a"), (3, "c")))),
        {"int-nonmonotonic-send"}, {"nonmonotonic-send"},
    ),
    "nonmonotonic send": (
        (op(0, "send", s("c", 3)), op(0, "send", s("a", 1)), op(1, "poll", p((1, "a"), (3, "c")))),
        {"nonmonotonic-send"}, {"int-nonmonotonic-send"},
    ),
    "precommitted read": (
        (op(0, "txn", s("a", 0), p((0, "a"))),),
        {"precommitted-read", "empty-transaction-graph"}, {"G1c"},
    ),
    "unseen": ((op(0, "send", s("a", 0)), op(1, "poll", ["poll"])), {"unseen"}, {"lost-write"}),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_each_anomaly_and_its_near_miss(name: str) -> None:
    """What must be named is named, what must not is not."""
    ops, there, absent = CASES[name]
    verdict = judge("kafka", "; ".join(ops))
    found = set(anomalies(verdict))
    assert there <= found
    assert not absent & found
    assert verdict.verdict is (Validity.INVALID if there else Validity.VALID)


TWO_WAYS = (
    'i0 txn [["send", "x", "a"], ["poll"]]; i1 txn [["send", "y", "b"], ["poll"]]; '
    'o0 txn [["send", "x", [0, "a"]], ["poll", {"y": [[0, "b"]]}]]; '
    'o1 txn [["send", "y", [0, "b"]], ["poll", {"x": [[0, "a"]]}]]'
)


def test_two_transactions_that_saw_each_other_are_g1c() -> None:
    """Each polled what the other sent: a cycle of reads, told with both ops."""
    verdict = judge("kafka", TWO_WAYS)
    assert anomalies(verdict) == ["G1c", "PL-2-cycle-exists"]
    assert set(verdict.anomalies[0].ops) == {2, 3}


def test_polling_before_the_send_began_is_a_cycle_with_real_time() -> None:
    """What was polled before it was sent must not be."""
    verdict = judge("kafka", f"{op(0, 'poll', p((0, 'a')))}; {op(1, 'send', s('a', 0))}")
    assert anomalies(verdict) == ["G1c-realtime", "strong-PL-2-cycle-exists"]
    turned = f"{op(0, 'poll', p((0, 'a')))}; {op(0, 'send', s('a', 0))}"
    assert anomalies(judge("kafka", turned)) == [
        "G1c-process",
        "strong-session-PL-2-cycle-exists",
    ]


def test_write_cycles_are_asked_for_and_tolerated() -> None:
    """Interleaved sends are a G0 only if offsets are to order transactions, and even then fine."""
    history = (
        'i0 send []; i1 send []; o0 send [["send","x",[0,"a"]],["send","y",[1,"a2"]]]; '
        'o1 send [["send","x",[1,"b"]],["send","y",[0,"b2"]]]; '
        f"{op(2, 'poll', p((0, 'a'), (1, 'b')), p((0, 'b2'), (1, 'a2'), key='y'))}"
    )
    assert judge("kafka", history).verdict is Validity.VALID
    verdict = judge("kafka", history, ww_deps=True)
    assert verdict.verdict is Validity.VALID
    assert verdict.details["counts"] == {"G0": 1}


def test_rebalanced_consumers_may_skip() -> None:
    """With `sub_via: subscribe`, skips between polls are tolerated and still counted."""
    ops, _, _ = CASES["poll skip"]
    extra: dict[str, Json] = {"sub_via": "subscribe"}
    verdict = judge(
        "kafka", "; ".join((*ops, op(5, "poll", p((1, "a"))))), CheckOptions(extra=extra)
    )
    assert verdict.verdict is Validity.VALID
    assert "poll-skip" in verdict.cause


def test_an_op_that_polls_a_map_that_is_none_is_named() -> None:
    """A malformed value is no evidence."""
    verdict = judge("kafka", 'i0 poll [["poll"]]; o0 poll [["poll", 7]]')
    assert verdict.verdict is Validity.UNKNOWN
    assert "op 1" in verdict.cause


def test_nothing_sent_and_nothing_polled_is_unknown() -> None:
    """Choosing keys alone proves nothing."""
    assert judge("kafka", op(0, "assign", "x")).verdict is Validity.UNKNOWN


def test_out_of_time_is_unknown_and_says_how_far() -> None:
    """A budget that has ended judges nothing."""
    history = tiny(op(0, "send", s("a", 0)))
    verdict = make("kafka").check(history, Budget.start(timeout_s=0))
    assert verdict.verdict is Validity.UNKNOWN
    assert "0 of 2 ops" in verdict.cause

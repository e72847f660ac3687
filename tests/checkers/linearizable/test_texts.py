"""A store's texts, judged as a register: the same verdicts as a brute-force judge's."""

from __future__ import annotations

from collections.abc import Hashable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seatrial.checker import Budget, CheckOptions
from seatrial.checkers.linearizable import make
from seatrial.checkers.linearizable.calls import PENDING, Calls, read_calls
from seatrial.checkers.linearizable.family import Reduced
from seatrial.checkers.linearizable.modelled import kv
from seatrial.checkers.linearizable.replay import replay
from seatrial.history import HistoryBuilder
from seatrial.op import Op, Type, Value
from tests.checkers.linearizable.tiny import Done, brute_force, calls

_UNIQUE = tuple(f"{name};" for name in "abcdefgh")
_TWICE = ("a;", "b;", "a;", "a;", "b;", "c;", "d;", "e;")
_AMBIGUOUS = ("a", "aa", "ab", "b", "ba", "bb", "aab", "abb")


def _step(state: Hashable, call: Done) -> Hashable | None:
    """State: a 1-tuple of the text."""
    assert isinstance(state, tuple)
    if call.f == "put":
        return (call.value,)
    if call.f == "append":
        return (f"{state[0]}{call.value}",)
    if call.f == "delete":
        return ("",)
    return state if call.pending or state[0] == (call.value or "") else None


@st.composite
def _histories(draw: st.DrawFn, pieces: tuple[str, ...]) -> list[Op]:
    """Up to eight ops of three clients; what a get says is right at some moment, or nearly so."""
    out: list[Op] = []
    open_ops: dict[int, tuple[str, str | None]] = {}
    text, renamed = "", 0
    left = draw(st.integers(3, 8))
    texts = iter(pieces)
    past = [""]
    while left or open_ops:
        busy = sorted(open_ops)
        p = draw(st.integers(0, 2)) if left else draw(st.sampled_from(busy))
        if p not in open_ops:
            if not left:
                continue
            left -= 1
            f = draw(st.sampled_from(("get", "get", "append", "append", "append", "put", "delete")))
            value = next(texts) if f in ("append", "put") else None
            open_ops[p] = (f, value)
            out.append(Op(Type.INVOKE, p + 3 * renamed, f, value))
            continue
        f, value = open_ops.pop(p)
        kind = draw(st.sampled_from((Type.OK, Type.OK, Type.OK, Type.INFO, Type.FAIL)))
        if kind is not Type.FAIL and (kind is Type.OK or draw(st.booleans())):
            text = {"put": f"{value}", "append": f"{text}{value}", "delete": ""}.get(f, text)
            past.append(text)
        if f == "get" and kind is Type.OK:
            value = draw(st.sampled_from((text, text, text, *past[-3:], f"{text}{pieces[0]}")))
        began = next(o for o in reversed(out) if o.process % 3 == p and o.type == Type.INVOKE)
        out.append(Op(kind, began.process, f, value))
        if kind is Type.INFO:
            renamed += 1
    return out


def _agrees(events: list[Op]) -> None:
    made = HistoryBuilder().extend(events).history()
    verdict = make(CheckOptions(model="kv", initial="")).check(made, Budget.start())
    if verdict.verdict == "unknown" or not any(op.type == Type.OK for op in events):
        return
    expected = brute_force(calls(events, frozenset({"get"})), ("",), _step)
    assert verdict.verdict == ("valid" if expected else "invalid"), verdict.cause


@settings(max_examples=300, deadline=None)
@given(_histories(_TWICE))
def test_a_replay_explains_linearizable_histories_only(events: list[Op]) -> None:
    """What the plain order explains is linearizable, and counted as the long way counts it."""
    made = HistoryBuilder().extend(events).history()
    explained = replay(made, "")
    if explained is not None:
        assert brute_force(calls(events, frozenset({"get"})), ("",), _step)
        family = kv(CheckOptions(model="kv", initial=""))
        found = read_calls(made, family.vocabulary, split_pairs=True)
        assert isinstance(found, Calls)
        assert explained == (int((found.res < PENDING).sum()), found.groups)


def test_a_replay_explains_what_was_seen_early_and_what_stood_before() -> None:
    """An append shown before it ended; a get that ends late shows what stood as it began."""
    steps = [
        (Type.INVOKE, 0, "append", "a;"), (Type.INVOKE, 1, "get", None),
        (Type.INVOKE, 2, "get", None), (Type.OK, 1, "get", "a;"), (Type.OK, 2, "get", ""),
        (Type.INFO, 0, "append", "a;"), (Type.INVOKE, 3, "delete", None),
        (Type.OK, 3, "delete", None), (Type.INVOKE, 3, "get", None), (Type.OK, 3, "get", ""),
    ]  # fmt: skip
    made = HistoryBuilder().extend(Op(*step) for step in steps).history()
    assert replay(made, "") == (4, 1)


@pytest.mark.parametrize("pieces", [_UNIQUE, _TWICE, _AMBIGUOUS], ids=["unique", "twice", "prefix"])
def test_agrees_with_brute_force(pieces: tuple[str, ...]) -> None:
    """Puts, appends, deletes and gets, some never seen to end, some refused."""

    @settings(max_examples=120, deadline=None)
    @given(_histories(pieces))
    def compare(events: list[Op]) -> None:
        _agrees(events)

    compare()


def _reduced(*steps: tuple[str, str, Value]) -> tuple[Calls, Reduced]:
    builder = HistoryBuilder()
    for f, key, value in steps:
        builder.append(Op(Type.INVOKE, 0, f, None if f == "get" else value, key=key))
        builder.append(Op(Type.OK, 0, f, value, key=key))
    family = kv(CheckOptions(model="kv", initial=""))
    found = read_calls(builder.history(), family.vocabulary, split_pairs=True)
    assert isinstance(found, Calls)
    assert family.reduce is not None
    reduced = family.reduce(found)
    assert reduced is not None
    return found, reduced


def test_each_key_is_rewritten_if_its_texts_can_be_cut_in_one_way_only() -> None:
    """A repeated append, or one that begins another, leaves its own key to the search."""
    calls_, reduced = _reduced(
        ("append", "good", "x;"), ("append", "good", "y;"), ("get", "good", "x;y;"),
        ("append", "twice", "x;"), ("append", "twice", "x;"),
        ("append", "begins", "x"), ("append", "begins", "xy"),
        ("put", "plain", "x"), ("put", "plain", "x"), ("put", "plain", 3),
    )  # fmt: skip
    names = [calls_.decode(int(code)) for code in calls_.keys]
    assert dict(zip(names, reduced.keys.tolist(), strict=True)) == {
        "good": True,
        "twice": False,
        "begins": False,
        "plain": True,
    }


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        ("p;a;b;", "valid"),
        ("p;b;", "valid"),
        ("p;", "valid"),
        ("p;a;a;", "invalid"),
        ("b;p;", "invalid"),
        ("p;z;", "invalid"),
        ("p;a", "invalid"),
        ("p;b;a;", "valid"),
    ],
)
def test_what_a_get_can_show(seen: str, expected: str) -> None:
    """Two appends that are under way, a put before them."""
    builder = HistoryBuilder()
    builder.append(Op(Type.INVOKE, 0, "put", "p;"))
    builder.append(Op(Type.OK, 0, "put", "p;"))
    builder.append(Op(Type.INVOKE, 0, "append", "a;"))
    builder.append(Op(Type.INVOKE, 1, "append", "b;"))
    builder.append(Op(Type.INVOKE, 2, "get", None))
    builder.append(Op(Type.OK, 2, "get", seen))
    builder.append(Op(Type.OK, 0, "append", "a;"))
    builder.append(Op(Type.OK, 1, "append", "b;"))
    checker = make(CheckOptions(model="kv", initial=""))
    assert checker.check(builder.history(), Budget.start()).verdict == expected


def test_the_prefix_told_is_the_storys_not_the_registers() -> None:
    """That a came after b is known from the last get only: all before it is linearizable."""
    builder = HistoryBuilder()
    for f, value in (("append", "a;"), ("append", "b;"), ("get", "b;a;")):
        builder.append(Op(Type.INVOKE, 0, f, None if f == "get" else value))
        builder.append(Op(Type.OK, 0, f, value))
    verdict = make(CheckOptions(model="kv", initial="")).check(builder.history(), Budget.start())
    assert verdict.verdict == "invalid"
    assert verdict.anomalies[0].ops == (1, 3, 5)
    explained = verdict.details["keys-explained"]
    assert isinstance(explained, list)
    assert isinstance(explained[0], dict)
    assert explained[0]["longest-linearizable-prefix"] == 5

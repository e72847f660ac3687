"""Non-vacuity: what is too few, and where, is said and never green."""

from __future__ import annotations

import pytest

from seatrial.errors import UsageError
from seatrial.history import History, HistoryBuilder
from seatrial.op import NEMESIS, Op, Type
from seatrial.verdict import Json, Validity
from tests.checkers.small.tiny import judge

MS = 1_000_000


def history(ops: str, *, inject_ms: int = 100, heal_ms: int = 200, error: str = "") -> History:
    """Ops `read@120` (ok), `read!120` (info), 1 ms long; one fault alive in between."""
    events = [
        (inject_ms, Op(Type.INVOKE, NEMESIS, "inject", _fault(), time_ns=inject_ms * MS)),
        (inject_ms, Op(Type.INFO, NEMESIS, "inject", _fault(), time_ns=inject_ms * MS,
                       error=error or None)),
        (heal_ms, Op(Type.INVOKE, NEMESIS, "heal", _fault(), time_ns=heal_ms * MS)),
        (heal_ms, Op(Type.INFO, NEMESIS, "heal", _fault(), time_ns=heal_ms * MS)),
    ]  # fmt: skip
    for text in ops.split():
        mark = "@" if "@" in text else "!"
        f, _, at = text.partition(mark)
        kind = Type.OK if mark == "@" else Type.INFO
        events.append((int(at), Op(Type.INVOKE, 0, f, time_ns=int(at) * MS)))
        events.append((int(at), Op(kind, 0, f, time_ns=(int(at) + 1) * MS)))
    builder = HistoryBuilder()
    for _, op in sorted(events, key=lambda event: event[0]):
        builder.append(op)
    return builder.history()


def _fault() -> dict[str, str]:
    return {"fault": "fault-2", "kind": "partition", "victims": "n1"}


def test_enough_of_each_is_valid() -> None:
    """Ok ops of each kind, also inside the fault window."""
    verdict = judge("stats", history("read@10 write@110 read@300"), fs=["read", "write"])
    assert verdict.verdict is Validity.VALID
    assert verdict.judged == 3
    assert verdict.details["windows"] == {"fault-2": {"attempts": 1, "ok": 1, "completed": 1}}


def test_too_few_of_one_kind_names_it() -> None:
    """What was too few is said with both numbers."""
    verdict = judge("stats", history("read@10 read@110 read@300"), min_ok=20)
    assert verdict.verdict is Validity.UNKNOWN
    assert "3 ok read ops of 20 needed" in verdict.cause


def test_a_kind_never_seen_is_too_few() -> None:
    """A kind that the workload generates but the history lacks is not overlooked."""
    verdict = judge("stats", history("read@10 read@110"), fs=["read", "cas"])
    assert "0 ok cas ops of 1 needed" in verdict.cause


def test_a_window_without_attempts_names_the_fault() -> None:
    """Nobody tried anything while the fault was alive: nothing is proved about it."""
    verdict = judge("stats", history("read@10 read@300"), min_attempts_in_fault=10)
    assert verdict.verdict is Validity.UNKNOWN
    said = "no op was attempted while fault-2 (partition of n1) was alive: 0 of 10"
    assert said in verdict.cause


def test_a_window_without_success_needs_leave_to_stop() -> None:
    """Attempts that all failed are enough only where the fault may stop everything."""
    stopped = history("read@10 read!110 read@300")
    assert judge("stats", stopped).verdict is Validity.UNKNOWN
    assert judge("stats", stopped, may_stop=["fault-2"]).verdict is Validity.VALID


def test_an_op_across_the_windows_edge_is_no_success_inside() -> None:
    """An op begun before the fault acted says nothing about the fault."""
    verdict = judge("stats", history("read@10 read@99 read@300"))
    assert verdict.verdict is Validity.UNKNOWN


def test_a_fault_that_was_not_injected_has_no_window() -> None:
    """A failed injection is judged elsewhere; here it asks for nothing."""
    assert judge("stats", history("read@10", error="no route")).verdict is Validity.VALID


def test_an_empty_history_is_unknown() -> None:
    """Nothing judged is never green."""
    assert judge("stats", HistoryBuilder().history()).verdict is Validity.UNKNOWN


def test_a_wrong_option_is_named() -> None:
    """A threshold that is no number is the user's mistake and is said so."""
    with pytest.raises(UsageError, match="'min_ok' is 'many'"):
        judge("stats", history("read@10"), min_ok="many")


def alone_until(end_s: int, ops: str) -> History:
    """The fault acts from 1 s to `end_s`; a read succeeded before it."""
    return history(f"read@500 {ops}", inject_ms=1000, heal_ms=end_s * 1000)


OVERLAP: list[Json] = [f"{8000 * MS}-{9000 * MS}"]


def test_only_the_overlap_with_another_fault_is_excused() -> None:
    """A fault alone for 7 s in which nothing succeeds is not excused by one second of company."""
    dead = alone_until(9, "read!2000 read!8500")
    lives = alone_until(9, "read@7000 read!8500")

    assert judge("stats", lives, may_stop_ns=OVERLAP).verdict is Validity.VALID
    verdict = judge("stats", dead, may_stop_ns=OVERLAP)
    assert verdict.verdict is Validity.UNKNOWN
    said = "was alive, apart from when everything may stop: 0 of 1"
    assert said in verdict.cause


def test_a_success_inside_the_overlap_does_not_stand_for_the_rest() -> None:
    """What succeeds while everything may stop says nothing about the fault alone."""
    verdict = judge("stats", alone_until(9, "read!2000 read@8500"), may_stop_ns=OVERLAP)
    assert verdict.verdict is Validity.UNKNOWN


def test_too_short_a_rest_beside_an_overlap_asks_for_nothing() -> None:
    """After an overlap nodes have to come back first."""
    short = alone_until(11, "read@2000 read!8500 read!10000")
    long = alone_until(15, "read@2000 read!8500 read!10000")

    assert judge("stats", short, may_stop_ns=OVERLAP).verdict is Validity.VALID
    assert judge("stats", long, may_stop_ns=OVERLAP).verdict is Validity.UNKNOWN


def test_a_stretch_that_is_none_is_named() -> None:
    """A wrong option is the user's mistake."""
    with pytest.raises(UsageError, match="'may_stop_ns' is '9-8', which is not a stretch"):
        judge("stats", history("read@10"), may_stop_ns=["9-8"])

"""Non-vacuity: what is too few, and where, is said and never green."""

from __future__ import annotations

import pytest

from seatrial.errors import UsageError
from seatrial.history import History, HistoryBuilder
from seatrial.op import NEMESIS, Op, Type
from seatrial.verdict import Validity
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

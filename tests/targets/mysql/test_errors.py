"""The taxonomy by itself: what is certain before COMMIT, and what after."""

from __future__ import annotations

import pytest
from asyncmy.errors import InternalError, OperationalError

from seatrial.target import OpFailed, OpUnknown
from seatrial.targets.mysql.errors import AT_COMMIT, UNCLASSIFIED, failure, told_by_server

ANY = (
    OperationalError(2013, "Lost connection to MySQL server during query"),
    OperationalError(1213, "Deadlock found when trying to get lock"),
    OperationalError(1047, "WSREP has not yet prepared node for application use"),
    InternalError("Packet sequence number wrong"),
    TimeoutError(),
    ConnectionRefusedError(111, "Connect call failed"),
)


@pytest.mark.parametrize("error", ANY, ids=repr)
def test_before_commit_everything_is_a_certain_failure(error: Exception) -> None:
    assert isinstance(failure(error, committing=False), OpFailed)


@pytest.mark.parametrize("error", ANY, ids=repr)
def test_after_commit_only_a_deadlock_is(error: Exception) -> None:
    found = failure(error, committing=True)

    assert isinstance(found, OpFailed if error.args[:1] == (1213,) else OpUnknown)


def test_what_no_rule_knows_says_so() -> None:
    assert str(failure(OperationalError(4242, "?"), committing=True)).endswith(UNCLASSIFIED)
    # An errno of the machine is no number of MySQL's.
    assert str(failure(OSError(1213, "?"), committing=True)).endswith(UNCLASSIFIED)


def test_every_certain_rule_is_told_by_the_server_and_has_a_source() -> None:
    for number, rule in AT_COMMIT.items():
        assert rule.source and rule.why
        assert not rule.certain or told_by_server(OperationalError(number, ""))

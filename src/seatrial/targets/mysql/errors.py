"""Which errors over MySQL's protocol mean that a transaction certainly did not happen.

Everything that writes is one explicit transaction, so there are two cases.

Before COMMIT was sent, whatever went wrong, nothing happened: a transaction without COMMIT is
rolled back when its session ends (InnoDB), its write set has not been replicated (Galera
replicates it in COMMIT), and its keys have not been prewritten (TiDB's two-phase commit begins
with COMMIT). The connection is closed or rolled back, never used on.

Once COMMIT was sent, only what the server itself answers can be certain, and of that only what
its source shows to be raised before the transaction takes effect, with a rollback. All else is
unknown: a lost connection, a timeout, a server that shuts down, and every error without a rule.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from seatrial.target import OpFailed, OpUnknown

#: How much of an error's text is kept.
TEXT_CHARS_MAX = 160
#: Numbers of errors that the client library raises itself: the server said nothing.
CLIENT_ERRORS = range(2000, 3000)
UNCLASSIFIED = " (unclassified)"
UNCONFIRMED = " (the node left its group meanwhile)"
#: Galera: this node is outside of the primary component and refuses everything at once.
NOT_PREPARED = 1047


@dataclass(frozen=True, slots=True)
class Rule:
    """What an answer to COMMIT means; `why` and `source` are the proof."""

    name: str
    certain: bool
    why: str
    source: str


#: Number of an error that answers a COMMIT → what it means.
AT_COMMIT: Mapping[int, Rule] = {
    1213: Rule(
        "deadlock",
        True,
        "Galera: certification failed or a replicated write set won; the transaction is rolled "
        "back before the answer. TiDB: a lock that another transaction holds, met in prewrite",
        "codership/wsrep-lib src/transaction.cpp, certify_commit; "
        "tikv/client-go txnkv/transaction/prewrite.go",
    ),
    9007: Rule(
        "write conflict",
        True,
        "TiDB: another transaction committed a key first; found in prewrite, before any key is "
        "committed",
        "tikv/client-go txnkv/transaction/prewrite.go",
    ),
    1180: Rule(
        "error during commit",
        False,
        "Galera: the provider failed while it replicated; peers may have the write set",
        "codership/wsrep-lib src/transaction.cpp, certify_commit",
    ),
    1053: Rule(
        "shutdown in progress",
        False,
        "the session was ended while COMMIT was under way",
        "MariaDB/server sql/mysqld.cc, close_connections",
    ),
    1317: Rule(
        "interrupted",
        False,
        "the session was interrupted while COMMIT was under way",
        "MariaDB/server sql/sql_class.h, THD::killed",
    ),
    1927: Rule(
        "connection killed",
        False,
        "the session was killed while COMMIT was under way",
        "MariaDB/server sql/sql_class.cc, THD::awake",
    ),
    2006: Rule("gone away", False, "the connection broke", "the client library"),
    2013: Rule(
        "lost",
        False,
        "the connection broke while COMMIT may have been on it; TiDB closes it on purpose where "
        "its commit is undetermined",
        "the client library; pingcap/tidb server/conn.go, Run",
    ),
}


def failure(error: BaseException, *, committing: bool) -> OpFailed | OpUnknown:
    """The exception that says what `error` means for an op.

    `committing`: COMMIT of something that writes had been handed to the library. O(1).
    """
    number = number_of(error)
    text = f"{type(error).__name__}: {error}" if number is None else f"{number}: {_text(error)}"
    text = text[:TEXT_CHARS_MAX]
    if not committing:
        return OpFailed(text)
    rule = None if number is None else AT_COMMIT.get(number)
    if rule is None:
        return OpUnknown(text if isinstance(error, TimeoutError) else text + UNCLASSIFIED)
    return OpFailed(text) if rule.certain else OpUnknown(text)


def number_of(error: BaseException) -> int | None:
    """The number of an error that server or library gave, None if it has none."""
    number = error.args[0] if error.args else None
    return number if type(number) is int and not isinstance(error, OSError) else None


def told_by_server(error: BaseException) -> bool:
    """Whether the server itself answered, so that the session can go on after a rollback."""
    number = number_of(error)
    return number is not None and number not in CLIENT_ERRORS


def _text(error: BaseException) -> str:
    return str(error.args[1]) if len(error.args) > 1 else ""

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
        "codership/wsrep-lib src/transaction.cpp, certify_commit (`GaleraClient` asks whether its "
        "group stood still, since a lost group can answer so too); "
        "tikv/client-go txnkv/transaction/prewrite.go",
    ),
    9007: Rule(
        "write conflict",
        True,
        "TiDB: another transaction committed a key first; found in prewrite, before any key is "
        "committed",
        "tikv/client-go txnkv/transaction/prewrite.go",
    ),
    8002: Rule(
        "cannot retry a locking read",
        True,
        "TiDB: a conflict in a transaction with SELECT FOR UPDATE; it has been rolled back and can "
        "safely be done again",
        "TiDB's documentation, Error Codes and Troubleshooting, 8002",
    ),
    8022: Rule(
        "commit failed",
        True,
        "TiDB: the commit failed and has been rolled back; it can safely be done again",
        "TiDB's documentation, Error Codes and Troubleshooting, 8022",
    ),
    1205: Rule(
        "lock wait timeout",
        False,
        "locks are waited for while statements run; as an answer to COMMIT nothing says what it "
        "means",
        "MariaDB's documentation, innodb_rollback_on_timeout: the statement is rolled back, not "
        "the transaction",
    ),
    1047: Rule(
        "node not prepared",
        False,
        "Galera: the node left the primary component while COMMIT was under way",
        "codership/wsrep-lib src/transaction.cpp, certify_commit",
    ),
    8005: Rule(
        "write conflict in TiDB",
        False,
        "the documentation says that a write conflict was met, and not that it was rolled back",
        "TiDB's documentation, Error Codes and Troubleshooting, 8005",
    ),
    8028: Rule(
        "schema changed",
        False,
        "a schema change was seen at COMMIT; the documentation does not say at which point",
        "TiDB's documentation, Error Codes and Troubleshooting, 8028",
    ),
    8229: Rule(
        "lock expired",
        False,
        "the transaction outlived its locks; what became of its keys is not said",
        "TiDB's documentation, Error Codes and Troubleshooting, 8229",
    ),
    9001: Rule(
        "PD timeout",
        False,
        "TiDB: the commit timestamp may or may not have been got",
        "TiDB's documentation, Error Codes and Troubleshooting, 9001",
    ),
    9002: Rule(
        "TiKV timeout",
        False,
        "TiDB: the request that commits the primary key may have been carried out",
        "TiDB's documentation, Error Codes and Troubleshooting, 9002",
    ),
    9003: Rule(
        "TiKV busy",
        False,
        "TiDB: the request may have been tried before",
        "TiDB's documentation, Error Codes and Troubleshooting, 9003",
    ),
    9004: Rule(
        "resolve lock timeout",
        False,
        "TiDB: locks of others could not be resolved in time; nothing says that it was rolled back",
        "TiDB's documentation, Error Codes and Troubleshooting, 9004",
    ),
    9005: Rule(
        "region unavailable",
        False,
        "TiDB: the raft group that holds a key has no quorum; the request may be in its log",
        "TiDB's documentation, Error Codes and Troubleshooting, 9005",
    ),
    9006: Rule(
        "GC life time",
        False,
        "TiDB: the transaction is older than what is kept; nothing says that it was rolled back",
        "TiDB's documentation, Error Codes and Troubleshooting, 9006",
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

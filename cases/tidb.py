"""Cases for TiDB. Each claims what TiDB's documentation promises.

The promises, from "TiDB Transaction Isolation Levels": transactions are snapshot isolated (called
REPEATABLE READ), on timestamps that PD gives, so that one which begins after another was
acknowledged sees it. In pessimistic transactions a locking read (`SELECT … FOR UPDATE`) reads what
is newest instead; there the cases have all reads lock in transactions that write.
"""

from __future__ import annotations

from seatrial.case import Case, Intent, Limits
from seatrial.cases import sql
from seatrial.schedule import FaultChoice, Schedule

TARGET = "tidb"

#: A raft group of TiKV misses its leader for an election (10 ticks of 1 s by default) before it
#: serves again, so faults last longer than that.
KILL = FaultChoice(kind="kill", victims=("one",), duration_s=(20.0, 30.0))
FAILURE = FaultChoice(kind="failure", victims=("one",), duration_s=(20.0, 30.0))
PARTITION = FaultChoice(
    kind="partition",
    victims=("one",),
    options=({"shape": "isolate"}, {"shape": "one-way-in"}, {"shape": "one-way-out"}),
    duration_s=(25.0, 35.0),
)
ROUGH_SEA = Schedule(choices=(KILL, FAILURE, PARTITION), gap_s=(20.0, 30.0), overlap=0.0)

STEADY = sql.steady(silent_s=40.0, recovered_s=60.0, returns=0.5)

#: What TiDB's own Prometheus tells (of TidbMonitor, for instance), where one is given.
MONITORED = ("tidb",)
#: A trial of minutes on a cluster: a pod that is killed needs a while until it serves.
LIMITS = Limits(min_ok=50)

BANK = Case(
    name="tidb-bank",
    title="The bank's total in rough sea, on TiDB",
    intent=Intent(
        claim=(
            "While stores of a TiDB cluster are killed, fail and are cut off, every read of all "
            "accounts shows the same total and no overdrawn account; and once healed, indexes "
            "agree with rows, and leaders and followers show the same rows of one moment."
        ),
        refuted_by=(
            "A read with another total or a negative balance, a table in which ADMIN CHECK TABLE "
            "finds an inconsistency, or two reads of one moment that differ."
        ),
    ),
    workload="bank",
    target=TARGET,
    schedule=ROUGH_SEA,
    steady_states=STEADY,
    monitored=MONITORED,
    checkers=sql.SAME_DATA,
    limits=LIMITS,
    concurrency=9,
    rate=200.0,
    time_limit_s=300.0,
    op_timeout_s=5.0,
)

BANK_PD = BANK.model_copy(
    update={
        "name": "tidb-bank-pd",
        "title": "The bank's total while the placement driver loses its leader, on TiDB",
        "intent": Intent(
            claim=(
                "While the leader and followers of PD are killed and cut off, every read of all "
                "accounts shows the same total: timestamps never go back."
            ),
            refuted_by="A read with another total or a negative balance, or data that differ.",
        ),
        "target_settings": {"part": "pd"},
        "schedule": Schedule(
            choices=(
                KILL.model_copy(update={"victims": ("leader", "follower")}),
                PARTITION.model_copy(update={"victims": ("leader", "follower")}),
            ),
            gap_s=(20.0, 30.0),
            overlap=0.0,
        ),
    }
)

APPEND = BANK.model_copy(
    update={
        "name": "tidb-append",
        "title": "Snapshot isolation of pessimistic transactions in rough sea, on TiDB",
        "intent": Intent(
            claim=(
                "Pessimistic transactions whose reads lock (SELECT … FOR UPDATE) before they "
                "write, and reads of one snapshot, keep to snapshot isolation while stores are "
                "killed, fail and are cut off."
            ),
            refuted_by=(
                "A lost append, a read of what was rolled back, or a cycle of dependencies that "
                "snapshot isolation forbids; data that differ once healed."
            ),
        ),
        "workload": "append",
        "checkers": {
            "list-append": {"consistency_model": "strong-snapshot-isolation"},
            **sql.SAME_DATA,
        },
    }
)

APPEND_OPTIMISTIC = APPEND.model_copy(
    update={
        "name": "tidb-append-optimistic",
        "title": "Snapshot isolation of optimistic transactions in rough sea, on TiDB",
        "intent": Intent(
            claim=(
                "Optimistic transactions that lock nothing keep to snapshot isolation while stores "
                "are killed, fail and are cut off: of two that write the same key, the first to "
                "commit wins."
            ),
            refuted_by=APPEND.intent.refuted_by,
        ),
        "target_settings": {"pessimistic": False, "lock_reads": False},
    }
)

REGISTER = BANK.model_copy(
    update={
        "name": "tidb-register",
        "title": "Linearizable registers in rough sea, on TiDB",
        "intent": Intent(
            claim=(
                "A transaction that begins after another was acknowledged sees it: reads, writes "
                "and compare-and-sets of a key are linearizable while stores are killed, fail and "
                "are cut off."
            ),
            refuted_by=(
                "A read that returns a value overwritten before the read began, a compare-and-set "
                "that succeeded on a value that was not there, or data that differ once healed."
            ),
        ),
        "workload": "register",
    }
)

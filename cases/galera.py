"""Cases for MariaDB Galera. Each claims what the product's own documentation promises.

The promises, from "Isolation Levels" in Galera's documentation and "wsrep_sync_wait" in MariaDB's:
data are the same on all nodes whatever the isolation level; between transactions of different
nodes the first committer wins, within a node the level is InnoDB's (with
`innodb_snapshot_isolation`, snapshot isolation); with `wsrep_sync_wait` a read waits for all that
was committed before it on any node.
"""

from __future__ import annotations

from seatrial.case import Case, Intent
from seatrial.cases import sql
from seatrial.schedule import FaultChoice, Schedule

TARGET = "mariadb-galera"

#: All last longer than it takes to suspect a silent node (2 s), to put it out of the group (4 s)
#: and to agree on the rest, during which no node commits: some op can succeed while they are alive.
KILL = FaultChoice(kind="kill", victims=("one",), duration_s=(9.0, 11.0))
PAUSE = FaultChoice(kind="pause", victims=("one",), duration_s=(10.0, 12.0))
PARTITION = FaultChoice(
    kind="partition",
    victims=("one",),
    options=({"shape": "isolate"}, {"shape": "one-way-in"}, {"shape": "one-way-out"}),
    duration_s=(10.0, 13.0),
)
ROUGH_SEA = Schedule(choices=(KILL, PAUSE, PARTITION), gap_s=(8.0, 10.0), overlap=0.0)

STEADY = sql.steady(silent_s=20.0, recovered_s=15.0, returns=0.4)

#: What mysqld_exporter tells, where a Prometheus asks it.
MONITORED = ("mariadb-galera",)

BANK = Case(
    name="galera-bank",
    title="The bank's total in rough sea, on Galera",
    intent=Intent(
        claim=(
            "While nodes of a Galera cluster are killed, frozen and cut off, every read of all "
            "accounts shows the same total and no overdrawn account, whichever nodes the transfers "
            "went to; and once healed, all nodes hold the same data."
        ),
        refuted_by=(
            "A read with another total or a negative balance, two nodes whose rows differ at the "
            "same write set, or a table in which CHECK TABLE finds a defect."
        ),
    ),
    workload="bank",
    target=TARGET,
    schedule=ROUGH_SEA,
    steady_states=STEADY,
    monitored=MONITORED,
    checkers=sql.SAME_DATA,
    concurrency=9,
    rate=200.0,
    time_limit_s=120.0,
    op_timeout_s=3.0,
)

APPEND = BANK.model_copy(
    update={
        "name": "galera-append",
        "title": "Snapshot isolation in rough sea, on Galera",
        "intent": Intent(
            claim=(
                "Transactions over several keys, on all nodes at once, keep to snapshot isolation "
                "while nodes are killed, frozen and cut off (innodb_snapshot_isolation within a "
                "node, the first committer wins between nodes)."
            ),
            refuted_by=(
                "A lost append, a read of what was rolled back, or a cycle of dependencies that "
                "snapshot isolation forbids; two nodes that differ once healed."
            ),
        ),
        "workload": "append",
        "checkers": {"list-append": {"consistency_model": "snapshot-isolation"}, **sql.SAME_DATA},
    }
)

REGISTER = BANK.model_copy(
    update={
        "name": "galera-register",
        "title": "Registers with causal reads in rough sea, on Galera",
        "intent": Intent(
            claim=(
                "With wsrep_sync_wait, a read of a key sees every write that was committed before "
                "it on any node: reads, writes and compare-and-sets of a key are linearizable "
                "while nodes are killed, frozen and cut off."
            ),
            refuted_by=(
                "A read that returns a value overwritten before the read began, a compare-and-set "
                "that succeeded on a value that was not there, or two nodes that differ once "
                "healed."
            ),
        ),
        "workload": "register",
    }
)

"""The catalogue of cases: what is tried, and what must hold."""

from __future__ import annotations

from typing import cast

from seatrial.case import Case
from seatrial.catalogue import Catalogue, Entry

#: Each entry is a `Case`.
CASES = Catalogue(
    "case",
    {
        "etcd-register": Entry(
            "registers stay linearizable while nodes die, freeze and lose each other",
            "seatrial.cases.etcd:REGISTER",
        ),
        "etcd-append": Entry(
            "transactions stay strictly serializable under the same faults",
            "seatrial.cases.etcd:APPEND",
        ),
        "etcd-set": Entry(
            "no acknowledged element is ever lost, on any node", "seatrial.cases.etcd:SET"
        ),
        "etcd-replicas": Entry(
            "after healing, all replicas hold the same data", "seatrial.cases.etcd:REPLICAS"
        ),
        "etcd-replicas-kill": Entry(
            "replicas agree after members were killed again and again under load",
            "seatrial.cases.etcd:REPLICAS_KILL",
        ),
        "etcd-steady": Entry(
            "etcd's own metrics (by Prometheus) come back after the leader was killed",
            "seatrial.cases.steady:STEADY",
        ),
        "etcd-durability": Entry(
            "what was acknowledged survives a loss of power, in a cluster of one as well",
            "seatrial.cases.etcd:DURABILITY",
        ),
        "galera-bank": Entry(
            "transfers on all nodes of Galera keep the total", "seatrial.cases.galera:BANK"
        ),
        "galera-append": Entry(
            "transactions on all nodes of Galera keep to snapshot isolation",
            "seatrial.cases.galera:APPEND",
        ),
        "galera-register": Entry(
            "with wsrep_sync_wait Galera's registers are linearizable",
            "seatrial.cases.galera:REGISTER",
        ),
        "tidb-bank": Entry(
            "transfers keep the total while TiDB's stores die", "seatrial.cases.tidb:BANK"
        ),
        "tidb-bank-pd": Entry(
            "transfers keep the total while TiDB's placement driver loses its leader",
            "seatrial.cases.tidb:BANK_PD",
        ),
        "tidb-append": Entry(
            "pessimistic transactions of TiDB keep to snapshot isolation",
            "seatrial.cases.tidb:APPEND",
        ),
        "tidb-append-optimistic": Entry(
            "optimistic transactions of TiDB keep to snapshot isolation",
            "seatrial.cases.tidb:APPEND_OPTIMISTIC",
        ),
        "tidb-register": Entry("TiDB's registers are linearizable", "seatrial.cases.tidb:REGISTER"),
    },
)


def case(name: str) -> Case:
    """The case called `name`; raises `UnknownName` with a suggestion."""
    return cast(Case, CASES[name].load())

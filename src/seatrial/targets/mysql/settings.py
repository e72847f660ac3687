"""What can be set about targets that speak MySQL's protocol."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from seatrial.settings import Settings
from seatrial.targets.kubernetes import OnKubernetes

Isolation = Literal["read-committed", "repeatable-read", "serializable"]


class Access(Settings):
    """An account; it needs all rights on `database`, which must be there."""

    user: str = "root"
    password: str = Field(default="", repr=False)
    database: str = Field(default="seatrial", pattern=r"^[a-z][a-z0-9_]*$")


class TidbOnKubernetes(OnKubernetes):
    """A TidbCluster of TiDB Operator 1.6.

    `image` is not used: `version` names all three. `pd` and `tikv` are how many of each there are.
    """

    image: str = "pingcap/tidb"
    version: str = Field(default="v8.5.3", pattern=r"^v[0-9]+\.[0-9]+\.[0-9]+$")
    storage: str = Field(default="10Gi", pattern=r"^[0-9]+[GT]i$")
    cpu: str = Field(default="500m", pattern=r"^[0-9]+m?$")
    memory: str = Field(default="2Gi", pattern=r"^[0-9]+[MG]i$")
    pd: int = Field(default=3, ge=1, le=7)
    tikv: int = Field(default=3, ge=1, le=15)


class TidbSettings(Settings):
    """`part`: which pods are the trial's nodes, so the ones that faults hit: servers of SQL, or of
    storage, or of placement. Client i always speaks to a SQL server.

    `pessimistic`: locks while statements run, else conflicts are found at COMMIT. `lock_reads`:
    what a transaction reads before it writes is read with `SELECT … FOR UPDATE`. `pd_urls`: where
    PD answers; empty: TiDB is asked.
    """

    access: Access = Access()
    isolation: Literal["read-committed", "repeatable-read"] = "repeatable-read"
    pessimistic: bool = True
    lock_reads: bool = True
    part: Literal["tidb", "tikv", "pd"] = "tikv"
    pd_urls: tuple[str, ...] = ()
    kubernetes: TidbOnKubernetes = TidbOnKubernetes()


class GaleraOnKubernetes(OnKubernetes):
    """A StatefulSet of MariaDB with Galera."""

    image: str = Field(default="mariadb:11.4.8", pattern=r"^[a-zA-Z0-9][-a-zA-Z0-9_./:@]*$")
    memory: str = Field(default="1Gi", pattern=r"^[0-9]+[MG]i$")


class GaleraSettings(Settings):
    """`causal_reads`: a read waits until its node has applied what was committed before it
    (`wsrep_sync_wait`); without, reads may be stale. `lock_reads`: what a transaction reads before
    it writes is read with `SELECT … FOR UPDATE`. `snapshot_isolation`: InnoDB refuses to write
    what has changed since the snapshot (`innodb_snapshot_isolation`). `lock_wait_s`: InnoDB's
    patience. `suspect_s`: after how long a silent node is suspected (`evs.suspect_timeout`).

    In the lab: `binary` is the server (a path or a command), `provider` its Galera.
    """

    access: Access = Access()
    isolation: Isolation = "repeatable-read"
    causal_reads: bool = True
    lock_reads: bool = True
    snapshot_isolation: bool = True
    lock_wait_s: int = Field(default=2, ge=1)
    suspect_s: float = Field(default=2.0, ge=0.5, le=60)
    binary: str = "mariadbd"
    provider: str = "/usr/lib/galera/libgalera_smm.so"
    kubernetes: GaleraOnKubernetes = GaleraOnKubernetes()

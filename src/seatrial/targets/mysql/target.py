"""TiDB and MariaDB Galera as the contract of a target wants them; both live on Kubernetes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import NoReturn

from seatrial.errors import Unavailable
from seatrial.target import Command, Node, OpFailed, OpUnknown, Placement
from seatrial.targets import kubernetes
from seatrial.targets.mysql.client import SqlClient, make_schema
from seatrial.targets.mysql.session import Session
from seatrial.targets.mysql.settings import Access, GaleraSettings, TidbSettings

#: One probe of a node's health, and the pause between two.
PROBE_TIMEOUT_S = 2.0
PROBE_PAUSE_S = 0.2
#: Making database and tables, once a trial.
SCHEMA_TIMEOUT_S = 60.0

GALERA_PORTS = {"sql": 3306, "galera": 4567, "ist": 4568, "sst": 4444}
TIDB_PORTS = {"sql": 4000}
#: Asks a node of Galera whether it is in the primary component and has caught up.
SYNCED = "SELECT VARIABLE_VALUE FROM information_schema.GLOBAL_STATUS WHERE VARIABLE_NAME = %s"
READY_COMMAND = (
    "mariadb -h127.0.0.1 -uroot -Nse \"SHOW STATUS LIKE 'wsrep_local_state_comment'\" "
    "| grep -q Synced"
)


class TidbTarget:
    """A TidbCluster, made by TiDB Operator."""

    def __init__(self, settings: TidbSettings) -> None:
        self.settings = settings

    name = "tidb"
    node_counts: tuple[int, ...] = (1, 3, 5)
    port_names: tuple[str, ...] = ("sql",)
    roles: tuple[str, ...] = ()

    def version(self) -> str:
        """The version that is asked of the operator."""
        return self.settings.kubernetes.version

    def command(self, node: Node, cluster: Sequence[Node], *, rejoin: bool) -> Command:
        """There is none: TiDB is not started on this machine."""
        _only_there(self.name)

    async def ready(self, node: Node, timeout_s: float) -> bool:
        """Whether a transaction goes through before the timeout; makes the tables."""
        return await _ready(node, self.settings.access, timeout_s, _answers)

    async def locate(self, cluster: Sequence[Node]) -> Mapping[str, tuple[str, ...]]:
        """No roles: each region has a leader of its own."""
        return {}

    async def connect(self, node: Node, *, timeout_s: float) -> SqlClient:
        """A client pinned to `node`; `timeout_s` bounds each of its calls."""
        mode = "pessimistic" if self.settings.pessimistic else "optimistic"
        return SqlClient(
            node,
            self.settings.access,
            self.settings.isolation,
            timeout_s=timeout_s,
            # A transaction that is tried again silently could answer twice.
            setup=(f"SET SESSION tidb_txn_mode = '{mode}'", "SET SESSION tidb_retry_limit = 0"),
        )

    def place(self, nodes: Sequence[str], run: str, namespace: str) -> Placement:
        """A TidbCluster; the trial's nodes are the pods of `part`, clients speak to TiDB."""
        values, part = self.settings.kubernetes, self.settings.part
        if values.running is not None:
            return kubernetes.found(values.running, nodes, TIDB_PORTS, apart=part != "tidb")
        name = kubernetes.stem(run, self.name)
        sizes = {"tidb": len(nodes), "tikv": values.tikv, "pd": values.pd}
        sizes[part] = len(nodes)
        given = {
            **values.model_dump(exclude={"running", *sizes}),
            **sizes,
            "name": name,
            "namespace": namespace,
            "run": run,
        }
        return Placement(
            namespace=namespace,
            pods={node: f"{name}-{part}-{number}" for number, node in enumerate(nodes)},
            addresses={
                node: f"{name}-tidb-{number}.{name}-tidb-peer.{namespace}.svc"
                for number, node in enumerate(nodes)
            },
            ports=TIDB_PORTS,
            objects=kubernetes.render("tidb", given),
        )


class GaleraTarget:
    """MariaDB with Galera: every node takes writes, a majority decides."""

    def __init__(self, settings: GaleraSettings) -> None:
        self.settings = settings

    name = "mariadb-galera"
    node_counts: tuple[int, ...] = (3, 5)
    port_names: tuple[str, ...] = tuple(GALERA_PORTS)
    roles: tuple[str, ...] = ()

    def version(self) -> str:
        """The version in the image's name."""
        return self.settings.kubernetes.image.rpartition(":")[2]

    def command(self, node: Node, cluster: Sequence[Node], *, rejoin: bool) -> Command:
        """There is none: Galera is not started on this machine."""
        _only_there(self.name)

    async def ready(self, node: Node, timeout_s: float) -> bool:
        """Whether the node is synced with the primary component; makes the tables."""
        return await _ready(node, self.settings.access, timeout_s, synced)

    async def locate(self, cluster: Sequence[Node]) -> Mapping[str, tuple[str, ...]]:
        """No roles: all nodes are equal."""
        return {}

    async def connect(self, node: Node, *, timeout_s: float) -> SqlClient:
        """A client pinned to `node`; `timeout_s` bounds each of its calls."""
        causal = ("SET SESSION wsrep_sync_wait = 7",) if self.settings.causal_reads else ()
        return SqlClient(
            node,
            self.settings.access,
            self.settings.isolation,
            timeout_s=timeout_s,
            setup=causal,
        )

    def place(self, nodes: Sequence[str], run: str, namespace: str) -> Placement:
        """A StatefulSet and its headless Service, or the cluster that runs already."""
        values = self.settings.kubernetes
        if values.running is not None:
            return kubernetes.found(values.running, nodes, GALERA_PORTS)
        return kubernetes.stateful(
            self.name,
            values,
            kubernetes.stem(run, "galera"),
            nodes,
            run,
            namespace,
            GALERA_PORTS,
            "mariadbd",
            {"lock_wait_s": self.settings.lock_wait_s, "ready": READY_COMMAND},
        )


async def synced(session: Session) -> bool:
    """Whether the node is in the primary component and has caught up."""
    rows = await session.fetch(SYNCED, ("WSREP_LOCAL_STATE_COMMENT",))
    return bool(rows) and rows[0][0] == "Synced"


async def _answers(session: Session) -> bool:
    return bool(await session.fetch("SELECT 1"))


async def _ready(
    node: Node, access: Access, timeout_s: float, good: Callable[[Session], Awaitable[bool]]
) -> bool:
    """Ask until it is good and has its tables, or the time is over."""
    deadline = time.monotonic() + timeout_s
    there = access.model_copy(update={"database": "information_schema"})
    while (left_s := deadline - time.monotonic()) > 0:
        session = Session(node, there, (), min(PROBE_TIMEOUT_S, left_s))
        try:
            if await session.transaction(good, read=True):
                await make_schema(node, access, min(SCHEMA_TIMEOUT_S, left_s))
                return True
        except (OpFailed, OpUnknown):
            pass
        finally:
            await session.close()
        await asyncio.sleep(min(PROBE_PAUSE_S, left_s))
    return False


def _only_there(name: str) -> NoReturn:
    raise Unavailable(
        f"target {name} is made on Kubernetes, not on this machine\n\nhint: --engine argo"
    )

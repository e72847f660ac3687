"""TiDB as the contract of a target wants it, on Kubernetes by TiDB Operator.

The trial's nodes are the pods of one part: servers of SQL, of storage (TiKV) or of placement (PD).
Clients always speak SQL. Who plays which role is PD's to say, and for the owner of schema changes
TiDB's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from asyncmy.errors import MySQLError

from seatrial.errors import Unavailable
from seatrial.op import Value
from seatrial.target import Command, Node, OpFailed, OpUnknown, Placement
from seatrial.targets import kubernetes
from seatrial.targets.mysql import readiness
from seatrial.targets.mysql.client import SqlClient
from seatrial.targets.mysql.digest import digest
from seatrial.targets.mysql.errors import number_of
from seatrial.targets.mysql.pd import UP, Pd
from seatrial.targets.mysql.schema import CLEAR_TIMEOUT_S, TABLES, clear
from seatrial.targets.mysql.session import Session
from seatrial.targets.mysql.settings import TidbSettings

PORTS = {"sql": 4000}
ROLES: Final[Mapping[str, tuple[str, ...]]] = {
    "pd": ("leader", "follower"),
    "tikv": ("most-leaders", "fewest-leaders"),
    "tidb": ("ddl-owner", "other"),
}
#: Where the operator mounts the data of a part, in the container that is called like it.
VOLUMES: Final[Mapping[str, str]] = {"tikv": "/var/lib/tikv", "pd": "/var/lib/pd"}
#: Which copies node 1, 2, 3, … reads for its fingerprint (`tidb_replica_read`), in turn.
COPIES: Final = ("leader", "follower", "leader-and-follower")
#: Fingerprints are of moments that are whole multiples of this, so that nodes read the same one.
MOMENT_S: Final = 2
#: Errors by which TiDB says that rows and indexes do not agree: ADMIN CHECK TABLE (8003, 8223),
#: and checks while statements run (8133, 8134, 8138 to 8141).
INCONSISTENT: Final = frozenset({8003, 8133, 8134, 8138, 8139, 8140, 8141, 8223})
MOMENT = (
    "SELECT CAST(FLOOR((UNIX_TIMESTAMP(NOW(6)) - 1) / %s) * %s AS SIGNED), "
    "CAST(FROM_UNIXTIME(FLOOR((UNIX_TIMESTAMP(NOW(6)) - 1) / %s) * %s) AS CHAR)"
)


class TidbClient(SqlClient):
    """`SqlClient` that can also tell what the replicas hold."""

    async def fingerprint(self) -> Mapping[str, Value]:
        """All rows as of a moment that all nodes share, read from some of the copies. O(data).

        `index` and `revision` are that moment in seconds: at one moment every server and every
        copy must show the same rows (snapshot isolation). `hash` is a digest of them, read from
        leaders, followers or both, by the node's number. `check` is what `ADMIN CHECK TABLE` found
        now: whether indexes agree with rows.
        """
        copies = COPIES[_ordinal(self.node) % len(COPIES)]
        session = self.whole(
            (
                "SET SESSION autocommit = 1",
                "SET SESSION time_zone = '+00:00'",
                f"SET SESSION tidb_replica_read = '{copies}'",
            )
        )
        try:
            return await session.plain(lambda one: self._view(one, copies))
        finally:
            await session.close()

    async def _view(self, session: Session, copies: str) -> Mapping[str, Value]:
        # First, so that nodes which are asked together take the same moment.
        ((moment, text),) = await session.fetch(MOMENT, (MOMENT_S,) * 4)
        check = await admin_check(session)
        version = str((await session.fetch("SELECT VERSION()"))[0][0])
        await session.execute("SET SESSION tidb_snapshot = %s", (text,))
        found, rows = await digest(session)
        return {
            "node": self.node.name,
            "version": version,
            "copies": copies,
            "index": int(moment),
            "revision": int(moment),
            "hash": found,
            "keys": rows,
            "check": check,
            "settled": True,
        }


class TidbTarget:
    """A TidbCluster, made by TiDB Operator or there already."""

    def __init__(self, settings: TidbSettings) -> None:
        self.settings = settings
        self._pd = Pd(settings.pd_urls)

    name = "tidb"
    node_counts: tuple[int, ...] = (1, 3, 5)
    port_names: tuple[str, ...] = tuple(PORTS)

    @property
    def roles(self) -> tuple[str, ...]:
        """Roles of the part whose pods are the trial's nodes."""
        return ROLES[self.settings.part]

    def version(self) -> str:
        """The version that is asked of the operator."""
        return self.settings.kubernetes.version

    def command(self, node: Node, cluster: Sequence[Node], *, rejoin: bool) -> Command:
        """There is none: TiDB is not started on this machine."""
        raise Unavailable(self.why_not_here())

    def why_not_here(self) -> str:
        """TiDB is made by its operator."""
        return (
            "target tidb is made on Kubernetes, not on this machine\n\n"
            "hint: seatrial submit, or seatrial render"
        )

    async def ready(self, node: Node, timeout_s: float) -> bool:
        """Whether all tables can be read, and PD counts the node's pod as well; makes the tables.

        Where PD is not found (a cluster that hides it), SQL alone decides.
        """

        async def good(session: Session) -> bool:
            there = "SELECT TABLE_NAME FROM TABLES WHERE TABLE_SCHEMA = %s"
            rows = await session.fetch(there, (db,))
            for table in {row[0] for row in rows} & set(TABLES):
                await session.fetch(f"SELECT COUNT(*) FROM {db}.{table}")
            return await self._counts(node)

        db = self.settings.access.database
        return await readiness.ready(node, self.settings.access, timeout_s, good, indexed=True)

    async def locate(self, cluster: Sequence[Node]) -> Mapping[str, tuple[str, ...]]:
        """Roles as they are now; none where nobody answers.

        PD: who leads, and which others are healthy. TiKV: the stores that lead the most and the
        fewest regions. TiDB: who owns schema changes, and the others.
        """
        try:
            if self.settings.part == "tidb":
                return await self._owner(cluster)
            pd = await self._found(cluster)
            return await (_of_pd if self.settings.part == "pd" else _of_tikv)(
                pd, self.settings, cluster
            )
        except Unavailable:
            return {}

    async def connect(self, node: Node, *, timeout_s: float) -> TidbClient:
        """A client pinned to `node`; `timeout_s` bounds each of its calls."""
        mode = "pessimistic" if self.settings.pessimistic else "optimistic"
        return TidbClient(
            node,
            self.settings.access,
            self.settings.isolation,
            timeout_s=timeout_s,
            # A transaction that is tried again silently could answer twice.
            setup=(f"SET SESSION tidb_txn_mode = '{mode}'", "SET SESSION tidb_retry_limit = 0"),
            lock_reads=self.settings.lock_reads,
        )

    async def clear(self, cluster: Sequence[Node]) -> None:
        """Drop the tables of earlier trials."""
        await clear(cluster[0], self.settings.access, CLEAR_TIMEOUT_S)

    async def running_version(self, node: Node) -> str:
        """What the SQL server that `node` speaks to says of its version; "" if nothing."""
        return await readiness.version(node, self.settings.access)

    def place(self, nodes: Sequence[str], run: str, namespace: str) -> Placement:
        """A TidbCluster; the trial's nodes are the pods of `part`, clients speak to TiDB."""
        values, part = self.settings.kubernetes, self.settings.part
        if values.running is not None:
            return kubernetes.found(values.running, nodes, PORTS, apart=part != "tidb")
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
            ports=PORTS,
            container=kubernetes.PROBE,
            volume=VOLUMES.get(part, ""),
            node=part,
            beside=tuple(
                f"{name}-{other}-{number}"
                for other, size in sizes.items()
                if other != part
                for number in range(size)
            ),
            objects=kubernetes.render("tidb", given),
        )

    async def _found(self, cluster: Sequence[Node]) -> Pd:
        """PD where the settings say it is, or where the first TiDB that answers says so."""
        for node in cluster:
            if self._pd.urls:
                break
            self._pd = Pd(await pd_urls(node, self.settings))
        return self._pd

    async def _counts(self, node: Node) -> bool:
        """Whether PD says that the node's own pod serves."""
        if self.settings.part == "tidb":
            return True
        pd = await self._found((node,))
        if not pd.urls:
            return True
        try:
            if self.settings.part == "pd":
                hosts = await pd.healthy()
            else:
                hosts = tuple(one.host for one in await pd.stores() if one.state == UP)
        except Unavailable:
            return False
        return any(place_of(host, self.settings) == _ordinal(node) for host in hosts)

    async def _owner(self, cluster: Sequence[Node]) -> Mapping[str, tuple[str, ...]]:
        for node in cluster:
            session = readiness.anywhere(node, self.settings.access, readiness.PROBE_TIMEOUT_S)
            try:
                found = await session.transaction(_ddl_owner, read=True)
            except (OpFailed, OpUnknown):
                continue
            finally:
                await session.close()
            owner = [one.name for one in cluster if one.address == found]
            owner = owner or _names([found], self.settings, cluster)
            others = tuple(one.name for one in cluster if one.name not in owner)
            return _played({"ddl-owner": tuple(owner), "other": others if owner else ()})
        return {}


async def pd_urls(node: Node, settings: TidbSettings) -> tuple[str, ...]:
    """Where PD answers, as the TiDB at `node` knows (`cluster_info`); empty if it cannot say."""

    async def body(session: Session) -> tuple[str, ...]:
        rows = await session.fetch("SELECT INSTANCE FROM CLUSTER_INFO WHERE TYPE = 'pd'")
        return tuple(f"http://{row[0]}" for row in rows)

    session = readiness.anywhere(node, settings.access, readiness.PROBE_TIMEOUT_S)
    try:
        return await session.transaction(body, read=True)
    except (OpFailed, OpUnknown):
        return ()
    finally:
        await session.close()


async def admin_check(session: Session) -> str:
    """What `ADMIN CHECK TABLE` says against the tables, "" if nothing."""
    told = []
    for table in TABLES:
        try:
            await session.execute(f"ADMIN CHECK TABLE {table}")
        except MySQLError as error:
            if number_of(error) not in INCONSISTENT:
                raise
            told.append(f"{table}: {error.args[0]} {error.args[1]}")
    return "; ".join(told)


def place_of(host: str, settings: TidbSettings) -> int | None:
    """Which of the trial's nodes a pod is, counted from 0, by its name or its host's.

    Of a cluster that runs: its place among the named pods. Else the number at the end of the pod's
    name, as StatefulSets number them.
    """
    pod = host.partition(".")[0]
    running = settings.kubernetes.running
    pods = [] if running is None else [one.pod for one in running.nodes]
    if pods:
        return pods.index(pod) if pod in pods else None
    found = re.search(r"-(\d+)$", pod)
    return None if found is None else int(found.group(1))


async def _of_pd(
    pd: Pd, settings: TidbSettings, cluster: Sequence[Node]
) -> Mapping[str, tuple[str, ...]]:
    leader, healthy = (await pd.leader()).name, await pd.healthy()
    others = [name for name in healthy if name != leader]
    return _played(
        {
            "leader": tuple(_names([leader], settings, cluster)),
            "follower": tuple(_names(others, settings, cluster)),
        }
    )


async def _of_tikv(
    pd: Pd, settings: TidbSettings, cluster: Sequence[Node]
) -> Mapping[str, tuple[str, ...]]:
    up = sorted((one for one in await pd.stores() if one.state == UP), key=lambda s: s.leaders)
    up = [one for one in up if _names([one.host], settings, cluster)]
    if not up:
        return {}
    most, fewest = [up[-1].host], [up[0].host] if len(up) > 1 else []
    return _played(
        {
            "most-leaders": tuple(_names(most, settings, cluster)),
            "fewest-leaders": tuple(_names(fewest, settings, cluster)),
        }
    )


async def _ddl_owner(session: Session) -> str:
    """The host of the TiDB that owns schema changes; "" during an election."""
    async with session.cursor() as cursor:
        await cursor.execute("ADMIN SHOW DDL")
        columns = [column[0].upper() for column in cursor.description]
        rows = await cursor.fetchall()
    at = columns.index("OWNER_ADDRESS") if "OWNER_ADDRESS" in columns else -1
    return str(rows[0][at]).rpartition(":")[0] if rows and at >= 0 else ""


def _names(hosts: Sequence[str], settings: TidbSettings, cluster: Sequence[Node]) -> list[str]:
    """The trial's nodes among pods or hosts; pods beyond them are nobody."""
    places = [place_of(host, settings) for host in hosts]
    return [cluster[at].name for at in places if at is not None and at < len(cluster)]


def _played(roles: Mapping[str, tuple[str, ...]]) -> Mapping[str, tuple[str, ...]]:
    return {role: names for role, names in roles.items() if names}


def _ordinal(node: Node) -> int:
    """The node's place in the cluster: n1 is 0."""
    found = re.search(r"(\d+)$", node.name)
    return int(found.group(1)) - 1 if found else 0

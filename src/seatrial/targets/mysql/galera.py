"""MariaDB Galera as the contract of a target wants it: in the lab and on Kubernetes.

Every node takes writes; a majority decides. A node is ready when it is in the primary component
and has caught up (`Synced`).
"""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from seatrial.errors import Unavailable
from seatrial.op import Value
from seatrial.target import Command, Node, OpFailed, OpUnknown, Placement
from seatrial.targets import kubernetes
from seatrial.targets.mysql import readiness, start_galera
from seatrial.targets.mysql.client import SqlClient
from seatrial.targets.mysql.digest import digest
from seatrial.targets.mysql.schema import CLEAR_TIMEOUT_S, TABLES, clear
from seatrial.targets.mysql.session import Session
from seatrial.targets.mysql.settings import GaleraSettings

NAME = "mariadb-galera"
PORTS = {"sql": 3306, "galera": 4567, "ist": 4568, "sst": 4444}
#: What a node that is being given its state writes before it aborts, since it holds only a part of
#: it (galera, gcs/src/gcs_group.cpp): its donor left the group, or could not give it.
DONOR_LOST: Mapping[str, str] = {
    "State transfer cannot be completed, need to abort": "its donor left the group",
    "Will never receive state. Need to abort": "its donor could not give it the state",
}
#: Makes the tables of an empty server.
INSTALL = "mariadb-install-db"
#: How long a binary may take to say its version.
VERSION_S = 10.0
#: What a node's `wsrep_local_state_comment` says of its role.
ROLE_OF_STATE: Mapping[str, str] = {
    "Synced": "synced",
    "Donor/Desynced": "donor",
    "Joining": "joiner",
    "Joined": "joiner",
    "Joining: receiving State Transfer": "joiner",
}
READY_COMMAND = (
    "mariadb -h127.0.0.1 -uroot -Nse \"SHOW STATUS LIKE 'wsrep_local_state_comment'\" "
    "| grep -q Synced"
)
STATUS = (
    "SELECT VARIABLE_NAME, VARIABLE_VALUE FROM information_schema.GLOBAL_STATUS "
    "WHERE VARIABLE_NAME IN ('WSREP_LOCAL_STATE_COMMENT', 'WSREP_CLUSTER_STATUS', "
    "'WSREP_CLUSTER_CONF_ID', 'WSREP_LAST_COMMITTED')"
)
#: The same, as of a moment that the whole group has agreed on.
STATUS_AGREED = f"SET STATEMENT wsrep_sync_wait = 1 FOR {STATUS}"


class GaleraClient(SqlClient):
    """`SqlClient` that can also tell what its node holds."""

    async def fingerprint(self) -> Mapping[str, Value]:
        """What this node itself holds, read from its own copy. O(size of its data).

        `index` and `revision` are the last write set that it committed, `hash` is MariaDB's own
        `CHECKSUM TABLE … EXTENDED` of all tables, `data` a digest of all rows made here, `check`
        what `CHECK TABLE … EXTENDED` found, `settled` whether nothing was committed meanwhile.
        Raises `OpFailed` on a server that is no node of Galera.
        """
        session = self.whole()
        try:
            return await session.transaction(self._view, read=True)
        finally:
            await session.close()

    async def _view(self, session: Session) -> Mapping[str, Value]:
        tables = ", ".join(TABLES)
        before = await _last_committed(session)
        checked = await session.fetch(f"CHECK TABLE {tables} EXTENDED")
        sums = await session.fetch(f"CHECKSUM TABLE {tables} EXTENDED")
        data, rows = await digest(session)
        after = await _last_committed(session)
        bad = [f"{row[0]}: {row[3]}" for row in checked if str(row[3]) != "OK"]
        return {
            "node": self.node.name,
            "index": after,
            "revision": after,
            "hash": " ".join(str(checksum) for _, checksum in sums),
            "data": data,
            "keys": rows,
            "check": "; ".join(bad),
            "settled": before == after,
        }


class GaleraTarget:
    """A cluster of 3 or 5 nodes of MariaDB with Galera."""

    def __init__(self, settings: GaleraSettings) -> None:
        self.settings = settings

    name = NAME
    node_counts: tuple[int, ...] = (3, 5)
    port_names: tuple[str, ...] = tuple(PORTS)
    roles: tuple[str, ...] = ("synced", "donor", "joiner")
    #: Its nodes start one after the other, each with the state of another one.
    start_timeout_s = 120.0

    @property
    def binary(self) -> str:
        """The server; raises `Unavailable` where there is none."""
        return _found(self.settings.binary)

    def version(self) -> str:
        """What the binary says of its version, where there is one; else that of the image."""
        if shutil.which(self.settings.binary) is None:
            return self.settings.kubernetes.image.rpartition(":")[2]
        try:
            said = subprocess.run(
                [self.binary, "--version"], capture_output=True, text=True, timeout=VERSION_S
            ).stdout
        except (OSError, subprocess.TimeoutExpired) as error:
            raise Unavailable(f"{self.binary} does not start: {error}") from None
        found = re.search(r"Ver (\S+)", said)
        if found is None:
            raise Unavailable(f"{self.binary} is no MariaDB: it says {said[:80]!r}")
        return found.group(1)

    def why_not_here(self) -> str:
        """Why no node can be started on this machine: what is not installed, "" if all is."""
        hint = "hint: apt-get install mariadb-server galera-4, or seatrial submit"
        for command in (self.settings.binary, INSTALL, "rsync"):
            if shutil.which(command) is None:
                return f"there is no {command} on this machine\n\n{hint}"
        if not Path(self.settings.provider).is_file():
            return f"there is no Galera at {self.settings.provider}\n\n{hint}"
        return ""

    def command(self, node: Node, cluster: Sequence[Node], *, rejoin: bool) -> Command:
        """How to start `node`: by way of `start_galera`, which looks at its folder itself."""
        del rejoin
        if reason := self.why_not_here():
            raise Unavailable(reason)
        own = [one.name for one in cluster].index(node.name)
        former = cluster[own - 1] if own > 0 else None
        others = [one for one in cluster if one.name != node.name]
        start: start_galera.Start = {
            "binary": self.binary,
            "install": _found(INSTALL),
            "data": str(node.data_dir),
            "before": None if former is None else (former.address, former.ports["sql"]),
            "peers": [(one.address, one.ports["galera"]) for one in others],
            "serving": [(one.address, one.ports["sql"]) for one in others],
            "number": own,
            "nodes": len(cluster),
            "options": _options(self.settings, node, cluster),
        }
        program = str(Path(start_galera.__file__))
        return Command(
            argv=(sys.executable, "-I", "-S", program, json.dumps(start)),
            env_not=("MYSQL", "MARIADB", "WSREP"),
        )

    async def ready(self, node: Node, timeout_s: float) -> bool:
        """Whether the node is synced with the primary component; makes the tables."""
        return await readiness.ready(node, self.settings.access, timeout_s, synced)

    async def locate(self, cluster: Sequence[Node]) -> Mapping[str, tuple[str, ...]]:
        """Who is in sync, gives its state to others, or gets it; nodes of a minority are nobody."""
        found = await asyncio.gather(*(self._role(node) for node in cluster))
        pairs = [(node.name, role) for node, role in zip(cluster, found, strict=True)]
        by_role = {role: tuple(n for n, r in pairs if r == role) for role in self.roles}
        return {role: names for role, names in by_role.items() if names}

    async def connect(self, node: Node, *, timeout_s: float) -> GaleraClient:
        """A client pinned to `node`; `timeout_s` bounds each of its calls."""
        settings = self.settings
        snapshot = "ON" if settings.snapshot_isolation else "OFF"
        causal = ("SET SESSION wsrep_sync_wait = 7",) if settings.causal_reads else ()
        return GaleraClient(
            node,
            settings.access,
            settings.isolation,
            timeout_s=timeout_s,
            setup=(f"SET SESSION innodb_snapshot_isolation = {snapshot}", *causal),
            lock_reads=settings.lock_reads,
            confirm=same_group,
        )

    def why_it_ended(self, last_words: str) -> str:
        """A node whose donor is lost while it gets its state aborts, and is to be started again."""
        return next((why for words, why in DONOR_LOST.items() if words in last_words), "")

    def with_binary(self, binary: str) -> GaleraTarget:
        """The same cluster with another server; raises `Unavailable` if it does not start."""
        made = GaleraTarget(self.settings.model_copy(update={"binary": binary}))
        _ = made.binary
        made.version()
        return made

    def may_follow(self, binary: str) -> str:
        """Why `binary` cannot take over: MariaDB opens data of its own and of older versions."""
        now, then = self.version(), self.with_binary(binary).version()
        if now == then:
            return f"both binaries are MariaDB {now}\n\nhint: give the path of another version"
        if _numbers(then) < _numbers(now):
            return (
                f"MariaDB {now} → {then}: a server does not open the data of a newer one\n\n"
                "hint: start with the older one"
            )
        return ""

    async def clear(self, cluster: Sequence[Node]) -> None:
        """Drop the tables of earlier trials."""
        await clear(cluster[0], self.settings.access, CLEAR_TIMEOUT_S)

    async def running_version(self, node: Node) -> str:
        """What the node says of its version; "" if it does not answer."""
        return await readiness.version(node, self.settings.access)

    def place(self, nodes: Sequence[str], run: str, namespace: str) -> Placement:
        """A StatefulSet and its headless Service, or the cluster that runs already."""
        values = self.settings.kubernetes
        if values.running is not None:
            return kubernetes.found(values.running, nodes, PORTS)
        return kubernetes.stateful(
            self.name,
            values,
            kubernetes.stem(run, "galera"),
            nodes,
            run,
            namespace,
            PORTS,
            "mariadbd",
            {
                "lock_wait_s": self.settings.lock_wait_s,
                "ready": READY_COMMAND,
                "timeouts": _timeouts(self.settings),
            },
        )

    async def _role(self, node: Node) -> str:
        session = readiness.anywhere(node, self.settings.access, readiness.PROBE_TIMEOUT_S)
        try:
            status = await session.transaction(_status, read=True)
        except (OpFailed, OpUnknown):
            return ""
        finally:
            await session.close()
        if status.get("WSREP_CLUSTER_STATUS") != "Primary":
            return ""
        return ROLE_OF_STATE.get(status.get("WSREP_LOCAL_STATE_COMMENT", ""), "")


async def synced(session: Session) -> bool:
    """Whether the node is in the primary component and has caught up."""
    status = await _status(session)
    return (
        status.get("WSREP_CLUSTER_STATUS") == "Primary"
        and status.get("WSREP_LOCAL_STATE_COMMENT") == "Synced"
    )


async def same_group(session: Session) -> bool:
    """Whether the node is in the same group, with the same members, as when the session began.

    A COMMIT that is refused with 1213 had no effect, save where the node lost its group at that
    moment: then wsrep-lib answers 1213 too if the transaction was to be aborted anyway, whatever
    became of its write set at the others (`transaction.cpp`, `certify_commit`, the case
    `error_connection_failed`). So the group is asked, in an order that it agreed on.
    """
    status = {str(name): str(value) for name, value in await session.fetch(STATUS_AGREED)}
    primary = status.get("WSREP_CLUSTER_STATUS") == "Primary"
    group = status.get("WSREP_CLUSTER_CONF_ID") if primary else None
    if session.noted is None:
        session.noted = group
    return group is not None and group == session.noted


async def _status(session: Session) -> dict[str, str]:
    return {str(name): str(value) for name, value in await session.fetch(STATUS)}


async def _last_committed(session: Session) -> int:
    status = await _status(session)
    if "WSREP_LAST_COMMITTED" not in status:
        raise OpFailed("no node of Galera: it has no wsrep_last_committed")
    return int(status["WSREP_LAST_COMMITTED"])


def _options(settings: GaleraSettings, node: Node, cluster: Sequence[Node]) -> list[str]:
    """What a node of the lab is started with; its data are small and go with the trial."""
    where, ports = node.address, node.ports
    members = ",".join(f"{one.address}:{one.ports['galera']}" for one in cluster)
    provider = (
        f"gmcast.listen_addr=tcp://{where}:{ports['galera']};"
        f"ist.recv_addr={where}:{ports['ist']};gcache.size=32M;{_timeouts(settings)}"
    )
    return [
        "--socket=socket",
        "--pid-file=pid",
        f"--port={ports['sql']}",
        f"--bind-address={where}",
        "--skip-name-resolve",
        "--innodb-buffer-pool-size=64M",
        "--innodb-log-file-size=16M",
        "--innodb-flush-log-at-trx-commit=1",
        f"--innodb-lock-wait-timeout={settings.lock_wait_s}",
        "--innodb-autoinc-lock-mode=2",
        "--default-storage-engine=InnoDB",
        "--binlog-format=ROW",
        "--wsrep-on=ON",
        f"--wsrep-provider={settings.provider}",
        f"--wsrep-cluster-address=gcomm://{members}",
        f"--wsrep-node-name={node.name}",
        f"--wsrep-node-address={where}:{ports['galera']}",
        f"--wsrep-sst-receive-address={where}:{ports['sst']}",
        "--wsrep-sst-method=rsync",
        f"--wsrep-provider-options={provider}",
    ]


def _timeouts(settings: GaleraSettings) -> str:
    """Galera's group communication: suspected after `suspect_s`, out after twice that."""
    suspect = settings.suspect_s
    return (
        f"evs.keepalive_period=PT{suspect / 4:g}S;evs.suspect_timeout=PT{suspect:g}S;"
        f"evs.inactive_timeout=PT{2 * suspect:g}S"
    )


def _found(command: str) -> str:
    path = shutil.which(command)
    if path is None:
        raise Unavailable(
            f"there is no {command} on this machine\n\n"
            "hint: apt-get install mariadb-server galera-4"
        )
    return path


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(word) for word in re.findall(r"\d+", version)[:3])

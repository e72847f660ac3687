"""Three real nodes of Galera: one is killed under load, comes back, and none has lost or made up.

The write sets of the others win against some transactions, so COMMIT itself is answered with 1213.
"""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pytest

from seatrial.op import Value
from seatrial.targets.mysql import make_galera
from seatrial.targets.mysql.galera import GaleraClient
from seatrial.targets.mysql.session import Session
from tests.targets.mysql.load import OPENING, OPS, Load, judge
from tests.targets.mysql.server import ACCESS, BINARY, Server, folder

PROVIDER = Path("/usr/lib/galera/libgalera_smm.so")
pytestmark = [
    pytest.mark.full,
    pytest.mark.skipif(
        BINARY is None or not PROVIDER.exists(),
        reason="no mariadbd with Galera here: make test-full installs it",
    ),
]

NODES = 3
CLIENTS = 9
TIMEOUT_S = 1.0
READY_S = 30.0


def free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def cluster(root: Path) -> list[Server]:
    ports = free_ports(3 * NODES)
    members = ",".join(f"127.0.0.1:{ports[3 * number]}" for number in range(NODES))
    servers = []
    for number in range(NODES):
        own, ist, sst = ports[3 * number : 3 * number + 3]
        place = root / f"n{number + 1}"
        place.mkdir()
        servers.append(
            Server(
                place,
                "--wsrep-on=ON",
                f"--wsrep-provider={PROVIDER}",
                f"--wsrep-cluster-address=gcomm://{members}",
                f"--wsrep-node-name=n{number + 1}",
                f"--wsrep-node-address=127.0.0.1:{own}",
                f"--wsrep-sst-receive-address=127.0.0.1:{sst}",
                "--wsrep-sst-method=rsync",
                f"--wsrep-provider-options=gmcast.listen_addr=tcp://127.0.0.1:{own};"
                f"ist.recv_addr=127.0.0.1:{ist};gcache.size=16M;evs.suspect_timeout=PT2S;"
                "evs.inactive_timeout=PT4S;evs.keepalive_period=PT0.5S",
                "--binlog-format=ROW",
                "--default-storage-engine=InnoDB",
                "--innodb-autoinc-lock-mode=2",
                name=f"n{number + 1}",
            )
        )
    return servers


async def fingerprints(clients: list[GaleraClient]) -> list[Mapping[str, Value]]:
    found = [await sql.fingerprint() for sql in clients]
    for sql in clients:
        await sql.close()
    return found


async def _slip_in(session: Session) -> None:
    await session.execute("INSERT INTO registers (k, v) VALUES ('stray', '1')")


def test_no_fail_had_an_effect_and_no_ok_is_lost_on_any_node() -> None:
    target = make_galera({"access": ACCESS.model_dump()})

    async def body(servers: list[Server]) -> None:
        await servers[0].start("--wsrep-new-cluster")
        for server in servers[1:]:
            await server.start()
        for server in servers:
            assert await target.ready(server.node, READY_S)

        async def clients(timeout_s: float, count: int) -> list[GaleraClient]:
            return [
                await target.connect(servers[number % NODES].node, timeout_s=timeout_s)
                for number in range(count)
            ]

        pool = await clients(TIMEOUT_S, CLIENTS)
        await pool[0].open_accounts(OPENING)
        load = Load(lambda worker: pool[worker])
        async with asyncio.TaskGroup() as group:
            for worker in range(CLIENTS):
                group.create_task(load.run(worker))
            await load.more()
            servers[2].kill()
            await load.more()
            await servers[2].start(f"--wsrep-start-position={servers[2].recovered()}")
            assert await target.ready(servers[2].node, READY_S)
            await load.more()
            load.stop()
        for sql in await clients(30.0, NODES):
            await judge(load, sql, sql.node, ACCESS)

        prints = await fingerprints(await clients(30.0, NODES))
        assert {one["node"] for one in prints} == {"n1", "n2", "n3"}
        assert len({(one["index"], one["hash"]) for one in prints}) == 1, prints
        # One row that only one node has is seen.
        stray = Session(servers[1].node, ACCESS, ("SET SESSION wsrep_on = OFF",), 5.0)
        await stray.transaction(_slip_in, read=False)
        await stray.close()
        prints = await fingerprints(await clients(30.0, NODES))
        assert len({one["hash"] for one in prints}) == 2, prints

        results = Counter(load.appended.values()) + Counter(load.written.values())
        print(dict(results), dict(load.moved), load.errors.most_common())
        assert results["ok"] > OPS
        assert any("1213" in error for error in load.errors), "no conflict was met"

    async def run() -> None:
        with folder() as root:
            servers = cluster(root)
            try:
                await body(servers)
            finally:
                for server in servers:
                    server.kill()

    asyncio.run(run())

"""The client against real nodes: what each call does, and what a lying client may answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest
from benchmarks.loopback import LoopbackCluster

from seatrial.target import OpFailed, OpRefused, OpUnknown
from seatrial.targets.etcd import make
from seatrial.targets.etcd.client import EtcdClient

pytestmark = pytest.mark.lab

TIMEOUT_S = 5.0
#: How late a busy machine may notice that a call has timed out.
SLACK_S = 2.0

Body = Callable[[LoopbackCluster, list[EtcdClient]], Awaitable[None]]


def on_cluster(etcd_binary: str | None, body: Body, count: int = 3, **settings: bool) -> None:
    async def run() -> None:
        target = make({"binary": etcd_binary, **settings})
        async with LoopbackCluster(target, count) as cluster:
            clients = [await target.connect(node, timeout_s=TIMEOUT_S) for node in cluster.nodes]
            try:
                await body(cluster, clients)
            finally:
                for client in clients:
                    await client.close()

    asyncio.run(run())


def test_every_capability_on_three_nodes(etcd_binary: str | None) -> None:
    async def body(cluster: LoopbackCluster, clients: list[EtcdClient]) -> None:
        one, two, three = clients
        assert await one.read("k") is None
        assert await one.cas("k", None, 1)
        assert not await two.cas("k", None, 2)
        assert await two.read("k") == 1
        await three.write("k", 2)
        assert not await one.cas("k", 1, 3)
        assert await one.cas("k", 2, 3)
        assert await two.read("k") == 3

        done = await one.transact((("append", 1, 5), ("r", 1, None), ("append", 2, 6)))
        assert done == (("append", 1, 5), ("r", 1, (5,)), ("append", 2, 6))
        done = await two.transact((("append", 1, 7), ("append", 1, 8), ("r", 3, None)))
        assert done == (("append", 1, 7), ("append", 1, 8), ("r", 3, None))
        done = await three.transact((("r", 1, None), ("r", 2, None)))
        assert done == (("r", 1, (5, 7, 8)), ("r", 2, (6,)))
        done = await three.transact((("w", 9, 1), ("r", 9, None)))
        assert done == (("w", 9, 1), ("r", 9, 1))

        await asyncio.gather(*(clients[i % 3].add(i) for i in range(20)))
        assert await one.read_set(linearizable=True) == tuple(range(20))

        await two.put_many(3, "x" * 200)
        prints = [await client.fingerprint() for client in clients]
        assert {p["settled"] for p in prints} == {True}
        agreed = ("revision", "hash", "hash_revision", "compact_revision", "data", "keys")
        assert len({tuple(p[key] for key in agreed) for p in prints}) == 1
        assert {p["node"] for p in prints} == {"n1", "n2", "n3"}

    on_cluster(etcd_binary, body)


def test_a_transaction_that_lost_its_races_did_nothing_and_no_other_is_lost() -> None:
    """Many clients append to one list at once; some are refused."""

    async def body(cluster: LoopbackCluster, clients: list[EtcdClient]) -> None:
        crowd = [
            await cluster.target.connect(cluster.nodes[i % 3], timeout_s=TIMEOUT_S)
            for i in range(24)
        ]
        outcome: dict[int, str] = {}

        async def append(i: int, client: EtcdClient) -> None:
            for element in range(i * 100, i * 100 + 8):
                try:
                    await client.transact((("append", 1, element),))
                    outcome[element] = "ok"
                except OpRefused:
                    outcome[element] = "refused"

        await asyncio.gather(*(append(i, client) for i, client in enumerate(crowd)))
        (read,) = await clients[0].transact((("r", 1, None),))
        assert isinstance(read, tuple)
        seen = read[2]
        assert isinstance(seen, tuple)
        assert len(seen) == len(set(seen))
        assert set(seen) == {element for element, said in outcome.items() if said == "ok"}
        assert "refused" in outcome.values()
        for client in crowd:
            await client.close()

    on_cluster(None, body)


def test_a_method_ends_within_its_timeout_whatever_the_node_does() -> None:
    async def body(cluster: LoopbackCluster, clients: list[EtcdClient]) -> None:
        hasty = await cluster.target.connect(cluster.nodes[0], timeout_s=0.5)
        await hasty.write("k", 1)
        cluster.pause(cluster.nodes[0])
        calls: list[tuple[type[Exception], Callable[[], Awaitable[object]]]] = [
            (OpFailed, lambda: hasty.read("k")),
            (OpUnknown, lambda: hasty.write("k", 2)),
            (OpUnknown, lambda: hasty.cas("k", 1, 2)),
            (OpFailed, lambda: hasty.transact((("append", 1, 1),))),
            (OpFailed, lambda: hasty.read_set(linearizable=False)),
            (OpFailed, hasty.fingerprint),
        ]
        for expected, call in calls:
            began = time.monotonic()
            with pytest.raises(expected):
                await call()
            assert time.monotonic() - began < 0.5 + SLACK_S
        assert not await cluster.target.ready(cluster.nodes[0], 0.5)
        cluster.resume(cluster.nodes[0])
        assert await cluster.target.ready(cluster.nodes[0], 20)
        await hasty.close()

    on_cluster(None, body)


def test_a_restarted_node_is_found_again_and_roles_are_told_live(etcd_binary: str | None) -> None:
    async def body(cluster: LoopbackCluster, clients: list[EtcdClient]) -> None:
        found = await cluster.target.locate(cluster.nodes)
        (leader,) = found["leader"]
        assert {leader, *found["follower"]} == {"n1", "n2", "n3"}
        index = next(i for i, node in enumerate(cluster.nodes) if node.name == leader)
        await clients[index].write("k", 1)

        cluster.kill(cluster.nodes[index])
        with pytest.raises(OpFailed):
            await clients[index].read("k")
        assert not await cluster.target.ready(cluster.nodes[index], 0.3)
        assert leader not in (await cluster.target.locate(cluster.nodes)).get("leader", ())

        cluster.start(cluster.nodes[index])
        await cluster.all_ready()
        assert await clients[index].read("k") == 1

    on_cluster(etcd_binary, body)


def test_one_node_alone_is_a_cluster() -> None:
    async def body(cluster: LoopbackCluster, clients: list[EtcdClient]) -> None:
        await clients[0].write("k", 1)
        assert await cluster.target.locate(cluster.nodes) == {"leader": ("n1",)}

    on_cluster(None, body, count=1)


def test_a_client_with_serializable_reads_lies_when_cut_off() -> None:
    """A follower whose peers are stopped still answers, with what it last knew."""

    async def body(cluster: LoopbackCluster, clients: list[EtcdClient]) -> None:
        await clients[0].write("k", 1)
        for client in clients:
            while await client.read("k") != 1:
                await asyncio.sleep(0.01)
        for node in cluster.nodes[1:]:
            cluster.pause(node)
        assert await clients[0].read("k") == 1
        honest = await make({}).connect(cluster.nodes[0], timeout_s=0.5)
        with pytest.raises(OpFailed):
            await honest.read("k")
        await honest.close()

    on_cluster(None, body, serializable_reads=True)

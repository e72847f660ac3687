"""The client against real nodes: what each call does, and what a lying client may answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from benchmarks.loopback import LoopbackCluster

from seatrial.target import OpFailed
from seatrial.targets.etcd import make
from seatrial.targets.etcd.client import EtcdClient

pytestmark = pytest.mark.lab

TIMEOUT_S = 5.0

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

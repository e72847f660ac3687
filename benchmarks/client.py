"""How fast the etcd client is, beside the barest loops that one asyncio process can run.

    python -m benchmarks.client [--clients 50] [--seconds 4] [--rounds 3] [--etcd PATH]

Three nodes on loopback. Each row is the best of the rounds; the rounds of all rows are interleaved,
so that a busy moment of the machine does not fall on one of them. `bare` drives the generated
stubs on `grpc.aio` with nothing around them; `aetcd` is the library's own client; `seatrial` is
`EtcdClient`, with its errors, deadlines and values.

`bare_loop` is what the whole tool's throughput is measured against.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import aetcd
from aetcd import rpc
from grpc import aio

from benchmarks.loopback import LoopbackCluster, endpoints
from seatrial.targets.etcd import make
from seatrial.targets.etcd.channel import OPTIONS

TIMEOUT_S = 5.0
_LOTS = 4096
MIXES = {"put": 0.0, "get": 1.0, "mix": 0.5}

Act = Callable[[int], Awaitable[object]]
"""Does the n-th op of one client."""


@dataclass(frozen=True, slots=True)
class LoopResult:
    """What a closed loop reached. Latencies are of single ops."""

    ops: int
    seconds: float
    p50_ms: float
    p99_ms: float

    @property
    def ops_per_s(self) -> float:
        """Throughput."""
        return self.ops / self.seconds


async def closed_loop(acts: Sequence[Act], seconds: float) -> LoopResult:
    """Each of `acts` again and again, one op at a time, for `seconds`."""
    latencies: list[float] = []
    clock = time.perf_counter
    end = clock() + seconds

    async def run(act: Act) -> None:
        n, now = 0, clock()
        while now < end:
            await act(n)
            done = clock()
            latencies.append(done - now)
            n, now = n + 1, done

    began = clock()
    await asyncio.gather(*(run(act) for act in acts))
    took = clock() - began
    latencies.sort()
    count = len(latencies)
    return LoopResult(
        count, took, latencies[count // 2] * 1e3, latencies[min(count - 1, count * 99 // 100)] * 1e3
    )


async def bare_loop(
    addresses: Sequence[str], seconds: float, clients: int, *, read_share: float = 0.5
) -> LoopResult:
    """The barest closed loop: `clients` put and get small values over `addresses` (`HOST:PORT`).

    Client i talks to address i mod n, as in a trial. `read_share` of each client's ops are
    linearizable reads. The channels have the options of the real client.
    """
    channels = [
        aio.insecure_channel(f"ipv4:{addresses[i % len(addresses)]}", OPTIONS)
        for i in range(clients)
    ]
    acts = [_bare_act(channel, i, read_share) for i, channel in enumerate(channels)]
    try:
        return await closed_loop(acts, seconds)
    finally:
        for channel in channels:
            await channel.close()


def _bare_act(channel: aio.Channel, client: int, read_share: float) -> Act:
    put = channel.unary_unary("/etcdserverpb.KV/Put", rpc.PutRequest.SerializeToString, None)
    get = channel.unary_unary(
        "/etcdserverpb.KV/Range", rpc.RangeRequest.SerializeToString, rpc.RangeResponse.FromString
    )
    key, reads = b"r/%d" % client, _reads(client, read_share)

    async def act(n: int) -> None:
        if reads(n):
            await get(rpc.RangeRequest(key=key), timeout=TIMEOUT_S)
        else:
            await put(rpc.PutRequest(key=key, value=b"%d" % n), timeout=TIMEOUT_S)

    return act


def _reads(client: int, share: float) -> Callable[[int], bool]:
    """Whether a client's n-th op is a read: `share` of them, drawn by lot.

    Were all clients to read and write in turn, etcd could batch what a real load does not let it.
    """
    draw = random.Random(client)
    lots = tuple(draw.random() < share for _ in range(_LOTS))
    return lambda n: lots[n % _LOTS]


async def seatrial_loop(
    cluster: LoopbackCluster, seconds: float, clients: int, read_share: float
) -> LoopResult:
    """The same load through `EtcdClient`."""
    nodes = cluster.nodes
    opened = [
        await cluster.target.connect(nodes[i % len(nodes)], timeout_s=TIMEOUT_S)
        for i in range(clients)
    ]

    def act_of(i: int) -> Act:
        client, reads = opened[i], _reads(i, read_share)

        async def act(n: int) -> None:
            if reads(n):
                await client.read(i)
            else:
                await client.write(i, n)

        return act

    try:
        return await closed_loop([act_of(i) for i in range(clients)], seconds)
    finally:
        for client in opened:
            await client.close()


async def aetcd_loop(
    cluster: LoopbackCluster, seconds: float, clients: int, read_share: float
) -> LoopResult:
    """The same load through aetcd's own client."""
    nodes = [cluster.nodes[i % len(cluster.nodes)] for i in range(clients)]
    opened = [aetcd.Client(node.address, node.ports["client"], timeout=5) for node in nodes]

    def act_of(i: int) -> Act:
        client, key, reads = opened[i], b"r/%d" % i, _reads(i, read_share)

        async def act(n: int) -> None:
            if reads(n):
                await client.get(key)
            else:
                await client.put(key, b"%d" % n)

        return act

    try:
        return await closed_loop([act_of(i) for i in range(clients)], seconds)
    finally:
        for client in opened:
            await client.close()


async def measure(arguments: argparse.Namespace) -> dict[tuple[str, str], LoopResult]:
    """The best round of each row."""
    best: dict[tuple[str, str], LoopResult] = {}
    seconds, clients = arguments.seconds, arguments.clients
    async with LoopbackCluster(make({"binary": arguments.etcd})) as cluster:
        addresses = endpoints(cluster.nodes)
        await bare_loop(addresses, 1.0, clients)  # warm up
        for _ in range(arguments.rounds):
            for mix, share in MIXES.items():
                rows = {
                    "bare": await bare_loop(addresses, seconds, clients, read_share=share),
                    "aetcd": await aetcd_loop(cluster, seconds, clients, share),
                    "seatrial": await seatrial_loop(cluster, seconds, clients, share),
                }
                for name, result in rows.items():
                    before = best.get((mix, name))
                    if before is None or result.ops_per_s > before.ops_per_s:
                        best[mix, name] = result
    return best


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--etcd", default=None)
    best = asyncio.run(measure(parser.parse_args()))
    print(f"{'load':6}{'client':10}{'ops/s':>8}{'p50 ms':>9}{'p99 ms':>9}{'of bare':>9}")
    for (mix, name), result in best.items():
        ratio = result.ops_per_s / best[mix, "bare"].ops_per_s
        print(
            f"{mix:6}{name:10}{result.ops_per_s:8.0f}{result.p50_ms:9.2f}"
            f"{result.p99_ms:9.2f}{ratio:9.0%}"
        )


if __name__ == "__main__":
    main()

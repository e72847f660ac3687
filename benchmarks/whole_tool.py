"""What the tool costs: its whole way of an op against a bare asyncio loop, on one cluster.

    python -m benchmarks.whole_tool [--clients 50] [--seconds 5] [--rounds 5]

Three etcd nodes on loopback, no faults. `aetcd` and `stubs` are as many bare closed loops, half
reads and half writes, nothing recorded: over the client of the library `aetcd`, and over its
generated gRPC stubs alone, with nothing around them. `whole` is what a trial does: the register
workload's generator, the interpreter, the client with its errors and deadlines, and the history
written to disk. Rounds alternate, and the medians are compared.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.client import aetcd_loop, bare_loop
from benchmarks.loopback import LoopbackCluster, endpoints
from seatrial.engine.counters import OpCounters
from seatrial.engine.interpreter import Completion, interpret
from seatrial.history.stream import HistoryWriter
from seatrial.op import Op, Type
from seatrial.target import Node, OpFailed, OpRefused, OpUnknown
from seatrial.targets.etcd import make
from seatrial.workloads import make as make_workload

TIMEOUT_S = 5.0
#: No compare-and-set here: the bare loop has none either.
SETTINGS = {"keys": 50, "read_weight": 1, "write_weight": 1, "cas_weight": 0}


async def whole_loop(nodes: Sequence[Node], seconds: float, clients: int, path: Path) -> float:
    """Completed ops a second through generator, interpreter, client and recording."""
    target, workload = make({}), make_workload("register", SETTINGS)
    connected = [
        await target.connect(nodes[thread % len(nodes)], timeout_s=TIMEOUT_S)
        for thread in range(clients)
    ]
    started = time.monotonic_ns()
    stop = asyncio.Event()

    def clock() -> int:
        return time.monotonic_ns() - started

    async def invoke(thread: int, op: Op) -> Completion:
        kind, value, error = Type.OK, op.value, None
        try:
            value = await workload.invoke(connected[thread], op)
        except OpRefused:
            kind = Type.FAIL
        except OpFailed as failure:
            kind, error = Type.FAIL, str(failure)
        except OpUnknown as unknown:
            kind, error = Type.INFO, str(unknown)
        return kind, value, error

    asyncio.get_running_loop().call_later(seconds, stop.set)
    with HistoryWriter(path) as writer:
        summary = await interpret(
            workload.generator(1, clients, len(nodes)),
            concurrency=clients,
            invoke=invoke,
            record=writer.append,
            clock=clock,
            stop=stop,
            counters=OpCounters(),
        )
    for client in connected:
        await client.close()
    return summary.ok / ((summary.end_ns - summary.start_ns) / 1e9)


async def measure(clients: int, seconds: float, rounds: int) -> dict[str, list[float]]:
    """Ops a second of each round, by row."""
    rates: dict[str, list[float]] = {"aetcd": [], "stubs": [], "whole": []}
    with tempfile.TemporaryDirectory() as folder:
        async with LoopbackCluster(make({}), 3) as cluster:
            addresses = endpoints(cluster.nodes)
            await bare_loop(addresses, 1.0, clients)
            for number in range(rounds):
                library = await aetcd_loop(cluster, seconds, clients, 0.5)
                rates["aetcd"].append(library.ops_per_s)
                stubs = await bare_loop(addresses, seconds, clients)
                rates["stubs"].append(stubs.ops_per_s)
                path = Path(folder) / f"{number}.arrow"
                rates["whole"].append(await whole_loop(cluster.nodes, seconds, clients, path))
    return rates


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args()
    measured = asyncio.run(measure(chosen.clients, chosen.seconds, chosen.rounds))
    whole = statistics.median(measured["whole"])
    print(f"{'':8}{'median ops/s':>14}{'best':>10}{'worst':>10}{'whole of it':>13}")
    for name, rates in measured.items():
        middle = statistics.median(rates)
        print(
            f"{name:8}{middle:14,.0f}{max(rates):10,.0f}{min(rates):10,.0f}{whole / middle:13.2f}"
        )


if __name__ == "__main__":
    main()

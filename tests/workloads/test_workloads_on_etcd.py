"""Each workload on a real cluster: its ops work, and its last reads find what they should."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Mapping

import pytest
from benchmarks.loopback import LoopbackCluster

from seatrial.generator import PENDING, Context, Generator
from seatrial.op import Op, Type, Value
from seatrial.target import OpFailed, OpRefused, OpUnknown
from seatrial.targets.etcd import make as make_etcd
from seatrial.targets.etcd.client import EtcdClient
from seatrial.verdict import Json
from seatrial.workload import Workload
from seatrial.workloads import make

pytestmark = pytest.mark.lab

CONCURRENCY = 6
NODES = 3
OP_TIMEOUT_S = 5.0
PHASE_S_MAX = 30.0


class Driver:
    """A small engine: asks the generator for ops and has clients do them, for tests only."""

    def __init__(self, workload: Workload, clients: list[EtcdClient]) -> None:
        self.workload, self.clients = workload, clients
        self.history: list[Op] = []
        self._began = time.monotonic_ns()

    async def phase(self, generator: Generator, ops_max: int) -> None:
        """Run until the generator is exhausted or `ops_max` ops have been invoked."""
        free, invoked = list(range(CONCURRENCY)), 0
        running: set[asyncio.Task[tuple[int, Op]]] = set()
        processes = {thread: thread for thread in range(CONCURRENCY)}
        async with asyncio.timeout(PHASE_S_MAX):
            while True:
                context = Context(self._now(), tuple(free), processes)
                op, after = generator.op(context) if invoked < ops_max else (None, generator)
                if op is not None and op is not PENDING and op.time_ns <= self._now():
                    generator, invoked = after, invoked + 1
                    free.remove(op.process)
                    self.history.append(op)
                    generator = generator.update(context, op)
                    running.add(asyncio.create_task(self._do(op.process, op)))
                    continue
                if op is None and not running:
                    return
                done = await self._wait(running)
                for task in done:
                    thread, completion = task.result()
                    running.discard(task)
                    self.history.append(completion)
                    context = Context(completion.time_ns, tuple(free), processes)
                    generator = generator.update(context, completion)
                    free.append(thread)

    async def _wait(
        self, running: set[asyncio.Task[tuple[int, Op]]]
    ) -> set[asyncio.Task[tuple[int, Op]]]:
        if not running:
            await asyncio.sleep(0.01)
            return set()
        done, _ = await asyncio.wait(running, timeout=0.01, return_when=asyncio.FIRST_COMPLETED)
        return done

    async def _do(self, thread: int, op: Op) -> tuple[int, Op]:
        value: Value = op.value
        kind, error = Type.OK, None
        try:
            value = await self.workload.invoke(self.clients[thread], op)
        except OpRefused:
            kind = Type.FAIL
        except OpFailed as failed:
            kind, error = Type.FAIL, str(failed)
        except OpUnknown as unknown:
            kind, error = Type.INFO, str(unknown)
        return thread, Op(kind, op.process, op.f, value, op.key, self._now(), error)

    def _now(self) -> int:
        return time.monotonic_ns() - self._began


def trial(
    name: str, binary: str | None, ops_max: int, settings: Mapping[str, Json] | None = None
) -> list[Op]:
    """The history of a workload without faults: main phase, then the last reads."""

    async def run() -> list[Op]:
        workload, target = make(name, settings), make_etcd({"binary": binary})
        async with LoopbackCluster(target, NODES) as cluster:
            clients = [
                await target.connect(cluster.nodes[t % NODES], timeout_s=OP_TIMEOUT_S)
                for t in range(CONCURRENCY)
            ]
            driver = Driver(workload, clients)
            await driver.phase(workload.generator(1, CONCURRENCY, NODES), ops_max)
            last = workload.final_generator(1, CONCURRENCY, NODES)
            if last is not None:
                await driver.phase(last, 1000)
            for client in clients:
                await client.close()
            return driver.history

    return asyncio.run(run())


def completions(history: list[Op]) -> Counter[tuple[str, str]]:
    return Counter((op.f, op.type.label) for op in history if op.type != Type.INVOKE)


def test_registers_are_read_written_and_swapped() -> None:
    counts = completions(trial("register", None, 1500))
    assert all(counts[f, "ok"] > 50 for f in ("read", "write", "cas"))
    assert counts["cas", "fail"] > 10
    assert not {outcome for _, outcome in counts} - {"ok", "fail"}


def test_transactions_commit_and_what_they_read_are_prefixes_of_one_list() -> None:
    history = trial("append", None, 1000)
    counts = completions(history)
    assert counts["txn", "ok"] > 10 * counts["txn", "fail"]
    longest: dict[object, tuple[Value, ...]] = {}
    reads: list[tuple[object, tuple[Value, ...]]] = []
    for op in history:
        if op.type == Type.OK and isinstance(op.value, tuple):
            for micro_op in op.value:
                assert isinstance(micro_op, tuple)
                f, key, seen = micro_op
                if f == "r" and isinstance(seen, tuple):
                    reads.append((key, seen))
                    longest[key] = max(longest.get(key, ()), seen, key=len)
    assert len(reads) > 200
    assert all(longest[key][: len(seen)] == seen for key, seen in reads)


def test_each_last_read_of_the_set_holds_all_that_was_acknowledged() -> None:
    history = trial("set", None, 1000, {"read_every_s": 0.1})
    added = {op.value for op in history if op.f == "add" and op.type == Type.OK}
    reads = [op.value for op in history if op.f == "read" and op.type == Type.OK]
    assert len(added) > 900
    assert len(reads) > 2 * NODES
    for seen in reads[-2 * NODES :]:
        assert isinstance(seen, tuple)
        assert added <= set(seen)


def test_untroubled_replicas_agree(etcd_binary: str | None) -> None:
    history = trial("replicas", etcd_binary, 1500, {"keys": 100})
    prints = [op.value for op in history if op.f == "fingerprint" and op.type == Type.OK]
    last = {p["node"]: p for p in prints if isinstance(p, Mapping)}
    assert set(last) == {"n1", "n2", "n3"}
    assert {p["keys"] for p in last.values()} == {100}
    for key in ("index", "revision", "hash", "data", "settled"):
        assert len({p[key] for p in last.values()}) == 1

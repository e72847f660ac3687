"""The register workload: what it generates and how an op is done."""

from __future__ import annotations

import asyncio
from collections import defaultdict

import pytest

from seatrial.errors import UsageError
from seatrial.generator import imperfect, simulate
from seatrial.op import Atom, Op, Type
from seatrial.target import OpRefused
from seatrial.verdict import Json
from seatrial.workload import Workload
from seatrial.workloads import make

THREADS = 10


def invocations(seed: int, count: int, settings: dict[str, Json] | None = None) -> list[Op]:
    generator = make("register", settings).generator(seed, THREADS, 3)
    history = simulate(generator, concurrency=THREADS, completion=imperfect, ops_max=2 * count)
    return [op for op in history if op.type == Type.INVOKE]


class OneRegister:
    """A client of registers in this process."""

    def __init__(self) -> None:
        self.values: dict[Atom, Atom] = {}

    async def close(self) -> None: ...

    async def read(self, key: Atom) -> Atom:
        return self.values.get(key)

    async def write(self, key: Atom, value: Atom) -> None:
        self.values[key] = value

    async def cas(self, key: Atom, old: Atom, new: Atom) -> bool:
        if self.values.get(key) != old:
            return False
        self.values[key] = new
        return True


def test_the_same_seed_gives_the_same_ops_and_another_seed_others() -> None:
    first = invocations(7, 500)
    assert invocations(7, 500) == first
    assert invocations(8, 500) != first


def test_no_value_is_written_twice_to_a_key() -> None:
    written = defaultdict(list)
    for op in invocations(1, 5000):
        if op.f == "write":
            written[op.key].append(op.value)
        elif op.f == "cas":
            assert isinstance(op.value, tuple)
            written[op.key].append(op.value[1])
    assert len(written) > 10
    assert all(len(values) == len(set(values)) for values in written.values())


def test_keys_give_way_after_their_share_of_ops() -> None:
    counts: dict[Atom, int] = defaultdict(int)
    for op in invocations(1, 1000, {"keys": 2, "ops_per_key": 50}):
        counts[op.key] += 1
    assert max(counts.values()) == 50
    assert len(counts) >= 20


def test_a_few_keys_are_alive_at_a_time_each_through_every_node() -> None:
    processes = defaultdict(set)
    for op in invocations(1, 90, {"keys": 3}):
        processes[op.key].add(op.process % 3)
    assert set(processes) == {0, 1, 2}
    assert all(nodes == {0, 1, 2} for key, nodes in processes.items() if key != 2)


def test_one_client_alone_gets_ops() -> None:
    generator = make("register", {"keys": 5}).generator(1, 1, 3)
    assert len(simulate(generator, concurrency=1, ops_max=100)) == 100


def test_the_weights_are_kept() -> None:
    ops = invocations(3, 20_000)
    share = {f: sum(op.f == f for op in ops) / len(ops) for f in ("read", "write", "cas")}
    assert share["read"] == pytest.approx(0.5, abs=0.02)
    assert share["write"] == pytest.approx(0.3, abs=0.02)
    assert share["cas"] == pytest.approx(0.2, abs=0.02)


def run(workload: Workload, client: OneRegister, op: Op) -> object:
    return asyncio.run(workload.invoke(client, op))


def test_ops_are_done_and_a_mismatch_is_a_refusal() -> None:
    workload, client = make("register"), OneRegister()
    assert run(workload, client, Op(Type.INVOKE, 0, "read", None, 4)) is None
    assert run(workload, client, Op(Type.INVOKE, 0, "write", 1, 4)) == 1
    assert run(workload, client, Op(Type.INVOKE, 0, "cas", (1, 2), 4)) == (1, 2)
    assert run(workload, client, Op(Type.INVOKE, 0, "read", None, 4)) == 2
    with pytest.raises(OpRefused):
        run(workload, client, Op(Type.INVOKE, 0, "cas", (1, 3), 4))


def test_at_the_end_every_thread_reads_the_recent_keys() -> None:
    workload, client = make("register", {"keys": 2}), OneRegister()
    run(workload, client, Op(Type.INVOKE, 0, "read", None, 9))
    generator = workload.final_generator(1, THREADS, 3)
    assert generator is not None
    reads = defaultdict(list)
    for op in simulate(generator, concurrency=THREADS):
        if op.type == Type.INVOKE:
            assert op.f == "read"
            reads[op.process].append(op.key)
    assert reads == {process: [6, 7, 8, 9] for process in range(THREADS)}


def test_wrong_settings_are_named() -> None:
    with pytest.raises(UsageError, match=r"(?s)no setting 'key' \(did you mean 'keys'\?\).*hint"):
        make("register", {"key": 3})
    with pytest.raises(UsageError, match="without reads nothing can be judged"):
        make("register", {"read_weight": 0})

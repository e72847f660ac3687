"""The register workload: what it generates and how an op is done."""

from __future__ import annotations

import asyncio
from collections import defaultdict

import pytest

from seatrial.errors import UsageError
from seatrial.generator import Context, Generator
from seatrial.op import Atom, Op, Type
from seatrial.target import OpRefused
from seatrial.workload import Workload
from seatrial.workloads import make

THREADS = 10


def context(free: tuple[int, ...] = tuple(range(THREADS))) -> Context:
    return Context(0, free, {t: t for t in range(THREADS)})


def take(generator: Generator, count: int) -> list[Op]:
    ops = []
    for i in range(count):
        op, generator = generator.op(context((i % THREADS, (i + 3) % THREADS)))
        assert isinstance(op, Op)
        ops.append(op)
    return ops


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
    first = take(make("register").generator(7, THREADS, 3), 500)
    assert take(make("register").generator(7, THREADS, 3), 500) == first
    assert take(make("register").generator(8, THREADS, 3), 500) != first


def test_no_value_is_written_twice_to_a_key() -> None:
    written = defaultdict(list)
    for op in take(make("register").generator(1, THREADS, 3), 5000):
        if op.f == "write":
            written[op.key].append(op.value)
        elif op.f == "cas":
            assert isinstance(op.value, tuple)
            written[op.key].append(op.value[1])
    assert len(written) > 10
    assert all(len(values) == len(set(values)) for values in written.values())


def test_keys_give_way_after_their_share_of_ops() -> None:
    ops = take(make("register", {"keys": 2, "ops_per_key": 50}).generator(1, THREADS, 3), 1000)
    counts: dict[Atom, int] = defaultdict(int)
    for op in ops:
        counts[op.key] += 1
    assert max(counts.values()) == 50
    assert sorted(k for k in counts if isinstance(k, int)) == list(range(len(counts)))


def test_each_key_is_worked_on_by_clients_of_every_node() -> None:
    processes = defaultdict(set)
    for op in take(make("register", {"keys": 3}).generator(1, THREADS, 3), 3000):
        processes[op.key].add(op.process % 3)
    assert all(nodes == {0, 1, 2} for nodes in processes.values())


def test_the_weights_are_kept() -> None:
    ops = take(make("register").generator(3, THREADS, 3), 20_000)
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
    op, generator = generator.op(context())
    while isinstance(op, Op):
        reads[op.process].append(op.key)
        op, generator = generator.op(context())
    assert op is None
    assert reads == {process: [6, 7, 8, 9] for process in range(THREADS)}


def test_final_reads_wait_for_busy_threads() -> None:
    workload, client = make("register", {"keys": 1}), OneRegister()
    run(workload, client, Op(Type.INVOKE, 0, "read", None, 0))
    generator = workload.final_generator(1, THREADS, 3)
    assert generator is not None
    op, generator = generator.op(context((4,)))
    assert isinstance(op, Op)
    op, generator = generator.op(context((4,)))
    assert op is not None
    assert not isinstance(op, Op)


def test_wrong_settings_are_named() -> None:
    with pytest.raises(UsageError, match=r"(?s)no setting 'key' \(did you mean 'keys'\?\).*hint"):
        make("register", {"key": 3})
    with pytest.raises(UsageError, match="without reads nothing can be judged"):
        make("register", {"read_weight": 0})

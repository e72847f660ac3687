"""The replicas workload: many puts, then fingerprints until all nodes stand still together."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest

from seatrial.errors import UsageError
from seatrial.generator import PENDING, Context, Generator, simulate
from seatrial.op import Op, Type, Value
from seatrial.workloads import make
from seatrial.workloads.replicas import ROUNDS_MAX, text

NODES = 3


class OneReplica:
    """A replica in this process."""

    def __init__(self) -> None:
        self.values: dict[int, str] = {}

    async def close(self) -> None: ...

    async def put_many(self, key: int, value: str) -> None:
        self.values[key] = value

    async def fingerprint(self) -> Mapping[str, Value]:
        return {"node": "n1", "keys": len(self.values)}


def drive(
    generator: Generator, answers: Mapping[int, list[Mapping[str, Value] | None]]
) -> list[Op]:
    """Every invocation of a final phase; `answers` are each thread's, the last one for ever."""
    processes = {thread: thread for thread in range(5)}
    now = 0
    invoked: list[Op] = []
    for _ in range(1000):
        context = Context(now, tuple(processes), processes)
        op, generator = generator.op(context)
        if op is None:
            return invoked
        assert op is not PENDING
        now = op.time_ns + 10
        invoked.append(op)
        mine = answers[op.process]
        value = mine.pop(0) if len(mine) > 1 else mine[0]
        kind = Type.FAIL if value is None else Type.OK
        done = Op(kind, op.process, op.f, value, None, now)
        generator = generator.update(Context(now, tuple(processes), processes), done)
    raise AssertionError("the final phase does not end")


def final() -> Generator:
    generator = make("replicas").final_generator(1, 5, NODES)
    assert generator is not None
    return generator


def at(index: int, settled: bool = True) -> Mapping[str, Value]:
    return {"node": "n", "index": index, "settled": settled}


def test_puts_go_to_all_keys_and_each_value_is_its_own() -> None:
    generator = make("replicas", {"keys": 10}).generator(1, 4, NODES)
    values = [op.value for op in simulate(generator, concurrency=4, ops_max=2000) if not op.type]
    assert {v[0] for v in values if isinstance(v, tuple)} == set(range(10))
    assert [v[1] for v in values if isinstance(v, tuple)] == list(range(1000))
    assert len({text(number, 200) for number in range(1000)}) == 1000
    assert len(text(12345, 200)) == 200
    assert len(text(12345, 3)) == 3


def test_nodes_that_stand_still_together_are_asked_twice_with_a_pause() -> None:
    ops = drive(final(), {thread: [at(7)] for thread in range(NODES)})
    assert [op.process for op in ops] == [0, 1, 2] * 2
    assert ops[3].time_ns - ops[0].time_ns >= 500_000_000


def test_it_waits_for_a_node_that_is_catching_up() -> None:
    behind: list[Mapping[str, Value] | None] = [at(3), at(5), at(6, settled=False), at(7)]
    ops = drive(final(), {0: [at(7)], 1: [at(7)], 2: behind})
    assert sum(op.process == 2 for op in ops) == 4


def test_a_silent_or_hanging_node_does_not_keep_it_for_ever() -> None:
    silent = drive(final(), {0: [at(7)], 1: [at(7)], 2: [None]})
    assert len(silent) == NODES * ROUNDS_MAX
    hanging = drive(final(), {0: [at(7)], 1: [at(7)], 2: [at(6)]})
    assert len(hanging) == NODES * ROUNDS_MAX


def test_ops_are_done() -> None:
    workload, client = make("replicas", {"value_bytes": 20}), OneReplica()

    async def run() -> None:
        assert await workload.invoke(client, Op(Type.INVOKE, 0, "put", (3, 17))) == (3, 17)
        assert client.values == {3: text(17, 20)}
        said = await workload.invoke(client, Op(Type.INVOKE, 0, "fingerprint"))
        assert said == {"node": "n1", "keys": 1}

    asyncio.run(run())


def test_wrong_settings_are_named() -> None:
    with pytest.raises(UsageError, match="'value_bytes' is 0"):
        make("replicas", {"value_bytes": 0})


def test_nodes_stand_together_by_answers_of_one_round_not_of_the_round_before() -> None:
    """The second round is under way: what the first one said must not end it."""
    processes = {thread: thread for thread in range(NODES)}
    generator, now = final(), 0

    def ask() -> Op:
        nonlocal generator, now
        op, after = generator.op(Context(now, tuple(range(NODES)), processes))
        assert isinstance(op, Op)
        generator, now = after, op.time_ns
        return op

    def answer(op: Op, index: int) -> None:
        nonlocal generator
        done = Op(Type.OK, op.process, op.f, at(index), None, now)
        generator = generator.update(Context(now, (), processes), done)

    for op in [ask() for _ in range(NODES)]:
        answer(op, 7)
    second = [ask() for _ in range(NODES)]
    assert generator.op(Context(now, (), processes))[0] is PENDING
    for op, index in zip(second, (9, 7, 7), strict=True):
        answer(op, index)
    for op in [ask() for _ in range(NODES)]:
        answer(op, 9)
    assert generator.op(Context(now, tuple(range(NODES)), processes))[0] is None

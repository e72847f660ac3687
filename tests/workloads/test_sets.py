"""The set workload: adds, reads now and then, and two last reads from each node."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest

from seatrial.errors import UsageError
from seatrial.generator import imperfect, simulate
from seatrial.op import Op, Type
from seatrial.workloads import make


class OneSet:
    """A set in this process that keeps how it was read."""

    def __init__(self) -> None:
        self.elements: set[int] = set()
        self.reads: list[bool] = []

    async def close(self) -> None: ...

    async def add(self, element: int) -> None:
        self.elements.add(element)

    async def read_set(self, *, linearizable: bool) -> tuple[int, ...]:
        self.reads.append(linearizable)
        return tuple(sorted(self.elements))


def test_elements_are_unique_and_reads_are_rare() -> None:
    generator = make("set", {"read_every_s": 0.000_001}).generator(1, 10, 3)
    ops = simulate(generator, concurrency=10, completion=imperfect, ops_max=20_000)
    invoked = [op for op in ops if op.type == Type.INVOKE]
    added = [op.value for op in invoked if op.f == "add"]
    assert added == list(range(len(added)))
    reads = [op.time_ns for op in invoked if op.f == "read"]
    assert len(reads) > 5
    assert min(b - a for a, b in pairwise(reads)) >= 1000


def test_at_the_end_each_node_is_read_through_consensus_and_then_locally() -> None:
    generator = make("set").final_generator(1, 10, 3)
    assert generator is not None
    ops = [op for op in simulate(generator, concurrency=10) if op.type == Type.INVOKE]
    assert [op.value for op in ops] == [None] * 3 + ["local"] * 3
    assert [{op.process for op in ops if op.value == v} for v in (None, "local")] == [{0, 1, 2}] * 2


def test_a_last_read_that_fails_is_tried_again_but_not_for_ever() -> None:
    generator = make("set").final_generator(1, 2, 3)
    assert generator is not None
    ops = simulate(generator, concurrency=2, completion=lambda op, thread, draw: (Type.FAIL, 10))
    assert sum(op.type == Type.INVOKE for op in ops) == 2 * 2 * 10


def test_a_local_read_stands_behind_one_through_consensus() -> None:
    workload, client = make("set"), OneSet()

    async def run() -> None:
        assert await workload.invoke(client, Op(Type.INVOKE, 0, "add", 5)) == 5
        assert await workload.invoke(client, Op(Type.INVOKE, 0, "read")) == (5,)
        assert client.reads == [True]
        assert await workload.invoke(client, Op(Type.INVOKE, 0, "read", "local")) == (5,)
        assert client.reads == [True, True, False]

    asyncio.run(run())


def test_wrong_settings_are_named() -> None:
    with pytest.raises(UsageError, match="'read_every_s' is 0"):
        make("set", {"read_every_s": 0})

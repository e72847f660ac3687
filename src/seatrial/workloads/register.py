"""Registers: read, write and compare-and-set on independent keys; linearizable or not.

Each written value is new to its key, so that a read says which write it saw and the checker can
decide in near-linear time (Gibbons and Korach, "Testing Shared Memories", 1997). A few keys are
alive at a time; after `ops_per_key` ops a key gives way to a fresh one, which bounds what an op of
unknown outcome can reach. Linearizability is local (Herlihy and Wing 1990): each key is judged on
its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from pydantic import Field, model_validator

from seatrial.generator import (
    Body,
    Generator,
    again,
    below,
    concurrent_keys,
    derive,
    each_of,
    each_thread,
    unroll,
)
from seatrial.op import Atom, Op, Value
from seatrial.settings import Settings, parse
from seatrial.target import Client, OpRefused, RegisterClient
from seatrial.verdict import Json

FS = ("read", "write", "cas")
#: A compare-and-set expects one of this many values written last.
EXPECTED_MAX = 2
#: After healing, this many generations of keys are read once more.
RECENT_GENERATIONS = 2

_READ: Body = ("read", None, None)


class RegisterSettings(Settings):
    """`keys`: alive at a time (at most one for each client). Weights are of reads, writes, cas."""

    keys: int = Field(default=3, ge=1)
    ops_per_key: int = Field(default=300, ge=1)
    read_weight: int = Field(default=5, ge=0)
    write_weight: int = Field(default=3, ge=0)
    cas_weight: int = Field(default=2, ge=0)

    @model_validator(mode="after")
    def _does_something(self) -> RegisterSettings:
        if self.read_weight == 0:
            raise ValueError("read_weight 0: without reads nothing can be judged")
        if self.write_weight == 0:
            raise ValueError("write_weight 0: without writes there is nothing to read")
        return self


def _step(settings: RegisterSettings, last: int, drawn: int) -> tuple[Body, int]:
    """The next op on a key whose last written value is `last`, and the last one after it."""
    total = settings.read_weight + settings.write_weight + settings.cas_weight
    pick = below(drawn, total)
    if pick < settings.read_weight:
        return _READ, last
    fresh = last + 1
    if last == 0 or pick < settings.read_weight + settings.write_weight:
        return ("write", fresh, None), fresh
    expected = max(1, last - below(again(drawn), EXPECTED_MAX))
    return ("cas", (expected, fresh), None), fresh


class RegisterWorkload:
    """The workload `register`. It remembers the newest key it was asked for, to read it last."""

    name = "register"
    fs = FS

    def __init__(self, settings: RegisterSettings) -> None:
        self._settings = settings
        self._newest_key = -1

    @property
    def settings(self) -> Mapping[str, Json]:
        """All settings with their values."""
        return self._settings.model_dump()

    def generator(self, seed: int, concurrency: int, nodes: int) -> Generator:
        """The endless ops of the main phase; a group of neighbouring threads shares a key.

        Thread t talks to node t mod nodes, so neighbours are clients of different nodes. Keys are
        0, 1, 2 …; the values of a key 1, 2, 3 ….
        """
        settings = self._settings

        def step(last: int, drawn: int) -> tuple[Body, int]:
            return _step(settings, last, drawn)

        def of_key(key: Atom, visit: int) -> Generator:
            return unroll(step, 0, derive(seed, "register", visit))

        threads_per_key = -(-concurrency // settings.keys)
        return concurrent_keys(threads_per_key, of_key, ops_per_key=settings.ops_per_key)

    def final_generator(self, seed: int, concurrency: int, nodes: int) -> Generator | None:
        """Each thread reads the keys that were alive last, and those before them."""
        recent = RECENT_GENERATIONS * min(self._settings.keys, concurrency)
        keys = range(max(0, self._newest_key + 1 - recent), self._newest_key + 1)
        return each_thread(each_of(("read", None, key) for key in keys))

    async def invoke(self, client: Client, op: Op) -> Value:
        """Do `op` on a `RegisterClient`."""
        registers = cast(RegisterClient, client)
        key = cast(int, op.key)
        if key > self._newest_key:
            self._newest_key = key
        if op.f == "read":
            return await registers.read(key)
        if op.f == "write":
            await registers.write(key, cast(Atom, op.value))
            return op.value
        expected, new = cast(tuple[Atom, Atom], op.value)
        if not await registers.cas(key, expected, new):
            raise OpRefused(f"the value was not {expected}")
        return op.value

    def memory(self) -> Mapping[str, Json]:
        """The newest key."""
        return {"newest_key": self._newest_key}

    def recall(self, memory: Mapping[str, Json]) -> None:
        """Go on from there."""
        self._newest_key = max(self._newest_key, cast(int, memory["newest_key"]))

    def checkers(self) -> Mapping[str, Mapping[str, Json]]:
        """Linearizability of registers with compare-and-set, key by key."""
        return {"linearizable": {"model": "cas-register"}}


def make(settings: Mapping[str, Json]) -> RegisterWorkload:
    """The workload with these settings; raises `UsageError` that lists the known ones."""
    return RegisterWorkload(parse("workload 'register'", RegisterSettings, settings))

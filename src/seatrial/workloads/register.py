"""Registers: read, write and compare-and-set on independent keys; linearizable or not.

Each written value is new to its key, so that a read says which write it saw and the checker can
decide in near-linear time (Gibbons and Korach, "Testing Shared Memories", 1997). A few keys are
alive at a time; after `ops_per_key` ops a key gives way to a fresh one, which bounds what an op of
unknown outcome can reach. Linearizability is local (Herlihy and Wing 1990): each key is judged on
its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, cast

from pydantic import Field, model_validator

from seatrial.generator import PENDING, Context, Generator, Pending
from seatrial.op import Atom, Op, Type, Value
from seatrial.settings import Settings, parse
from seatrial.target import Client, OpRefused, RegisterClient
from seatrial.verdict import Json
from seatrial.workloads.draw import draw, slot_of

FS = ("read", "write", "cas")
#: A compare-and-set expects one of this many values written last.
EXPECTED_MAX = 2
#: After healing, this many generations of keys are read once more.
RECENT_GENERATIONS = 2


class RegisterSettings(Settings):
    """`keys`: alive at a time (at most one for each client). Weights are of reads, writes, cas."""

    keys: int = Field(default=5, ge=1)
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


@dataclass(frozen=True, slots=True)
class _Slot:
    """One living key: how many ops it has had, and the last value that was made for it."""

    key: int
    ops: int = 0
    value: int = 0


@dataclass(frozen=True, slots=True)
class RegisterOps:
    """The endless source: thread groups share a key. Keys are 0, 1, 2 …; so are a key's values."""

    settings: RegisterSettings
    seed: int
    concurrency: int
    slots: tuple[_Slot, ...]
    next_key: int
    n: int = 0

    def op(self, context: Context) -> tuple[Op | Literal[Pending.PENDING] | None, Generator]:
        """The next op, on the key of a free thread drawn at random."""
        free = context.free
        if not free:
            return PENDING, self
        drawn = draw(self.seed, self.n)
        thread = free[drawn % len(free)]
        place = slot_of(thread, len(self.slots), self.concurrency)
        slot = self.slots[place]
        f, value, made = self._choose(slot, drawn >> 16)
        op = Op(Type.INVOKE, context.processes[thread], f, value, slot.key, context.time_ns)
        return op, self._after(place, slot, made)

    def update(self, context: Context, event: Op) -> Generator:
        """It does not look at what happens."""
        return self

    def _choose(self, slot: _Slot, drawn: int) -> tuple[str, Value, int]:
        """The op's `f` and value, and the last value made for the key after it."""
        settings = self.settings
        total = settings.read_weight + settings.write_weight + settings.cas_weight
        pick = drawn % total
        if pick < settings.read_weight:
            return "read", None, slot.value
        fresh = slot.value + 1
        if pick < settings.read_weight + settings.write_weight or slot.value == 0:
            return "write", fresh, fresh
        expected = max(1, slot.value - (drawn >> 24) % EXPECTED_MAX)
        return "cas", (expected, fresh), fresh

    def _after(self, place: int, slot: _Slot, made: int) -> RegisterOps:
        ops, next_key = slot.ops + 1, self.next_key
        if ops < self.settings.ops_per_key:
            slot = _Slot(slot.key, ops, made)
        else:
            slot, next_key = _Slot(next_key), next_key + 1
        slots = (*self.slots[:place], slot, *self.slots[place + 1 :])
        return replace(self, slots=slots, next_key=next_key, n=self.n + 1)


@dataclass(frozen=True, slots=True)
class _LastReads:
    """Each thread reads each of `keys` once, in its own time."""

    keys: tuple[int, ...]
    done: Mapping[int, int]

    def op(self, context: Context) -> tuple[Op | Literal[Pending.PENDING] | None, Generator]:
        for thread in context.free:
            place = self.done.get(thread, 0)
            if place < len(self.keys):
                key = self.keys[place]
                op = Op(Type.INVOKE, context.processes[thread], "read", None, key, context.time_ns)
                return op, _LastReads(self.keys, {**self.done, thread: place + 1})
        if all(self.done.get(t, 0) >= len(self.keys) for t in context.processes):
            return None, self
        return PENDING, self

    def update(self, context: Context, event: Op) -> Generator:
        return self


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

    def generator(self, seed: int, concurrency: int, nodes: int) -> RegisterOps:
        """The endless ops of the main phase."""
        alive = min(self._settings.keys, concurrency)
        slots = tuple(_Slot(key) for key in range(alive))
        return RegisterOps(self._settings, seed, concurrency, slots, alive)

    def final_generator(self, seed: int, concurrency: int, nodes: int) -> Generator | None:
        """Each thread reads the keys that were alive last, and those before them."""
        recent = RECENT_GENERATIONS * min(self._settings.keys, concurrency)
        keys = range(max(0, self._newest_key + 1 - recent), self._newest_key + 1)
        return _LastReads(tuple(keys), {})

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

    def checkers(self) -> Mapping[str, Mapping[str, Json]]:
        """Linearizability of registers with compare-and-set, key by key."""
        return {"linearizable": {"model": "cas-register"}}


def make(settings: Mapping[str, Json]) -> RegisterWorkload:
    """The workload with these settings; raises `UsageError` that lists the known ones."""
    return RegisterWorkload(parse("workload 'register'", RegisterSettings, settings))

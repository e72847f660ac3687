"""Transactions that append to and read lists (Kingsbury and Alvaro, "Elle", VLDB 2020).

Each element is new to its list, so a read tells which appends it saw and in which order; from that
the checker infers the dependencies between transactions. A few lists are alive at a time; one that
has had `appends_per_key` appends gives way to a fresh one, which keeps reads short.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from pydantic import Field, model_validator

from seatrial.generator import (
    Body,
    Context,
    Generator,
    again,
    below,
    derive,
    each_of,
    each_thread,
    unfold,
)
from seatrial.op import Atom, Op, Value
from seatrial.settings import Settings, parse
from seatrial.target import Client, TransactionClient
from seatrial.verdict import Json

FS = ("txn",)
#: After healing, this many generations of lists are read once more.
RECENT_GENERATIONS = 2

MicroOp = tuple[str, Atom, Value]


class AppendSettings(Settings):
    """`keys`: lists alive at a time. Weights are of the micro-ops read and append."""

    keys: int = Field(default=5, ge=1)
    appends_per_key: int = Field(default=50, ge=1)
    micro_ops_min: int = Field(default=1, ge=1)
    micro_ops_max: int = Field(default=4, ge=1, le=60)
    read_weight: int = Field(default=1, ge=1)
    append_weight: int = Field(default=1, ge=1)

    @model_validator(mode="after")
    def _min_is_not_above_max(self) -> AppendSettings:
        if self.micro_ops_min > self.micro_ops_max:
            raise ValueError(
                f"micro_ops_min {self.micro_ops_min} is above micro_ops_max {self.micro_ops_max}"
            )
        return self


Pool = tuple[tuple[int, ...], tuple[int, ...], int]
"""The living lists' keys, how many appends each has had, and the next fresh key."""


def _step(settings: AppendSettings, pool: Pool, drawn: int) -> tuple[Body, Pool]:
    """The next transaction and the pool after it."""
    keys, appends, fresh = list(pool[0]), list(pool[1]), pool[2]
    length = settings.micro_ops_min + below(
        drawn, settings.micro_ops_max - settings.micro_ops_min + 1
    )
    micro_ops: list[MicroOp] = []
    for _ in range(length):
        drawn = again(drawn)
        place = below(drawn, len(keys))
        drawn = again(drawn)
        if below(drawn, settings.read_weight + settings.append_weight) < settings.read_weight:
            micro_ops.append(("r", keys[place], None))
            continue
        appends[place] += 1
        micro_ops.append(("append", keys[place], appends[place]))
        if appends[place] >= settings.appends_per_key:
            keys[place], appends[place], fresh = fresh, 0, fresh + 1
    return ("txn", tuple(micro_ops), None), (tuple(keys), tuple(appends), fresh)


class AppendWorkload:
    """The workload `append`. It remembers the newest list it was asked for, to read it last."""

    name = "append"
    fs = FS

    def __init__(self, settings: AppendSettings) -> None:
        self._settings = settings
        self._newest_key = -1

    @property
    def settings(self) -> Mapping[str, Json]:
        """All settings with their values."""
        return self._settings.model_dump()

    def generator(self, seed: int, concurrency: int, nodes: int) -> Generator:
        """The endless transactions of the main phase; keys are 0, 1, 2 …, elements 1, 2, 3 …."""
        settings = self._settings

        def step(pool: Pool, drawn: int, context: Context) -> tuple[Body, Pool]:
            return _step(settings, pool, drawn)

        alive = settings.keys
        pool: Pool = (tuple(range(alive)), (0,) * alive, alive)
        return unfold(step, pool, derive(seed, "append"))

    def final_generator(self, seed: int, concurrency: int, nodes: int) -> Generator | None:
        """Each thread reads the lists that were alive last, and those before them.

        A list that nobody reads after its last append proves nothing about that append.
        """
        alive = self._settings.keys
        newest = max(self._newest_key, alive - 1)
        keys = range(max(0, newest + 1 - RECENT_GENERATIONS * alive), newest + 1)
        return each_thread(each_of(("txn", (("r", key, None),), None) for key in keys))

    async def invoke(self, client: Client, op: Op) -> Value:
        """Do `op` on a `TransactionClient`."""
        micro_ops = cast(Sequence[MicroOp], op.value)
        for _, key, _ in micro_ops:
            self._newest_key = max(self._newest_key, cast(int, key))
        return await cast(TransactionClient, client).transact(micro_ops)

    def memory(self) -> Mapping[str, Json]:
        """The newest key."""
        return {"newest_key": self._newest_key}

    def recall(self, memory: Mapping[str, Json]) -> None:
        """Go on from there."""
        self._newest_key = max(self._newest_key, cast(int, memory["newest_key"]))

    def checkers(self) -> Mapping[str, Mapping[str, Json]]:
        """Strict serializability, which one etcd transaction after another promises."""
        return {"list-append": {"consistency_model": "strict-serializable"}}


def make(settings: Mapping[str, Json]) -> AppendWorkload:
    """The workload with these settings; raises `UsageError` that lists the known ones."""
    return AppendWorkload(parse("workload 'append'", AppendSettings, settings))

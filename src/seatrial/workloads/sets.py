"""A grow-only set: add unique elements, read them now and then, and from every node at the end.

The last reads are taken twice from each node. First through consensus. Then from the node's own
copy, behind a read through consensus on the same node: what that one had seen, the copy must hold,
so the local read is as linearizable as the other, and it shows what this very replica kept. Both
are ops `read`; the local one is invoked with the value `local`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, cast

from pydantic import Field

from seatrial.generator import (
    Body,
    Context,
    Generator,
    any_of,
    constant,
    delay,
    each_thread,
    limit,
    on_threads,
    phases,
    unfold,
    until_ok,
)
from seatrial.op import Op, Value
from seatrial.settings import Settings, parse
from seatrial.target import Client, SetClient
from seatrial.verdict import Json

FS = ("add", "read")
#: The value of the invocation of a read from the node's own copy.
LOCAL: Final = "local"
#: How often a last read is tried, and the pause before the next try.
LAST_READS_MAX = 10
LAST_READ_GAP_S = 0.5


class SetSettings(Settings):
    """`read_every_s`: the least time between two reads while elements are added.

    A read carries the whole set, so many reads of a big set slow the rest down.
    """

    read_every_s: float = Field(default=1.0, gt=0)


class SetWorkload:
    """The workload `set`."""

    name = "set"
    fs = FS

    def __init__(self, settings: SetSettings) -> None:
        self._settings = settings

    @property
    def settings(self) -> Mapping[str, Json]:
        """All settings with their values."""
        return self._settings.model_dump()

    def generator(self, seed: int, concurrency: int, nodes: int) -> Generator:
        """Adds of 0, 1, 2 … without end, and a read now and then."""
        reads = delay(self._settings.read_every_s, constant("read"))
        return any_of(reads, unfold(_next_add, 0))

    def final_generator(self, seed: int, concurrency: int, nodes: int) -> Generator | None:
        """One client of each node reads through consensus, then from the node's own copy."""
        return phases(*(_last_read(value, nodes) for value in (None, LOCAL)))

    async def invoke(self, client: Client, op: Op) -> Value:
        """Do `op` on a `SetClient`."""
        elements = cast(SetClient, client)
        if op.f == "add":
            await elements.add(cast(int, op.value))
            return op.value
        seen = await elements.read_set(linearizable=True)
        if op.value == LOCAL:
            seen = await elements.read_set(linearizable=False)
        return seen

    def checkers(self) -> Mapping[str, Mapping[str, Json]]:
        """Nothing lost, nothing from nowhere; no stale read."""
        return {"set-full": {"consistency_model": "linearizable"}, "set": {}}


def _next_add(element: int, drawn: int, context: Context) -> tuple[Body, int]:
    return ("add", element, None), element + 1


def _last_read(value: Value, nodes: int) -> Generator:
    """The first `nodes` threads, each a client of another node, read until it has worked."""
    tries = limit(LAST_READS_MAX, delay(LAST_READ_GAP_S, until_ok(constant("read", value))))
    return on_threads(lambda thread: thread < nodes, each_thread(tries))


def make(settings: Mapping[str, Json]) -> SetWorkload:
    """The workload with these settings; raises `UsageError` that lists the known ones."""
    return SetWorkload(parse("workload 'set'", SetSettings, settings))

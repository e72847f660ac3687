"""The contract of a workload: a generator, how an op is done, and what must hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from seatrial.generator import Generator
from seatrial.op import Op, Value
from seatrial.target import Client
from seatrial.verdict import Json


class Workload(Protocol):
    """What is asked of a target. Made from its settings (JSON) by the table in `workloads`."""

    @property
    def name(self) -> str:
        """The name in the catalogue."""
        ...

    @property
    def settings(self) -> Mapping[str, Json]:
        """All settings with their values, for the plan."""
        ...

    @property
    def fs(self) -> tuple[str, ...]:
        """The `f` of every op it generates in its main phase."""
        ...

    def generator(self, seed: int, concurrency: int, nodes: int) -> Generator:
        """The ops of the main phase: endless; the engine limits rate and time."""
        ...

    def final_generator(self, seed: int, concurrency: int, nodes: int) -> Generator | None:
        """The reads after healing and quiescing; None if there are none.

        Thread t talks to node t mod nodes.
        """
        ...

    async def invoke(self, client: Client, op: Op) -> Value:
        """Do `op`; the value of its `ok` completion. Raises `OpFailed` or `OpUnknown`."""
        ...

    def checkers(self) -> Mapping[str, Mapping[str, Json]]:
        """Names of the checkers that judge it, each with its options (`CheckOptions` fields)."""
        ...


@runtime_checkable
class Remembering(Protocol):
    """A workload whose final reads depend on what it was asked for before.

    Where main load and final reads are separate processes, the memory goes from one to the other.
    """

    def memory(self) -> Mapping[str, Json]:
        """What the final reads must know."""
        ...

    def recall(self, memory: Mapping[str, Json]) -> None:
        """Go on as if this had been the workload that `memory` is from."""
        ...

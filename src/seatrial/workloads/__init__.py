"""The catalogue of workloads: what is asked of a target."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import cast

from seatrial.catalogue import Catalogue, Entry
from seatrial.verdict import Json
from seatrial.workload import Workload

#: Each entry is a factory: settings (JSON, missing ones get their default) → `Workload`.
WORKLOADS = Catalogue(
    "workload",
    {
        "register": Entry(
            "read, write and compare-and-set on independent keys, linearizable",
            "seatrial.workloads.register:make",
        ),
        "append": Entry(
            "transactions that append to and read lists", "seatrial.workloads.append:make"
        ),
        "set": Entry("add elements, read them all from every node", "seatrial.workloads.sets:make"),
        "bank": Entry(
            "transfers between accounts, and reads of all of them", "seatrial.workloads.bank:make"
        ),
        "replicas": Entry(
            "write much, then compare what each node holds", "seatrial.workloads.replicas:make"
        ),
    },
)


def make(name: str, settings: Mapping[str, Json] | None = None) -> Workload:
    """The workload called `name`; unknown settings are a `UsageError` that lists the known."""
    factory = cast(Callable[[Mapping[str, Json]], Workload], WORKLOADS[name].load())
    return factory(settings or {})

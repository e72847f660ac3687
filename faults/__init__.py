"""The catalogue of faults: each one a Chaos Mesh manifest and its equal in the lab."""

from __future__ import annotations

from typing import cast

from seatrial.catalogue import Catalogue, Entry
from seatrial.fault import FaultKind

#: Each entry is a `FaultKind`.
FAULTS = Catalogue(
    "fault",
    {
        "kill": Entry("SIGKILL a node's process, then start it again", "seatrial.faults.kill:KILL"),
        "pause": Entry("SIGSTOP a node's process, then SIGCONT", "seatrial.faults.pause:PAUSE"),
        "partition": Entry(
            "cut links between nodes: isolate, halves, majorities ring, bridge, one direction",
            "seatrial.faults.partition:PARTITION",
        ),
        "failure": Entry(
            "SIGTERM a node's process, down for the duration", "seatrial.faults.failure:FAILURE"
        ),
        "container-kill": Entry(
            "SIGKILL a node's process, which is started again at once",
            "seatrial.faults.container_kill:CONTAINER_KILL",
        ),
        "rolling-restart": Entry(
            "restart one node after another, in an orderly way",
            "seatrial.faults.rolling_restart:ROLLING_RESTART",
        ),
    },
)


def kind(name: str) -> FaultKind:
    """The kind of fault called `name`; raises `UnknownName` with a suggestion."""
    return cast(FaultKind, FAULTS[name].load())

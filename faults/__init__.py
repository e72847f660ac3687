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
        "delay": Entry(
            "packets come later, evenly or with jitter", "seatrial.faults.network:DELAY"
        ),
        "loss": Entry("a share of the packets is lost", "seatrial.faults.network:LOSS"),
        "duplicate": Entry("a share comes twice", "seatrial.faults.network:DUPLICATE"),
        "corrupt": Entry("a bit is flipped in a share", "seatrial.faults.network:CORRUPT"),
        "reorder": Entry("a share overtakes the others", "seatrial.faults.network:REORDER"),
        "rate": Entry("a thin line, with a queue", "seatrial.faults.network:RATE"),
        "bandwidth": Entry("a token bucket", "seatrial.faults.network:BANDWIDTH"),
    },
)


def kind(name: str) -> FaultKind:
    """The kind of fault called `name`; raises `UnknownName` with a suggestion."""
    return cast(FaultKind, FAULTS[name].load())

"""TimeChaos: a container's clocks are off.

Chaos Mesh replaces the clock functions of the container's first process and its children; a
program that asks the kernel directly does not notice. Prove the effect on the node.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from seatrial.faults.chaos.containers import ContainerAction
from seatrial.faults.chaos.units import At, Offset, listed, milliseconds

Clock = Literal[
    "CLOCK_REALTIME",
    "CLOCK_MONOTONIC",
    "CLOCK_PROCESS_CPUTIME_ID",
    "CLOCK_THREAD_CPUTIME_ID",
    "CLOCK_MONOTONIC_RAW",
    "CLOCK_REALTIME_COARSE",
    "CLOCK_MONOTONIC_COARSE",
    "CLOCK_BOOTTIME",
    "CLOCK_REALTIME_ALARM",
    "CLOCK_BOOTTIME_ALARM",
]


class ClockOffset(ContainerAction):
    """Clocks are ahead (or behind, with a negative offset)."""

    kind: ClassVar[str] = "TimeChaos"
    action: ClassVar[str] = ""
    called: ClassVar[str] = "offset"
    summary: ClassVar[str] = "put clocks ahead or behind"

    offset_ms: Annotated[Offset, At("timeOffset", milliseconds)] = Field(
        description="by how much; negative: behind"
    )
    clock_ids: Annotated[
        Annotated[tuple[Clock, ...], Field(min_length=1)], At("clockIds", listed)
    ] = Field(default=("CLOCK_REALTIME",), description="which clocks")


ACTIONS = (ClockOffset,)

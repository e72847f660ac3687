"""BlockChaos: a block device is slow. Needs Chaos Mesh's kernel module."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from seatrial.faults.chaos.containers import ContainerAction
from seatrial.faults.chaos.units import (
    At,
    Correlation,
    Jitter,
    Milliseconds,
    Text,
    decimal,
    milliseconds,
)


class Delay(ContainerAction):
    """Requests to the device take longer."""

    kind: ClassVar[str] = "BlockChaos"
    action: ClassVar[str] = "delay"
    summary: ClassVar[str] = "make requests to a block device take longer"

    volume_name: Annotated[Text, At("volumeName")] = Field(description="the pod's volume")
    latency_ms: Annotated[Milliseconds, At("delay.latency", milliseconds)] = Field(
        description="how much longer"
    )
    jitter_ms: Annotated[Jitter, At("delay.jitter", milliseconds)] = Field(
        default=0, description="the delay varies by up to so much"
    )
    correlation: Annotated[Correlation, At("delay.correlation", decimal)] = Field(
        default=0, description="percent by which a delay follows the one before"
    )


ACTIONS = (Delay,)

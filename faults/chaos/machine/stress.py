"""Processor and memory of a machine."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from seatrial.faults.chaos.machine.action import MachineAction
from seatrial.faults.chaos.units import (
    At,
    Count,
    Texts,
    WholePercent,
    Workers,
    in_mib,
    listed,
)


class StressCpu(MachineAction):
    """Processor time is taken."""

    action: ClassVar[str] = "stress-cpu"
    section: ClassVar[str] = "stress-cpu"
    summary: ClassVar[str] = "take a machine's processor time"

    workers: Annotated[Workers, At(".workers")] = 1
    load_percent: Annotated[WholePercent, At(".load")] = Field(
        default=100, description="of one processor, by each worker"
    )
    options: Annotated[Texts, At(".options", listed)] = Field(
        default=(), description="more options of stress-ng"
    )


class StressMemory(MachineAction):
    """Memory is taken."""

    action: ClassVar[str] = "stress-mem"
    section: ClassVar[str] = "stress-mem"
    summary: ClassVar[str] = "take a machine's memory"

    size_mib: Annotated[Count, At(".size", in_mib)]
    options: Annotated[Texts, At(".options", listed)] = Field(
        default=(), description="more options"
    )


ACTIONS = (StressCpu, StressMemory)

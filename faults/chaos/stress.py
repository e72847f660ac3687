"""StressChaos: something else takes the processor or the memory.

`stressng` takes the arguments of stress-ng as they are; Chaos Mesh ignores everything else then.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator

from seatrial.errors import UsageError
from seatrial.faults.chaos.containers import ContainerAction
from seatrial.faults.chaos.units import (
    At,
    Positive,
    Text,
    Texts,
    WholePercent,
    Workers,
    as_percent,
    in_bytes,
    listed,
)


class StressAction(ContainerAction):
    """What StressChaos actions share: the kind, which has no field `action`."""

    kind: ClassVar[str] = "StressChaos"
    action: ClassVar[str] = ""


class Cpu(StressAction):
    """Workers that do nothing but compute."""

    called: ClassVar[str] = "cpu"
    summary: ClassVar[str] = "take processor time"
    section: ClassVar[str] = "stressors.cpu"

    workers: Annotated[Workers, At(".workers")] = Field(default=1, description="how many")
    load_percent: Annotated[WholePercent, At(".load")] = Field(
        default=100, description="of one processor, by each worker"
    )
    options: Annotated[Texts, At(".options", listed)] = Field(
        default=(), description="more options of stress-ng"
    )


class Memory(StressAction):
    """Workers that hold memory."""

    called: ClassVar[str] = "memory"
    summary: ClassVar[str] = "take memory"
    section: ClassVar[str] = "stressors.memory"

    workers: Annotated[Workers, At(".workers")] = Field(default=1, description="how many")
    size_bytes: Annotated[Positive | None, At(".size", in_bytes)] = Field(
        default=None, description="by each worker; this or size_percent"
    )
    size_percent: Annotated[WholePercent | None, At("stressors.memory.size", as_percent)] = Field(
        default=None, description="of all memory, by each worker; this or size_bytes"
    )
    oom_score_adj: Annotated[
        Annotated[int, Field(ge=-1000, le=1000, strict=True)], At(".oomScoreAdj")
    ] = Field(default=0, description="how gladly the kernel kills a worker when memory is short")
    options: Annotated[Texts, At(".options", listed)] = Field(
        default=(), description="more options"
    )

    @model_validator(mode="after")
    def _one_size(self) -> Self:
        if (self.size_bytes is None) == (self.size_percent is None):
            raise UsageError(
                f"{self.title()}: size_bytes (was {self.size_bytes}) or size_percent "
                f"(was {self.size_percent})\n\nhint: give one of the two"
            )
        return self


class StressNg(StressAction):
    """Whatever stress-ng can do."""

    called: ClassVar[str] = "stressng"
    summary: ClassVar[str] = "run stress-ng with arguments of its own"

    stressors: Annotated[Text, At("stressngStressors")] = Field(
        description="arguments of stress-ng: `--matrix 1 --timeout 60`"
    )


ACTIONS = (Cpu, Memory, StressNg)

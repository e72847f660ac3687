"""Actions inside containers: all that can name which of a pod's containers they mean."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from seatrial.faults.chaos.action import Action
from seatrial.faults.chaos.units import At, Texts, listed


class ContainerAction(Action):
    """An action in named containers."""

    container_names: Annotated[Texts, At("containerNames", listed)] = Field(
        default=(), description="which containers; none named: the pod's first"
    )

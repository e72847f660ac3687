"""What all PhysicalMachineChaos actions share."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from seatrial.faults.chaos.action import Action, Scope
from seatrial.faults.chaos.units import At, Text


class MachineAction(Action):
    """An action that chaosd carries out; its settings stand in a section of the action's name."""

    kind: ClassVar[str] = "PhysicalMachineChaos"
    scope: ClassVar[Scope] = "machines"

    uid: Annotated[Text | None, At("uid")] = Field(
        default=None, description="the experiment's id at chaosd; none: made up"
    )

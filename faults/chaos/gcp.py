"""GCPChaos: a virtual machine stops or restarts, disks go away. Credentials lie in a secret."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from seatrial.faults.chaos.action import Action, Scope
from seatrial.faults.chaos.units import At, Names, Text, listed


class GcpAction(Action):
    """What GCPChaos actions share: which machine, and how to get at it."""

    kind: ClassVar[str] = "GCPChaos"
    scope: ClassVar[Scope] = "cloud"

    project: Annotated[Text, At("project")]
    zone: Annotated[Text, At("zone")]
    instance: Annotated[Text, At("instance")]
    secret_name: Annotated[Text | None, At("secretName")] = Field(
        default=None, description="the secret with the credentials"
    )


class NodeStop(GcpAction):
    """The machine is stopped for the duration."""

    action: ClassVar[str] = "node-stop"
    summary: ClassVar[str] = "stop a virtual machine for the duration"


class NodeReset(GcpAction):
    """The machine is reset."""

    action: ClassVar[str] = "node-reset"
    summary: ClassVar[str] = "reset a virtual machine"
    one_shot: ClassVar[bool] = True


class DiskLoss(GcpAction):
    """Disks are taken from the machine for the duration."""

    action: ClassVar[str] = "disk-loss"
    summary: ClassVar[str] = "take disks from a virtual machine for the duration"

    device_names: Annotated[Names, At("deviceNames", listed)]


ACTIONS = (NodeStop, NodeReset, DiskLoss)

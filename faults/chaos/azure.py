"""AzureChaos: a virtual machine stops or restarts, a disk goes away. Credentials in a secret."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from seatrial.faults.chaos.action import Action, Scope
from seatrial.faults.chaos.units import At, Text


class AzureAction(Action):
    """What AzureChaos actions share: which machine, and how to get at it."""

    kind: ClassVar[str] = "AzureChaos"
    scope: ClassVar[Scope] = "cloud"

    subscription_id: Annotated[Text, At("subscriptionID")]
    resource_group: Annotated[Text, At("resourceGroupName")]
    vm_name: Annotated[Text, At("vmName")]
    secret_name: Annotated[Text | None, At("secretName")] = Field(
        default=None, description="the secret with the credentials"
    )


class VmStop(AzureAction):
    """The machine is stopped for the duration."""

    action: ClassVar[str] = "vm-stop"
    summary: ClassVar[str] = "stop a virtual machine for the duration"


class VmRestart(AzureAction):
    """The machine is restarted."""

    action: ClassVar[str] = "vm-restart"
    summary: ClassVar[str] = "restart a virtual machine"
    one_shot: ClassVar[bool] = True


class DiskDetach(AzureAction):
    """A disk is taken from the machine for the duration."""

    action: ClassVar[str] = "disk-detach"
    summary: ClassVar[str] = "take a disk from a virtual machine for the duration"

    disk_name: Annotated[Text, At("diskName")]
    lun: Annotated[Annotated[int, Field(ge=0, le=63, strict=True)], At("lun")] = Field(
        description="the disk's logical unit number"
    )


ACTIONS = (VmStop, VmRestart, DiskDetach)

"""AWSChaos: a virtual machine stops or restarts, a disk goes away. Credentials lie in a secret."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from seatrial.faults.chaos.action import Action, Scope
from seatrial.faults.chaos.units import At, Text


class AwsAction(Action):
    """What AWSChaos actions share: which machine, and how to get at it."""

    kind: ClassVar[str] = "AWSChaos"
    scope: ClassVar[Scope] = "cloud"

    region: Annotated[Text, At("awsRegion")]
    instance_id: Annotated[Text, At("ec2Instance")]
    secret_name: Annotated[Text | None, At("secretName")] = Field(
        default=None, description="the secret with the credentials"
    )
    endpoint: Annotated[Text | None, At("endpoint")] = Field(
        default=None, description="another server than Amazon's, for tests"
    )


class Ec2Stop(AwsAction):
    """The machine is stopped for the duration."""

    action: ClassVar[str] = "ec2-stop"
    summary: ClassVar[str] = "stop a virtual machine for the duration"


class Ec2Restart(AwsAction):
    """The machine is restarted."""

    action: ClassVar[str] = "ec2-restart"
    summary: ClassVar[str] = "restart a virtual machine"
    one_shot: ClassVar[bool] = True


class DetachVolume(AwsAction):
    """A disk is taken from the machine for the duration."""

    action: ClassVar[str] = "detach-volume"
    summary: ClassVar[str] = "take a disk from a virtual machine for the duration"

    volume_id: Annotated[Text, At("volumeID")]
    device_name: Annotated[Text, At("deviceName")] = Field(description="`/dev/sdf`")


ACTIONS = (Ec2Stop, Ec2Restart, DetachVolume)

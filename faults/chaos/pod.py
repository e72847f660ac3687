"""PodChaos: pods and containers go away.

`pod-kill` and `container-kill` are over at once: Chaos Mesh leaves such an object "injected" for
ever and its `duration` means nothing. `pod-failure` swaps the images for one that only waits.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from seatrial.faults.chaos.action import Action
from seatrial.faults.chaos.units import At, Int64, Names, listed


class PodAction(Action):
    """What PodChaos actions share: the kind."""

    kind: ClassVar[str] = "PodChaos"


class PodKill(PodAction):
    """Pods are deleted; what owns them makes new ones."""

    action: ClassVar[str] = "pod-kill"
    summary: ClassVar[str] = "delete the pods"
    one_shot: ClassVar[bool] = True

    grace_period_s: Annotated[Int64, At("gracePeriod")] = Field(
        default=0, description="whole seconds that a pod is given to end by itself"
    )


class PodFailure(PodAction):
    """Pods are down for the duration."""

    action: ClassVar[str] = "pod-failure"
    summary: ClassVar[str] = "keep the pods down for the duration"


class ContainerKill(PodAction):
    """Containers are killed; the kubelet starts them again."""

    action: ClassVar[str] = "container-kill"
    summary: ClassVar[str] = "kill containers of the pods"
    one_shot: ClassVar[bool] = True

    container_names: Annotated[Names, At("containerNames", listed)] = Field(
        description="which containers; Chaos Mesh wants them named"
    )


ACTIONS = (PodKill, PodFailure, ContainerKill)

"""Which faults cannot act beside each other on a cluster: one makes anew what the other acts on.

Chaos Mesh fixes what it acts on when it selects. What acts in a container (disk, processor, memory)
ends with the container; what acts on a pod's network ends with the pod, and so do rules that name
a pod's address on its peers. In the lab it is not so: there a node's links, disk and resources are
the sandbox's own, and outlive its process.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, Literal

from seatrial.fault import CLUSTER
from seatrial.verdict import Json

#: Two faults, by what they are (`what`) → where they cannot be together: on one victim, or at all.
Clash = Callable[[str, str], Literal["", "victim", "anywhere"]]

#: Of the kind `pod`, the action that has pods made anew; its others only end containers.
POD_KILL: Final = "pod-kill"
#: After these, other pods have the victims' names.
NEW_PODS: Final = (
    *("rolling-restart", "upgrade", "downgrade", "member-change"),
    *(POD_KILL, "aws", "gcp", "azure"),
)
#: After these, the victims' containers are others.
NEW_CONTAINERS: Final = (*NEW_PODS, "kill", "failure", "container-kill", "pod")
#: These act in a container. (Others of Chaos Mesh's own touch the process, as those above do.)
IN_CONTAINERS: Final = ("io-latency", "io-error", "stress-cpu", "stress-memory")
#: These act in the victims' network alone.
IN_NETWORKS: Final = ("dns", "http")
#: These act on links, both ends of which are fixed.
ON_LINKS: Final = (
    *("partition", "delay", "loss", "duplicate", "corrupt", "reorder", "rate", "bandwidth"),
    "network",
)


def what(kind: str, options: Mapping[str, Json]) -> str:
    """What a fault is for `Clash`: its kind, or the action of `pod` that is more."""
    return POD_KILL if kind == "pod" and options.get("action") == POD_KILL else kind


def on_cluster(one: str, other: str) -> Literal["", "victim", "anywhere"]:
    """The clash of two faults on a cluster."""
    for ends, acts in ((one, other), (other, one)):
        if ends in NEW_PODS and acts in ON_LINKS:
            return "anywhere"  # peers are all other nodes, unless somebody chose them
        if ends in NEW_PODS and acts in IN_NETWORKS:
            return "victim"
        if ends in NEW_CONTAINERS and acts in IN_CONTAINERS:
            return "victim"
    return ""


def nowhere(one: str, other: str) -> Literal["", "victim", "anywhere"]:
    """Nothing clashes but faults of one touch, for which nobody needs to ask here."""
    return ""


def clash(isolation: str) -> Clash:
    """The clash of faults in a lab of that isolation, or on a cluster (`CLUSTER`)."""
    return on_cluster if isolation == CLUSTER else nowhere

"""All actions there are, by kind, under the names that faults go by on the command line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from seatrial.errors import UnknownName, UsageError
from seatrial.faults.chaos import (
    aws,
    azure,
    block,
    dns,
    gcp,
    http,
    io,
    jvm,
    kernel,
    machine,
    network,
    pod,
    stress,
    time,
)
from seatrial.faults.chaos.action import Action
from seatrial.verdict import Json


@dataclass(frozen=True, slots=True)
class Family:
    """The actions of one Chaos Mesh kind. `needs` is what it wants of a cluster, in words."""

    name: str
    actions: Sequence[type[Action]]
    needs: str

    @property
    def kind(self) -> str:
        """The Chaos Mesh kind."""
        return self.actions[0].kind

    def read(self, options: Mapping[str, Json]) -> Action:
        """The action that `options` ask for: `action` names it, the rest are its fields.

        A family of one needs no `action`. Raises `UsageError`.
        """
        named = {each.short(): each for each in self.actions}
        fields = dict(options)
        wanted = fields.pop("action", next(iter(named)) if len(named) == 1 else None)
        if wanted is None:
            raise UsageError(
                f"{self.name}: option 'action' is missing\n\nhint: one of {', '.join(named)}"
            )
        if not isinstance(wanted, str) or wanted not in named:
            raise UnknownName(f"action of {self.name}", str(wanted), named)
        return named[wanted].model_validate(fields)


_CLOUD = "credentials in a secret"
FAMILIES: Mapping[str, Family] = {
    family.name: family
    for family in (
        Family("pod", pod.ACTIONS, "pods"),
        Family("network", network.ACTIONS, "pods that are not on their host's network"),
        Family("io", io.ACTIONS, "pods with a mounted volume"),
        Family("stress", stress.ACTIONS, "pods"),
        Family("time", time.ACTIONS, "pods"),
        Family("dns", dns.ACTIONS, "pods that ask Chaos Mesh's DNS server"),
        Family("http", http.ACTIONS, "pods that speak HTTP"),
        Family("jvm", jvm.ACTIONS, "pods that run Java"),
        Family("kernel", kernel.ACTIONS, "a node of its own with CONFIG_BPF_KPROBE_OVERRIDE"),
        Family("block", block.ACTIONS, "nodes with Chaos Mesh's kernel module"),
        Family("machine", machine.ACTIONS, "machines on which chaosd serves"),
        Family("aws", aws.ACTIONS, f"virtual machines of AWS and {_CLOUD}"),
        Family("gcp", gcp.ACTIONS, f"virtual machines of GCP and {_CLOUD}"),
        Family("azure", azure.ACTIONS, f"virtual machines of Azure and {_CLOUD}"),
    )
}
"""Every Chaos Mesh kind that injures, by its short name."""


def actions() -> list[type[Action]]:
    """Every action, in the catalogue's order."""
    return [action for family in FAMILIES.values() for action in family.actions]

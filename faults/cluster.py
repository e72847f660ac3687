"""Chaos Mesh as it is: every kind and action, on a cluster only.

What the lab can do has a kind of its own in this shelf (`kill`, `delay`, …), with the same meaning
on both engines. These kinds give the rest: names that do not resolve, broken HTTP, Java, kernels,
virtual machines. Their options are the action's fields, `action` says which.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from seatrial.errors import SeatrialError, Unavailable
from seatrial.fault import CLUSTER, PlannedFault, Proof, World
from seatrial.faults import FAULTS
from seatrial.faults.chaos import MachineVictims, Victims, experiment, machines, pods
from seatrial.faults.chaos.catalogue import FAMILIES
from seatrial.verdict import Json


@dataclass(frozen=True, slots=True)
class ClusterOnly:
    """`seatrial.fault.FaultKind` for one Chaos Mesh kind.

    `instead` are kinds near it that the lab may have.
    """

    name: str
    touches: str
    instead: tuple[str, ...] = ()

    def unavailable(self, isolation: str, nodes: Sequence[str], options: Mapping[str, Json]) -> str:
        """Not in the lab; on a cluster, what is wrong with the options."""
        if isolation != CLUSTER:
            return self._why()
        try:
            FAMILIES[self.name].read(options)
        except SeatrialError as error:
            return str(error)
        return ""

    def _why(self) -> str:
        family = FAMILIES[self.name]
        there = [name for name in self.instead if name in FAULTS]
        near = f"in the lab use {', '.join(there)}; " if there else ""
        return (
            f"{self.name} is {family.kind} of Chaos Mesh, which acts on a Kubernetes cluster only "
            f"(it needs {family.needs})\n\nhint: {near}on a cluster: --engine argo"
        )

    async def inject(self, world: World, fault: PlannedFault, victims: Sequence[str]) -> None:
        """Always raises: a world of this machine cannot."""
        raise Unavailable(self._why())

    async def heal(self, world: World, fault: PlannedFault, victims: Sequence[str]) -> None:
        """Nothing was broken here."""

    async def prove_injected(
        self, world: World, fault: PlannedFault, victims: Sequence[str]
    ) -> Proof:
        """Nothing was measured here."""
        return Proof(False, self._why())

    async def prove_healed(
        self, world: World, fault: PlannedFault, victims: Sequence[str]
    ) -> Proof:
        """Nothing was measured here."""
        return Proof(False, self._why())

    def manifest(
        self, fault: PlannedFault, victims: Sequence[str], nodes: Sequence[str], namespace: str
    ) -> dict[str, Json]:
        """The object that the options ask for, on the victims.

        A cloud's action names its instance itself; a machine's victims are PhysicalMachine objects.
        """
        action = FAMILIES[self.name].read(fault.options)
        on: Victims | MachineVictims | None = None
        if action.scope == "pods":
            on = pods(namespace, victims)
        elif action.scope == "machines":
            on = machines(namespace, victims)
        return experiment(fault, namespace, action, on).manifest()


POD = ClusterOnly("pod", "process", ("kill", "failure", "container-kill"))
NETWORK = ClusterOnly(
    "network",
    "network",
    ("partition", "delay", "loss", "duplicate", "corrupt", "reorder", "rate", "bandwidth"),
)
IO = ClusterOnly("io", "process", ("io-latency", "io-error", "disk-full", "lost-writes"))
STRESS = ClusterOnly("stress", "process", ("stress-cpu", "stress-memory"))
TIME = ClusterOnly("time", "process", ("clock",))
DNS = ClusterOnly("dns", "network")
HTTP = ClusterOnly("http", "network")
JVM = ClusterOnly("jvm", "process")
KERNEL = ClusterOnly("kernel", "process")
BLOCK = ClusterOnly("block", "process")
MACHINE = ClusterOnly("machine", "process")
AWS = ClusterOnly("aws", "process")
GCP = ClusterOnly("gcp", "process")
AZURE = ClusterOnly("azure", "process")

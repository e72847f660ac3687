"""Chaos Mesh 2.8 as data: every kind and action a frozen, checked value that renders to a manifest.

An *action* (`network.Delay(latency_ms=50)`) holds the settings of an injury, units in the names.
*Victims* (`pods("trials", ["n1"])`, or a `Selector` with a mode) say on whom. An `Experiment`
joins both with a name and a duration; its `manifest()` is the object. Whatever is misspelt, out
of bounds or does not belong together raises `UsageError` as soon as the value is made.

    from seatrial.faults.chaos import experiment, network, pods

    def manifest(self, fault, victims, nodes, namespace):
        action = network.Delay(latency_ms=50, jitter_ms=10, direction="both",
                               target=pods(namespace, peers))
        return experiment(fault, namespace, action, pods(namespace, victims)).manifest()

Names that stay: `experiment`, `workflow`, `Experiment`, `Action`, `Victims`, `MachineVictims`,
`Selector`, `MachineSelector`, `Expression`, `pods`, `machines`, and one module a kind with a class
an action (`pod`, `network`, `io`, `stress`, `time`, `dns`, `http`, `jvm`, `kernel`, `block`,
`machine`, `aws`, `gcp`, `azure`). `catalogue` lists all actions, `examples` has one of each.
"""

from __future__ import annotations

from seatrial.faults.chaos.action import Action
from seatrial.faults.chaos.experiment import (
    API_VERSION,
    Experiment,
    envelope,
    experiment,
    object_labels,
    object_name,
    workflow,
)
from seatrial.faults.chaos.selector import (
    Expression,
    MachineSelector,
    MachineVictims,
    Selector,
    Victims,
    machines,
    pods,
)

__all__ = [
    "API_VERSION",
    "Action",
    "Experiment",
    "Expression",
    "MachineSelector",
    "MachineVictims",
    "Selector",
    "Victims",
    "envelope",
    "experiment",
    "machines",
    "object_labels",
    "object_name",
    "pods",
    "workflow",
]

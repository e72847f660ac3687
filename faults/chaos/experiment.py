"""A whole Chaos Mesh object (chaos-mesh.org/v1alpha1): an action, on whom, for how long."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Annotated

from pydantic import Field, InstanceOf, model_validator

from seatrial.errors import UsageError
from seatrial.fault import PlannedFault
from seatrial.faults.chaos.action import Action, put
from seatrial.faults.chaos.data import Data
from seatrial.faults.chaos.selector import MachineVictims, Victims
from seatrial.faults.chaos.units import seconds
from seatrial.verdict import Json

API_VERSION = "chaos-mesh.org/v1alpha1"
_NAME_MAX = 63
#: Fields of a Workflow's template that are not their kind with a small first letter.
_FIELDS = {
    "PhysicalMachineChaos": "physicalmachineChaos",
    "AWSChaos": "awsChaos",
    "GCPChaos": "gcpChaos",
    "DNSChaos": "dnsChaos",
    "HTTPChaos": "httpChaos",
    "IOChaos": "ioChaos",
    "JVMChaos": "jvmChaos",
}
_NEEDS = {"pods": Victims, "machines": MachineVictims}


class Experiment(Data):
    """One object, checked whole: `manifest()` is what a cluster is given.

    `on` is who it acts on; none for an action whose fields say so themselves (a cloud's instance,
    a machine's address). `duration_s` always ends the injury (a dead man's switch: the cluster
    ends it even if nobody is left to do so). Every object has one; to an action that is over at
    once (`one_shot`: a pod is killed) it means nothing.
    """

    name: str = Field(max_length=_NAME_MAX, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
    namespace: str = Field(min_length=1)
    action: InstanceOf[Action]
    on: InstanceOf[Victims] | InstanceOf[MachineVictims] | None = None
    duration_s: Annotated[float, Field(ge=0.001, strict=True)]
    remote_cluster: Annotated[str, Field(min_length=1)] | None = None
    labels: Mapping[str, str] = {}

    @model_validator(mode="after")
    def _victims_fit(self) -> Experiment:
        title, scope = self.action.title(), self.action.scope
        if scope == "cloud" and self.on is not None:
            raise UsageError(
                f"{title} names what it acts on in its own fields, 'on' must be empty\n\n"
                "hint: leave 'on' out"
            )
        if scope != "cloud" and not isinstance(self.on, _NEEDS[scope]):
            raise UsageError(
                f"{title} acts on {scope}, 'on' was {self.on!r}\n\n"
                f"hint: use {scope}(namespace, names)"
            )
        return self

    def manifest(self) -> dict[str, Json]:
        """The object, as JSON. O(size)."""
        return envelope(self.action.kind, self.name, self.namespace, self.spec(), self.labels)

    def spec(self) -> dict[str, Json]:
        """The object's `spec` alone."""
        return self.template() | {"duration": seconds(self.duration_s)}

    def template(self) -> dict[str, Json]:
        """The `spec` inside a Workflow, whose template has a `deadline` instead of a `duration`."""
        spec = self.action.spec()
        again = self.action.duration_at
        if again is not None:
            put(spec, again.path, again.write(self.duration_s))
        if self.on is not None:
            spec |= self.on.to_json()
        if self.remote_cluster is not None:
            spec["remoteCluster"] = self.remote_cluster
        return spec


def envelope(
    kind: str, name: str, namespace: str, spec: Mapping[str, Json], labels: Mapping[str, str]
) -> dict[str, Json]:
    """An object of any Chaos Mesh kind around its `spec`."""
    return {
        "apiVersion": API_VERSION,
        "kind": kind,
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": {"app.kubernetes.io/managed-by": "seatrial", **labels},
        },
        "spec": dict(spec),
    }


def object_name(fault: PlannedFault) -> str:
    """The fault's id as the name of an object (RFC 1123 label)."""
    name = re.sub(r"[^a-z0-9]+", "-", fault.id.lower()).strip("-")[:_NAME_MAX].rstrip("-")
    if not name:
        raise UsageError(f"fault id {fault.id!r} has no letter or digit to name an object by")
    return name


def object_labels(fault: PlannedFault) -> dict[str, str]:
    """What a fault's objects are found by."""
    return {"seatrial/fault": object_name(fault), "seatrial/kind": fault.kind}


def experiment(
    fault: PlannedFault, namespace: str, action: Action, on: Victims | MachineVictims | None
) -> Experiment:
    """The object for a fault of a plan: named and labelled after it, for its duration."""
    return Experiment(
        name=object_name(fault),
        namespace=namespace,
        action=action,
        on=on,
        duration_s=fault.duration_s,
        labels=object_labels(fault),
    )


def workflow(fault: PlannedFault, namespace: str, parts: Sequence[Experiment]) -> dict[str, Json]:
    """One object (a Chaos Mesh Workflow) that does several things at once, for the duration.

    A template may have no `duration` of its own (the webhook refuses it): it has a `deadline`.
    """
    deadline = seconds(fault.duration_s)
    names = [f"{part.action.short()}-{number}" for number, part in enumerate(parts, 1)]
    templates: list[Json] = [
        {"name": "all", "templateType": "Parallel", "deadline": deadline, "children": [*names]}
    ]
    for name, part in zip(names, parts, strict=True):
        kind = part.action.kind
        templates.append(
            {
                "name": name,
                "templateType": kind,
                "deadline": deadline,
                _FIELDS.get(kind, kind[0].lower() + kind[1:]): part.template(),
            }
        )
    spec: dict[str, Json] = {"entry": "all", "templates": templates}
    return envelope("Workflow", object_name(fault), namespace, spec, object_labels(fault))

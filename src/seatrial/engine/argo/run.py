"""Who a step belongs to on a cluster: the Workflow, its namespace, its label on all objects.

The workflow tells each of its pods in environment variables (`seatrial.workflows.pods`).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from seatrial.engine.argo.api import Object
from seatrial.errors import UsageError
from seatrial.verdict import Json

#: On every object of a run, so that teardown and reaper select by it.
RUN_LABEL: Final = "seatrial/run"
MANAGED_BY: Final = {"app.kubernetes.io/managed-by": "seatrial"}
NAME_MAX: Final = 63
_OWNER = "argoproj.io/v1alpha1"


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a Workflow. `pod_address` is where others reach this pod."""

    name: str
    namespace: str
    owner_name: str = ""
    owner_uid: str = ""
    pod_name: str = ""
    pod_address: str = ""

    @property
    def labels(self) -> dict[str, str]:
        """What all objects of the run carry."""
        return {**MANAGED_BY, RUN_LABEL: self.name}

    def object_name(self, what: str) -> str:
        """A name for an object of this run; what makes runs differ stands at their names' end."""
        return f"{self.name}-{what}"[-NAME_MAX:].lstrip("-")

    def owned(self, body: Mapping[str, Json]) -> Object:
        """An object as this run makes it: labelled, and collected with its Workflow."""
        made: Object = {**body}
        metadata: Object = {**made.get("metadata", {})}
        metadata["namespace"] = self.namespace
        metadata["labels"] = {**metadata.get("labels", {}), **self.labels}
        if self.owner_uid:
            # Not blocking: that would need a right on the Workflow's finalizers.
            metadata["ownerReferences"] = [
                {
                    "apiVersion": _OWNER,
                    "kind": "Workflow",
                    "name": self.owner_name,
                    "uid": self.owner_uid,
                }
            ]
        return {**made, "metadata": metadata}


def of_environment(environment: Mapping[str, str] | None = None) -> Run:
    """The run that this pod belongs to; raises `UsageError` outside of one."""
    found = os.environ if environment is None else environment
    missing = [name for name in ("SEATRIAL_RUN", "SEATRIAL_NAMESPACE") if not found.get(name)]
    if missing:
        raise UsageError(
            f"a step of engine argo runs in a pod of a Workflow, and {' and '.join(missing)} "
            "is not set\n\nhint: seatrial submit CASE"
        )
    return Run(
        name=found["SEATRIAL_RUN"],
        namespace=found["SEATRIAL_NAMESPACE"],
        owner_name=found.get("SEATRIAL_OWNER_NAME", ""),
        owner_uid=found.get("SEATRIAL_OWNER_UID", ""),
        pod_name=found.get("SEATRIAL_POD_NAME", ""),
        pod_address=found.get("SEATRIAL_POD_IP", ""),
    )

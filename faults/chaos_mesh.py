"""Pieces of Chaos Mesh objects (chaos-mesh.org/v1alpha1) that all kinds of faults need."""

from __future__ import annotations

import re
from collections.abc import Sequence

from seatrial.errors import UsageError
from seatrial.fault import PlannedFault
from seatrial.verdict import Json

API_VERSION = "chaos-mesh.org/v1alpha1"
#: Where a node's data volume is mounted in its container.
VOLUME_PATH = "/var/lib/seatrial"
#: Our names of what a disk does → those of IOChaos (FUSE's own).
IO_METHODS = {
    "read": ("read",),
    "write": ("write",),
    "fsync": ("fsync", "fsyncdir"),
    "create": ("create", "mkdir", "mknod"),
    "remove": ("unlink", "rmdir"),
    "rename": ("rename",),
}
_NAME_MAX = 63


def experiment(
    kind: str, fault: PlannedFault, namespace: str, spec: dict[str, Json]
) -> dict[str, Json]:
    """A whole object of `kind` around its `spec`, named and labelled after the fault."""
    name = re.sub(r"[^a-z0-9]+", "-", fault.id.lower()).strip("-")[:_NAME_MAX].rstrip("-")
    if not name:
        raise UsageError(f"fault id {fault.id!r} has no letter or digit to name an object by")
    labels: dict[str, Json] = {
        "app.kubernetes.io/managed-by": "seatrial",
        "seatrial/fault": name,
        "seatrial/kind": fault.kind,
    }
    return {
        "apiVersion": API_VERSION,
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": spec,
    }


def pods(namespace: str, names: Sequence[str]) -> dict[str, Json]:
    """`mode` and `selector` that mean exactly these pods."""
    chosen: list[Json] = [*sorted(names)]
    return {"mode": "all", "selector": {"pods": {namespace: chosen}}}


def duration(fault: PlannedFault) -> str:
    """The fault's length, to the millisecond, as Go's `time.ParseDuration` reads it."""
    return f"{round(fault.duration_s * 1000)}ms"


def disk(
    fault: PlannedFault,
    namespace: str,
    victims: Sequence[str],
    methods: Sequence[str],
    percent: float,
) -> dict[str, Json]:
    """What every IOChaos needs: whom, where, which calls, how often, how long."""
    calls: list[Json] = [call for method in methods for call in IO_METHODS[method]]
    return {
        "volumePath": VOLUME_PATH,
        "path": f"{VOLUME_PATH}/**/*",
        "methods": calls,
        "percent": max(1, round(percent)),
        "duration": duration(fault),
        **pods(namespace, victims),
    }

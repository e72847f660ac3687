"""Pods as the API tells of them: what a fault did to a node, seen from outside of Chaos Mesh."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from seatrial.engine.argo import paths
from seatrial.engine.argo.api import Api, ApiError, Object
from seatrial.verdict import Json

#: A log that is brought home has so many lines at the most.
LOG_LINES = 100_000


@dataclass(frozen=True, slots=True)
class PodState:
    """One pod at a moment. `uid` changes when it is made anew, `restarts` counts containers'.

    `runs` and `node_restarts` are of the container of the node, where it is known which that is;
    else of the pod. Images are what the pod is to run, not what it runs.
    """

    name: str
    uid: str
    phase: str
    ready: bool
    restarts: int
    address: str
    machine: str
    going: bool
    images: tuple[str, ...]
    runs: bool
    node_restarts: int

    def to_json(self) -> dict[str, Json]:
        """As evidence keeps it."""
        return {**asdict(self), "images": [*self.images]}


def state(found: Object, node: str = "") -> PodState:
    """What a pod's object says; `node` is the container of the node, "" if that is not known."""
    metadata, spec = found["metadata"], found.get("spec") or {}
    status = found.get("status") or {}
    containers = status.get("containerStatuses") or ()
    said = {one["type"]: one["status"] for one in status.get("conditions") or ()}
    ready = said.get("Ready") == "True"
    restarts = sum(int(one.get("restartCount", 0)) for one in containers)
    own = next((one for one in containers if node and one["name"] == node), None)
    return PodState(
        name=str(metadata["name"]),
        uid=str(metadata.get("uid", "")),
        phase=str(status.get("phase", "")),
        ready=ready and "deletionTimestamp" not in metadata,
        restarts=restarts,
        address=str(status.get("podIP", "")),
        machine=str(spec.get("nodeName", "")),
        going="deletionTimestamp" in metadata,
        images=tuple(str(one.get("image", "")) for one in spec.get("containers") or ()),
        runs=ready if own is None else "running" in (own.get("state") or {}),
        node_restarts=restarts if own is None else int(own.get("restartCount", 0)),
    )


async def read(api: Api, namespace: str, name: str, node: str = "") -> PodState | None:
    """A pod now, None if there is none of that name; `node` is the container of the node."""
    found = await api.find(f"{paths.pods(namespace)}/{name}")
    return None if found is None else state(found, node)


async def await_ready(api: Api, namespace: str, name: str, timeout_s: float) -> PodState:
    """Wait until a pod is ready; raises `TimedOut`."""

    def good(found: Object | None) -> PodState | None:
        seen = None if found is None else state(found)
        return seen if seen is not None and seen.ready else None

    return await api.until(paths.pods(namespace), name, good, timeout_s)


def changes(before: PodState | None, now: PodState | None) -> tuple[str, ...]:
    """What happened to the node in a pod between two moments, in words.

    Not that the pod is told to run other images, or to go: those are the fault's own word, and the
    node lives on until the kubelet has ended its container.
    """
    if before is None:
        return ()
    if now is None:
        return ("the pod is gone",)
    if now.uid != before.uid:
        return ("another pod has its name",)
    found = []
    if now.node_restarts > before.node_restarts:
        found.append(f"it was started {now.node_restarts - before.node_restarts} times more")
    if before.runs and not now.runs:
        found.append("it does not run any more")
    return tuple(found)


async def logs(api: Api, namespace: str, name: str) -> Mapping[str, bytes]:
    """The logs of a pod's containers, by `POD.CONTAINER.log`; of those that have one."""
    found = await api.find(f"{paths.pods(namespace)}/{name}")
    brought = {}
    for one in ((found or {}).get("status") or {}).get("containerStatuses") or ():
        for previous in ("false", "true"):
            if previous == "true" and not one.get("restartCount"):
                continue
            params = {
                "container": one["name"],
                "previous": previous,
                "timestamps": "true",
                "tailLines": str(LOG_LINES),
            }
            suffix = ".previous" if previous == "true" else ""
            try:
                text = await api.text(f"{paths.pods(namespace)}/{name}/log", params)
            except ApiError:
                continue  # a container that never started has no log
            brought[f"{name}.{one['name']}{suffix}.log"] = text
    return brought

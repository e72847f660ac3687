"""Where the nodes of a cluster that somebody else made are: its pods, looked up by their labels.

Pods are sorted by name, numbers as numbers (`db-2` before `db-10`), and must be as many as the
trial has nodes. An endpoint belongs to the pod that has its name or address: who answers there
must be the one that is broken when its role is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from seatrial.engine.argo import paths
from seatrial.engine.argo.api import Api, ApiError, Object
from seatrial.errors import Unavailable
from seatrial.target import Placement

#: Pods that have ended are no nodes (a Job's, one that was evicted).
ENDED = ("Succeeded", "Failed")
#: How many names a message tells.
TOLD_MAX = 7


@dataclass(frozen=True, slots=True)
class Found:
    """A pod as the selector found it: its name, where clients reach it, its containers."""

    name: str
    #: The name that lasts (a StatefulSet's pod has one), "" if it has none.
    host: str
    addresses: tuple[str, ...]
    containers: tuple[str, ...]

    def answers_at(self, host: str) -> bool:
        """Whether an endpoint's host is this pod's."""
        return host in self.addresses or host.partition(".")[0] == self.name


async def settle(api: Api, place: Placement, nodes: Sequence[str]) -> Placement:
    """`place` with the pods that its selector finds now; itself where it needs none.

    Raises `Unavailable`: other than so many pods, an endpoint that belongs to none of them, a
    container that they do not have.
    """
    if not place.selector:
        return place
    there = await find(api, place)
    if len(there) != len(nodes):
        raise Unavailable(
            f"selector {place.selector!r} finds {_told(there)} in {place.namespace}, the trial has "
            f"{len(nodes)} nodes\n\nhint: "
            + (f"--nodes {len(there)}, or another --selector" if there else "kubectl get pods -l")
        )
    without = [pod.name for pod in there if place.container not in ("", *pod.containers)]
    if without:
        raise Unavailable(
            f"{', '.join(without)}: no container {place.container!r}\n\n"
            f"hint: there is {', '.join(there[0].containers)}"
        )
    return _named(place, dict(zip(nodes, there, strict=True)))


async def settle_if_there(api: Api, place: Placement, nodes: Sequence[str]) -> Placement:
    """The same for those who clear up: without what cannot be found, and never raising for it."""
    if not place.selector:
        return place
    try:
        there = await find(api, place)
    except ApiError:
        there = []
    return _named(place, dict(zip(nodes, there, strict=False)), strictly=False)


async def find(api: Api, place: Placement) -> list[Found]:
    """The pods of the selector that live, sorted by name."""
    objects = await api.items(paths.pods(place.namespace), place.selector)
    live = [one for one in objects if (one.get("status") or {}).get("phase") not in ENDED]
    return sorted((_found(one, place.namespace) for one in live), key=lambda pod: _key(pod.name))


def _found(body: Object, namespace: str) -> Found:
    spec, status = body.get("spec") or {}, body.get("status") or {}
    name = str(body["metadata"]["name"])
    domain = spec.get("subdomain")
    host = f"{spec.get('hostname') or name}.{domain}.{namespace}.svc" if domain else ""
    listed = [str(one.get("ip", "")) for one in status.get("podIPs") or ()]
    listed += [str(status.get("podIP", ""))]
    return Found(
        name=name,
        host=host,
        addresses=tuple(filter(None, listed)),
        containers=tuple(str(one["name"]) for one in spec.get("containers") or ()),
    )


def _key(name: str) -> tuple[tuple[int, int, str], ...]:
    """Numbers in a name count as numbers."""
    return tuple(
        (0, int(part), "") if part.isdigit() else (1, 0, part)
        for part in re.split(r"([0-9]+)", name)
        if part
    )


def _named(place: Placement, pods: Mapping[str, Found], *, strictly: bool = True) -> Placement:
    addresses, ports = dict(place.addresses), dict(place.node_ports)
    if not place.apart:
        given = {n: (a, place.node_ports.get(n)) for n, a in place.addresses.items() if a}
        for node, pod in pods.items():
            addresses[node] = pod.host
            ports.pop(node, None)
        if given:
            _match(pods, given, addresses, ports, strictly=strictly)
    return replace(
        place,
        pods={node: pod.name for node, pod in pods.items()},
        addresses=addresses,
        node_ports=ports,
    )


def _match(
    pods: Mapping[str, Found],
    given: Mapping[str, tuple[str, Mapping[str, int] | None]],
    addresses: dict[str, str],
    ports: dict[str, Mapping[str, int]],
    *,
    strictly: bool,
) -> None:
    """Give each endpoint to the node whose pod it is."""
    strangers = []
    for host, numbers in given.values():
        owners = [node for node, pod in pods.items() if pod.answers_at(host)]
        if len(owners) != 1:
            strangers.append(host)
            continue
        addresses[owners[0]] = host
        if numbers is not None:
            ports[owners[0]] = numbers
    if strangers and strictly:
        raise Unavailable(
            f"{', '.join(strangers)}: an endpoint of none of {_told([*pods.values()])}, so nobody "
            "knows which pod answers there\n\nhint: endpoints by the pods' names or addresses, or "
            "the target's setting kubernetes.running.nodes, which says each pod's address"
        )


def _told(pods: Sequence[Found]) -> str:
    names = ", ".join(pod.name for pod in pods[:TOLD_MAX])
    more = f" and {len(pods) - TOLD_MAX} more" if len(pods) > TOLD_MAX else ""
    return f"{len(pods)} pod{'' if len(pods) == 1 else 's'}" + (f" ({names}{more})" if pods else "")

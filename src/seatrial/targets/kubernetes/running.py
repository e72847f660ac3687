"""A cluster that somebody else made: where its nodes are, said by the user; never changed for it.

Three ways to say it. A *selector* names the pods by their labels: they are looked up when the
trial begins, sorted by name, and must be as many as the trial has nodes. A list of *nodes* names
each pod. *Endpoints* alone name where clients reach the nodes and nothing else: such a cluster may
be outside of Kubernetes, can be loaded and judged, and cannot be broken.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Self

from pydantic import Field, StringConstraints, field_validator, model_validator

from seatrial.errors import UsageError
from seatrial.settings import Settings
from seatrial.target import Placement

Name = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", max_length=253)
]
Namespace = Annotated[
    str, StringConstraints(pattern=r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?)?$", max_length=63)
]
PORT_MAX = 65535
#: `HOST:PORT`; a host with colons (IPv6) stands in brackets.
ENDPOINT = re.compile(r"(?:\[(?P<v6>[0-9a-fA-F:.]+)\]|(?P<host>[A-Za-z0-9._-]+)):(?P<port>[0-9]+)")
_LABEL = r"([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?"
_VALUE = r"([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?"
_REQUIREMENT = (
    rf"\s*({_LABEL}\s*(=|==|!=)\s*{_VALUE}|!?{_LABEL}|{_LABEL}\s+(not)?in\s*\([^()]+\))\s*"
)
#: What `kubectl -l` takes: requirements with commas between them.
SELECTOR = re.compile(rf"{_REQUIREMENT}(,{_REQUIREMENT})*")


class RunningNode(Settings):
    """A node of a cluster that runs: its pod, and where clients reach it ("": the pod's own)."""

    pod: Name
    address: str = ""


class Running(Settings):
    """A cluster that runs already.

    `selector` (labels as `kubectl -l` takes them) or `nodes` (in the order of the trial's n1,
    n2, …) say which pods of `namespace` the nodes are; neither: only `endpoints` are known.
    `endpoints` are `HOST:PORT`, one a node: in the order of `nodes`, or matched with the pods that
    the selector finds by name or address. `ports` are those inside of the pods, where they are not
    the target's usual ones. `container` (in each pod, with a shell) and `process` are what commands
    need, so faults that send signals and those whose effect is measured inside of the pod. `volume`
    is where a node's data is mounted, `node` the container of the database ("": the pod's first).
    """

    namespace: Namespace = ""
    selector: str = ""
    nodes: tuple[RunningNode, ...] = ()
    endpoints: tuple[str, ...] = ()
    ports: Mapping[str, Annotated[int, Field(ge=1, le=PORT_MAX)]] = {}
    container: str = ""
    process: str = ""
    volume: str = Field(default="", pattern="^(/.*)?$")
    node: str = ""

    @field_validator("selector")
    @classmethod
    def _labels(cls, selector: str) -> str:
        if selector and SELECTOR.fullmatch(selector) is None:
            raise ValueError(
                "no selector of labels (app=etcd; app.kubernetes.io/name=etcd,tier!=test; "
                "app in (a, b))"
            )
        return selector

    @field_validator("endpoints")
    @classmethod
    def _addresses(cls, endpoints: tuple[str, ...]) -> tuple[str, ...]:
        for text in endpoints:
            endpoint(text)
        double = sorted({text for text in endpoints if endpoints.count(text) > 1})
        if double:
            raise ValueError(f"{', '.join(double)} stands there twice: one endpoint a node")
        return endpoints

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.selector and self.nodes:
            raise ValueError("selector and nodes both say which pods: give one of them")
        if not (self.selector or self.nodes or self.endpoints):
            raise ValueError("nothing says where the cluster is: give a selector, or endpoints")
        if (self.selector or self.nodes) and not self.namespace:
            raise ValueError("the pods' namespace is missing (--target-namespace)")
        return self

    @property
    def has_pods(self) -> bool:
        """Whether its nodes are known pods, so that they can be broken."""
        return bool(self.selector or self.nodes)


def endpoint(text: str) -> tuple[str, int]:
    """Host and port; raises `ValueError`."""
    found = ENDPOINT.fullmatch(text)
    if found is None or not 1 <= int(found["port"]) <= PORT_MAX:
        raise ValueError(f"{text!r} is no endpoint: HOST:PORT, or [ADDRESS]:PORT for IPv6")
    return found["v6"] or found["host"], int(found["port"])


def found(
    running: Running, nodes: Sequence[str], ports: Mapping[str, int], *, apart: bool = False
) -> Placement:
    """Where the nodes of a running cluster are; its pods are looked up later, by the selector.

    `ports` are the target's usual ones, the clients' first. `apart`: clients speak to others than
    the nodes (SQL servers before a store), so that endpoints belong to no pod of the trial.
    Raises `UsageError` if it has another size.
    """
    _check_size(running, nodes, apart=apart)
    if apart and not running.endpoints:
        raise UsageError(
            "clients of this target speak to other pods than those that are broken, and where they "
            "are is not said\n\nhint: --endpoints HOST:PORT[,HOST:PORT…]"
        )
    inside = {**ports, **running.ports}
    reached = [endpoint(text) for text in running.endpoints]
    if apart:
        reached = [reached[number % len(reached)] for number in range(len(nodes))]
    client = next(iter(ports), "")
    given = {
        name: {**inside, client: port} for name, (_, port) in zip(nodes, reached, strict=False)
    }
    hosts = {name: host for name, (host, _) in zip(nodes, reached, strict=False)}
    named = dict(zip(nodes, running.nodes, strict=False))
    return Placement(
        namespace=running.namespace,
        pods={name: node.pod for name, node in named.items()},
        addresses={
            name: hosts.get(name) or (named[name].address if name in named else "")
            for name in nodes
        },
        ports=inside,
        container=running.container,
        process=running.process,
        node_ports=given,
        selector=running.selector,
        apart=apart,
        volume=running.volume,
        node=running.node,
    )


def _check_size(running: Running, nodes: Sequence[str], *, apart: bool) -> None:
    sizes = {"nodes": len(running.nodes), "endpoints": 0 if apart else len(running.endpoints)}
    for what, size in sizes.items():
        if size and size != len(nodes):
            raise UsageError(
                f"the running cluster has {size} {what}, the trial {len(nodes)} nodes\n\n"
                f"hint: --nodes {size}"
            )

"""Targets on Kubernetes: objects rendered with Jinja2 from typed values, or a cluster that runs.

A template gets only checked values, each written as JSON, so that no value can become structure.
Nothing here talks to a cluster: `place` says where the nodes will be, an engine makes them.
No template has a liveness probe: a node that is paused or cut off must be judged as it is, not
restarted behind the trial's back.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Annotated, Any, cast

import jinja2
import yaml
from pydantic import Field, StringConstraints

from seatrial.settings import Settings
from seatrial.target import Placement
from seatrial.targets.kubernetes.running import Running, RunningNode, found
from seatrial.verdict import Json

__all__ = ["OnKubernetes", "Running", "RunningNode", "found", "render", "stateful", "stem"]

#: A StatefulSet's name is in a label of its pods together with a hash of eleven characters.
NAME_MAX = 40
HASH_CHARS = 8
#: In every pod that we make: the database, and a shell beside it that sees its processes.
NODE, PROBE = "node", "probe"
#: Where a template mounts a node's data, in the container `node`.
VOLUMES = {"etcd": "/seatrial/data", "mariadb-galera": "/var/lib/mysql"}
#: Image of the container `probe`; it needs a shell, and Python with seatrial in it.
PROBE_IMAGE = "ghcr.io/seatrial/seatrial:0.1.0"

Quantity = Annotated[str, StringConstraints(pattern=r"^[0-9]+(\.[0-9]+)?(m|k|Ki|M|Mi|G|Gi|T|Ti)?$")]
Image = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9][-a-zA-Z0-9_./:@]*$")]


class OnKubernetes(Settings):
    """Values of every template.

    `storage` is the size of a node's volume; "" is a folder that goes with the pod, with which a
    deleted pod has lost what it acknowledged. `storage_class` "" is the cluster's default.
    `running` uses a cluster that is there instead of making one.
    """

    image: Image
    storage: Quantity | Annotated[str, StringConstraints(pattern="^$")] = "1Gi"
    storage_class: str = Field(default="", pattern=r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?)?$")
    cpu: Quantity = "250m"
    memory: Quantity = "512Mi"
    probe_image: Image = PROBE_IMAGE
    running: Running | None = None


def stem(run: str, target: str) -> str:
    """A name for what a run makes: it begins with the run's, and fits where names must be short."""
    whole = f"{run}-{target}"
    if len(whole) <= NAME_MAX:
        return whole
    digest = hashlib.sha256(whole.encode()).hexdigest()[:HASH_CHARS]
    return f"{whole[: NAME_MAX - HASH_CHARS - 1].rstrip('-')}-{digest}"


def render(template: str, values: Mapping[str, Any]) -> tuple[Mapping[str, Json], ...]:
    """The objects of a template, in order."""
    text = _environment().get_template(f"{template}.yaml.j2").render(dict(values))
    documents = yaml.load_all(text, yaml.CSafeLoader)
    return tuple(cast(Mapping[str, Json], one) for one in documents if one)


def stateful(
    template: str,
    values: OnKubernetes,
    name: str,
    nodes: Sequence[str],
    run: str,
    namespace: str,
    ports: Mapping[str, int],
    process: str,
    more: Mapping[str, Any] | None = None,
) -> Placement:
    """A StatefulSet called `name` with a headless Service; pods have lasting names."""
    pods = {node: f"{name}-{number}" for number, node in enumerate(nodes)}
    hosts = {node: f"{pod}.{name}.{namespace}.svc" for node, pod in pods.items()}
    given = {
        **values.model_dump(exclude={"running"}),
        "name": name,
        "namespace": namespace,
        "run": run,
        "pods": [*pods.values()],
        "hosts": [*hosts.values()],
        "ports": dict(ports),
        **(more or {}),
    }
    return Placement(
        namespace=namespace,
        pods=pods,
        addresses=hosts,
        ports=dict(ports),
        container=PROBE,
        process=process,
        objects=render(template, given),
        volume=VOLUMES.get(template, ""),
        node=NODE,
    )


@cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.PackageLoader("seatrial.targets.kubernetes"),
        undefined=jinja2.StrictUndefined,
        autoescape=False,
        trim_blocks=True,
        lstrip_blocks=True,
    )

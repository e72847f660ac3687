"""Servers that speak MySQL's protocol: the client, its taxonomy of errors, TiDB and Galera."""

from __future__ import annotations

from collections.abc import Mapping

from seatrial.settings import parse
from seatrial.targets.mysql.galera import GaleraTarget
from seatrial.targets.mysql.settings import GaleraSettings, TidbSettings
from seatrial.targets.mysql.tidb import TidbTarget
from seatrial.verdict import Json

__all__ = [
    "GaleraSettings",
    "GaleraTarget",
    "TidbSettings",
    "TidbTarget",
    "make_galera",
    "make_tidb",
]


def make_tidb(settings: Mapping[str, Json]) -> TidbTarget:
    """TiDB with these settings; raises `UsageError` that lists the known ones."""
    return TidbTarget(parse("target 'tidb'", TidbSettings, settings))


def make_galera(settings: Mapping[str, Json]) -> GaleraTarget:
    """Galera with these settings; raises `UsageError` that lists the known ones."""
    return GaleraTarget(parse("target 'mariadb-galera'", GaleraSettings, settings))

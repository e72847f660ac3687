"""Effects on a node's volume that no kind of the shelf has: wrong bytes, wrong attributes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from seatrial.engine.argo.world import DISK_S, ClusterWorld
from seatrial.errors import Unavailable
from seatrial.fault import Proof
from seatrial.faults.chaos import io
from seatrial.faults.io_latency import samples
from seatrial.target import Placement
from seatrial.verdict import Json

Readings = Sequence[Any]


def is_whole_volume(action: io.IoAction, placement: Placement) -> bool:
    """Whether it is on all files of the node's data: elsewhere the probe would look in vain."""
    there = placement.volume.rstrip("/")
    return bool(there) and action.volume_path.rstrip("/") == there and action.path is None


@dataclass(slots=True)
class OnFiles:
    """IOChaos `mistake` and `attrOverride`: a file of the probe's own on the node's volume."""

    victims: Sequence[str]
    action: io.Mistake | io.AttrOverride
    _before: dict[str, Readings] = field(default_factory=dict)

    async def look(self, cluster: ClusterWorld) -> Mapping[str, Json]:
        """Bytes are as they were written, a file looks otherwise; raises `Unavailable` if not."""
        self._before = await self._read(cluster)
        for node, seen in self._before.items():
            if any(self._shows(one) for one in seen) or not self._is_well(seen):
                raise Unavailable(f"{node}: the volume shows it without the fault already: {seen}")
        return {"files": {node: [*seen] for node, seen in self._before.items()}}

    async def acts(self, cluster: ClusterWorld) -> Proof:
        """It shows: each time where it is on all calls, else at least once."""
        now = await self._read(cluster)
        same = []
        for node, seen in now.items():
            count = sum(map(self._shows, seen))
            if count < (max(len(seen), 1) if self.action.percent == 100 else 1):
                same.append(f"{node}: {count} of {len(seen)} tries show it")
        if same or not now:
            return Proof(False, "; ".join(same) or "no victim", _plain(now))
        return Proof(True, f"{', '.join(now)}: {self._said(now)}", _plain(now))

    async def ended(self, cluster: ClusterWorld) -> Proof:
        """It does not show any more."""
        now = await self._read(cluster)
        left = [n for n, seen in now.items() if any(map(self._shows, seen))]
        left += [n for n, seen in now.items() if n not in left and not self._is_well(seen)]
        said = f"{', '.join(left)}: still not as written" if left else "files are as written"
        return Proof(not left, said, _plain(now))

    def _shows(self, one: Any) -> bool:
        if isinstance(self.action, io.Mistake):
            return bool(one[0])
        return all(one[name] == value for name, value in self._wanted().items())

    def _is_well(self, seen: Readings) -> bool:
        return not isinstance(self.action, io.Mistake) or not any(number for _, number in seen)

    def _wanted(self) -> Mapping[str, Any]:
        names = set(io.AttrOverride.model_fields) - set(io.SomeCalls.model_fields)
        given = self.action.model_dump(include=names)
        return {name: value for name, value in given.items() if value is not None}

    def _said(self, now: Mapping[str, Readings]) -> str:
        if isinstance(self.action, io.Mistake):
            return f"{sum(one[0] for seen in now.values() for one in seen)} bytes are wrong"
        return "a new file has " + ", ".join(f"{k} {v}" for k, v in self._wanted().items())

    async def _read(self, cluster: ClusterWorld) -> dict[str, Readings]:
        place, word = cluster.placement, "attributes"
        if isinstance(self.action, io.Mistake):
            word = "verify"
        words = [place.process, place.volume, str(samples(float(self.action.percent))), word]
        found = {}
        for node in self.victims:
            told = await cluster.probe(node, "disk", words, DISK_S)
            if "why" in told:
                raise Unavailable(f"{node}'s disk was not tried: {told['why']}")
            found[node] = told[word]
        return found


def _plain(readings: Mapping[str, Readings]) -> dict[str, Json]:
    return {node: [*seen] for node, seen in readings.items()}

"""What every kind of fault on a cluster takes from the shelf: what it is called, and what it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from seatrial.fault import FaultKind, PlannedFault
from seatrial.verdict import Json


@dataclass(slots=True)
class Shelved:
    """The part of `seatrial.fault.FaultKind` that is the shelf's word, wherever it is done."""

    shelf: FaultKind

    @property
    def name(self) -> str:
        """The name on the command line."""
        return self.shelf.name

    @property
    def touches(self) -> str:
        """What it acts on."""
        return self.shelf.touches

    def unavailable(self, isolation: str, nodes: Sequence[str], options: Mapping[str, Json]) -> str:
        """Why it cannot be, "" if it can."""
        return self.shelf.unavailable(isolation, nodes, options)

    def manifest(
        self, fault: PlannedFault, victims: Sequence[str], nodes: Sequence[str], namespace: str
    ) -> dict[str, Json]:
        """Its object of Chaos Mesh; raises where there is none."""
        return self.shelf.manifest(fault, victims, nodes, namespace)

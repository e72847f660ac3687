"""Chaos Mesh objects from plain specs, for kinds whose spec is not a value of `faults.chaos`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from seatrial.fault import PlannedFault
from seatrial.faults import chaos
from seatrial.faults.chaos.units import seconds
from seatrial.verdict import Json


def experiment(
    kind: str, fault: PlannedFault, namespace: str, spec: Mapping[str, Json]
) -> dict[str, Json]:
    """A whole object of `kind` around its `spec`, named and labelled after the fault."""
    labels = chaos.object_labels(fault)
    return chaos.envelope(kind, chaos.object_name(fault), namespace, spec, labels)


def pods(namespace: str, names: Sequence[str]) -> dict[str, Json]:
    """`mode` and `selector` that mean exactly these pods."""
    return chaos.pods(namespace, names).to_json()


def duration(fault: PlannedFault) -> str:
    """The fault's length, to the millisecond, as Go's `time.ParseDuration` reads it."""
    return str(seconds(fault.duration_s))

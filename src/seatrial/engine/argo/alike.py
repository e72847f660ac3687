"""Faults that are Chaos Mesh's own by name, as the faults of the shelf that mean the same.

`network` with the action `loss` is what `loss` does, so it is measured by the same proof. Where
the shelf has nothing alike, or its options do not reach so far, the answer is None.
"""

from __future__ import annotations

import errno
from collections.abc import Mapping, Sequence
from typing import Any, Final

from seatrial.errors import SeatrialError
from seatrial.fault import CLUSTER, PlannedFault
from seatrial.faults import FAULTS
from seatrial.faults import kind as kind_of
from seatrial.faults.chaos import block, io, network, stress, time
from seatrial.faults.chaos.action import Action
from seatrial.faults.chaos.selector import Victims
from seatrial.faults.volume import CALLS
from seatrial.target import Placement

Options = dict[str, Any]
#: A part of a fault: the kind of the shelf and its options.
Part = tuple[str, Options]

_NETEM: Final[Mapping[str, tuple[str, Mapping[str, str]]]] = {
    "latency_ms": (
        "delay",
        {
            "latency_ms": "latency_ms",
            "jitter_ms": "jitter_ms",
            "delay_correlation": "correlation",
        },
    ),
    "loss_percent": ("loss", {"loss_percent": "percent", "loss_correlation": "correlation"}),
    "duplicate_percent": (
        "duplicate",
        {"duplicate_percent": "percent", "duplicate_correlation": "correlation"},
    ),
    "corrupt_percent": (
        "corrupt",
        {"corrupt_percent": "percent", "corrupt_correlation": "correlation"},
    ),
    "bits_per_s": ("rate", {"bits_per_s": "bits_per_s"}),
}
_PACKETS: Final[Mapping[type[network.NetworkAction], tuple[str, tuple[str, ...]]]] = {
    network.Delay: ("delay", ("latency_ms", "jitter_ms", "correlation")),
    network.Loss: ("loss", ("percent", "correlation")),
    network.Duplicate: ("duplicate", ("percent", "correlation")),
    network.Corrupt: ("corrupt", ("percent", "correlation")),
    network.Reorder: ("reorder", ("latency_ms", "percent", "correlation", "gap")),
    network.Rate: ("rate", ("bits_per_s",)),
    network.Bandwidth: ("bandwidth", ("bits_per_s", "limit_bytes", "buffer_bytes")),
}


def alike(
    fault: PlannedFault, victims: Sequence[str], placement: Placement
) -> tuple[PlannedFault, ...] | None:
    """The faults of the shelf that together mean the same; None where there are none."""
    if FAULTS[fault.kind].only != "cluster":
        return None
    from seatrial.faults.chaos.catalogue import FAMILIES  # all kinds: not for a plan without any

    action = FAMILIES[fault.kind].read(fault.options)
    parts = _parts(action, victims, placement)
    if not parts:
        return None
    made = tuple(
        fault.model_copy(update={"id": f"{fault.id}/{k}", "kind": k, "options": o})
        for k, o in parts
    )
    nodes = tuple(placement.pods)
    try:
        wrong = [kind_of(one.kind).unavailable(CLUSTER, nodes, one.options) for one in made]
    except SeatrialError:
        return None
    return None if any(wrong) else made


def _parts(action: Action, victims: Sequence[str], placement: Placement) -> list[Part]:
    if isinstance(action, network.NetworkAction):
        return _of_network(action, victims, placement)
    if isinstance(action, io.Latency | io.Fault):
        return _of_io(action, placement)
    if isinstance(action, stress.Cpu):
        load = float(action.load_percent)
        return [("stress-cpu", {"workers": action.workers, "load_percent": load})]
    if isinstance(action, stress.Memory) and action.size_bytes is not None:
        return [("stress-memory", {"workers": action.workers, "size_bytes": action.size_bytes})]
    if isinstance(action, time.ClockOffset) and "CLOCK_REALTIME" in action.clock_ids:
        return [("clock", {"offset_ms": float(action.offset_ms)})]
    if isinstance(action, block.Delay):
        late: Options = {"latency_ms": float(action.latency_ms), "methods": ["write"]}
        return [("io-latency", {**late, "jitter_ms": float(action.jitter_ms)})]
    return []


def _of_network(
    action: network.NetworkAction, victims: Sequence[str], placement: Placement
) -> list[Part]:
    peers = _peers(action.target, placement)
    if peers is None or action.external_targets or action.device or action.target_device:
        return []
    if isinstance(action, network.Partition):
        whole = {"to": "one-way-out", "from": "one-way-in", "both": "isolate"}
        alone = len(victims) == 1 and set(peers) | set(victims) == set(placement.pods)
        return [("partition", {"shape": whole[action.direction]})] if alone else []
    where: Options = {"direction": action.direction, "peers": [*peers]}
    if type(action) in _PACKETS:
        kind, names = _PACKETS[type(action)]
        return [(kind, {**{name: _number(getattr(action, name), name) for name in names}, **where})]
    if isinstance(action, network.Netem) and action.reorder_percent is None:
        return [
            (kind, {**_given(action, names), **where})
            for first, (kind, names) in _NETEM.items()
            if getattr(action, first) is not None
        ]
    return []


def _given(action: Action, names: Mapping[str, str]) -> Options:
    found = {own: getattr(action, theirs) for theirs, own in names.items()}
    return {own: _number(value, own) for own, value in found.items() if value is not None}


def _number(value: Any, name: str) -> Any:
    """Whole numbers stay whole where the shelf wants them so."""
    return value if name in ("bits_per_s", "gap", "limit_bytes", "buffer_bytes") else float(value)


def _peers(target: Victims | None, placement: Placement) -> tuple[str, ...] | None:
    """The nodes on the other side: all, or those whose pods are named; None if nobody can tell."""
    if target is None:
        return tuple(placement.pods)
    named = (target.selector.pods or {}).get(placement.namespace)
    if named is None or target.mode != "all":
        return None
    there = {pod: node for node, pod in placement.pods.items()}
    return tuple(there[pod] for pod in named) if set(named) <= set(there) else None


def _of_io(action: io.Latency | io.Fault, placement: Placement) -> list[Part]:
    """Only of the whole volume of the node: elsewhere the probe would look in vain."""
    if action.volume_path.rstrip("/") != placement.volume.rstrip("/") or action.path is not None:
        return []
    methods = [ours for ours, theirs in CALLS.items() if _covers(action.methods, theirs)]
    if not methods:
        return []
    common: Options = {"percent": float(action.percent), "methods": methods}
    if isinstance(action, io.Latency):
        return [("io-latency", {"latency_ms": float(action.latency_ms), **common})]
    return [("io-error", {"errno": errno.errorcode.get(action.errno, ""), **common})]


def _covers(asked: Sequence[str], theirs: Sequence[str]) -> bool:
    return not asked or theirs[0] in asked

"""Whether a target can have the faults of a plan: asked before anything starts."""

from __future__ import annotations

from collections.abc import Sequence

from seatrial import faults as shelf
from seatrial.engine.argo import orderly, rights
from seatrial.errors import UsageError
from seatrial.fault import PlannedFault
from seatrial.target import NeedsTarget, Placed, Placement, Target


def check_target(faults: Sequence[PlannedFault], target: Target, nodes: Sequence[str]) -> None:
    """Raise `UsageError` with the reason for the first fault that `target` cannot have."""
    seen = set()
    for fault in faults:
        kind = shelf.kind(fault.kind)
        if not isinstance(kind, NeedsTarget):
            continue
        asked = (fault.kind, fault.victims, repr(sorted(fault.options.items())))
        if asked in seen:
            continue  # finding out may start a program
        seen.add(asked)
        if reason := kind.lacking(target, nodes, (fault.victims,), fault.options):
            hint = "" if "hint:" in reason else "\n\nhint: --faults kill,pause"
            raise UsageError(f"fault {fault.kind!r} cannot be done here: {reason}{hint}")


def check_place(
    faults: Sequence[PlannedFault], target: Target, nodes: Sequence[str], engine: str
) -> None:
    """Raise `UsageError` where the plan's cluster cannot be broken in the way that is planned.

    One of which only endpoints are known cannot be broken at all; where commands cannot be carried
    out in the pods, signals cannot be sent and links not be measured.
    """
    if not isinstance(target, Placed):
        return
    place = target.place(nodes, "run", "namespace")
    if engine != "argo":
        _check_here(faults, place, engine)
        return
    if not faults:
        return
    if not place.breakable:
        raise UsageError(
            f"{faults[0].kind!r} cannot be done to a cluster of which only endpoints are known: "
            "nothing says which pods its nodes are\n\n"
            "hint: --faults none, or --selector LABELS --target-namespace NAMESPACE"
        )
    for fault in faults:
        if reason := orderly.lacking(fault.kind, target, place):
            raise UsageError(
                f"fault {fault.kind!r} cannot be done here: {reason}\n\nhint: --faults kill"
            )
    commanded = rights.by_command(faults)
    if commanded and not (place.container and (place.process or "pause" not in commanded)):
        raise UsageError(
            f"{', '.join(commanded)}: done or measured by commands in the pods, and the running "
            "cluster names no container for them\n\nhint: --target-option "
            "kubernetes.running.container=NAME (one with Python and seatrial in it), and "
            "kubernetes.running.process=NAME for signals"
        )


def _check_here(faults: Sequence[PlannedFault], place: Placement, engine: str) -> None:
    """A cluster that runs already is loaded from this machine by its endpoints, and no more."""
    if place.objects:
        return
    if engine != "lab" or not all(place.addresses.values()) or place.selector:
        raise UsageError(
            f"engine {engine} finds no pods: a cluster that runs is loaded from this machine by "
            "its endpoints\n\nhint: --endpoints HOST:PORT,… alone, or --engine argo"
        )
    if faults:
        raise UsageError(
            f"{faults[0].kind!r} cannot be done from this machine to a cluster that runs "
            "elsewhere\n\nhint: --faults none, or on Kubernetes --engine argo with --selector"
        )

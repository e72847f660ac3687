"""Whether a target can have the faults of a plan: asked before anything starts."""

from __future__ import annotations

from collections.abc import Sequence

from seatrial import faults as shelf
from seatrial.errors import UsageError
from seatrial.fault import PlannedFault
from seatrial.target import NeedsTarget, Target


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

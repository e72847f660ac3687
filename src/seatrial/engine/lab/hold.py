"""What steps can ask of a lab that outlives the step that made it, and where its socket is."""

from __future__ import annotations

from typing import Protocol

from seatrial.engine.site import PlacedNode

#: The name of the control socket in the lab's place.
SOCKET = "control.sock"


class Hold(Protocol):
    """What steps ask of the lab, besides its world."""

    async def started(self) -> tuple[PlacedNode, ...]:
        """The nodes, once all are ready; raises why they are not."""
        ...

    async def locate(self) -> dict[str, tuple[str, ...]]:
        """Roles as they are now."""
        ...

    async def heal_everything(self) -> None:
        """Undo all that faults did."""
        ...

    async def audit(self) -> tuple[str, ...]:
        """What is still broken, by the kernel's tables."""
        ...

    async def unplanned(self) -> tuple[str, ...]:
        """Ends of nodes' processes that nobody planned."""
        ...

    async def teardown(self, keep: str) -> tuple[str, ...]:
        """End all nodes; what was broken before. `keep`: a copy of their data goes there."""
        ...

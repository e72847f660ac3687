"""A cluster that runs already has what earlier trials wrote: it is cleared before the load.

A history begins with nothing written. What an older trial left would be read as values that nobody
wrote, and a database that did nothing wrong be called broken.
"""

from __future__ import annotations

from collections.abc import Sequence

from seatrial.errors import Unavailable
from seatrial.target import Clearing, Node, Target


async def clear(target: Target, nodes: Sequence[Node]) -> None:
    """Remove what trials have written; raises `Unavailable` where that cannot be."""
    if not isinstance(target, Clearing):
        raise Unavailable(
            f"{target.name} runs already, and what earlier trials wrote cannot be told apart from "
            "what others did"
        )
    await target.clear(nodes)

"""What else is broken in a world: the reason why a healed node may rightly not answer yet."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations

from seatrial.fault import World


def elsewhere(world: World, healed: Sequence[str]) -> tuple[str, ...]:
    """Injuries that other faults hold now, in words; `healed` nodes' processes are left out.

    While there is one, a node that lacks its quorum is no proof that its own healing failed.
    O(nodes²) look-ups.
    """
    found = []
    for node in world.nodes:
        if node not in healed and world.process_state(node) in ("", "T", "t"):
            found.append(f"{node} is {'down' if world.pid(node) is None else 'stopped'}")
    for source, destination in permutations(world.nodes, 2):
        if world.leases(source, destination):
            found.append(f"{source} → {destination} is cut")
        actions = {shape.action for shape in world.shapes(source, destination).values()}
        if actions:
            found.append(f"{source} → {destination} suffers {', '.join(sorted(actions))}")
    return tuple(found)

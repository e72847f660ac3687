"""What happens to the simulated cluster while it is loaded: crashes, partitions, skewed clocks.

One fault at a time, each healed before the next, except that a clock stays wrong until the next
skew. A power failure takes all nodes at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from seatrial.engine.simulated.cluster import MS, NODES, SKEW_NS, Cluster, Simulation
from seatrial.generator import choose

GAP_NS: Final = 20 * MS
LENGTH_NS: Final = 20 * MS
OUTAGE_NS: Final = 3 * MS


class Chaos:
    """Faults by lot until `stop`, which heals all."""

    def __init__(
        self, simulation: Simulation, cluster: Cluster, favoured: str | None = None
    ) -> None:
        self._sim, self._cluster = simulation, cluster
        self._stopped = False
        self._favoured = favoured
        self._next()

    def stop(self) -> None:
        """Heal everything; no more faults."""
        self._stopped = True
        for at in range(NODES):
            self._cluster.restart(at)
            self._cluster.partition(at, False)
            self._cluster.skew(at, 0)

    def _next(self) -> None:
        self._sim.after(GAP_NS + self._sim.draw(GAP_NS), self._strike)

    def _strike(self) -> None:
        if self._stopped:
            return
        kinds: dict[str, Callable[[int], int]] = {
            "crash": self._crash,
            "cut": self._cut,
            "skew": self._skew,
            "power": self._power,
        }
        kind = choose(self._sim.draw(1 << 64), tuple(kinds))
        favoured = self._favoured is not None and self._sim.draw(4) > 0
        if favoured and self._favoured is not None:
            kind = self._favoured
        led = self._cluster.leader()
        at = self._sim.draw(NODES)
        if led is not None and (favoured or self._sim.draw(3)):
            at = led
        length_ns = kinds[kind](at)
        self._sim.after(length_ns + self._sim.draw(length_ns), self._heal)

    def _heal(self) -> None:
        if self._stopped:
            return
        for at in range(NODES):
            self._cluster.restart(at)
            self._cluster.partition(at, False)
        self._next()

    def _crash(self, at: int) -> int:
        self._cluster.crash(at)
        return LENGTH_NS

    def _cut(self, at: int) -> int:
        self._cluster.partition(at, True)
        return LENGTH_NS

    def _skew(self, at: int) -> int:
        self._cluster.skew(at, self._sim.draw(2 * SKEW_NS) - SKEW_NS)
        return LENGTH_NS

    def _power(self, at: int) -> int:
        for node in range(NODES):
            self._cluster.crash(node)
        return OUTAGE_NS

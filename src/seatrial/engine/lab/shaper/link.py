"""One direction of a link with the boxes of its faults in a row. Pure; the clock comes in.

Healing a fault takes its box away: what waits in it goes on to the next one at once, in the order
in which it would have left. So nothing is lost by healing, and what other faults hold stays held.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from seatrial.engine.lab.shaper.stages import ORDER, Stage


class Link:
    """The row of boxes. `send` is called with each packet that has passed them all."""

    __slots__ = ("_entries", "_send", "_stages", "passed")

    def __init__(self, send: Callable[[bytes], None]) -> None:
        self._send = send
        #: (place in `ORDER`, fault, box), in the order of the row.
        self._entries: list[tuple[int, str, Stage]] = []
        self._stages: list[Stage] = []
        self.passed = 0

    def add(self, fault: str, action: str, stage: Stage) -> None:
        """Put a fault's box into its place; one that is there already stays as it is."""
        if all(name != fault for _, name, _ in self._entries):
            entry = (ORDER.index(action), fault, stage)
            self._entries = sorted([*self._entries, entry], key=lambda item: item[:2])
            self._stages = [box for _, _, box in self._entries]

    def remove(self, fault: str, now: int) -> None:
        """Take a fault's box away; what it holds goes on. Nothing if there is none."""
        for place, (_, name, stage) in enumerate(self._entries):
            if name == fault:
                del self._entries[place]
                self._stages = [box for _, _, box in self._entries]
                self._run(place, [stage.take() for _ in range(stage.held)], now)
                return

    def faults(self) -> dict[str, Stage]:
        """The boxes by their faults."""
        return {name: stage for _, name, stage in self._entries}

    def push(self, packet: bytes, now: int) -> None:
        """A packet enters the row."""
        if len(self._stages) != 1:
            self._run(0, (packet,), now)
            return
        for out in self._stages[0].put(packet, now):  # the common case, and twice as quick
            self.passed += 1
            self._send(out)

    def due(self) -> int | None:
        """When the next box has something to let go; None if all are empty."""
        return min((at for stage in self._stages if (at := stage.due) is not None), default=None)

    def run(self, now: int) -> None:
        """Let everything go that is due.

        Times that have passed count as such: a packet that leaves a box late by a busy machine
        enters the next one at the moment at which it was due.
        """
        if len(self._stages) == 1:
            for packet in self._stages[0].take_due(now):
                self.passed += 1
                self._send(packet)
            return
        while True:
            at, place = now + 1, -1
            for index, stage in enumerate(self._stages):
                due = stage.due
                if due is not None and due < at:
                    at, place = due, index
            if place < 0:
                return
            self._run(place + 1, (self._stages[place].take(),), at)

    def _run(self, place: int, packets: Iterable[bytes], now: int) -> None:
        """Send packets through the boxes from `place` on."""
        for stage in self._stages[place:]:
            packets = [out for packet in packets for out in stage.put(packet, now)]
            if not packets:
                return
        for packet in packets:
            self.passed += 1
            self._send(packet)

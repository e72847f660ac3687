"""What a trial shows while it runs, on standard error: phase, time left, load, faults alive.

Three ways, one interface: a live panel on a terminal, plain lines elsewhere, nothing when quiet.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from seatrial.verdict import Json

#: Plain lines: one about the load in so many ticks (a tick is a second).
PLAIN_TICKS = 5
Event = Mapping[str, Json]

PHASES = (
    "provision",
    "prepare",
    "steady-before",
    "workload",
    "heal",
    "steady-after",
    "quiesce",
    "final-reads",
    "teardown",
    "check",
    "report",
)


class Display(Protocol):
    """Shows events of the inner program and the tool's own words."""

    def event(self, event: Event) -> None:
        """One event of the inner program."""
        ...

    def say(self, text: str) -> None:
        """One line of the tool's own."""
        ...

    def phase(self, name: str) -> None:
        """The tool itself enters a phase."""
        ...

    def close(self) -> None:
        """Leave the terminal as it was."""
        ...


def make(*, quiet: bool) -> Display:
    """The display that fits standard error."""
    if quiet:
        return Quiet()
    if sys.stderr.isatty():
        return Panel()
    return Plain()


class Quiet:
    """Shows nothing."""

    def event(self, event: Event) -> None: ...

    def say(self, text: str) -> None: ...

    def phase(self, name: str) -> None: ...

    def close(self) -> None: ...


class Plain:
    """Lines without colour, for logs and pipes."""

    def __init__(self) -> None:
        self._ticks = 0
        self._alive: tuple[str, ...] = ()

    def event(self, event: Event) -> None:
        kind = event["event"]
        if kind == "phase":
            seconds = event.get("seconds")
            length = f" ({seconds:g} s)" if isinstance(seconds, (int, float)) else ""
            self.say(f"{event['name']}{length}")
        elif kind == "tick":
            self._tick(event)
        elif kind in ("note", "error"):
            self.say(str(event["text"]))

    def _tick(self, event: Event) -> None:
        alive = fault_words(event)
        self._ticks += 1
        if alive != self._alive or self._ticks % PLAIN_TICKS == 0:
            self.say(f"  {load_words(event)}  faults: {', '.join(alive) or 'none'}")
        self._alive = alive

    def say(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    def phase(self, name: str) -> None:
        self.say(name)

    def close(self) -> None: ...


class Panel:
    """A live panel of a few lines; fits 80 columns."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._phase = ""
        self._last: Event = {}
        self._live = Live(console=self._console, refresh_per_second=4, transient=True)
        self._live.start()

    def event(self, event: Event) -> None:
        kind = event["event"]
        if kind == "phase":
            self.phase(str(event["name"]))
        elif kind == "tick":
            self._last = event
            self._draw()
        elif kind in ("note", "error"):
            self.say(str(event["text"]))

    def say(self, text: str) -> None:
        self._console.print(text, highlight=False, markup=False)

    def phase(self, name: str) -> None:
        self._phase = name
        self._last = {**self._last, "left_s": None}
        self._draw()

    def _draw(self) -> None:
        steps = Text()
        now = PHASES.index(self._phase) if self._phase in PHASES else len(PHASES)
        for number, name in enumerate(PHASES):
            style = "dim green" if number < now else "bold cyan" if number == now else "dim"
            steps.append(name, style).append("  ")
        table = Table.grid(padding=(0, 2))
        table.add_row("[bold]load[/]", load_words(self._last))
        alive = fault_words(self._last)
        table.add_row(
            "[bold]faults[/]", Text(", ".join(alive) or "none", "red" if alive else "dim")
        )
        self._live.update(Group(steps, table))

    def close(self) -> None:
        self._live.stop()


def load_words(event: Event) -> str:
    """The load in words: `workload 31 s left  982 ops/s  0.0 % errors  p99 12 ms`."""
    words = []
    left = event.get("left_s")
    if isinstance(left, (int, float)):
        words.append(f"{max(left, 0):.0f} s left")
    for name, form in (("ops_s", "{:.0f} ops/s"), ("error_rate", "{:.1%} errors")):
        value = event.get(name)
        if isinstance(value, (int, float)):
            words.append(form.format(value))
    p99 = event.get("p99_ms")
    if isinstance(p99, (int, float)):
        words.append(f"p99 {p99:.0f} ms" if p99 >= 10 else f"p99 {p99:.1f} ms")
    return "  ".join(words)


def fault_words(event: Event) -> tuple[str, ...]:
    """The faults alive: `kill n2`, `partition n1,n3`."""
    faults = event.get("faults")
    if not isinstance(faults, Sequence):
        return ()
    return tuple(
        f"{fault['kind']} {','.join(map(str, _items(fault['victims'])))}"
        for fault in faults
        if isinstance(fault, Mapping)
    )


def _items(value: Json) -> Sequence[Json]:
    return value if isinstance(value, (list, tuple)) else ()

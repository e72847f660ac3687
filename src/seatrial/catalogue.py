"""One way to list what there is by name: a literal table of import strings, loaded when asked.

Loading late keeps `seatrial --help` fast: a checker may pull in a compiler.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module

from seatrial.errors import UnknownName


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing in a catalogue: what it is, and where (`module:attribute`).

    `only` is the one engine that knows it (`lab`, `cluster`); empty: all do.
    """

    summary: str
    where: str
    only: str = ""

    def load(self) -> object:
        """The attribute itself."""
        module, _, attribute = self.where.partition(":")
        return getattr(import_module(module), attribute)


class Catalogue(Mapping[str, Entry]):
    """Entries by name; an unknown name is an error that suggests the nearest."""

    def __init__(self, what: str, entries: Mapping[str, Entry]) -> None:
        self._what = what
        self._entries = dict(entries)

    def __getitem__(self, name: str) -> Entry:
        try:
            return self._entries[name]
        except KeyError:
            raise UnknownName(self._what, name, self._entries) from None

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

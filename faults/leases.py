"""What each fault holds, so that overlapping faults nest and a heal done twice undoes nothing else.

Kinds of faults are shared and keep no state of their own; what a fault broke is remembered here
by world and fault, and forgotten with the world.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

from seatrial.fault import World

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Leases(Generic[K, V]):
    """Things that faults hold (a node down, a link cut), each with a note."""

    def __init__(self) -> None:
        self._held: WeakKeyDictionary[World, dict[str, set[K]]] = WeakKeyDictionary()
        self._notes: WeakKeyDictionary[World, dict[tuple[str, K], V]] = WeakKeyDictionary()

    def take(self, world: World, fault: str, thing: K, note: V) -> None:
        """Remember that `fault` holds `thing`; the first note stays."""
        self._held.setdefault(world, {}).setdefault(fault, set()).add(thing)
        self._notes.setdefault(world, {}).setdefault((fault, thing), note)

    def of(self, world: World, fault: str) -> tuple[K, ...]:
        """All that `fault` holds."""
        return tuple(self._held.get(world, {}).get(fault, ()))

    def note(self, world: World, fault: str, thing: K) -> V | None:
        """The note made when `fault` took `thing`, also after it was given back."""
        return self._notes.get(world, {}).get((fault, thing))

    def is_held(self, world: World, thing: K, *, besides: str = "") -> bool:
        """Whether a fault of this kind holds `thing`, the fault `besides` left out."""
        held = self._held.get(world, {})
        return any(thing in theirs for fault, theirs in held.items() if fault != besides)

    def give_back(self, world: World, fault: str, thing: K) -> None:
        """Forget that `fault` holds it; doing so twice is harmless."""
        self._held.get(world, {}).get(fault, set()).discard(thing)

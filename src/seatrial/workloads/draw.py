"""Seeded draws that need no state but a counter, so that a generator can stay a small value.

`draw(seed, n)` is the n-th output of SplitMix64 (Steele, Lea and Flood, "Fast Splittable
Pseudorandom Number Generators", OOPSLA 2014) started at `seed`: any draw can be had at once, and
two generators with the same seed and counter draw the same.
"""

from __future__ import annotations

_MASK = (1 << 64) - 1
_GAMMA = 0x9E3779B97F4A7C15


def draw(seed: int, n: int) -> int:
    """The n-th 64-bit draw of `seed`."""
    z = (seed + (n + 1) * _GAMMA) & _MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
    return z ^ (z >> 31)


def slot_of(thread: int, slots: int, concurrency: int) -> int:
    """Which of `slots` groups of neighbouring threads a thread belongs to.

    Thread t talks to node t mod nodes, so neighbours are clients of different nodes.
    """
    return min(thread * slots // concurrency, slots - 1)

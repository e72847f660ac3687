"""Randomness as values: a draw is a 64-bit integer, and the next one is a function of the last.

What ops are made of comes from SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom
number generators", OOPSLA 2014): a counter that grows by the golden ratio, and a finalizer that
scrambles it. Lots and gaps, which need the high bits only, come from the cheaper linear
congruential step under PCG (O'Neill, 2014; multiplier and increment are Knuth's for MMIX).
Nothing here keeps state, so the same seed gives the same ops in every process and on every
machine.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final, NamedTuple, TypeVar

import numpy as np

T = TypeVar("T")

GAMMA: Final = 0x9E3779B97F4A7C15
MASK: Final = (1 << 64) - 1
#: How many draws a block has.
BLOCK: Final = 64

_STEPS: Final = np.arange(BLOCK, dtype=np.uint64) * np.uint64(GAMMA)
_27, _30, _31 = np.uint64(27), np.uint64(30), np.uint64(31)
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


def scramble(state: int) -> int:
    """The draw (0 … 2**64 − 1) of one counter state. O(1)."""
    z = state & MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


class Draws(NamedTuple):
    """`BLOCK` draws in a row, from `scramble(state)` on: a block costs what four single ones do."""

    state: int
    block: tuple[int, ...]

    def after(self) -> Draws:
        """The next block."""
        return draws(self.state + BLOCK * GAMMA & MASK)


def draws(state: int) -> Draws:
    """The block of draws that begins with `scramble(state)`. O(BLOCK)."""
    z = _STEPS + np.uint64(state)
    z = (z ^ (z >> _30)) * _FIRST
    z = (z ^ (z >> _27)) * _SECOND
    return Draws(state, tuple((z ^ (z >> _31)).tolist()))


def step(state: int) -> int:
    """The next state of a linear congruential stream; use its high bits, as `below` does. O(1)."""
    return (state * 6364136223846793005 + 1442695040888963407) & MASK


def again(draw: int) -> int:
    """Another draw, independent of `draw` for every practical purpose."""
    return scramble(draw + GAMMA)


def derive(seed: int, *path: int | str) -> int:
    """The seed of a named part of a trial; other paths give unrelated seeds. O(length of path)."""
    text = repr((seed, *path)).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big")


def below(draw: int, bound: int) -> int:
    """A whole number from 0 to `bound` − 1 (Lemire's multiplication; bias under bound / 2**64)."""
    return (draw * bound) >> 64


def uniform(draw: int) -> float:
    """A float in [0, 1) with 53 random bits."""
    return (draw >> 11) * 2.0**-53


def choose(draw: int, options: Sequence[T]) -> T:
    """One of `options`, each as likely as the others."""
    return options[(draw * len(options)) >> 64]

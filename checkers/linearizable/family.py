"""What it takes to judge one model: how ops are read, a fast path, what the search runs."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass

import numpy as np

from seatrial.checkers.linearizable.calls import Calls, Malformed, Vocabulary
from seatrial.checkers.linearizable.search import Machine
from seatrial.history import History
from seatrial.history.columns import I64, U8, Bool

Fast = Callable[[Calls], tuple[U8, I64]]
Prepare = Callable[[Calls], Calls | Malformed]


@dataclass(frozen=True, slots=True, eq=False)
class Reduced:
    """Calls rewritten, place by place, for a simpler family that judges some keys as well."""

    family: Family
    calls: Calls
    keys: Bool


@dataclass(frozen=True, slots=True)
class Family:
    """One model, ready to judge calls.

    `fast`: per key 0 valid, 1 undecided, more: invalid. `machine`: what the search runs.
    `prepare`: a last rewriting of the calls. `reduce`: the same keys for a quicker family, whose
    verdict is the same; explanations are this one's. `notes`: what a reader must know.
    `replay`: how many ok ops on how many keys a plain order explains, None if it does not explain
    all. `units`: whether all ops on one value may be left out of a history together without making
    it wrong, which is what makes a small witness. `chains`: opcodes are a register's. `puts`,
    `takes`: the opcodes that put a value in and take one out.
    """

    name: str
    vocabulary: Vocabulary
    machine: Callable[[Calls], Machine]
    fast: Fast | None = None
    prepare: Prepare | None = None
    reduce: Callable[[Calls], Reduced | None] | None = None
    replay: Callable[[History], tuple[int, int] | None] | None = None
    split_pairs: bool = False
    failed_cas: bool = False
    units: bool = False
    chains: bool = False
    puts: tuple[int, ...] = ()
    takes: tuple[int, ...] = ()
    told: Callable[[Hashable, Calls], str] = lambda state, calls: repr(state)


def pure_mask(calls: Calls, codes: tuple[int, ...]) -> Bool:
    """Mask of the calls whose opcode never changes the state."""
    table = np.zeros(256, np.bool_)
    table[list(codes)] = True
    return table[calls.op]

"""Why a key is not linearizable: the longest good prefix and a small part that is still wrong.

A history is linearizable only if every prefix is, so the first bad moment is found by bisection (or
is what the search stopped at). The part is made small by leaving ops out, but only such that
leaving them out of a *good* history could not have made it bad: ops that change nothing, one by
one, and all ops on one value together (values linked by a compare-and-set count as one). So what
remains proves the whole wrong, and never blames a read for a write that was left out.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from seatrial.checker import Budget
from seatrial.checkers.linearizable import frontier
from seatrial.checkers.linearizable.calls import PENDING, UNSEEN, Calls
from seatrial.checkers.linearizable.family import Family
from seatrial.checkers.linearizable.judge import judge_key
from seatrial.checkers.linearizable.search import search
from seatrial.history import NIL
from seatrial.history.columns import I64, Bool

#: What explaining one key may cost.
TRIALS_MAX = 600
CPU_SECONDS_MAX = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Witness:
    """A small part of one key's calls that is not linearizable.

    `culprit`: the place in `calls` of the op that could not be placed, −1 if it was not found.
    `prefix`: how many of the key's events can be linearized, or −1 if there was no time to tell.
    `minimal`: whether all removals were tried. `states`: what the object could be before the
    culprit's end, in words.
    """

    calls: Calls
    whole: Calls
    culprit: int
    prefix: int
    minimal: bool
    states: tuple[str, ...]


class _Clock:
    """Bounds the explaining of one key: in CPU seconds, and by a share of the budget's time."""

    def __init__(self, budget: Budget) -> None:
        self.until = time.monotonic() + budget.left_s / 4
        self.cpu_until = time.thread_time() + CPU_SECONDS_MAX
        self.trials = 0

    def left_s(self) -> float:
        """Seconds left."""
        return min(self.until - time.monotonic(), self.cpu_until - time.thread_time())

    def spent(self) -> bool:
        """Whether no further trial may begin."""
        return self.trials >= TRIALS_MAX or self.left_s() <= 0

    def budget(self, memory_bytes: int) -> Budget:
        """The budget of one trial more."""
        self.trials += 1
        return Budget.start(max(0.0, self.left_s()), memory_bytes)


def explain(family: Family, key: Calls, hint: I64, failed: int, budget: Budget) -> Witness:
    """The witness of a key (its calls alone) that is not linearizable.

    `hint`: places of calls that the fast path showed, or −1s. `failed`: the event the search
    stopped at, or −1.
    """
    clock = _Clock(budget)

    def bad(calls: Calls) -> bool:
        if not len(calls):
            return False
        return judge_key(family, calls, clock.budget(budget.memory_bytes)) > 1

    row = _row(key, failed) if failed >= 0 else _first_bad(family, key, bad, clock)
    part = _until(family, key, row) if row >= 0 else key
    prefix = int((np.sort(_ends(key)) < row).sum()) if row >= 0 else -1
    small = _hinted(family, key, part, hint, bad)
    small, minimal = _shrink(family, small, bad, clock)
    return _told(family, key, small, prefix, minimal, row, clock.budget(budget.memory_bytes))


def _ends(calls: Calls) -> I64:
    return np.concatenate([calls.inv, calls.res[calls.res < PENDING]])


def _row(key: Calls, event: int) -> int:
    return int(key.res[key.event_call[event]])


def _until(family: Family, calls: Calls, row: int) -> Calls:
    """What had been seen up to `row`: what ends later is pending, reads among it say nothing."""
    pure = family.machine(calls).pure
    seen = np.flatnonzero((calls.inv <= row) & ~(pure & (calls.res > row)))
    return calls.pick(seen).until(row)


def _first_bad(family: Family, key: Calls, bad: Callable[[Calls], bool], clock: _Clock) -> int:
    """The row at which the key's history first is not linearizable, −1 if there was no time."""
    rows = np.sort(key.res[key.res < PENDING])
    low, high = 0, len(rows) - 1
    while low < high:
        if clock.spent():
            return -1
        middle = (low + high) // 2
        if bad(_until(family, key, int(rows[middle]))):
            high = middle
        else:
            low = middle + 1
    return int(rows[high])


def _hinted(
    family: Family, key: Calls, part: Calls, hint: I64, bad: Callable[[Calls], bool]
) -> Calls:
    """The ops on the values that the fast path showed, if they alone are wrong already."""
    shown = hint[hint >= 0]
    if not family.units or not len(shown):
        return part
    labels = units(family, key)
    some = key.pick(np.flatnonzero(np.isin(labels, labels[shown])))
    return some if len(some) < len(part) and bad(some) else part


def units(family: Family, calls: Calls) -> I64:
    """A number a call: equal where the values are the same or linked by a compare-and-set.

    In a container a take that found nothing stands alone, and a pending take must stay (−1): it may
    be what explains the rest.
    """
    if not family.chains:
        alone = np.where(calls.a == NIL, -1 - np.arange(len(calls)), calls.a)
        labels: I64 = np.unique(alone, return_inverse=True)[1]
        return np.where(calls.a == UNSEEN, -1, labels)
    a, b = calls.a, np.where(calls.op == frontier.CAS, calls.b, calls.a)
    values, flat = np.unique(np.concatenate([a, b]), return_inverse=True)
    left, right = flat[: len(a)], flat[len(a) :]
    links = coo_array((np.ones(len(a)), (left, right)), shape=(len(values), len(values)))
    _, component = connected_components(links, directed=False)
    found: I64 = component[left].astype(np.int64)
    return found


def _shrink(
    family: Family, calls: Calls, bad: Callable[[Calls], bool], clock: _Clock
) -> tuple[Calls, bool]:
    """Leave out what can be left out; whether all was tried."""
    while True:
        before = len(calls)
        if family.units:
            calls = _remove(calls, units(family, calls), bad, clock)
        calls = _remove(calls, _singles(family, calls), bad, clock)
        if clock.spent():
            return calls, False
        if len(calls) == before:
            return calls, True


def _singles(family: Family, calls: Calls) -> I64:
    """Every call that changes nothing by itself; the others (−1) stay."""
    pure: Bool = family.machine(calls).pure
    return np.where(pure, np.arange(len(calls)), -1)


def _remove(calls: Calls, labels: I64, bad: Callable[[Calls], bool], clock: _Clock) -> Calls:
    """Leave out the labels that are not needed, halves first, then ever smaller parts."""
    todo = np.unique(labels[labels >= 0])
    size = max(1, len(todo) // 2)
    while len(todo):
        at = 0
        while at < len(todo) and not clock.spent():
            rest = ~np.isin(labels, todo[at : at + size])
            without = calls.pick(np.flatnonzero(rest))
            if bad(without):
                calls, labels = without, labels[rest]
                todo = np.delete(todo, slice(at, at + size))
            else:
                at += size
        if size == 1 or clock.spent():
            return calls
        size = max(1, size // 2)
    return calls


def _told(
    family: Family, key: Calls, small: Calls, prefix: int, minimal: bool, row: int, budget: Budget
) -> Witness:
    """Search the small part once more for the op that cannot be placed and the states there."""
    found = search(small, family.machine(small), np.zeros(1, np.int64), budget)
    event = int(found.failed[0])
    culprit = int(small.event_call[event]) if event >= 0 else -1
    if culprit < 0 and (small.res == row).any():
        culprit = int(np.flatnonzero(small.res == row)[0])
    states = tuple(family.told(state, small) for state in found.states.get(0, ()))
    return Witness(small, key, culprit, prefix, minimal, states)

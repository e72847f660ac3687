"""Judging calls: the fast path first, the general search for what it leaves open."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from seatrial.checker import Budget
from seatrial.checkers.linearizable.calls import Calls
from seatrial.checkers.linearizable.family import Family
from seatrial.checkers.linearizable.search import Outcome, search
from seatrial.history.columns import I64, U8

#: The code of a key that the search found wrong.
SEARCHED = 255


@dataclass(frozen=True, slots=True, eq=False)
class Findings:
    """Per key: `code` (0 valid, 1 undecided, more: invalid), what the fast path showed."""

    code: U8
    shown: I64
    outcome: Outcome | None


def judge(family: Family, calls: Calls, budget: Budget) -> Findings:
    """Judge every key; O(n) or O(n log n) where a fast path decides, else as `search` says."""
    code = np.ones(calls.groups, np.uint8)
    shown = np.full((calls.groups, 2), -1, np.int64)
    if family.fast is not None:
        code, shown = family.fast(calls)
    todo = np.flatnonzero(code == 1)
    if not len(todo):
        return Findings(code, shown, None)
    outcome = search(calls, family.machine(calls), todo, budget)
    code[todo] = np.where(outcome.failed[todo] >= 0, SEARCHED, 0)
    open_keys = outcome.undecided
    code[open_keys[outcome.failed[open_keys] < 0]] = 1
    return Findings(code, shown, outcome)


def judge_key(family: Family, calls: Calls, budget: Budget) -> int:
    """The code of calls that are all of one key."""
    return int(judge(family, calls, budget).code[0])

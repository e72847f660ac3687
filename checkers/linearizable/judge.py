"""Judging calls: the fast path first, the general search for what it leaves open."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from seatrial.checker import Budget
from seatrial.checkers.linearizable.calls import Calls
from seatrial.checkers.linearizable.family import Family
from seatrial.checkers.linearizable.search import Outcome, search
from seatrial.history.columns import I64, U8, Bool

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
    return _judge(family, calls, np.ones(calls.groups, np.bool_), budget)


def _judge(family: Family, calls: Calls, keys: Bool, budget: Budget) -> Findings:
    """Judge the keys of the mask `keys`; the others stay undecided."""
    code = np.ones(calls.groups, np.uint8)
    shown = np.full((calls.groups, 2), -1, np.int64)
    simpler = None
    if family.fast is not None:
        code, shown = family.fast(calls)
    elif family.reduce is not None:
        reduced = family.reduce(calls)
        if reduced is not None:
            simpler = _judge(reduced.family, reduced.calls, reduced.keys, budget)
            code = np.where(reduced.keys, simpler.code, 1).astype(np.uint8)
            keys = keys & ~reduced.keys
    todo = np.flatnonzero((code == 1) & keys)
    outcome = None
    if len(todo):
        outcome = search(calls, family.machine(calls), todo, budget)
        code[todo] = np.where(outcome.failed[todo] >= 0, SEARCHED, 0)
        open_keys = outcome.undecided
        code[open_keys[outcome.failed[open_keys] < 0]] = 1
    if simpler is not None and simpler.outcome is not None:
        outcome = _both(simpler.outcome, outcome)
    return Findings(code, shown, outcome)


def _both(simpler: Outcome, rest: Outcome | None) -> Outcome:
    """How far both searches got. Where the simpler one failed is not where the history did."""
    if rest is None:
        return replace(simpler, failed=np.full_like(simpler.failed, -1), states={})
    undecided = np.concatenate([simpler.undecided, rest.undecided])
    return replace(rest, undecided=undecided, why=rest.why or simpler.why)


def judge_key(family: Family, calls: Calls, budget: Budget) -> int:
    """The code of calls that are all of one key."""
    return int(judge(family, calls, budget).code[0])

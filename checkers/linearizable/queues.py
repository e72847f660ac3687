"""FIFO and unordered queues with different values, O(n).

Henzinger, Sezgin and Vafeiadis ("Aspect-oriented linearizability proofs", CONCUR 2013): a queue's
history is linearizable iff no value is taken that was not put, or twice; no value is put after
another, surely, and taken before it, surely; and no take that found the queue empty lies wholly
inside the time in which some value was surely there. A value is surely there from the end of its
put to the beginning of its take.

A pending take may have taken a value that nobody took: such values have a deadline (the first take
that they must have preceded), and there must be enough pending takes before each deadline.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from seatrial.checkers.linearizable.calls import Calls
from seatrial.checkers.linearizable.matching import match, relax, scratch, sizes, table_size
from seatrial.history.columns import I64, U8


def judge_queues(calls: Calls, ordered: bool) -> tuple[U8, I64]:
    """Judge each key; a code a key (0 valid, 1 undecided, else `Mismatch`) and what shows it."""
    most, events, size = sizes(calls.start, calls.event_start)
    return _judge(
        calls.op, calls.a, calls.start, calls.inv_at, calls.res_at, calls.event_start, ordered,
        *scratch(most, size), np.empty((2, events + 1), np.int64),
    )  # fmt: skip


@njit(cache=True, nogil=True)
def _judge(
    op: U8, a: I64, start: I64, inv_at: I64, res_at: I64, event_start: I64, ordered: bool,
    table: I64, stamps: I64, names: I64, values: I64, empties: I64, pendings: I64, counts: I64,
    marks: I64,
) -> tuple[U8, I64]:  # fmt: skip
    groups = len(start) - 1
    out, shown = np.zeros(groups, np.uint8), np.full((groups, 2), -1, np.int64)
    for g in range(groups):
        lo, hi, first = start[g], start[g + 1], event_start[g]
        code, x, y = match(
            op, a, inv_at, res_at, lo, hi, first, table, stamps, g, table_size(hi - lo), names,
            values, empties, pendings, counts,
        )  # fmt: skip
        events = event_start[g + 1] - first
        if code == 0:
            code, x, y = _wrong(
                values, counts, empties, inv_at, res_at, first, events, ordered, marks
            )
            if code != 0 and counts[2] > 0:
                if counts[1] == 0 and _excused(values, counts, pendings, events, marks):
                    code = 0
                elif counts[1] > 0:
                    relax(values, counts[0], pendings[0])
                    code, x, y = _wrong(
                        values, counts, empties, inv_at, res_at, first, events, ordered, marks
                    )
                    code = 1 if code == 0 else code
        out[g], shown[g, 0], shown[g, 1] = code, x, y
    return out, shown


@njit(cache=True, nogil=True)
def _wrong(
    values: I64, counts: I64, empties: I64, inv_at: I64, res_at: I64, first: int, events: int,
    ordered: bool, marks: I64,
) -> tuple[int, int, int]:  # fmt: skip
    """One sweep over the key's events, for the order and for the empty answers."""
    what, who = marks[0], marks[1]
    what[:events] = 0
    for v in range(counts[0]):
        what[values[2, v]], who[values[2, v]] = 1, v
        if values[3, v] < 2**62:
            what[values[3, v]], who[values[3, v]] = 2, v
        if values[4, v] < 2**62 and values[1, v] >= 0:
            what[values[4, v]], who[values[4, v]] = 3, v
    for i in range(counts[1]):
        what[res_at[empties[i]] - first], who[res_at[empties[i]] - first] = 4, empties[i]
    latest, inside, last_empty = -1, 0, -1
    earliest = 2**62  # where relaxed takes begin
    relaxed = 0
    for v in range(counts[0]):
        if values[1, v] < 0 and values[4, v] < 2**62:
            earliest = values[4, v]
    for e in range(events):
        v = who[e]
        if e == earliest:
            inside, relaxed = inside - relaxed, 0
        if what[e] == 1:
            if ordered and latest >= 0 and values[5, v] < min(2**62, values[4, latest]):
                return 11, values[0, latest], values[1, v]
        elif what[e] == 2:
            if latest < 0 or values[4, v] > values[4, latest]:
                latest = v
            if values[4, v] > e:
                inside += 1
                if values[1, v] < 0:
                    relaxed += 1
        elif what[e] == 3:
            if values[3, v] < e:
                inside -= 1
        elif what[e] == 4 and last_empty < inv_at[v] - first:
            return 12, v, -1
        if inside == 0:
            last_empty = e
    return 0, -1, -1


@njit(cache=True, nogil=True)
def _excused(values: I64, counts: I64, pendings: I64, events: int, marks: I64) -> bool:
    """Whether pending takes explain all that was never taken, and nothing else is wrong."""
    least, need = marks[0], marks[1]
    least[: events + 1] = 2**62
    need[: events + 1] = 0
    for v in range(counts[0]):
        if values[1, v] >= 0:
            least[values[2, v]] = values[5, v]
    for e in range(events - 1, -1, -1):
        least[e] = min(least[e], least[e + 1])
    for v in range(counts[0]):
        if values[3, v] == 2**62:
            continue
        deadline = least[values[3, v]]
        if values[1, v] >= 0:
            if values[4, v] > deadline:
                return False
        elif deadline < 2**62:
            need[deadline] += 1
    for p in range(counts[2]):
        need[pendings[p]] -= 1
    balance = 0
    for e in range(events):
        balance += need[e]
        if balance > 0:
            return False
    return True

"""Calls: a history's ops paired, typed by a model's vocabulary and grouped by key, as columns.

A *call* is an invocation with its completion. Time is the row number in the history: all
distinct, so no two ends of calls ever tie and every comparison is strict. A call that may have
taken effect at any later time (`info`, or no completion at all) is *pending*: it ends never.
Failed calls had no effect and are dropped; so are pending calls that change nothing.

Linearizability is local (Herlihy and Wing 1990, theorem 1), so each key is judged alone: calls
stand sorted by key, then by invocation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import cast

import numpy as np
from numba import njit

from seatrial.history import NIL, History
from seatrial.history.columns import I32, I64, U8, Bool
from seatrial.op import NEMESIS, Value

#: The end of a call that nobody saw end.
PENDING = 2**62
#: The code of an answer that nobody saw (a pending dequeue's).
UNSEEN = NIL + 1


class Shape(IntEnum):
    """How the value of an `f` is read: not at all, whole, `[a b]`, or `a` and perhaps `[a b]`."""

    NOTHING = 0
    ANY = 1
    PAIR = 2
    TOLD = 3


@dataclass(frozen=True, slots=True)
class Form:
    """How one `f` is read: its opcode, its value's shape, and where the value stands.

    `output`: the completion's value counts (a read); else the invocation's, unless it is nil.
    `pure`: it never changes the state, so a pending one says nothing and is dropped.
    """

    code: int
    shape: Shape = Shape.ANY
    output: bool = False
    pure: bool = False


Vocabulary = Mapping[str, Form]


@dataclass(frozen=True, slots=True)
class Malformed:
    """Why a history cannot be judged, and the index of the op that shows it."""

    cause: str
    index: int


@dataclass(frozen=True, slots=True, eq=False)
class Calls:
    """The calls of a history, sorted by key, then by invocation; all columns of equal length.

    `inv`, `res`: rows of the invocation and the completion (`PENDING`: none). `op`: the opcode.
    `a`, `b`: atom codes (a compare-and-set's old and new). `start[g]:start[g+1]` are the calls of
    the g-th key, whose atom code is `keys[g]`. `event_call[e]` is the call of the e-th event in
    the same order (by key, then in time) and `event_end[e]` whether it ends there; those of key g
    are `event_start[g]:event_start[g+1]`. `inv_at`, `res_at` are each call's event positions.
    """

    history: History
    process: I32
    op: U8
    a: I64
    b: I64
    inv: I64
    res: I64
    keys: I64
    start: I64
    event_call: I64
    event_end: Bool
    event_start: I64
    inv_at: I64
    res_at: I64

    def __len__(self) -> int:
        return len(self.inv)

    @property
    def groups(self) -> int:
        """How many keys there are."""
        return len(self.keys)

    def decode(self, code: int) -> Value:
        """The value behind a code of `a` or `b`."""
        return self.history.atoms.decode(code)

    def pick(self, which: I64) -> Calls:
        """The calls at these ascending places, all of one key, as a history of their own."""
        group = int(np.searchsorted(self.start, which[0], side="right")) - 1 if len(which) else 0
        keys = self.keys[group : group + 1]
        columns = (self.process, self.op, self.a, self.b, self.inv, self.res)
        return _arrange(
            self.history, tuple(c[which] for c in columns), _one_group(len(which)), keys
        )

    def group(self, g: int) -> Calls:
        """The calls of the g-th key."""
        return self.pick(np.arange(self.start[g], self.start[g + 1]))

    def until(self, row: int) -> Calls:
        """What had been seen of one key's calls up to and with `row`: later ends are pending."""
        sub = self.pick(np.flatnonzero(self.inv <= row))
        res = np.where(sub.res > row, PENDING, sub.res)
        return replace(sub, res=res).pick(np.arange(len(sub)))


def _one_group(n: int) -> I64:
    return np.zeros(n, np.int64)


def read_calls(
    history: History,
    vocabulary: Vocabulary,
    *,
    split_pairs: bool = False,
    failed_code: int = -1,
    failed_f: tuple[str, ...] = (),
) -> Calls | Malformed:
    """Pair and group the client ops of `history`; O(n) but for the grouping of keys.

    `split_pairs`: a value `[k v]` of an op without a key is value v of key k. A failed call whose
    `f` is in `failed_f`, without an error, is kept with the opcode `failed_code`.
    """
    forms = _forms(history, vocabulary)
    bad, row, out = _gather(
        _dense_process(history.process),
        history.process == NEMESIS,
        history.type,
        np.maximum(history.f, -1),
        history.kind,
        history.atom,
        history.element_start,
        history.elements,
        history.key,
        history.error,
        forms,
        np.isin(np.arange(len(history.names)), [history.name_code(f) for f in failed_f]),
        failed_code,
        split_pairs,
    )
    if bad:
        return _malformed(history, int(bad), int(row))
    process_row, op, a, b, inv, res, key, complex_a = out
    wrong = _documents(history, a, b, complex_a)
    if wrong >= 0:
        return _malformed(history, _BAD_PAIR, wrong)
    group, keys = _group(key)
    process = history.process[process_row]
    return _arrange(history, (process, op, a, b, inv, res), group, keys)


_NO_INVOCATION, _TWICE, _UNKNOWN_F, _BAD_PAIR = 1, 2, 3, 4


def _malformed(history: History, bad: int, row: int) -> Malformed:
    op = history.op(row)
    index = op.index
    causes = {
        _NO_INVOCATION: f"op {index} is a completion ({op.type.label}) of process {op.process}, "
        "which had invoked nothing",
        _TWICE: f"op {index}: process {op.process} invoked again before its op had completed",
        _UNKNOWN_F: f"op {index}: the model does not know f {op.f!r}",
        _BAD_PAIR: f"op {index}: {op.f} takes a pair [old new], not {op.value!r}",
    }
    return Malformed(causes[bad], index)


def _forms(history: History, vocabulary: Vocabulary) -> I64:
    """One row a name of the history: opcode (−1 unknown), shape, output, pure."""
    table = np.full((len(history.names) + 1, 4), -1, np.int64)
    for code, name in enumerate(history.names):
        form = vocabulary.get(name)
        if form is not None:
            table[code] = (form.code, form.shape, form.output, form.pure)
    return table


def _dense_process(process: I32) -> I64:
    """Process numbers small enough to index an array."""
    top = int(process.max(initial=0))
    if process.min(initial=0) >= NEMESIS and top < 4 * len(process) + 1_000_000:
        return process.astype(np.int64) + 1
    return np.unique(process, return_inverse=True)[1].astype(np.int64)


@njit(cache=True, nogil=True)
def _gather(
    process: I64,
    nemesis: Bool,
    types: U8,
    f: I32,
    kind: U8,
    atom: I64,
    element_start: I64,
    elements: I64,
    key: I64,
    error: I32,
    forms: I64,
    assertive: Bool,
    failed_code: int,
    split_pairs: bool,
) -> tuple[int, int, tuple[I64, U8, I64, I64, I64, I64, I64, I64]]:
    n = len(types)
    res_of = np.full(n, -1, np.int64)
    opened = np.full((process.max() if n else 0) + 1, -1, np.int64)
    bad, bad_row, calls = 0, -1, 0
    for row in range(n):
        if nemesis[row]:
            continue
        p = process[row]
        if types[row] == 0:
            if opened[p] >= 0:
                bad, bad_row = _TWICE, row
                break
            opened[p] = row
            calls += 1
        elif opened[p] < 0:
            bad, bad_row = _NO_INVOCATION, row
            break
        else:
            res_of[opened[p]] = row
            opened[p] = -1
    who, inv, res = np.empty(calls, np.int64), np.empty(calls, np.int64), np.empty(calls, np.int64)
    op, a, b = np.empty(calls, np.uint8), np.empty(calls, np.int64), np.empty(calls, np.int64)
    keys, source = np.empty(calls, np.int64), np.empty(calls, np.int64)
    m = 0
    for row in range(n):
        if bad:
            break
        if nemesis[row] or types[row] != 0:
            continue
        end = res_of[row]
        code, shape, output, pure = forms[f[row]]
        ok = end >= 0 and types[end] == 1
        if end >= 0 and types[end] == 2:
            if failed_code < 0 or not assertive[f[row]] or error[end] >= 0:
                continue
            code, ok, pure = failed_code, True, 1
        if code < 0:
            bad, bad_row = _UNKNOWN_F, row
            break
        if pure == 1 and not ok:
            continue
        at = row
        if ok and types[end] == 1 and (output == 1 or kind[row] == 0):
            at = end
        if shape == 3 and ok and element_start[end + 1] - element_start[end] == 2:
            at = end
        who[m], inv[m], op[m], keys[m], source[m] = row, row, code, key[row], -1
        res[m] = end if ok else 2**62
        a[m], b[m] = -(2**63), -(2**63)
        lo, hi = element_start[at], element_start[at + 1]
        pair = kind[at] == 2 and hi - lo == 2
        if split_pairs and pair and key[row] == -(2**63):
            keys[m], a[m] = elements[lo], elements[lo + 1]
            if output == 1 and not ok:
                a[m] = -(2**63) + 1
        elif output == 1 and not ok and kind[row] == 0:
            a[m] = -(2**63) + 1
        elif shape == 3:
            if pair:
                a[m], b[m] = elements[lo], elements[lo + 1]
            elif kind[at] == 1 or kind[at] == 5:
                a[m] = atom[at]
            elif kind[at] != 0:
                source[m] = at
        elif shape == 2:
            if pair:
                a[m], b[m] = elements[lo], elements[lo + 1]
            elif kind[at] == 5:
                source[m] = -2 - at
            else:
                bad, bad_row = _BAD_PAIR, at
                break
        elif shape == 1:
            if kind[at] == 1 or kind[at] == 5:
                a[m] = atom[at]
            elif kind[at] != 0:
                source[m] = at
        m += 1
    return (
        bad,
        bad_row,
        (who[:m], op[:m], a[:m], b[:m], inv[:m], res[:m], keys[:m], source[:m]),
    )


def _documents(history: History, a: I64, b: I64, source: I64) -> int:
    """Codes for values that are no single atom, into `a` and `b`; −1, or the row of a bad pair."""
    encode = history.atoms.encode
    for call in np.flatnonzero(source != -1).tolist():
        at = int(source[call])
        if at >= 0:
            a[call] = encode(history.value(at))
            continue
        value = history.value(-2 - at)
        if not isinstance(value, tuple) or len(value) != 2:
            return -2 - at
        a[call], b[call] = encode(value[0]), encode(value[1])
    return -1


def _group(key: I64) -> tuple[I64, I64]:
    """Dense group numbers and each group's key."""
    if not len(key) or (key == key[0]).all():
        return _one_group(len(key)), key[:1].copy()
    low, high = int(key.min()), int(key.max())
    if high - low < 4 * len(key):
        offset = key - low
        present = np.bincount(offset, minlength=high - low + 1) > 0
        return (np.cumsum(present) - 1)[offset], np.flatnonzero(present) + low
    keys, group = np.unique(key, return_inverse=True)
    return group.astype(np.int64), keys


def regroup(calls: Calls, key: I64) -> Calls:
    """The same calls judged apart by `key` (one code a call) within what was one group."""
    order = np.argsort(calls.inv, kind="stable")
    group, keys = _group(key[order])
    columns = (calls.process, calls.op, calls.a, calls.b, calls.inv, calls.res)
    return _arrange(calls.history, tuple(c[order] for c in columns), group, keys)


def keep(calls: Calls, mask: Bool) -> Calls:
    """Only the calls where `mask` holds; keys that lose all of theirs go too."""
    group = np.repeat(np.arange(calls.groups), np.diff(calls.start))[mask]
    old, new = np.unique(group, return_inverse=True)
    columns = (calls.process, calls.op, calls.a, calls.b, calls.inv, calls.res)
    kept = tuple(c[mask] for c in columns)
    order = np.argsort(kept[4], kind="stable")
    return _arrange(
        calls.history, tuple(c[order] for c in kept), new[order].astype(np.int64), calls.keys[old]
    )


def _arrange(history: History, columns: tuple[I32 | U8 | I64, ...], group: I64, keys: I64) -> Calls:
    """Sort calls (given in order of invocation) by group and lay out their events."""
    order, start = _counting_sort(group, len(keys))
    process, op, a, b, inv, res = (cast(I64, c[order]) for c in columns)
    rows = int(max(inv.max(initial=-1), res[res < PENDING].max(initial=-1))) + 1
    if rows > 16 * len(inv) + 1024:
        ends = np.concatenate([inv, res[res < PENDING]])
        rank = np.unique(ends)
        rows = len(rank)
        inv_rank = np.searchsorted(rank, inv)
        res_rank = np.where(res < PENDING, np.searchsorted(rank, res), PENDING)
    else:
        inv_rank, res_rank = inv, res
    event_call, event_end, event_start, inv_at, res_at = _events(
        inv_rank, res_rank, group[order], len(keys), rows
    )
    return Calls(
        history,
        cast(I32, process),
        cast(U8, op),
        a,
        b,
        inv,
        res,
        keys,
        start,
        event_call,
        event_end,
        event_start,
        inv_at,
        res_at,
    )


@njit(cache=True, nogil=True)
def _counting_sort(group: I64, n: int) -> tuple[I64, I64]:
    """The stable order by group, and each group's start in it; O(n)."""
    start = np.zeros(n + 1, np.int64)
    for g in group:
        start[g + 1] += 1
    for g in range(n):
        start[g + 1] += start[g]
    at = start[:-1].copy()
    order = np.empty(len(group), np.int64)
    for i in range(len(group)):
        order[at[group[i]]] = i
        at[group[i]] += 1
    return order, start


@njit(cache=True, nogil=True)
def _events(inv: I64, res: I64, group: I64, n: int, rows: int) -> tuple[I64, Bool, I64, I64, I64]:
    call_at = np.full(rows, -1, np.int64)
    start = np.zeros(n + 1, np.int64)
    for c in range(len(inv)):
        call_at[inv[c]] = c
        start[group[c] + 1] += 1
        if res[c] < 2**62:
            call_at[res[c]] = c
            start[group[c] + 1] += 1
    for g in range(n):
        start[g + 1] += start[g]
    at = start[:-1].copy()
    event_call = np.empty(start[n], np.int64)
    event_end = np.empty(start[n], np.bool_)
    inv_at = np.empty(len(inv), np.int64)
    res_at = np.full(len(inv), 2**62, np.int64)
    for row in range(rows):
        c = call_at[row]
        if c < 0:
            continue
        g = group[c]
        e = at[g]
        at[g] += 1
        event_call[e] = c
        event_end[e] = res[c] == row
        if event_end[e]:
            res_at[c] = e
        else:
            inv_at[c] = e
    return event_call, event_end, start, inv_at, res_at

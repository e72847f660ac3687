"""The general search: sweep the events, keeping every configuration that is still possible.

Just-in-time linearization (Lowe, "Testing for linearizability", Concurrency and Computation 2017,
after Wing and Gong 1993), compiled. A *configuration* is a state, the set of open calls that have
already taken effect, and how many pending calls of each class have. When a call ends, each
configuration without it is extended by open calls until it is in; those that cannot are given
up. No configuration left: not linearizable, and the ending call is the one that cannot be placed.
So memory depends on how many calls are open at once, not on the length of the history.

Four prunings, all exact:

- a call that never changes the state takes effect as soon as it can: doing it earlier than a
  linearization does leaves that linearization whole;
- of open calls that do the same (same f, same argument) the one that ends first goes first, and
  any of them before a pending one: swapping two such calls changes no linearization's legality;
- pending calls of one class are interchangeable, so counts replace sets;
- a pending call never has to happen, so of two configurations that differ only in the pending
  calls they used, the one that used a subset can do all that the other can: the other goes.

One row of `rows` is a configuration: the state; the open calls in effect, one bit a slot; the
pending counts, 16 bits a class. States are integers: of a *scalar* machine whose steps are built
in (registers, counters, locks), or interned by a `Table` that remembers a model's steps.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from seatrial.history.columns import I64, U8, Bool

#: Opcodes of the scalar machine, whose state is one atom code.
READ, WRITE, CAS, NOT_EQUAL, ADD = 0, 1, 2, 3, 4
#: Answers of a step: impossible, and not known yet.
NO, ASK = -(2**63) + 2, -(2**63) + 3

#: Answers of `sweep`.
DONE, FAILED, ASKING, GROW, PAUSED = 0, 1, 2, 3, 4

#: Places in `reg`, the registers that outlive one call of `sweep`.
(
    EVENT,  # position in the key's events
    COUNT,  # rows in use
    HEAD,  # next row to extend
    LAYER,  # first row of the layer being extended
    LAYER_END,
    BUSY,  # an ending call is being placed
    ASKED,  # unanswered (state, class) pairs
    STAMP,  # of the hash table
    ACTIVE,  # open calls
    WORK,  # steps tried in all
    WIDEST,  # most rows ever
    PLACE,  # which of the keys to judge
    STARTED,  # whether that key's events have begun
    REGISTERS,
) = range(14)


@njit(cache=True, nogil=True)
def scalar_step(op: int, a: int, b: int, state: int) -> int:
    """The state after one call of the scalar machine, or `NO`.

    `ADD` adds a and, unless b is nil, must stay within 0 … b.
    """
    if op == READ:
        return state if state == a else NO
    if op == WRITE:
        return a
    if op == CAS:
        return b if state == a else NO
    if op == NOT_EQUAL:
        return state if state != a else NO
    total = state + a
    if b != -(2**63) and (total < 0 or total > b):
        return NO
    return total


@njit(cache=True, nogil=True)
def _mix(x: int) -> int:
    x *= 0x2545F4914F6CDD1D
    return x ^ (x >> 31)


@njit(cache=True, nogil=True)
def table_step(keys: I64, values: I64, question: int) -> int:
    """The remembered answer to `question` (state × classes + class), or `ASK`."""
    h = _mix(question) & (len(keys) - 1)
    while keys[h] != -1:
        if keys[h] == question:
            return int(values[h])
        h = (h + 1) & (len(keys) - 1)
    return ASK


@njit(cache=True, nogil=True)
def remember(keys: I64, values: I64, questions: I64, answers: I64) -> None:
    """Put answers into the open hash table (which must have room)."""
    for i in range(len(questions)):
        h = _mix(questions[i]) & (len(keys) - 1)
        while keys[h] != -1 and keys[h] != questions[i]:
            h = (h + 1) & (len(keys) - 1)
        keys[h], values[h] = questions[i], answers[i]


@njit(cache=True, nogil=True)
def _within(rows: I64, x: int, y: int, lo: int) -> bool:
    """Whether row x used no more pending calls of any class than row y."""
    for k in range(lo, rows.shape[1]):
        p, q = rows[x, k], rows[y, k]
        for shift in (0, 16, 32, 48):
            if (p >> shift) & 0xFFFF > (q >> shift) & 0xFFFF:
                return False
    return True


@njit(cache=True, nogil=True)
def _add(
    rows: I64, alive: Bool, chain: I64, heads: I64, stamps: I64, stamp: int, n: int, words: int
) -> int:
    """Keep row n unless another makes it needless; the number of rows then."""
    h = 0
    for k in range(words):
        h = _mix(h ^ rows[n, k])
    h &= len(heads) - 1
    if stamps[h] != stamp:
        stamps[h], heads[h] = stamp, -1
    m = heads[h]
    while m >= 0:
        if alive[m]:
            same = True
            for k in range(words):
                if rows[m, k] != rows[n, k]:
                    same = False
                    break
            if same:
                if _within(rows, m, n, words):
                    return n
                if _within(rows, n, m, words):
                    alive[m] = False
        m = chain[m]
    chain[n], heads[h], alive[n] = heads[h], n, True
    return n + 1


@njit(cache=True, nogil=True)
def rehash(
    rows: I64, alive: Bool, chain: I64, heads: I64, stamps: I64, stamp: int, n: int, words: int
) -> None:
    """Link the first n rows into a new (larger) table of heads."""
    for i in range(n):
        if not alive[i]:
            continue
        h = 0
        for k in range(words):
            h = _mix(h ^ rows[i, k])
        h &= len(heads) - 1
        if stamps[h] != stamp:
            stamps[h], heads[h] = stamp, -1
        chain[i], heads[h] = heads[h], i


@njit(cache=True, nogil=True)
def sweep(
    reg: I64, limit: int, ask_limit: int, words: int, classes: int,
    event_call: I64, event_end: Bool, last: int, slot: I64, active: I64,
    op: U8, a: I64, b: I64, ends: I64, pure: Bool, pending_class: I64,
    left: I64, example: I64,
    keys: I64, values: I64, asked: I64,
    rows: I64, alive: Bool, chain: I64, heads: I64, stamps: I64,
) -> int:  # fmt: skip
    """Go on with one key's events until done, failed, or something is needed.

    `classes` > 0: steps come from the table and `a` holds each call's class; 0: scalar machine.
    `left` and `example` hold, per pending class, how many were invoked and one of them.
    The caller keeps `rows` large enough to add one row (`GROW`) and answers `asked` (`ASKING`);
    what was being done is then done again, which changes nothing.
    """
    stop = reg[WORK] + limit
    while reg[EVENT] < last:
        e = reg[EVENT]
        c = event_call[e]
        if not event_end[e]:
            p = pending_class[c]
            if p >= 0:
                left[p] += 1
            elif slot[c] >= 0:
                if pure[c] and not _open_pure(
                    reg, c, classes, slot, op, a, b, keys, values, asked, rows
                ):
                    return ASKING
                active[reg[ACTIVE]] = c
                reg[ACTIVE] += 1
            reg[EVENT] += 1
            continue
        if reg[BUSY] == 0:
            _begin(reg, slot[c], words, rows, alive, chain, heads, stamps)
        while reg[LAYER] < reg[COUNT] and reg[BUSY] == 1:
            code = _extend(
                reg, c, words, classes, slot, active, op, a, b, ends, pure, left, example,
                keys, values, asked, ask_limit, stop, rows, alive, chain, heads, stamps,
            )  # fmt: skip
            if code != DONE:
                return code
        kept = _finish(reg, slot[c], rows, alive)
        if kept == 0:
            return FAILED
        reg[COUNT] = kept
        n = reg[ACTIVE]
        for i in range(n):
            if active[i] == c:
                active[i] = active[n - 1]
                break
        reg[ACTIVE] = n - 1
        reg[EVENT] += 1
        reg[BUSY] = 0
    return DONE


@njit(cache=True, nogil=True)
def _step(
    classes: int, c: int, state: int, op: U8, a: I64, b: I64, keys: I64, values: I64,
    reg: I64, asked: I64,
) -> int:  # fmt: skip
    if classes == 0:
        return scalar_step(op[c], a[c], b[c], state)
    question = state * classes + a[c]
    answer = table_step(keys, values, question)
    if answer == ASK and reg[ASKED] < len(asked):
        asked[reg[ASKED]] = question
        reg[ASKED] += 1
    return answer


@njit(cache=True, nogil=True)
def _open_pure(
    reg: I64, c: int, classes: int, slot: I64, op: U8, a: I64, b: I64,
    keys: I64, values: I64, asked: I64, rows: I64,
) -> bool:  # fmt: skip
    """A call that changes nothing takes effect at once wherever it can."""
    ready = True
    word, bit = 1 + slot[c] // 62, 1 << (slot[c] % 62)
    for i in range(reg[COUNT]):
        answer = _step(classes, c, rows[i, 0], op, a, b, keys, values, reg, asked)
        if answer == ASK:
            ready = False
        elif answer != NO:
            rows[i, word] |= bit
    return ready


@njit(cache=True, nogil=True)
def _begin(
    reg: I64, slot: int, words: int, rows: I64, alive: Bool, chain: I64, heads: I64, stamps: I64
) -> None:
    """Start placing an ending call: if every row has it already there is nothing to extend."""
    word, bit = 1 + slot // 62, 1 << (slot % 62)
    reg[BUSY] = 2
    n = reg[COUNT]
    for i in range(n):
        alive[i] = True
        if rows[i, word] & bit == 0:
            reg[BUSY] = 1
    if reg[BUSY] == 2:
        return
    reg[STAMP] += 1
    for i in range(n):
        _add(rows, alive, chain, heads, stamps, reg[STAMP], i, words)
    reg[LAYER], reg[LAYER_END] = 0, n


@njit(cache=True, nogil=True)
def _extend(
    reg: I64, c: int, words: int, classes: int, slot: I64, active: I64,
    op: U8, a: I64, b: I64, ends: I64, pure: Bool, left: I64, example: I64,
    keys: I64, values: I64, asked: I64, ask_limit: int, stop: int,
    rows: I64, alive: Bool, chain: I64, heads: I64, stamps: I64,
) -> int:  # fmt: skip
    """Extend one layer of rows by one call each; the next layer is what is new."""
    word, bit = 1 + slot[c] // 62, 1 << (slot[c] % 62)
    room = reg[ACTIVE] + len(left) + 1
    head = reg[HEAD] if reg[HEAD] > reg[LAYER] else reg[LAYER]
    for i in range(head, reg[LAYER_END]):
        if reg[ASKED] == 0 and (reg[COUNT] + room > len(rows) or reg[WORK] > stop):
            reg[HEAD] = i
            return PAUSED if reg[WORK] > stop else GROW
        if reg[COUNT] + room > len(rows) or reg[ASKED] >= ask_limit:
            break
        if not alive[i] or rows[i, word] & bit != 0:
            continue
        for j in range(reg[ACTIVE] + len(left)):
            _try(
                reg, i, j, words, classes, slot, active, op, a, b, ends, pure, left, example,
                keys, values, asked, rows, alive, chain, heads, stamps,
            )  # fmt: skip
    if reg[ASKED] > 0:
        return ASKING
    reg[LAYER], reg[LAYER_END], reg[HEAD] = reg[LAYER_END], reg[COUNT], 0
    return DONE


@njit(cache=True, nogil=True)
def _equal_first(
    reg: I64, i: int, x: int, end: int, slot: I64, active: I64, op: U8, a: I64, b: I64,
    ends: I64, rows: I64,
) -> bool:  # fmt: skip
    """Whether an open call that does the same as x and ends before `end` is still out of row i."""
    for k in range(reg[ACTIVE]):
        y = active[k]
        if (
            ends[y] < end
            and a[y] == a[x]
            and op[y] == op[x]
            and b[y] == b[x]
            and rows[i, 1 + slot[y] // 62] & (1 << (slot[y] % 62)) == 0
        ):
            return True
    return False


@njit(cache=True, nogil=True)
def _try(
    reg: I64, i: int, j: int, words: int, classes: int, slot: I64, active: I64,
    op: U8, a: I64, b: I64, ends: I64, pure: Bool, left: I64, example: I64,
    keys: I64, values: I64, asked: I64,
    rows: I64, alive: Bool, chain: I64, heads: I64, stamps: I64,
) -> None:  # fmt: skip
    """Extend row i by the j-th candidate: an open call, or a pending class."""
    p = j - reg[ACTIVE]
    if p < 0:
        x = active[j]
        at, step = 1 + slot[x] // 62, 1 << (slot[x] % 62)
        if pure[x] or rows[i, at] & step != 0:
            return
        if reg[ACTIVE] > 1 and _equal_first(reg, i, x, ends[x], slot, active, op, a, b, ends, rows):
            return
    else:
        x = example[p]
        at, step = words + p // 4, 1 << (16 * (p % 4))
        if (rows[i, at] >> (16 * (p % 4))) & 0xFFFF >= left[p]:
            return
        if _equal_first(reg, i, x, 2**62, slot, active, op, a, b, ends, rows):
            return
    reg[WORK] += 1
    state = _step(classes, x, rows[i, 0], op, a, b, keys, values, reg, asked)
    if state in (NO, ASK) or (p >= 0 and state == rows[i, 0]):
        return
    n = reg[COUNT]
    rows[n] = rows[i]
    rows[n, 0] = state
    rows[n, at] += step
    for k in range(reg[ACTIVE]):
        y = active[k]
        if pure[y] and rows[n, 1 + slot[y] // 62] & (1 << (slot[y] % 62)) == 0:
            answer = _step(classes, y, state, op, a, b, keys, values, reg, asked)
            if answer == ASK:
                return
            if answer != NO:
                rows[n, 1 + slot[y] // 62] |= 1 << (slot[y] % 62)
    reg[COUNT] = _add(rows, alive, chain, heads, stamps, reg[STAMP], n, words)
    if reg[COUNT] > reg[WIDEST]:
        reg[WIDEST] = reg[COUNT]


@njit(cache=True, nogil=True)
def _finish(reg: I64, slot: int, rows: I64, alive: Bool) -> int:
    """Keep the rows that have the ending call, and clear its bit."""
    word, bit = 1 + slot // 62, 1 << (slot % 62)
    kept = 0
    for i in range(reg[COUNT]):
        if alive[i] and rows[i, word] & bit != 0:
            kept += 1
    if kept == 0:
        return 0
    kept = 0
    for i in range(reg[COUNT]):
        if alive[i] and rows[i, word] & bit != 0:
            if kept != i:
                rows[kept] = rows[i]
            rows[kept, word] ^= bit
            kept += 1
    return kept


@njit(cache=True, nogil=True)
def assign_slots(
    event_call: I64, event_end: Bool, first: int, last: int, pending_class: I64, useful: Bool,
    slot: I64, free: I64,
) -> int:  # fmt: skip
    """Give each call of a key that ends a slot, reused after its end; how many there are."""
    top, used = 0, 0
    for e in range(first, last):
        c = event_call[e]
        if event_end[e]:
            free[top] = slot[c]
            top += 1
        elif pending_class[c] < 0 and useful[c]:
            if top > 0:
                top -= 1
                slot[c] = free[top]
            else:
                slot[c] = used
                used += 1
    return used


@njit(cache=True, nogil=True)
def measure(
    event_call: I64, event_end: Bool, event_start: I64, todo: I64, pending_class: I64,
    useful: Bool, slot: I64,
) -> I64:  # fmt: skip
    """Slots of all keys in `todo`; how many each needs."""
    out = np.zeros(len(todo), np.int64)
    most = 1
    for g in todo:
        most = max(most, event_start[g + 1] - event_start[g])
    free = np.empty(most, np.int64)
    for i in range(len(todo)):
        g = todo[i]
        out[i] = assign_slots(
            event_call, event_end, event_start[g], event_start[g + 1], pending_class, useful,
            slot, free,
        )  # fmt: skip
    return out


@njit(cache=True, nogil=True)
def sweep_keys(
    reg: I64, todo: I64, failed: I64, initial: int, limit: int, ask_limit: int, words: int,
    classes: int, event_call: I64, event_end: Bool, event_start: I64, slot: I64, active: I64,
    op: U8, a: I64, b: I64, ends: I64, pure: Bool, pending_class: I64, class_start: I64,
    left: I64, example: I64, keys: I64, values: I64, asked: I64,
    rows: I64, alive: Bool, chain: I64, heads: I64, stamps: I64,
) -> int:  # fmt: skip
    """Judge the keys of `todo` one after another; `failed[g]` is the event that failed, or −1.

    Stops with `FAILED` at each failing key (its rows still hold the last configurations); the
    caller moves `PLACE` on.
    """
    while reg[PLACE] < len(todo):
        g = todo[reg[PLACE]]
        lo, hi = class_start[g], class_start[g + 1]
        if reg[STARTED] == 0:
            reg[STARTED] = 1
            reg[EVENT], reg[COUNT], reg[ACTIVE], reg[BUSY], reg[HEAD] = event_start[g], 1, 0, 0, 0
            rows[0, :] = 0
            rows[0, 0] = initial
        code = sweep(
            reg, limit, ask_limit, words, classes, event_call, event_end, event_start[g + 1],
            slot, active, op, a, b, ends, pure, pending_class, left[lo:hi], example[lo:hi],
            keys, values, asked, rows, alive, chain, heads, stamps,
        )  # fmt: skip
        if code == FAILED:
            failed[g] = reg[EVENT]
            return FAILED
        if code != DONE:
            return code
        reg[PLACE] += 1
        reg[STARTED] = 0
    return DONE

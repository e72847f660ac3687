"""Drives the general search: sizes its arrays, answers its questions, keeps it within budget."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from seatrial.checker import Budget
from seatrial.checkers.linearizable import frontier
from seatrial.checkers.linearizable.calls import PENDING, Calls
from seatrial.history.columns import I64, Bool

_STEPS_A_TURN = 400_000
_QUESTIONS = 4096
_MOST_STATES_TOLD = 8
_MOST_KEYS_TOLD = 64
_MOST_OF_A_CLASS = 30_000


class Steps(Protocol):
    """Where steps come from: a class for each call, and answers to (state, class) pairs."""

    initial: Hashable

    def classify(self, calls: Calls) -> tuple[I64, int]:
        """The class of each call and the number of classes."""
        ...

    def answer(self, state: Hashable, call_class: int) -> Hashable | None:
        """The state after a call of this class in this state, None if it cannot happen."""
        ...


@dataclass(slots=True, eq=False)
class Outcome:
    """What the search found.

    `failed[g]`: −1, or the event of key g that could not be placed. `undecided`: keys that were
    not judged to their end. `states`: of some failed keys, the states possible just before.
    """

    failed: I64
    undecided: I64
    widest: int = 0
    reached: int = 0
    why: str = ""
    states: dict[int, list[Hashable]] = field(default_factory=dict)


class _Table:
    """Steps of a model, remembered: states and classes are small integers."""

    def __init__(self, steps: Steps | None, classes: int) -> None:
        self.steps, self.classes = steps, classes
        self.states: list[Hashable] = [steps.initial if steps else None]
        self._ids: dict[Hashable, int] = {self.states[0]: 0}
        self.keys = np.full(1 << 12, -1, np.int64)
        self.values = np.zeros(1 << 12, np.int64)
        self._filled = 0

    def learn(self, questions: I64) -> None:
        """Ask the model all that is asked, once each."""
        assert self.steps is not None
        answers: dict[int, int] = dict.fromkeys(questions.tolist(), frontier.NO)
        for question in answers:
            state, call_class = divmod(question, self.classes)
            after = self.steps.answer(self.states[state], call_class)
            if after is not None:
                answers[question] = self._id(after)
        self._filled += len(answers)
        if 2 * self._filled > len(self.keys):
            self._grow()
        asked = np.fromiter(answers, np.int64, len(answers))
        told = np.fromiter(answers.values(), np.int64, len(answers))
        frontier.remember(self.keys, self.values, asked, told)

    def _id(self, state: Hashable) -> int:
        found = self._ids.get(state)
        if found is None:
            found = self._ids[state] = len(self.states)
            self.states.append(state)
        return found

    def _grow(self) -> None:
        used = self.keys >= 0
        old_keys, old_values = self.keys[used], self.values[used]
        size = len(self.keys)
        while size < 4 * self._filled:
            size *= 2
        self.keys, self.values = np.full(size, -1, np.int64), np.zeros(size, np.int64)
        frontier.remember(self.keys, self.values, old_keys, old_values)


class _Rows:
    """The configurations and their hash table; doubled when full, up to a bound in bytes."""

    def __init__(self, width: int, words: int, count: int) -> None:
        self.words = words
        self.row = np.zeros((count, width), np.int64)
        self._index(count)

    def _index(self, count: int) -> None:
        self.alive = np.zeros(count, np.bool_)
        self.chain = np.zeros(count, np.int64)
        self.heads = np.zeros(2 * count, np.int64)
        self.stamps = np.full(2 * count, -1, np.int64)

    def grow(self, reg: I64, memory_bytes: int) -> bool:
        """Double; False at the bound."""
        count = 2 * len(self.row)
        if count * (self.row.shape[1] * 8 + 48) * 3 // 2 > memory_bytes:
            return False
        old, alive, n = self.row, self.alive, int(reg[frontier.COUNT])
        self.row = np.zeros((count, old.shape[1]), np.int64)
        self.row[: len(old)] = old
        self._index(count)
        self.alive[: len(alive)] = alive
        stamp = int(reg[frontier.STAMP])
        frontier.rehash(
            self.row, self.alive, self.chain, self.heads, self.stamps, stamp, n, self.words
        )
        return True


@dataclass(frozen=True, slots=True, eq=False)
class _Classes:
    """Pending calls, classed: those of key g are `start[g]:start[g+1]` of `example`."""

    of_call: I64
    start: I64
    example: I64
    most: int


def _classes(calls: Calls, pure: Bool, key_a: I64, key_b: I64) -> _Classes:
    of_call = np.full(len(calls), -1, np.int64)
    which = np.flatnonzero((calls.res >= PENDING) & ~pure)
    start = np.zeros(calls.groups + 1, np.int64)
    if not len(which):
        return _Classes(of_call, start, np.zeros(0, np.int64), 0)
    group = np.searchsorted(calls.start, which, side="right") - 1
    order = np.lexsort((key_b[which], key_a[which], calls.op[which], group))
    which, group = which[order], group[order]
    columns = np.stack([group, calls.op[which].astype(np.int64), key_a[which], key_b[which]])
    new = np.concatenate([[True], (columns[:, 1:] != columns[:, :-1]).any(axis=0)])
    number = np.cumsum(new) - 1
    np.cumsum(np.bincount(group[new], minlength=calls.groups), out=start[1:])
    of_call[which] = number - start[group]
    return _Classes(of_call, start, which[new], int(np.bincount(number).max()))


@dataclass(frozen=True, slots=True, eq=False)
class Machine:
    """What `search` runs: the scalar machine (`steps` None, an `initial` code) or a model."""

    pure: Bool
    initial: int = 0
    steps: Steps | None = None


def search(calls: Calls, machine: Machine, todo: I64, budget: Budget) -> Outcome:
    """Judge the keys in `todo` by the general search; O(events × configurations × open calls)."""
    found = Outcome(np.full(calls.groups, -1, np.int64), todo[:0])
    if not len(todo):
        return found
    key_a, key_b, classes = calls.a, calls.b, 0
    if machine.steps is not None:
        key_a, classes = machine.steps.classify(calls)
        key_b = key_a
    pending = _classes(calls, machine.pure, key_a, key_b)
    if pending.most > _MOST_OF_A_CLASS:
        found.undecided = todo
        found.why = f"{pending.most} pending ops with the same f and value"
        return found
    slot = np.full(len(calls), -1, np.int64)
    useful = ~machine.pure | (calls.res < PENDING)
    slots = frontier.measure(
        calls.event_call, calls.event_end, calls.event_start, todo, pending.of_call, useful, slot
    )
    counts = np.diff(pending.start)[todo]
    table = _Table(machine.steps, max(classes, 1))
    task = _Task(calls, machine, key_a, key_b, classes, pending, slot, table, budget, found)
    shape = np.stack([_power(-(-slots // 62)), _power(-(-counts // 4))])
    for words, extra in np.unique(shape, axis=1).T.tolist():
        batch = todo[(shape[0] == words) & (shape[1] == extra)]
        most = int(slots.max(initial=1)) + 1
        if not task.run(batch, 1 + max(words, 1), extra, most):
            break
    done = task.done
    found.undecided = todo[~np.isin(todo, np.array(done, np.int64))] if not task.whole else todo[:0]
    return found


def _power(x: I64) -> I64:
    """Round up to a power of two (0 stays), so that keys of like size share arrays."""
    out = np.zeros_like(x)
    some = x > 0
    out[some] = 2 ** np.ceil(np.log2(x[some])).astype(np.int64)
    return out


@dataclass(slots=True, eq=False)
class _Task:
    """One search over all keys, batch by batch of equal row width."""

    calls: Calls
    machine: Machine
    key_a: I64
    key_b: I64
    classes: int
    pending: _Classes
    slot: I64
    table: _Table
    budget: Budget
    found: Outcome
    whole: bool = True
    done: list[int] = field(default_factory=list)

    def run(self, batch: I64, words: int, extra: int, most_open: int) -> bool:
        """Judge one batch; False when the budget is used up."""
        reg = np.zeros(frontier.REGISTERS, np.int64)
        rows = _Rows(words + extra, words, 256)
        left = np.zeros(len(self.pending.example), np.int64)
        active = np.zeros(most_open, np.int64)
        asked = np.zeros(_QUESTIONS, np.int64)
        while True:
            code = self._turn(reg, batch, words, rows, left, active, asked)
            self.found.widest = max(self.found.widest, int(reg[frontier.WIDEST]))
            if code == frontier.DONE:
                self.done.extend(batch.tolist())
                return True
            if reg[frontier.ASKED]:
                self.table.learn(asked[: reg[frontier.ASKED]])
                reg[frontier.ASKED] = 0
            if code == frontier.FAILED:
                self._tell(reg, batch, rows)
            why = self._over(code, reg, rows)
            if why:
                self._stop(why, reg, batch)
                return False

    def _turn(
        self, reg: I64, batch: I64, words: int, rows: _Rows, left: I64, active: I64, asked: I64
    ) -> int:
        calls, pending, table = self.calls, self.pending, self.table
        a, b = (self.key_a, calls.b) if self.classes else (calls.a, calls.b)
        code: int = frontier.sweep_keys(
            reg, batch, self.found.failed, self.machine.initial if not self.classes else 0,
            _STEPS_A_TURN, _QUESTIONS // 2, words, self.classes,
            calls.event_call, calls.event_end, calls.event_start, self.slot, active,
            calls.op, a, b, calls.res_at, self.machine.pure, pending.of_call, pending.start, left,
            pending.example, table.keys, table.values, asked,
            rows.row, rows.alive, rows.chain, rows.heads, rows.stamps,
        )  # fmt: skip
        return code

    def _over(self, code: int, reg: I64, rows: _Rows) -> str:
        if code == frontier.GROW and not rows.grow(reg, self.budget.memory_bytes // 2):
            return f"memory: {len(rows.row):,} configurations at once"
        if self.budget.left_s <= 0:
            return f"time: {int(reg[frontier.WORK]):,} steps tried"
        return ""

    def _tell(self, reg: I64, batch: I64, rows: _Rows) -> None:
        """Keep the states that were possible before the call that failed; go to the next key."""
        group = int(batch[reg[frontier.PLACE]])
        if len(self.found.states) < _MOST_KEYS_TOLD:
            kept = rows.row[: reg[frontier.COUNT]][rows.alive[: reg[frontier.COUNT]]]
            numbers = np.unique(kept[:, 0])[:_MOST_STATES_TOLD].tolist()
            named = [self.table.states[n] for n in numbers] if self.classes else numbers
            self.found.states[group] = named
        reg[frontier.PLACE] += 1
        reg[frontier.STARTED] = 0

    def _stop(self, why: str, reg: I64, batch: I64) -> None:
        self.whole = False
        place = int(reg[frontier.PLACE])
        self.done.extend(batch[:place].tolist())
        self.found.why = why
        if place < len(batch):
            first = int(self.calls.event_start[batch[place]])
            self.found.reached = max(0, int(reg[frontier.EVENT]) - first)

"""Independent keys: small objects tried side by side, each by its own group of threads.

Checking splits by key (Herlihy and Wing's locality), so many short histories stand in for one
long one that no search could judge (Jepsen, `independent.clj`).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from seatrial.errors import SeatrialError, UsageError
from seatrial.generator.contract import PENDING, Answer, Context, Generator, heeds
from seatrial.generator.sources import nothing
from seatrial.generator.threads import UNSHARED, Shares, route, share, soonest
from seatrial.op import Atom, Op

#: How many keys in a row may give no op at all before they are taken to be empty for ever.
EMPTY_KEYS_MAX: Final = 1000


class _Plan(NamedTuple):
    threads_per_key: int
    key_at: Callable[[int], Atom]
    make: Callable[[Atom, int], Generator]
    ops_per_key: int  # as many as nobody asks for, where there is no limit
    keys: int | None

    def begin(self, visit: int) -> tuple[Atom, Generator]:
        """The key of a visit and the generator of its ops."""
        key = self.key_at(visit)
        return key, self.make(key, visit)


class _Keyed(NamedTuple):
    """One group's key; when its generator is exhausted, the key `stride` further on."""

    plan: _Plan
    visit: int
    stride: int
    key: Atom
    left: int
    gen: Generator
    heeds: bool

    def op(self, context: Context) -> Answer:
        plan, visit, stride, key, left, before, heed = self
        for _ in range(EMPTY_KEYS_MAX):
            if left > 0:
                op, gen = before.op(context)
                if op is PENDING:
                    return op, _Keyed(plan, visit, stride, key, left, gen, heed)
                if op is not None:
                    if op.key != key:
                        op = Op(op.type, op.process, op.f, op.value, key, op.time_ns)
                    return op, _Keyed(plan, visit, stride, key, left - 1, gen, heed)
            visit += stride
            if plan.keys is not None and visit >= plan.keys:
                return None, nothing()
            key, before = plan.begin(visit)
            left, heed = plan.ops_per_key, heeds(before)
        raise SeatrialError(
            f"{EMPTY_KEYS_MAX} independent keys in a row gave no op, the last one {key!r}\n\n"
            "hint: the generator made for a key must give at least one op"
        )

    def update(self, context: Context, event: Op) -> Generator:
        if event.key != self.key:  # A late completion of the key before.
            return self
        gen = self.gen.update(context, event)
        if gen is self.gen:
            return self
        return _Keyed(self.plan, self.visit, self.stride, self.key, self.left, gen, True)


class _ConcurrentKeys(NamedTuple):
    plan: _Plan
    shares: Shares
    gens: tuple[Generator | None, ...]  # one of each group

    def _now(self, processes: Mapping[int, int]) -> _ConcurrentKeys:
        """The state for these processes; the first time, with a key for each group."""
        size = self.plan.threads_per_key
        groups = -(-len(processes) // size)
        group_of = {thread: i // size for i, thread in enumerate(sorted(processes))}
        gens = self.gens or tuple(self._begin(visit, groups) for visit in range(groups))
        return _ConcurrentKeys(self.plan, share(processes, group_of, groups), gens)

    def _begin(self, visit: int, groups: int) -> Generator | None:
        if self.plan.keys is not None and visit >= self.plan.keys:
            return None
        key, gen = self.plan.begin(visit)
        return _Keyed(self.plan, visit, groups, key, self.plan.ops_per_key, gen, heeds(gen))

    def op(self, context: Context) -> Answer:
        state = self if self.shares.of is context.processes else self._now(context.processes)
        op, gens = soonest(state.gens, state.shares, context)
        if op is None:
            return None, nothing()
        return op, state if gens is state.gens else _ConcurrentKeys(self.plan, state.shares, gens)

    def update(self, context: Context, event: Op) -> Generator:
        state = self if self.shares.of is context.processes else self._now(context.processes)
        gens = route(state.gens, state.shares, context, event)
        return state if gens is state.gens else _ConcurrentKeys(self.plan, state.shares, gens)


def concurrent_keys(
    threads_per_key: int,
    make: Callable[[Atom, int], Generator],
    *,
    keys: int | None = None,
    ops_per_key: int | None = None,
    key_at: Callable[[int], Atom] = int,
) -> Generator:
    """Groups of `threads_per_key` threads, each at a key of its own; sets `key` of each op.

    Visit `i` is at key `key_at(i)` (by default `i` itself: each key is new) with the ops of
    `make(key, i)`, at most `ops_per_key` of them. Of g groups, the j-th makes the visits j, j + g,
    j + 2g, … below `keys`, or without end. `key_at=lambda i: i % 100` goes round 100 keys. The
    last group is smaller where the threads do not divide. Raises `UsageError` for a group of none.
    """
    if threads_per_key < 1:
        raise UsageError(
            f"{threads_per_key} threads a key\n\nhint: give 1 thread or more for each key"
        )
    most = sys.maxsize if ops_per_key is None else ops_per_key
    return _ConcurrentKeys(_Plan(threads_per_key, key_at, make, most, keys), UNSHARED, ())

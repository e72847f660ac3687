"""Which threads: some only, one generator each, or a share for each.

A generator that is given a share of the threads sees a context of these threads alone: *all
threads are free* then means all of its own.

Where several shares have an op now, the thread that has been free for longest is served first,
so that no share starves under a rate limit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple

from seatrial.errors import UsageError
from seatrial.generator.contract import PENDING, Answer, Context, Generator, Pending, heeds
from seatrial.generator.sources import nothing
from seatrial.op import Op


class Shares(NamedTuple):
    """The threads divided into groups, for one mapping of threads to processes.

    `of` is the mapping it was made for; `group` gives each thread's group, `owner` each process's
    group; `processes` are the groups' own mappings. Threads in no group are in none of these.
    """

    of: Mapping[int, int]
    group: Mapping[int, int]
    owner: Mapping[int, int]
    processes: tuple[Mapping[int, int], ...]

    def context(self, group: int, context: Context) -> Context:
        """What `group` sees of `context`."""
        own = self.processes[group]
        return Context(context.time_ns, tuple(filter(own.__contains__, context.free)), own)


def share(processes: Mapping[int, int], group_of: Mapping[int, int], groups: int) -> Shares:
    """Divide the threads of `processes` into `groups` as `group_of` says. O(threads)."""
    own: list[dict[int, int]] = [{} for _ in range(groups)]
    owner = {}
    for thread, process in processes.items():
        group = group_of.get(thread)
        if group is not None:
            own[group][thread] = process
            owner[process] = group
    return Shares(processes, group_of, owner, tuple(own))


UNSHARED = Shares({}, {}, {}, ())


class _OnThreads(NamedTuple):
    wanted: Callable[[int], bool]
    shares: Shares
    gen: Generator

    def _share(self, processes: Mapping[int, int]) -> Shares:
        if self.shares.of is processes:
            return self.shares
        return share(processes, {t: 0 for t in processes if self.wanted(t)}, 1)

    def op(self, context: Context) -> Answer:
        shares = self._share(context.processes)
        op, gen = self.gen.op(shares.context(0, context))
        if gen is self.gen and shares is self.shares:
            return op, self
        return op, _OnThreads(self.wanted, shares, gen)

    def update(self, context: Context, event: Op) -> Generator:
        shares = self._share(context.processes)
        if event.process not in shares.owner:
            return self
        gen = self.gen.update(shares.context(0, context), event)
        return self if gen is self.gen else _OnThreads(self.wanted, shares, gen)

    @property
    def heeds(self) -> bool:
        """Whether what is inside heeds."""
        return heeds(self.gen)


class _Reserve(NamedTuple):
    counts: tuple[int, ...]
    shares: Shares
    gens: tuple[Generator | None, ...]  # None where exhausted

    def _share(self, processes: Mapping[int, int]) -> Shares:
        if self.shares.of is processes:
            return self.shares
        group_of, threads = {}, sorted(processes)
        first = 0
        for group, count in enumerate(self.counts):
            group_of.update(dict.fromkeys(threads[first : first + count], group))
            first += count
        rest = len(self.counts)
        group_of.update(dict.fromkeys(threads[first:], rest))
        return share(processes, group_of, rest + 1)

    def op(self, context: Context) -> Answer:
        shares = self._share(context.processes)
        op, gens = soonest(self.gens, shares, context)
        if op is None:
            return None, nothing()
        return op, _Reserve(self.counts, shares, gens)

    def update(self, context: Context, event: Op) -> Generator:
        shares = self._share(context.processes)
        gens = route(self.gens, shares, context, event)
        return self if gens is self.gens else _Reserve(self.counts, shares, gens)

    @property
    def heeds(self) -> bool:
        """Whether any of them heeds."""
        return any(gen is not None and heeds(gen) for gen in self.gens)


class _EachThread(NamedTuple):
    original: Generator
    shares: Shares
    gens: tuple[Generator | None, ...]

    def _share(self, processes: Mapping[int, int]) -> Shares:
        if self.shares.of is processes:
            return self.shares
        return share(processes, {t: i for i, t in enumerate(sorted(processes))}, len(processes))

    def op(self, context: Context) -> Answer:
        shares = self._share(context.processes)
        op, gens = soonest(self._all(context), shares, context)
        if op is None:
            return None, nothing()
        return op, _EachThread(self.original, shares, gens)

    def update(self, context: Context, event: Op) -> Generator:
        shares = self._share(context.processes)
        before = self._all(context)
        gens = route(before, shares, context, event)
        return self if gens is before else _EachThread(self.original, shares, gens)

    def _all(self, context: Context) -> tuple[Generator | None, ...]:
        return self.gens or (self.original,) * len(context.processes)

    @property
    def heeds(self) -> bool:
        """Whether what it is copied from heeds."""
        return heeds(self.original)


class _EachProcess(NamedTuple):
    original: Generator
    shares: Shares
    gens: tuple[Generator | None, ...]

    def _now(self, processes: Mapping[int, int]) -> _EachProcess:
        """The state for these processes: a fresh generator for each that is new."""
        old = self.shares
        if old.of is processes:
            return self
        groups = {t: i for i, t in enumerate(sorted(processes))}
        shares = share(processes, groups, len(processes))
        gens = tuple(
            self.gens[old.owner[process]] if process in old.owner else self.original
            for _, process in sorted(processes.items())
        )
        return _EachProcess(self.original, shares, gens)

    def op(self, context: Context) -> Answer:
        state = self._now(context.processes)
        op, gens = soonest(state.gens, state.shares, context)
        # A process that goes on as another one would get a generator of its own, but only while
        # some op is outstanding or held back can that still happen.
        if op is None and len(context.free) == len(context.processes):
            return None, nothing()
        after = _EachProcess(self.original, state.shares, gens)
        return (PENDING if op is None else op), after

    def update(self, context: Context, event: Op) -> Generator:
        state = self._now(context.processes)
        gens = route(state.gens, state.shares, context, event)
        if gens is state.gens:
            return state
        return _EachProcess(self.original, state.shares, gens)

    @property
    def heeds(self) -> bool:
        """Whether what it is copied from heeds."""
        return heeds(self.original)


def soonest(
    gens: tuple[Generator | None, ...], shares: Shares, context: Context
) -> tuple[Op | Literal[Pending.PENDING] | None, tuple[Generator | None, ...]]:
    """The soonest op of all groups and the generators after it; None once all are exhausted.

    Groups without a free thread are not asked. O(groups) at worst, O(1) where ops are due now.
    """
    group_of, now = shares.group, context.time_ns
    best: Op | None = None
    best_group, best_after = -1, gens[:1]
    asked = 0  # A set of groups, as bits.
    for thread in context.free:
        group = group_of.get(thread)
        if group is None or asked >> group & 1:
            continue
        gen = gens[group]
        if gen is None:
            continue
        asked |= 1 << group
        op, after = gen.op(shares.context(group, context))
        if op is None:
            gens = put(gens, group, None)
        elif op is PENDING:
            gens = gens if after is gen else put(gens, group, after)
        elif op.time_ns <= now:
            return op, put(gens, group, after)
        elif best is None or op.time_ns < best.time_ns:
            best, best_group, best_after = op, group, (after,)
    if best is not None:
        return best, put(gens, best_group, best_after[0])
    return (PENDING if any(gen is not None for gen in gens) else None), gens


def put(
    gens: tuple[Generator | None, ...], at: int, gen: Generator | None
) -> tuple[Generator | None, ...]:
    """`gens` with another one at place `at`."""
    return (*gens[:at], gen, *gens[at + 1 :])


def route(
    gens: tuple[Generator | None, ...], shares: Shares, context: Context, event: Op
) -> tuple[Generator | None, ...]:
    """`gens` after `event`, which only its process's own group hears of."""
    group = shares.owner.get(event.process)
    if group is None:
        return gens
    gen = gens[group]
    if gen is None or not heeds(gen):
        return gens
    after = gen.update(shares.context(group, context), event)
    return gens if after is gen else put(gens, group, after)


def on_threads(wanted: Callable[[int], bool], gen: Generator) -> Generator:
    """`gen` on the threads that `wanted` names; it sees and hears of no others."""
    return _OnThreads(wanted, UNSHARED, gen)


def reserve(*parts: tuple[int, Generator], rest: Generator | None = None) -> Generator:
    """The first `n` threads for the first pair `(n, generator)`, and so on; `rest` has the others.

    Raises `UsageError` for a count below 1.
    """
    for count, _ in parts:
        if count < 1:
            raise UsageError(f"reserve {count} threads\n\nhint: give 1 thread or more")
    gens = (*(gen for _, gen in parts), rest)
    return _Reserve(tuple(count for count, _ in parts), UNSHARED, gens)


def each_thread(gen: Generator) -> Generator:
    """A copy of `gen` for each thread, which sees only its own thread."""
    return _EachThread(gen, UNSHARED, ())


def each_process(gen: Generator) -> Generator:
    """A copy of `gen` for each process: a thread that goes on as a new process begins anew."""
    return _EachProcess(gen, UNSHARED, ())

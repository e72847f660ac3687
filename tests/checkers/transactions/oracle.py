"""Definitions by brute force, and small random executions to try them on.

Serializable: some order of the committed transactions (and of some of those whose end nobody
knows) in which each, run alone, reads what it read. Strict: an order that keeps real time.
Snapshot isolation: a commit order and, for each transaction, an earlier point whose state it
reads, with no transaction in between that wrote what it writes (Cerone and Gotsman, PODC 2016);
strong: keeping real time.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

from seatrial.op import Type, Value
from tests.checkers.transactions.notation import T

State = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class Case:
    """Transactions with their micro-ops (`text` of each `T` is not used)."""

    spans: tuple[T, ...]
    mops: tuple[tuple[tuple[str, str, Value], ...], ...]


def _writes(mops: tuple[tuple[str, str, Value], ...]) -> set[str]:
    return {key for f, key, _ in mops if f != "r"}


def _run(
    mops: tuple[tuple[str, str, Value], ...], state: State, *, registers: bool, blind: bool
) -> State | None:
    """The state after the transaction, None if a read saw something else."""
    state = dict(state)
    for f, key, value in mops:
        if f == "append":
            assert isinstance(value, int)
            state[key] = (*state.get(key, ()), value)
        elif f == "w":
            assert isinstance(value, int)
            state[key] = (value,)
        elif not blind:
            now: Value = state.get(key, ())
            if registers:
                now = now[-1] if isinstance(now, tuple) and now else None
            if now != value:
                return None
    return state


def _chosen(case: Case) -> Iterator[list[int]]:
    """The committed transactions, with each subset of those that may have committed."""
    ok = [i for i, t in enumerate(case.spans) if t.type is Type.OK]
    maybe = [i for i, t in enumerate(case.spans) if t.type is Type.INFO]
    for size in range(len(maybe) + 1):
        for extra in combinations(maybe, size):
            yield [*ok, *extra]


def _end(t: T) -> float:
    return t.end if t.type is Type.OK and t.end is not None else float("inf")


def serializable(case: Case, *, strict: bool = False, registers: bool = False) -> bool:
    """Whether an order of the transactions explains all reads."""
    return any(_order(case, chosen, {}, strict, registers) for chosen in _chosen(case))


def _order(case: Case, left: list[int], state: State, strict: bool, registers: bool) -> bool:
    if not left:
        return True
    for i in left:
        if strict and any(_end(case.spans[j]) < case.spans[i].begin for j in left if j != i):
            continue
        blind = case.spans[i].type is Type.INFO
        after = _run(case.mops[i], state, registers=registers, blind=blind)
        rest = [j for j in left if j != i]
        if after is not None and _order(case, rest, after, strict, registers):
            return True
    return False


def snapshot_isolated(case: Case, *, strong: bool = False, registers: bool = False) -> bool:
    """Whether a commit order with snapshots explains all reads."""
    return any(_commits(case, chosen, [], [{}], strong, registers) for chosen in _chosen(case))


def _commits(
    case: Case, left: list[int], done: list[int], states: list[State], strong: bool, registers: bool
) -> bool:
    if not left:
        return True
    for i in left:
        span = case.spans[i]
        if strong and any(_end(case.spans[j]) < span.begin for j in left if j != i):
            continue
        oldest = 0
        for at, j in enumerate(done):
            if _writes(case.mops[j]) & _writes(case.mops[i]):
                oldest = at + 1
            if strong and _end(case.spans[j]) < span.begin:
                oldest = max(oldest, at + 1)
        rest = [j for j in left if j != i]
        blind = span.type is Type.INFO
        for point in range(oldest, len(done) + 1):
            seen = _run(case.mops[i], states[point], registers=registers, blind=blind)
            if seen is None:
                continue
            state = dict(states[-1])
            state.update({key: seen[key] for key in _writes(case.mops[i])})
            if _commits(case, rest, [*done, i], [*states, state], strong, registers):
                return True
    return False


def execution(seed: int, *, registers: bool = False, final: bool = True) -> Case:
    """A small random execution: from serial to no isolation at all, sometimes with a wrong read."""
    rng = random.Random(seed)
    count = rng.randint(2, 5)
    spans, mops = [], []
    counter = 0
    for i in range(count):
        begin = rng.randint(0, 6) + i / 10
        kind = rng.choices([Type.OK, Type.INFO, Type.FAIL], [10, 2, 1])[0]
        spans.append(T("", i, begin, begin + rng.randint(1, 4), kind))
        mine: list[tuple[str, str, Value]] = []
        for _ in range(rng.randint(1, 3)):
            key = rng.choice("xy")
            if rng.random() < 0.5:
                counter += 1
                mine.append(("w" if registers else "append", key, counter))
            else:
                mine.append(("r", key, None))
        mops.append(mine)
    mode = rng.choice(["serial", "snapshot", "interleaved"])
    _execute(rng, mode, spans, mops, registers)
    if final:
        last: list[tuple[str, str, Value]] = [("r", "x", None), ("r", "y", None)]
        spans.append(T("", count, 100, 101))
        mops.append(last)
        last[:] = [(f, key, _value(_FINAL.get(key, ()), registers)) for f, key, _ in last]
    return Case(tuple(spans), tuple(tuple(m) for m in mops))


_FINAL: State = {}


def _value(now: tuple[int, ...], registers: bool) -> Value:
    if registers:
        return now[-1] if now else None
    return now


def _execute(
    rng: random.Random,
    mode: str,
    spans: list[T],
    mops: list[list[tuple[str, str, Value]]],
    registers: bool,
) -> None:
    """Fills in what reads see; leaves the last state in `_FINAL`."""
    state: State = {}
    happens = [t.type is Type.OK or (t.type is Type.INFO and rng.random() < 0.5) for t in spans]
    places = [rng.uniform(t.begin, t.end or t.begin) for t in spans]
    starts = [rng.uniform(t.begin, at) for t, at in zip(spans, places, strict=True)]
    steps = [
        (at if mode == "serial" else rng.uniform(begin, at), i, j)
        for i, (begin, at) in enumerate(zip(starts, places, strict=True))
        for j in range(len(mops[i]))
    ]
    steps.sort(key=lambda s: (s[0], s[1], s[2]) if mode == "serial" else (s[0],))
    order = sorted(range(len(spans)), key=lambda i: places[i])
    if mode == "snapshot":
        _execute_snapshots(rng, spans, mops, registers, happens, starts, places, order, state)
    else:
        for _, i, j in steps:
            f, key, value = mops[i][j]
            if f == "r":
                mops[i][j] = (f, key, _value(state.get(key, ()), registers))
            elif (happens[i] or rng.random() < 0.1) and isinstance(value, int):
                state[key] = (*state.get(key, ()), value)
    if rng.random() < 0.2:
        _spoil(rng, spans, mops, registers)
    _FINAL.clear()
    _FINAL.update(state)


def _execute_snapshots(
    rng: random.Random,
    spans: list[T],
    mops: list[list[tuple[str, str, Value]]],
    registers: bool,
    happens: list[bool],
    starts: list[float],
    places: list[float],
    order: list[int],
    state: State,
) -> None:
    versions: list[tuple[float, State]] = [(-1.0, {})]
    for i in order:
        seen = dict([s for at, s in versions if at <= starts[i]][-1])
        for j, (f, key, value) in enumerate(mops[i]):
            if f == "r":
                mops[i][j] = (f, key, _value(seen.get(key, ()), registers))
            elif isinstance(value, int):
                seen[key] = (*seen.get(key, ()), value)
        if happens[i]:
            for f, key, value in mops[i]:
                if f != "r" and isinstance(value, int):
                    state[key] = (*state.get(key, ()), value)
            versions.append((places[i], dict(state)))


def _spoil(
    rng: random.Random,
    spans: list[T],
    mops: list[list[tuple[str, str, Value]]],
    registers: bool,
) -> None:
    i = rng.randrange(len(spans))
    for j, (f, key, value) in enumerate(mops[i]):
        if f == "r" and isinstance(value, tuple) and value and not registers:
            mops[i][j] = (f, key, value[:-1])

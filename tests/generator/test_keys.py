"""Independent keys: groups, rotation, and who hears of what."""

from __future__ import annotations

from collections import defaultdict

import pytest

from seatrial.errors import SeatrialError, UsageError
from seatrial.generator import (
    concurrent_keys,
    constant,
    each_of,
    imperfect,
    limit,
    nothing,
    simulate,
    stagger,
    until_ok,
)
from seatrial.generator.contract import Generator
from seatrial.op import Atom, Op, Type


def endless(key: Atom, visit: int) -> Generator:
    """The same op for ever."""
    return constant("w", visit)


def by_key(history: list[Op]) -> dict[Atom, list[Op]]:
    """Invocations of each key."""
    out: dict[Atom, list[Op]] = defaultdict(list)
    for op in history:
        if op.type is Type.INVOKE:
            out[op.key].append(op)
    return dict(out)


def test_each_key_has_its_group_and_its_number_of_ops() -> None:
    """Six keys of five ops by groups of two threads."""
    gen = concurrent_keys(2, endless, keys=6, ops_per_key=5)
    keys = by_key(simulate(gen, concurrency=6))
    assert {key: len(ops) for key, ops in keys.items()} == dict.fromkeys(range(6), 5)
    for key, ops in keys.items():
        assert isinstance(key, int)
        group = key % 3
        assert {op.process for op in ops} == {2 * group, 2 * group + 1}


def test_keys_run_side_by_side() -> None:
    """All groups have begun before any has finished, also under a rate limit."""
    gen = stagger(1e-6, concurrent_keys(2, endless, ops_per_key=50), seed=1)
    history = simulate(limit(30, gen), concurrency=6)
    assert {key: len(ops) for key, ops in by_key(history).items()} == {0: 10, 1: 10, 2: 10}


def test_new_keys_without_end_or_round_and_round() -> None:
    """By default each visit is a new key; `key_at` says otherwise."""
    new = by_key(simulate(limit(40, concurrent_keys(2, endless, ops_per_key=4)), concurrency=4))
    assert set(new) == set(range(10))
    gen = concurrent_keys(2, endless, ops_per_key=4, key_at=lambda visit: f"k{visit % 3}")
    rounds = by_key(simulate(limit(40, gen), concurrency=4))
    assert set(rounds) == {"k0", "k1", "k2"}


def test_threads_that_do_not_divide() -> None:
    """The last group is smaller, and works."""
    keys = by_key(simulate(concurrent_keys(3, endless, keys=4, ops_per_key=6), concurrency=5))
    assert {op.process for op in keys[1] + keys[3]} == {3, 4}
    assert {key: len(ops) for key, ops in keys.items()} == dict.fromkeys(range(4), 6)


def test_fewer_keys_than_groups() -> None:
    """Groups without a key rest."""
    keys = by_key(simulate(concurrent_keys(1, endless, keys=2, ops_per_key=3), concurrency=4))
    assert {key: len(ops) for key, ops in keys.items()} == {0: 3, 1: 3}


def test_groups_hear_of_their_own_ops_only() -> None:
    """Each key goes on until an op of its own has worked."""

    def only_key_one(op: Op, thread: int, draw: int) -> tuple[Type, int]:
        return (Type.OK if op.key == 1 else Type.FAIL), 10

    gen = concurrent_keys(
        1, lambda key, visit: until_ok(each_of(("w", i, None) for i in range(4))), keys=3
    )
    keys = by_key(simulate(gen, concurrency=3, completion=only_key_one))
    assert {key: len(ops) for key, ops in keys.items()} == {0: 4, 1: 1, 2: 4}


def test_processes_move_on_within_their_group() -> None:
    """After an info the group's threads are still the group's."""
    gen = concurrent_keys(2, endless, keys=4, ops_per_key=40)
    keys = by_key(simulate(gen, concurrency=4, completion=imperfect, seed=5))
    for key, ops in keys.items():
        assert isinstance(key, int)
        assert {op.process % 4 // 2 for op in ops} == {key % 2}
        assert len(ops) == 40


def test_empty_keys_are_refused_not_searched_for_ever() -> None:
    """A generator without ops for every key would turn round for ever."""
    with pytest.raises(SeatrialError, match="1000 independent keys in a row"):
        simulate(concurrent_keys(1, lambda key, visit: nothing()), concurrency=1)
    with pytest.raises(UsageError, match="0 threads a key"):
        concurrent_keys(0, endless)

"""What each combinator gives, op by op."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seatrial.errors import SeatrialError, UsageError
from seatrial.generator import (
    PENDING,
    Body,
    Context,
    any_of,
    below,
    choose,
    constant,
    cycle,
    delay,
    each_of,
    each_process,
    each_thread,
    filter_ops,
    flip_flop,
    imperfect,
    limit,
    map_ops,
    mix,
    nothing,
    on_threads,
    once,
    one,
    ops,
    perfect_info,
    phases,
    process_limit,
    quick,
    repeat,
    reserve,
    sequence,
    simulate,
    stagger,
    then,
    unfold,
    uniform,
    unroll,
    until_ok,
    weighted_mix,
)
from seatrial.generator.contract import Generator
from seatrial.generator.draw import scramble
from seatrial.generator.virtual import Completion
from seatrial.op import Op, Type


def bodies(name: str, count: int) -> Generator:
    """`count` ops called `name` with values 0, 1, …."""
    return each_of((name, i, None) for i in range(count))


def invoked(gen: Generator, concurrency: int = 1, completion: Completion = quick) -> list[Op]:
    """The invocations only."""
    history = simulate(gen, concurrency=concurrency, completion=completion, ops_max=20_000)
    return [op for op in history if op.type is Type.INVOKE]


def names(gen: Generator, concurrency: int = 1, completion: Completion = quick) -> str:
    """The invocations' names, run together."""
    return "".join(op.f for op in invoked(gen, concurrency, completion))


def test_limit_and_once_count_ops() -> None:
    """`limit` n ops, `once` one, 0 none."""
    assert names(limit(3, constant("a"))) == "aaa"
    assert names(once(constant("a"))) == "a"
    assert names(limit(0, constant("a"))) == ""
    assert names(limit(5, bodies("a", 2))) == "aa"


def test_sequence_goes_on_without_waiting() -> None:
    """The second begins while an op of the first is still running."""
    history = simulate(sequence(one("a"), one("b")), concurrency=2)
    assert [(op.f, op.type.label) for op in history] == [
        ("a", "invoke"),
        ("b", "invoke"),
        ("a", "ok"),
        ("b", "ok"),
    ]


@pytest.mark.parametrize("make", [then, phases])
def test_phases_wait_for_all_threads(make: Callable[[Generator, Generator], Generator]) -> None:
    """The second begins when the last op of the first has completed."""
    history = simulate(make(limit(2, constant("a")), one("b")), concurrency=2)
    assert [(op.f, op.type.label, op.time_ns) for op in history] == [
        ("a", "invoke", 0),
        ("a", "invoke", 0),
        ("a", "ok", 10),
        ("a", "ok", 10),
        ("b", "invoke", 10),
        ("b", "ok", 20),
    ]


def test_repeat_never_moves_on() -> None:
    """The first op over and over."""
    assert [op.value for op in invoked(repeat(bodies("a", 5), 3))] == [0, 0, 0]
    assert names(limit(4, repeat(one("a")))) == "aaaa"
    assert names(repeat(nothing())) == ""


def test_cycle_begins_again() -> None:
    """Rounds of the whole, and an end where a round is empty."""
    assert [op.value for op in invoked(cycle(bodies("a", 2), 2))] == [0, 1, 0, 1]
    assert [op.value for op in invoked(limit(5, cycle(bodies("a", 2))))] == [0, 1, 0, 1, 0]
    assert names(cycle(nothing())) == ""
    assert names(cycle(one("a"), 0)) == ""


def test_flip_flop_alternates_until_one_ends() -> None:
    """A, b, a, b, and no more once b is out."""
    assert names(flip_flop(bodies("a", 9), bodies("b", 2))) == "ababa"
    assert names(flip_flop()) == ""


def test_mix_draws_evenly_and_drops_the_exhausted() -> None:
    """All ops of all come, and early on about as many of each."""
    got = names(mix(bodies("a", 300), bodies("b", 300), bodies("c", 300), seed=4))
    assert Counter(got) == {"a": 300, "b": 300, "c": 300}
    early = Counter(got[:300])
    assert all(70 < early[name] < 130 for name in "abc")


def test_weighted_mix_follows_its_weights() -> None:
    """Three to one; a weight of 0 never comes."""
    gens = ((3, constant("a")), (1, constant("b")), (0, constant("c")))
    got = Counter(names(limit(4000, weighted_mix(*gens, seed=1))))
    assert got["a"] / got["b"] == pytest.approx(3, rel=0.15)
    assert "c" not in got
    with pytest.raises(UsageError, match=r"weights \[0\]"):
        weighted_mix((0, one("a")))


def test_mix_passes_over_the_pending() -> None:
    """A part that waits for its op's success does not hold up the others."""
    waiting = then(one("a"), one("b"))
    history = simulate(mix(waiting, bodies("x", 50), seed=2), concurrency=3)
    assert Counter(op.f for op in history if op.type is Type.INVOKE) == {"a": 1, "b": 1, "x": 50}


def test_any_of_takes_the_soonest_and_turns() -> None:
    """The one with the earlier time first; equals take turns."""
    slow, fast = delay(50e-9, bodies("s", 3)), delay(20e-9, bodies("f", 5))
    got = invoked(any_of(slow, fast), concurrency=5)
    assert [(op.f, op.time_ns) for op in got] == [
        ("s", 0),
        ("f", 0),
        ("f", 20),
        ("f", 40),
        ("s", 50),
        ("f", 60),
        ("f", 80),
        ("s", 100),
    ]
    assert names(any_of(bodies("a", 3), bodies("b", 3))) == "ababab"


def test_on_threads_sees_only_its_own() -> None:
    """Ops by the wanted threads alone; all of them free means all of these."""
    gen = on_threads(lambda thread: thread >= 2, limit(6, constant("a")))
    assert {op.process for op in invoked(gen, 4, perfect_info)} <= {2, 3, 6, 7, 10, 11}
    busy = any_of(on_threads(lambda t: t == 0, repeat(one("x"), 3)), _pair_on_the_others())
    assert sorted(names(busy, 3)) == sorted("xxxab")


def _pair_on_the_others() -> Generator:
    return on_threads(lambda thread: thread > 0, then(one("a"), one("b")))


def test_reserve_gives_each_part_its_threads() -> None:
    """Two threads for a, one for b, the rest for c; the longest free thread is served first."""
    gen = reserve((2, bodies("a", 40)), (1, bodies("b", 40)), rest=bodies("c", 40))
    got = invoked(delay(100e-9, gen), 5)
    by_f: dict[str, set[int]] = {}
    for op in got:
        by_f.setdefault(op.f, set()).add(op.process)
    assert by_f == {"a": {0, 1}, "b": {2}, "c": {3, 4}}
    assert Counter(op.f for op in got[:20]) == {"a": 8, "b": 4, "c": 8}
    with pytest.raises(UsageError):
        reserve((0, one("a")))


def test_each_thread_has_its_own_copy() -> None:
    """Every thread does all of it, in order."""
    got = invoked(each_thread(bodies("a", 3)), 3)
    assert sorted((op.process, op.value) for op in got) == [
        (t, i) for t in range(3) for i in range(3)
    ]


def test_each_thread_goes_on_after_info_and_each_process_begins_anew() -> None:
    """A thread is the same one under another process number."""
    once_each = invoked(each_thread(bodies("a", 2)), 2, perfect_info)
    assert [(op.process, op.value) for op in once_each] == [(0, 0), (1, 0), (2, 1), (3, 1)]
    anew = invoked(limit(6, each_process(bodies("a", 2))), 2, perfect_info)
    assert [op.value for op in anew] == [0] * 6
    assert [op.process for op in anew] == [0, 1, 2, 3, 4, 5]


def test_each_process_ends_when_no_process_can_come() -> None:
    """All ok: two ops of each process, then nothing."""
    assert names(each_process(bodies("a", 2)), 3) == "a" * 6


def test_process_limit_bounds_the_processes() -> None:
    """Each info brings a new process; five are too many for the sixth."""
    got = invoked(process_limit(5, constant("a")), 2, perfect_info)
    assert {op.process for op in got} <= set(range(5))
    assert len(got) == 4


def test_until_ok_stops_at_the_first_success() -> None:
    """Failures go on; one ok ends it."""

    def third_time(op: Op, thread: int, draw: int) -> tuple[Type, int]:
        return (Type.OK if op.value == 2 else Type.FAIL), 10

    assert names(until_ok(bodies("a", 10)), 1, third_time) == "aaa"
    assert names(until_ok(constant("a")), 1) == "a"


def test_map_and_filter() -> None:
    """Ops are changed and sifted, in order."""
    shout = map_ops(lambda op: Op(op.type, op.process, "B", op.value), bodies("a", 3))
    assert names(shout) == "BBB"
    odd = filter_ops(lambda op: op.value in (1, 3), bodies("a", 5))
    assert [op.value for op in invoked(odd)] == [1, 3]
    with pytest.raises(SeatrialError, match="refused 100000"):
        simulate(filter_ops(lambda op: False, constant("a")))


def test_unfold_carries_its_state() -> None:
    """A counter, without anything being changed."""

    def count(state: int, draw: int, context: Context) -> tuple[Body, int] | None:
        return (("a", state, None), state + 1) if state < 4 else None

    gen = unfold(count, 0)
    assert [op.value for op in invoked(gen)] == [0, 1, 2, 3]
    assert [op.value for op in invoked(gen)] == [0, 1, 2, 3]


def test_same_seed_same_ops_and_another_seed_others() -> None:
    """Byte for byte."""

    def schedule(seed: int) -> str:
        gen = mix(ops(_write, seed), ops(_read, seed), seed=seed)
        gen = stagger(1e-6, limit(500, gen), seed)
        return repr(simulate(gen, concurrency=5, completion=imperfect, seed=seed))

    assert schedule(7) == schedule(7)
    assert schedule(7) != schedule(8)


def _write(draw: int, context: Context) -> Body:
    return "w", below(draw, 100), None


def _read(draw: int, context: Context) -> Body:
    return "r", None, choose(draw, ("x", "y"))


def test_asking_twice_gives_the_same_and_changes_nothing() -> None:
    """A generator is a value: no answer depends on what was asked before."""
    gen = stagger(1e-6, mix(ops(_write, 1), ops(_read, 2), seed=3), 4)
    context = Context(0, (0, 1), {0: 0, 1: 1})
    first, _ = gen.op(context)
    later, _ = gen.op(Context(99, (1,), {0: 0, 1: 3}))
    again, _ = gen.op(context)
    assert first == again
    assert isinstance(later, Op)
    assert (later.process, later.time_ns) == (3, 99)


def test_no_free_thread_is_pending() -> None:
    """And not exhausted."""
    nobody = Context(0, (), {0: 0})
    for gen in (one("a"), constant("a"), mix(one("a")), each_thread(one("a")), ops(_read)):
        op, after = gen.op(nobody)
        assert op is PENDING
        op, _ = after.op(Context(0, (0,), {0: 0}))
        assert isinstance(op, Op)


@settings(deadline=None)
@given(st.integers(0, 2**64 - 1), st.integers(1, 2**40))
def test_draws_stay_in_bounds(draw: int, bound: int) -> None:
    """Below the bound, and in [0, 1)."""
    assert 0 <= below(scramble(draw), bound) < bound
    assert 0 <= uniform(draw) < 1


def test_splitmix_reference_values() -> None:
    """The published sequence of SplitMix64 from seed 1234567."""
    gamma, state = 0x9E3779B97F4A7C15, 1234567
    drawn = [scramble(state + i * gamma) for i in range(1, 4)]
    assert drawn == [6457827717110365317, 3203168211198807973, 9817491932198370423]


def test_a_defective_generator_is_named() -> None:
    """An op by a process that is not free is no op."""
    gen = map_ops(lambda op: Op(Type.INVOKE, 5, "a"), limit(3, constant("a")))
    with pytest.raises(SeatrialError, match="hint: an op must be an invocation"):
        simulate(gen, concurrency=3, completion=imperfect)


def test_unroll_gives_the_ops_of_unfold() -> None:
    """Over several blocks, and for each seed its own."""

    def step(state: int, draw: int) -> tuple[Body, int]:
        return ("w", (state, draw), None), state + 1

    def looking(state: int, draw: int, context: Context) -> tuple[Body, int]:
        return step(state, draw)

    for seed in (1, 2):
        one, other = limit(200, unroll(step, 0, seed)), limit(200, unfold(looking, 0, seed))
        assert simulate(one, concurrency=3) == simulate(other, concurrency=3)

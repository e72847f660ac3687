"""Schedules on the virtual clock, to the nanosecond."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest

from seatrial.errors import UsageError
from seatrial.generator import (
    any_of,
    constant,
    delay,
    each_of,
    limit,
    on_threads,
    one,
    perfect,
    phases,
    quick,
    rate,
    sequence,
    simulate,
    sleep,
    stagger,
    time_limit,
)
from seatrial.generator.contract import Generator
from seatrial.op import Op, Type


def invocations(gen: Generator, **options: object) -> list[tuple[int, int, str]]:
    """(time, process, f) of each invocation."""
    history = simulate(gen, **options)  # type: ignore[arg-type]
    return [(op.time_ns, op.process, op.f) for op in history if op.type is Type.INVOKE]


def test_two_threads_flat_out_alternate_every_ten_nanoseconds() -> None:
    """Each thread invokes as soon as its op has completed."""
    assert invocations(limit(6, constant("w")), concurrency=2, completion=perfect) == [
        (0, 0, "w"),
        (0, 1, "w"),
        (10, 0, "w"),
        (10, 1, "w"),
        (20, 0, "w"),
        (20, 1, "w"),
    ]


def test_quick_completes_at_the_same_nanosecond() -> None:
    """One thread does all ops at time 0: completions come before invocations."""
    history = simulate(limit(2, constant("w")), concurrency=1, completion=quick)
    assert [(op.type, op.time_ns) for op in history] == [
        (Type.INVOKE, 0),
        (Type.OK, 0),
        (Type.INVOKE, 0),
        (Type.OK, 0),
    ]


def test_delay_is_exact() -> None:
    """3 ns from op to op; a busy thread makes it longer, and nothing catches up."""
    gen = delay(3e-9, limit(5, constant("w")))
    assert invocations(gen, concurrency=2, completion=perfect) == [
        (0, 0, "w"),
        (3, 1, "w"),
        (10, 0, "w"),
        (13, 1, "w"),
        (20, 0, "w"),
    ]


@pytest.mark.parametrize(
    ("stall_ms", "times_ms"),
    [(50, [0, 50, 50, 50, 50, 50, 60, 70]), (150, [0, 150, 160, 170, 180, 190, 200, 210])],
)
def test_a_short_stall_is_made_up_for_and_a_long_one_is_not(
    stall_ms: int, times_ms: list[int]
) -> None:
    """Timers are late, and a rate must not sink by that; a stuck target must not be flooded."""

    def first_is_slow(op: Op, thread: int, draw: int) -> tuple[Type, int]:
        return Type.OK, 0 if op.time_ns else stall_ms * 1_000_000

    gen = delay(0.01, limit(8, constant("w")))
    got = invocations(gen, concurrency=1, completion=first_is_slow)
    assert [t // 1_000_000 for t, _, _ in got] == times_ms


def test_stagger_has_its_mean_and_its_bounds() -> None:
    """Gaps are uniform between 0 and twice the mean."""
    times = [t for t, _, _ in invocations(stagger(1e-3, limit(4000, constant("w")), seed=3))]
    gaps = [b - a for a, b in pairwise(times)]
    assert 0 <= min(gaps) < 20_000
    assert 1_980_000 < max(gaps) < 2_000_000
    assert sum(gaps) / len(gaps) == pytest.approx(1e6, rel=0.03)


def test_stagger_gaps_to_the_nanosecond() -> None:
    """The same seed gives these very times, on any machine."""
    gen = stagger(1e-6, limit(4, constant("w")), seed=1)
    assert [t for t, _, _ in invocations(gen)] == STAGGERED


STAGGERED = [0, 710, 2549, 4241]


def test_rate_is_a_stagger() -> None:
    """1,000 ops/s is a mean gap of 1 ms."""
    a = invocations(rate(1000, limit(50, constant("w")), seed=9))
    assert a == invocations(stagger(1e-3, limit(50, constant("w")), seed=9))


def test_time_limit_counts_from_the_first_op() -> None:
    """Ops strictly before the limit; the clock starts with the first op, not with the question."""
    gen = sequence(sleep(1e-6), time_limit(30e-9, constant("w")))
    assert [t for t, _, _ in invocations(gen, concurrency=1)] == [1000, 1010, 1020]


def test_time_limit_ends_a_pending_generator() -> None:
    """What waits inside does not keep it alive."""
    gen = time_limit(5e-3, sequence(one("a"), sleep(3600)))
    gen = sequence(gen, one("b"))
    assert invocations(gen, concurrency=1) == [(0, 0, "a"), (5_000_010, 0, "b")]


def test_sleep_ends_on_its_nanosecond() -> None:
    """What follows a pause is invoked when it ends, not when somebody asks again."""
    gen = sequence(one("a"), sleep(7.000000003), one("b"))
    assert invocations(gen, concurrency=2) == [(0, 0, "a"), (7_000_000_003, 1, "b")]


def test_sleep_between_phases_begins_when_all_are_free() -> None:
    """The pause of a phase counts from the last completion before it."""
    gen = phases(limit(2, constant("a")), sleep(1e-6), one("b"))
    assert invocations(gen) == [(0, 0, "a"), (0, 1, "a"), (1010, 0, "b")]


def test_a_pause_is_not_begun_anew_by_what_happens_elsewhere() -> None:
    """Ops of others come and go during the pause; it ends on its nanosecond all the same."""
    paused = sequence(one("a"), sleep(500e-9), one("b"))
    gen = any_of(on_threads(lambda t: t == 0, paused), limit(100, delay(10e-9, constant("x"))))
    times = {f: t for t, _, f in invocations(gen, concurrency=3)}
    assert (times["a"], times["b"]) == (0, 510)


def test_sleep_at_the_end_gives_nothing() -> None:
    """A pause alone is a schedule without ops, and it ends."""
    assert invocations(sequence(one("a"), sleep(1))) == [(0, 0, "a")]
    assert invocations(sleep(0)) == []


def test_stagger_holds_back_what_it_got_early() -> None:
    """A delayed op is asked for at the later time: the limit inside sees that time."""
    gen = delay(10e-9, time_limit(25e-9, each_of(("w", i, None) for i in range(9))))
    assert [t for t, _, _ in invocations(gen, concurrency=5)] == [0, 10, 20]


def test_impossible_times_are_refused() -> None:
    """Each says the value and the way out."""
    attempts: tuple[Callable[[], Generator], ...] = (
        lambda: rate(0, one("a")),
        lambda: delay(-1, one("a")),
        lambda: stagger(float("nan"), one("a")),
        lambda: time_limit(-0.1, one("a")),
        lambda: sleep(-2),
    )
    for make in attempts:
        with pytest.raises(UsageError, match="hint: give"):
            make()


def test_history_pairs_up() -> None:
    """Every invocation has its completion, by the same process, later."""
    history = simulate(stagger(4e-9, limit(200, constant("w")), seed=2), concurrency=3)
    open_ops: dict[int, Op] = {}
    for op in history:
        if op.type is Type.INVOKE:
            assert op.process not in open_ops
            open_ops[op.process] = op
        else:
            assert op.time_ns == open_ops.pop(op.process).time_ns + 10
    assert not open_ops
    assert len(history) == 400

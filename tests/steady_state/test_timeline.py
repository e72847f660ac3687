"""The timeline's numbers against a slow count."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from seatrial.history import HistoryBuilder
from seatrial.op import NEMESIS, Op, Type
from seatrial.timeline import BINS_MAX, POINTS_MAX, percentile, timeline

SECOND = 1_000_000_000

CALLS = st.lists(
    st.tuples(
        st.integers(0, 5 * SECOND),
        st.integers(0, 3 * SECOND),
        st.sampled_from([Type.OK, Type.FAIL, Type.INFO]),
        st.sampled_from(["read", "write"]),
    ),
    max_size=30,
)


@settings(max_examples=100, deadline=None)
@given(CALLS)
def test_bins_hold_what_a_slow_count_finds(calls: list[tuple[int, int, Type, str]]) -> None:
    """Latency by the second of invocation, throughput by the second of completion."""
    events = []
    for process, (at, took, kind, f) in enumerate(calls):
        events.append(Op(Type.INVOKE, process, f, time_ns=at))
        events.append(Op(kind, process, f, time_ns=at + took))
    builder = HistoryBuilder().extend(sorted(events, key=lambda op: op.time_ns))
    builder.append(Op(Type.INFO, NEMESIS, "phase", "check", time_ns=9 * SECOND))
    found = timeline(builder.history())
    assert len(found.at_s) == 9
    done = Counter((f, kind.label, (at + took) // SECOND) for at, took, kind, f in calls)
    for (f, label), rate in found.rate.items():
        assert rate.tolist() == [done[f, label, second] for second in range(9)]
    assert sum(rate.sum() for rate in found.rate.values()) == len(calls)
    for second in range(9):
        mine = sorted(
            took for at, took, kind, _ in calls if kind == Type.OK and at // SECOND == second
        )
        slow = [mine[math.ceil(len(mine) * p) - 1] / 1e6 for p in (0.5, 0.99, 1)] if mine else []
        fast = [a[second] for a in (found.p50_ms, found.p99_ms, found.max_ms)]
        assert fast == slow if mine else all(math.isnan(value) for value in fast)


def test_a_long_history_has_bounded_bins_and_points() -> None:
    """Ten hours of ops give at most 600 bins and 20,000 points."""
    builder = HistoryBuilder()
    for number in range(30_000):
        at = number * 1_200_000_000
        builder.append(Op(Type.INVOKE, 0, "read", time_ns=at))
        builder.append(Op(Type.OK, 0, "read", time_ns=at + 1000))
    found = timeline(builder.history())
    assert len(found.at_s) <= BINS_MAX
    assert 0 < len(found.points.at_s) <= POINTS_MAX
    assert found.bin_s == 60


def test_an_empty_history_has_one_empty_bin() -> None:
    """Nothing happened: one bin, no latency."""
    found = timeline(HistoryBuilder().history())
    assert np.isnan(found.p99_ms).all()
    assert not found.rate


def test_a_percentile_is_a_value_that_was_seen() -> None:
    """Nearest rank: the smallest value that so many percent do not exceed."""
    values = np.array([10, 20, 30, 40], np.int64)
    assert [percentile(values, p) for p in (1, 50, 75, 99, 100)] == [10, 20, 30, 40, 40]

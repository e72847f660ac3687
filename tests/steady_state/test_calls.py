"""Percentiles of latencies, alone and in bins, against a slow count."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from seatrial.calls import bin_length, percentile, percentiles

BINS = 4
PAIRS = st.lists(st.tuples(st.integers(0, BINS - 1), st.integers(0, 10**12)), max_size=40)


@given(PAIRS, st.sampled_from([1.0, 50.0, 99.0, 100.0]))
def test_percentiles_in_bins_equal_a_slow_count(pairs: list[tuple[int, int]], point: float) -> None:
    """The smallest latency of the bin that so many percent do not exceed; NaN in an empty bin."""
    place = np.array([place for place, _ in pairs], np.int64)
    latency = np.array([latency for _, latency in pairs], np.int64)
    (found,) = percentiles(place, latency, BINS, (point,))
    for number in range(BINS):
        mine = sorted(latency for place, latency in pairs if place == number)
        if not mine:
            assert math.isnan(found[number])
            continue
        slow = mine[math.ceil(len(mine) * point / 100) - 1]
        assert found[number] == slow
        assert percentile(np.array(mine, np.int64), point) == slow


def test_a_percentile_of_nothing_is_nan() -> None:
    """There is no value to give."""
    assert math.isnan(percentile(np.zeros(0, np.int64), 99))


def test_bins_are_whole_seconds_and_bounded() -> None:
    """A minute has bins of one second, a day at most 600."""
    assert (bin_length(60), bin_length(86_400)) == (1, 144)

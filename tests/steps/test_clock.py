"""Moments of several clocks on one axis: the bound always holds, and no wider than it must be."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seatrial.clock import DRIFT_PPM, Moment, Sighting, merge, place, sight

SECOND = 1_000_000_000
delays = st.integers(0, 2 * SECOND)
offsets = st.integers(-(10**18), 10**18)


@given(offsets, st.lists(st.tuples(st.integers(0, 10**12), delays, delays), min_size=1, max_size=8))
def test_the_true_offset_lies_in_every_interval(
    offset: int, asked: list[tuple[int, int, int]]
) -> None:
    """However long a question and its answer take, and however unlike the two are."""
    seen = []
    for at, out, back in sorted(asked):
        answered = at + out + offset
        seen.append(sight(at, answered, at + out + back))
    for one in seen:
        assert one.low_ns <= offset <= one.high_ns
    merged = merge(seen)
    assert merged is not None
    assert merged.low_ns <= offset <= merged.high_ns


@given(
    offsets,
    st.floats(-DRIFT_PPM, DRIFT_PPM),
    st.lists(st.tuples(st.integers(0, 10**11), delays, delays), min_size=1, max_size=6),
    st.integers(0, 10**11),
)
def test_a_moment_is_within_its_bound_while_clocks_drift(
    offset: int, ppm: float, asked: list[tuple[int, int, int]], moment: int
) -> None:
    """The own clock runs up to `DRIFT_PPM` too fast or too slow against the axis."""

    def axis(own: int) -> int:
        return own + offset + round(own * ppm / 1e6)

    seen = [sight(at, axis(at + out), at + out + back) for at, out, back in sorted(asked)]
    placed = place(moment, seen)
    assert placed is not None
    assert abs(placed.at_ns - axis(moment)) <= placed.bound_ns + 1  # `axis` rounds


def test_a_quick_exchange_bounds_better_than_a_slow_one() -> None:
    slow, quick = sight(0, 500, 1000), sight(2000, 2050, 2100)
    assert merge([slow, quick]) == Sighting(at_ns=2050, low_ns=-51, high_ns=51)
    assert place(2050, [slow, quick]) == Moment(2050, 51)


def test_the_bound_grows_away_from_the_sighting() -> None:
    seen = [sight(0, 0, 0)]
    assert place(0, seen) == Moment(0, 0)
    assert place(10 * SECOND, seen) == Moment(10 * SECOND, 10 * SECOND * DRIFT_PPM // 1_000_000 + 1)


def test_without_a_sighting_nothing_is_known() -> None:
    assert place(5, []) is None
    assert merge([]) is None


def test_a_clock_that_jumped_is_not_believed() -> None:
    """Two exchanges that no one offset explains: a clock was set, or a machine was asleep."""
    seen = [sight(0, 0, 10), sight(100, SECOND, 110)]
    assert merge(seen) is None
    assert place(105, seen) is None


def test_an_answer_is_not_heard_before_it_is_asked_for() -> None:
    with pytest.raises(ValueError, match="before it was asked for"):
        sight(10, 0, 9)

"""Rates, quantiles, gaps and recovery over time, against plain loops."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seatrial import timeline
from seatrial.history import HistoryBuilder
from seatrial.op import NEMESIS, Op, Type

S = timeline.NS_PER_S
points = st.lists(st.tuples(st.integers(-50, 1200), st.integers(0, 9)), max_size=60)
unit = st.lists(st.floats(0, 1), max_size=50)


@settings(deadline=None, max_examples=60)
@given(points, st.integers(1, 400), st.sampled_from([0.0, 0.5, 0.99, 1.0]))
def test_quantiles_are_those_of_a_plain_loop(
    found: list[tuple[int, int]], width: int, q: float
) -> None:
    """Each bin's nearest-rank quantile, NaN where nothing fell; counts and rates agree."""
    times = np.array([t for t, _ in found], dtype=np.int64)
    values = np.array([v for _, v in found], dtype=np.float64)
    edges = timeline.edges_ns(0, 1000, width / S)
    got = timeline.quantiles(times, values, edges, (q,))[0]
    sizes = timeline.counts(times, edges)
    rates = timeline.rates(times, edges)
    assert len(got) == len(sizes) == len(edges) - 1
    for i, (low, high) in enumerate(pairwise(edges.tolist())):
        mine = sorted(v for t, v in found if low <= t < high)
        assert sizes[i] == len(mine)
        assert rates[i] == pytest.approx(len(mine) / (width / S))
        if mine:
            assert got[i] == mine[max(1, math.ceil(q * len(mine))) - 1]
        else:
            assert math.isnan(got[i])


@settings(deadline=None, max_examples=60)
@given(st.floats(1e-3, 1e6), st.integers(1, 1000))
def test_a_bin_is_as_narrow_as_the_number_of_bins_allows(length: float, bins: int) -> None:
    """1, 2 or 5 times a power of ten; never too many bins, and the next narrower would be."""
    width = timeline.bin_width_s(length, bins)
    assert length / width <= bins * (1 + 1e-6)
    assert length / width >= bins / 2.5 * (1 - 1e-6)
    assert round(width / 10 ** math.floor(math.log10(width) + 1e-9), 6) in (1, 2, 5)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(0, 100), max_size=20))
def test_the_longest_gap_is_that_of_a_plain_loop(times: list[int]) -> None:
    """The widest of the stretches between neighbours, the ends counted in."""
    start, end = timeline.longest_gap(np.array(times, dtype=np.int64), 10, 90)
    marks = sorted([10, 90, *(t for t in times if 10 <= t <= 90)])
    assert end - start == max(b - a for a, b in pairwise(marks))
    assert not any(start < t < end for t in times)


@settings(deadline=None, max_examples=60)
@given(unit, unit, st.integers(1, 9))
def test_cells_hold_every_point(x: list[float], y: list[float], side: int) -> None:
    """Counts of the cells sum to the points; cells are distinct and inside the grid."""
    n = min(len(x), len(y))
    column, row, size = timeline.cells(np.array(x[:n]), np.array(y[:n]), side, side + 1)
    assert size.sum() == n and (size > 0).all()
    assert len({*zip(column.tolist(), row.tolist(), strict=True)}) == len(column)
    assert ((column >= 0) & (column < side) & (row >= 0) & (row <= side)).all()


def test_recovery_is_the_first_busy_second() -> None:
    """Back when one second holds half of the baseline; not when a single op trickles through."""
    trickle = np.array([1, 4, 8]) * S
    busy = np.arange(10 * S, 12 * S, S // 10)
    ok = np.concatenate([trickle, busy])
    assert timeline.recovered_ns(ok, 0, 20 * S, 20.0) == 10 * S
    assert timeline.recovered_ns(ok, 0, 9 * S, 20.0) is None
    assert timeline.recovered_ns(trickle, 0, 20 * S, 0.0) == 1 * S
    assert timeline.recovered_ns(trickle[:0], 0, 20 * S, 0.0) is None


def test_spans_pair_invocations_with_completions() -> None:
    """Unfinished ops, the nemesis and ops without times are left out."""
    builder = HistoryBuilder()
    for kind, process, time_ns in (
        (Type.INFO, NEMESIS, 0),
        (Type.INVOKE, 1, 5),
        (Type.INVOKE, 2, 6),
        (Type.OK, 1, 9),
        (Type.INVOKE, 1, -1),
        (Type.FAIL, 1, -1),
        (Type.INVOKE, 3, 12),
        (Type.INFO, 3, 20),
    ):
        builder.append(Op(kind, process, "read", time_ns=time_ns))
    found = timeline.spans(builder.history())
    assert found.row.tolist() == [3, 7]
    assert found.invoked.tolist() == [1, 6]
    assert found.latency_ms.tolist() == [4e-6, 8e-6]
    assert found.type.tolist() == [Type.OK, Type.INFO]


def test_planned_times_count_from_the_start_of_the_load() -> None:
    """The first phase with load; 0 where the history tells no phases."""
    builder = HistoryBuilder()
    assert timeline.load_start_ns(builder.history()) == 0
    for at, name in ((1, "prepare"), (4, "steady-before"), (9, "workload")):
        builder.append(Op(Type.INFO, NEMESIS, "phase", name, time_ns=at))
    assert timeline.load_start_ns(builder.history()) == 4

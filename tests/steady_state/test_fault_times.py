"""What a fault cost: to detect, to fail over, to recover, and the longest unavailability."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from seatrial.fault_times import FaultTimes, Roles, fault_times, read_roles
from seatrial.history.windows import FaultWindow, Phase

SECOND = 1_000_000_000


def oks(*spans: tuple[float, float]) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    """Ten ops a second in each span."""
    moments = np.concatenate([np.arange(a, b, 0.1) for a, b in spans])
    return np.round(moments * SECOND).astype(np.int64)


def at(seconds: float) -> int:
    return round(seconds * SECOND)


def times(
    ok: np.ndarray[tuple[int, ...], np.dtype[np.int64]],
    roles: Sequence[tuple[float, str, str]] = (),
    faults: Sequence[tuple[float, float]] = ((15, 20),),
) -> FaultTimes:
    windows = [
        FaultWindow(f"f{n}", "kill", ("n1",), at(a), at(a), at(b), at(b))
        for n, (a, b) in enumerate(faults)
    ]
    seen = [Roles(round(t * SECOND), leader, tuple(who.split())) for t, leader, who in roles]
    found = fault_times(windows, ok, Phase("steady-before", 0, 10 * SECOND), 40 * SECOND, seen)
    return found["f0"]


def test_a_fault_that_nobody_felt_cost_nothing() -> None:
    found = times(oks((0, 40)))
    assert (found.recover_s, found.detect_s, found.fail_over_s) == (0.0, None, None)
    assert found.unavailable_s == pytest.approx(0.1)


def test_an_outage_of_two_seconds() -> None:
    found = times(oks((0, 15), (17, 40)))
    assert found.recover_s == 2.0
    assert found.unavailable_s == pytest.approx(2.0)


def test_what_never_came_back_is_infinite() -> None:
    assert times(oks((0, 15))).recover_s == math.inf
    assert times(oks((0, 15))).to_json()["recover_s"] == "inf"


def test_a_fault_is_judged_until_the_next_one() -> None:
    found = times(oks((0, 25), (30, 40)), faults=[(15, 20), (25, 28)])
    assert found.recover_s == 0.0
    assert found.unavailable_s == pytest.approx(0.1)


def test_a_leader_is_lost_and_another_one_found() -> None:
    """The survivors follow the dead one for a second; then nobody; then n2."""
    roles = [
        (14.0, "n1", "n2 n3"),
        (15.4, "", "n2 n3"),
        (16.2, "", "n3"),
        (16.4, "", ""),
        (16.8, "n2", "n3"),
        (20.0, "n2", "n1 n3"),
    ]
    found = times(oks((0, 40)), roles)
    assert found.detect_s == pytest.approx(1.4)
    assert found.fail_over_s == pytest.approx(1.8)


def test_nobody_fails_over_where_no_victim_led() -> None:
    found = times(oks((0, 40)), [(14.0, "n2", "n1 n3"), (16.0, "n2", "n3")])
    assert (found.detect_s, found.fail_over_s) == (None, None)


def test_a_leader_that_nobody_replaces_is_infinite() -> None:
    found = times(oks((0, 40)), [(14.0, "n1", "n2 n3"), (16.0, "", "n2 n3"), (18.0, "", "")])
    assert (found.detect_s, found.fail_over_s) == (3.0, math.inf)


def test_without_a_baseline_there_is_no_recovery() -> None:
    assert times(oks((15, 40))).recover_s is None


def test_roles_are_read_line_by_line(tmp_path: Path) -> None:
    path = tmp_path / "roles.jsonl"
    path.write_text('{"t": 1.5, "leader": "n1", "followers": ["n2"]}\n{"t": 2', encoding="utf-8")
    assert read_roles(path) == (Roles(1_500_000_000, "n1", ("n2",)),)
    assert read_roles(tmp_path / "none") == ()

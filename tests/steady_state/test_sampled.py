"""Judging samples: each tolerance and moment, and no green without data."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seatrial.history.windows import FaultWindow
from seatrial.samples import Finding, Recorded
from seatrial.steady.limits import Baseline
from seatrial.steady.reading import SteadyStateResult
from seatrial.steady.sampled import Setting, judge
from seatrial.steady.series import Span
from seatrial.steady_state import Healing, Learnt, PrometheusProbe, SteadyState, Tolerance
from seatrial.verdict import Validity

SECOND = 1_000_000_000


def ns(seconds: float) -> int:
    return round(seconds * SECOND)


def series(*pieces: tuple[float, float, float | str]) -> Recorded:
    """Samples each second: pieces of (from, to, value, or why there is none)."""
    t, value, why = [], [], []
    for start, end, what in pieces:
        for at in np.arange(start, end, 1.0).tolist():
            t.append(ns(at))
            value.append(math.nan if isinstance(what, str) else what)
            why.append(what if isinstance(what, str) else "")
    return Recorded(np.array(t, np.int64), np.array(value), (None,) * len(t), tuple(why))


def setting(*faults: tuple[float, float]) -> Setting:
    """10 s before, 20 s of faults, 10 s after."""
    spans = {
        "before": Span(0, ns(10), "before the faults"),
        "during": Span(ns(10), ns(30), "during the faults"),
        "after": Span(ns(30), ns(40), "after the faults"),
    }
    windows = tuple(
        FaultWindow(f"f{n}", "kill", ("n1",), ns(a), ns(a), ns(b), ns(b))
        for n, (a, b) in enumerate(faults, 1)
    )
    labels = {window.fault: "kill-leader" for window in windows}
    return Setting(spans, Span(0, ns(40), "from beginning to end"), windows, labels)


def judged(
    recorded: Recorded | None,
    where: Setting | None = None,
    *,
    learnt: Baseline | None = None,
    **fields: Any,
) -> SteadyStateResult:
    known = {name: fields.pop(name) for name in ("reduce", "excuse_victims") if name in fields}
    probe = PrometheusProbe(query="q", unit="s", **known)
    state = SteadyState(name="p99", probe=probe, **fields)
    return judge(state, recorded, where or setting(), learnt)


STEADY = series((0, 40, 1.0))
TOP = series((0, 10, 1.0), (10, 30, 3.0), (30, 40, 1.0))


def test_a_mean_of_a_stretch_against_its_bound() -> None:
    assert judged(TOP, during=Tolerance(max=3)).validity is Validity.VALID
    broken = judged(TOP, during=Tolerance(max=2.5))
    assert broken.validity is Validity.INVALID
    assert broken.cause == "p99 was 3 s during the faults; at most 2.5 s allowed"
    assert broken.broke == ((10.0, 30.0),)


def test_a_ratio_to_the_readings_before() -> None:
    broken = judged(TOP, during=Tolerance(max_ratio=2))
    assert broken.cause.endswith("at most 2 s (2 × 1 s before) allowed")
    assert judged(TOP, during=Tolerance(within_percent=250)).validity is Validity.VALID
    assert judged(TOP, during=Tolerance(within_percent=100)).validity is Validity.INVALID


def test_a_learnt_baseline_with_its_spread() -> None:
    fields: dict[str, Any] = {"after": Tolerance(within_spreads=3), "baseline": Learnt()}
    near = Baseline(1.1, spread=0.05, said="in 5 stored trials")
    far = Baseline(2.0, spread=0.05, said="in 5 stored trials")
    none = Baseline(None, "a learnt baseline needs 3 stored trials")
    assert judged(TOP, learnt=near, **fields).validity is Validity.VALID
    assert "3 spreads below 2 s in 5 stored trials" in judged(TOP, learnt=far, **fields).cause
    answer = judged(TOP, learnt=none, **fields)
    assert (answer.validity, "needs 3 stored" in answer.cause) == (Validity.UNKNOWN, True)


def test_a_slope_is_a_leak() -> None:
    t = np.arange(0, 40.0)
    leak = Recorded((t * SECOND).astype(np.int64), t * 2, (None,) * 40, ("",) * 40)
    assert judged(leak, during=Tolerance(max_slope=121)).validity is Validity.VALID
    broken = judged(leak, during=Tolerance(max_slope=119))
    assert broken.cause == "p99 was 120 s/min during the faults; at most 119 s/min allowed"


def test_every_sample_counts_continuously() -> None:
    one = series((0, 17, 1.0), (17, 18, 9.0), (18, 40, 1.0))
    broken = judged(one, continuously=Tolerance(max=5))
    assert broken.cause == "p99 was 9 s at 17.0 s of the load (one sample); at most 5 s allowed"
    assert judged(one, during=Tolerance(max=5)).validity is Validity.VALID


def test_only_while_a_fault_is_alive() -> None:
    one = series((0, 17, 1.0), (17, 18, 9.0), (18, 40, 1.0))
    asked: dict[str, Any] = {"in_fault": Tolerance(max=5)}
    assert judged(one, setting((12, 16)), **asked).validity is Validity.VALID
    broken = judged(one, setting((12, 19)), **asked)
    assert "during kill-leader" in broken.cause
    nothing = judged(one, setting(), **asked)
    assert (nothing.validity, "no fault was alive" in nothing.cause) == (Validity.UNKNOWN, True)


def test_back_in_time_after_a_healing() -> None:
    """The sentence of the issue: what stayed where, for how long, after what, and the allowance."""
    late = series((0, 12, 1.0), (12, 34, 3.0), (34, 40, 1.0))
    fields: dict[str, Any] = {"after_healing": Healing(max_ratio=2, in_s=10)}
    broken = judged(late, setting((12, 20)), **fields)
    assert broken.cause.startswith(
        "p99 stayed above 2 × the baseline of 1 s for 14 s after kill-leader healed; 10 s allowed"
    )
    assert broken.readings[0].value == 14
    allowed = Healing(max_ratio=2, in_s=15)
    assert judged(late, setting((12, 20)), after_healing=allowed).validity is Validity.VALID


def test_a_return_must_be_held() -> None:
    dip = series((0, 12, 1.0), (12, 22, 3.0), (22, 24, 1.0), (24, 32, 3.0), (32, 40, 1.0))
    where = setting((12, 20))
    assert judged(dip, where, after_healing=Healing(max=2, in_s=5)).validity is Validity.VALID
    held = judged(dip, where, after_healing=Healing(max=2, in_s=5, hold_s=4))
    assert held.validity is Validity.INVALID


UNKNOWN: dict[str, tuple[Recorded | None, dict[str, Any], str]] = {
    "never sampled": (None, {"before": Tolerance(max=5)}, "no sample was taken"),
    "nothing returned": (
        series((0, 40, "the query returned nothing")), {"during": Tolerance(max=5)},
        "the query returned nothing",
    ),
    "a hole in the stretch": (
        series((0, 15, 1.0), (15, 24, "no answer"), (24, 40, 1.0)), {"during": Tolerance(max=5)},
        "nothing was read for 10.0 s from 14.0 s of the load: no answer",
    ),
    "no baseline": (
        series((0, 10, "NaN"), (10, 40, 1.0)), {"after": Tolerance(max_ratio=2)}, "NaN",
    ),
    "a counter that fell": (
        series((0, 20, 9.0), (20, 40, 1.0)), {"during": Tolerance(max=5), "reduce": "increase"},
        "the counter began again",
    ),
    "too few for a slope": (series((30, 33, 1.0)), {"after": Tolerance(max_slope=1)}, "nothing"),
    "cut off before it could be back": (
        series((0, 12, 1.0), (12, 40, 3.0)),
        {"after_healing": Healing(max=2, in_s=20), "where": (12, 35)},
        "only 5.0 of 20 s passed",
    ),
    "never healed": (STEADY, {"after_healing": Healing(max=2, in_s=5)}, "no fault was healed"),
}  # fmt: skip


@pytest.mark.parametrize("name", UNKNOWN)
def test_without_data_it_is_unknown_and_says_why(name: str) -> None:
    recorded, fields, said = UNKNOWN[name]
    fields = dict(fields)
    where = setting(fields.pop("where")) if "where" in fields else setting()

    answer = judged(recorded, where, **fields)

    assert answer.validity is Validity.UNKNOWN
    assert said in answer.cause


def test_what_broke_is_proof_whatever_else_is_missing() -> None:
    """A maximum only grows, a sample outside of its bounds stays outside."""
    holes = series((0, 15, 1.0), (15, 16, 9.0), (30, 40, 1.0))
    assert judged(holes, during=Tolerance(max=5), reduce="max").validity is Validity.INVALID
    assert judged(holes, during=Tolerance(max=2)).validity is Validity.UNKNOWN
    assert judged(holes, continuously=Tolerance(max=5)).validity is Validity.INVALID


def test_a_doubtful_raw_sample_makes_a_good_reading_unknown() -> None:
    found = Finding(0, "reset", ns(14), ns(16), "n1", "the counter began again")
    whole = STEADY
    doubtful = Recorded(whole.t_ns, whole.value, whole.text, whole.why, (found,))
    fields: dict[str, Any] = {"during": Tolerance(max=5)}
    plain = judged(doubtful, setting((13, 15)), **fields)
    assert (plain.validity, "the counter began again" in plain.cause) == (Validity.UNKNOWN, True)
    excused = judged(doubtful, setting((13, 15)), excuse_victims=True, **fields)
    assert excused.validity is Validity.VALID
    assert "f1 (kill) explains it" in excused.notes[0]
    other = Finding(0, "reset", ns(14), ns(16), "n2", "the counter began again")
    stranger = Recorded(whole.t_ns, whole.value, whole.text, whole.why, (other,))
    asked = judged(stranger, setting((13, 15)), excuse_victims=True, **fields)
    assert asked.validity is Validity.UNKNOWN


def test_text_is_matched_in_every_sample() -> None:
    t = (np.arange(0, 40.0) * SECOND).astype(np.int64)
    text = tuple("Synced" if n != 20 else "Donor" for n in range(40))
    said = Recorded(t, np.full(40, np.nan), text, ("",) * 40)
    assert judged(said, before=Tolerance(matches="^Sync")).validity is Validity.VALID
    broken = judged(said, during=Tolerance(equals="Synced"))
    assert broken.cause.startswith("p99 was Donor at 20.0 s of the load")


@given(
    st.lists(st.one_of(st.none(), st.floats(0, 10)), min_size=40, max_size=40),
    st.floats(0, 10),
)
def test_continuously_equals_a_slow_count(values: list[float | None], bound: float) -> None:
    """Invalid iff a sample is above; else unknown iff five seconds pass without one; else valid."""
    value = np.array([math.nan if v is None else v for v in values])
    t = (np.arange(40) * SECOND).astype(np.int64)
    why = tuple("none" if v is None else "" for v in values)
    answer = judged(
        Recorded(t, value, (None,) * 40, why), continuously=Tolerance(max=bound)
    ).validity
    if any(v is not None and v > bound for v in values):
        assert answer is Validity.INVALID
        return
    there = [0, *(n for n, v in enumerate(values) if v is not None), 40]
    widest = max(b - a for a, b in pairwise(there))
    empty = all(v is None for v in values)
    assert answer is (Validity.UNKNOWN if widest > 5 or empty else Validity.VALID)

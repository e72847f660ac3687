"""Steady states read from ops: each metric's exact meaning, and no green without data."""

from __future__ import annotations

import math

import pytest

from seatrial.history import History, HistoryBuilder
from seatrial.op import NEMESIS, Op, Type
from seatrial.steady.evaluate import evaluate
from seatrial.steady.reading import SteadyStateResult
from seatrial.steady_state import Metric, OpsProbe, SteadyState, Tolerance
from seatrial.verdict import Validity

SECOND = 1_000_000_000
MS = 1_000_000

#: An op: when it was invoked (s), how long it took (ms), how it ended.
Call = tuple[float, float, Type]


def trial(
    ops: list[Call],
    faults: list[tuple[float, float | None]] | None = None,
    *,
    f: str = "read",
    error: str | None = "timeout",
) -> History:
    """A trial of 10 s before, 20 s of faults and 10 s after, with ops of one process each."""
    events: list[Op] = []
    for name, at in (("steady-before", 0), ("workload", 10), ("steady-after", 30), ("check", 40)):
        events.append(Op(Type.INFO, NEMESIS, "phase", name, time_ns=at * SECOND))
    for number, (begin, heal) in enumerate(faults or []):
        value = {"fault": f"fault-{number}", "kind": "kill", "victims": "n1"}
        for moment, nemesis_f in ((begin, "inject"), (heal, "heal")):
            if moment is not None:
                at_ns = int(moment * SECOND)
                events.append(Op(Type.INVOKE, NEMESIS, nemesis_f, value, time_ns=at_ns))
                events.append(Op(Type.INFO, NEMESIS, nemesis_f, value, time_ns=at_ns))
    for process, (start, took, kind) in enumerate(ops):
        begun = int(start * SECOND)
        events.append(Op(Type.INVOKE, process, f, time_ns=begun))
        end = begun + int(took * MS)
        bad = error if kind != Type.OK else None
        events.append(Op(kind, process, f, time_ns=end, error=bad))
    builder = HistoryBuilder()
    for op in sorted(events, key=lambda event: event.time_ns):
        builder.append(op)
    return builder.history()


def steady(start: float, end: float, rate: float = 10, took: float = 1) -> list[Call]:
    """Ok ops at an even rate."""
    count = int((end - start) * rate)
    return [(start + i / rate, took, Type.OK) for i in range(count)]


def judge(
    history: History,
    metric: Metric,
    *,
    percentile: float = 99,
    f: tuple[str, ...] = (),
    before: Tolerance | None = None,
    during: Tolerance | None = None,
    after: Tolerance | None = None,
) -> SteadyStateResult:
    """One steady state's result."""
    probe = OpsProbe(metric=metric, percentile=percentile, f=f)
    state = SteadyState(name="s", probe=probe, before=before, during=during, after=after)
    (result,) = evaluate([state], history)
    return result


def test_latency_beyond_the_limit_is_said_with_both_numbers() -> None:
    """The cause names metric, reading, stretch and limit."""
    slow = [(20.0, 812.0, Type.OK)] * 3
    history = trial(steady(0, 40) + slow)
    result = judge(history, "latency_ms", during=Tolerance(max=500), after=Tolerance(max=500))
    assert result.validity is Validity.INVALID
    assert result.cause == "p99 latency was 812 ms during the faults; at most 500 ms allowed"
    assert [reading.validity.value for reading in result.readings] == ["invalid", "valid"]
    assert result.broke == ((20.0, 21.0),)


def test_an_op_belongs_to_the_stretch_in_which_it_began() -> None:
    """A stall that outlasts the faults is blamed on them."""
    stalled = [(29.9, 5000.0, Type.OK)] * 5
    history = trial(steady(0, 40) + stalled)
    limit = Tolerance(max=100)
    assert judge(history, "latency_ms", after=limit).validity is Validity.VALID
    assert judge(history, "latency_ms", during=limit).validity is Validity.INVALID


def test_error_rate_counts_errors_but_no_refusals() -> None:
    """An `info` and a `fail` with an error count; a refusal (no error) does not."""
    ops = steady(0, 40)
    ops += [(15.0, 1.0, Type.INFO)] * 40 + [(16.0, 1.0, Type.FAIL)] * 10
    result = judge(trial(ops), "error_rate", during=Tolerance(max=0.1))
    assert result.readings[0].value == pytest.approx(50 / 250)
    refusals = [(15.0, 1.0, Type.FAIL)] * 100
    polite = judge(
        trial(steady(0, 40) + refusals, error=None), "error_rate", during=Tolerance(max=0)
    )
    assert polite.validity is Validity.VALID


def test_throughput_against_its_own_baseline() -> None:
    """Half of what it did before is below 0.6 of it and above 0.4 of it."""
    history = trial(steady(0, 10, 10) + steady(10, 40, 5))
    bad = judge(history, "throughput", during=Tolerance(min_ratio=0.6))
    assert bad.validity is Validity.INVALID
    assert "5 ops/s during the faults; at least 6 ops/s (0.6 × 10 ops/s before)" in bad.cause
    assert judge(history, "throughput", during=Tolerance(min_ratio=0.4)).validity.value == "valid"


def test_nothing_succeeding_is_a_throughput_of_zero() -> None:
    """Attempts without success are a reading, and it breaks."""
    ops = steady(0, 10) + [(15.0, 10.0, Type.INFO)] * 30 + steady(30, 40)
    result = judge(trial(ops), "throughput", during=Tolerance(min=1))
    assert (result.validity, result.readings[0].value) == (Validity.INVALID, 0.0)


def test_longest_unavailability() -> None:
    """From the last ok op before the hole to the first after it."""
    holes = steady(0, 40.0)
    holes = [op for op in holes if not 15.05 <= op[0] < 19.95]
    result = judge(trial(holes), "unavailable_s", during=Tolerance(max=3), after=Tolerance(max=3))
    assert result.readings[0].value == pytest.approx(5.0, abs=1e-6)
    assert result.cause.startswith("longest time without a successful op was 5 s during")
    assert result.readings[1].validity is Validity.VALID


def test_a_load_that_ended_early_is_not_unavailability() -> None:
    """Nobody asked after 35 s; with an op under way until the end, somebody did."""
    early = steady(0, 35)
    assert judge(trial(early), "unavailable_s", after=Tolerance(max=1)).validity.value == "valid"
    hanging = [*early, (34.0, 9000.0, Type.INFO)]
    result = judge(trial(hanging), "unavailable_s", after=Tolerance(max=1))
    assert result.validity is Validity.INVALID


RECOVERY_CASES = {
    "at once": (steady(0, 40), [(15.0, 18.0)], 0.0),
    "after a pause": (steady(0, 15) + steady(20, 40), [(15.0, 18.0)], 2.0),
    "never": (steady(0, 15), [(15.0, 18.0)], math.inf),
    "half the rate is enough": (steady(0, 15) + steady(19, 40, 5), [(15.0, 18.0)], 1.0),
    "less than half is not": (steady(0, 15) + steady(19, 40, 4), [(15.0, 18.0)], math.inf),
    "overlapping: from the last healing": (
        steady(0, 15) + steady(22, 40),
        [(15.0, 18.0), (17.0, 21.0)],
        1.0,
    ),
    "the next fault came first": (
        steady(0, 15) + steady(24, 40),
        [(15.0, 18.0), (19.0, 23.5)],
        1.0,
    ),
    "down through a long gap": (steady(0, 12), [(12.0, 13.0), (19.0, 20.0)], math.inf),
}


@pytest.mark.parametrize("name", RECOVERY_CASES)
def test_recovery(name: str) -> None:
    """From the healing to the first second with half of the baseline (an op takes 1 ms)."""
    ops, faults, seconds = RECOVERY_CASES[name]
    windows: list[tuple[float, float | None]] = [*faults]
    result = judge(trial(ops, windows), "recovery_s", after=Tolerance(max=2.5))
    assert result.readings[0].value == pytest.approx(seconds, abs=0.0011)
    assert result.validity is (Validity.VALID if seconds <= 2.5 else Validity.INVALID)


def test_never_recovered_is_said_and_is_json() -> None:
    """An infinite reading has words, and a JSON value."""
    result = judge(trial(steady(0, 15), [(15.0, 18.0)]), "recovery_s", after=Tolerance(max=5))
    assert "was forever" in result.cause
    readings = result.to_json()["readings"]
    assert isinstance(readings, dict)
    after = readings["after"]
    assert isinstance(after, dict)
    assert after["value"] == "inf"


UNKNOWN_CASES: dict[str, tuple[History, Metric, Tolerance, str]] = {
    "no op in the stretch": (
        trial(steady(0, 10)), "throughput", Tolerance(min=1), "no op was attempted during",
    ),
    "no such phase": (
        HistoryBuilder().history(), "throughput", Tolerance(min=1), "no phase 'workload'",
    ),
    "too few for a percentile": (
        trial(steady(0, 11, 10)), "latency_ms", Tolerance(max=50), "only 10 ops",
    ),
    "no baseline": (
        trial(steady(10, 40)), "throughput", Tolerance(min_ratio=0.5), "no op was attempted before",
    ),
    "baseline zero": (
        trial([(5.0, 1.0, Type.INFO), *steady(10, 40)]), "throughput", Tolerance(min_ratio=0.5),
        "baseline before the faults is zero",
    ),
    "no fault to recover from": (
        trial(steady(0, 40)), "recovery_s", Tolerance(max=5), "no fault was injected",
    ),
    "never healed": (
        trial(steady(0, 40), [(15.0, None)]), "recovery_s", Tolerance(max=5), "never healed",
    ),
    "load ended at the healing": (
        trial(steady(0, 40), [(15.0, 39.5)]), "recovery_s", Tolerance(max=5), "load ended within",
    ),
    "no baseline to recover to": (
        trial(steady(10, 40), [(15.0, 18.0)]), "recovery_s", Tolerance(max=5), "no baseline",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", UNKNOWN_CASES)
def test_without_data_it_is_unknown(name: str) -> None:
    """No reading, no verdict, and the reason is said."""
    history, metric, tolerance, why = UNKNOWN_CASES[name]
    result = judge(history, metric, during=tolerance)
    assert result.validity is Validity.UNKNOWN
    assert why in result.cause


def test_only_some_f() -> None:
    """A probe of writes does not look at reads."""
    history = trial(steady(0, 40), f="read")
    result = judge(history, "throughput", f=("write",), during=Tolerance(min=1))
    assert result.validity is Validity.UNKNOWN
    assert "no op was attempted" in result.cause


def test_recovery_asks_nothing_where_no_fault_is_planned() -> None:
    """A trial planned without faults has nothing to recover from; others still judge."""
    states = [
        SteadyState(name="r", probe=OpsProbe(metric="recovery_s"), after=Tolerance(max=5)),
        SteadyState(name="t", probe=OpsProbe(metric="throughput"), after=Tolerance(min=1)),
    ]
    results = evaluate(states, trial(steady(0, 40)), planned_faults=0)
    assert [result.name for result in results] == ["t"]


def test_a_note_does_not_judge() -> None:
    """`on_break: note` keeps its validity but says that it must not count."""
    state = SteadyState(
        name="n", probe=OpsProbe(metric="throughput"), after=Tolerance(min=99), on_break="note"
    )
    (result,) = evaluate([state], trial(steady(0, 40)))
    assert (result.validity, result.judged) == (Validity.INVALID, False)


@pytest.mark.parametrize("metric", ["error_rate", "throughput", "latency_ms", "unavailable_s"])
def test_the_series_covers_the_trial(metric: Metric) -> None:
    """One value a second from the first stretch to the last, at most 600."""
    result = judge(trial(steady(0, 40)), metric, after=Tolerance(max=1e9))
    assert len(result.seconds) == len(result.values) == 40
    assert result.seconds[0] == 0

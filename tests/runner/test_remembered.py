"""What stored trials know: baselines, budgets, the score; and what ends a trial while it runs."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

import pytest

from seatrial.cases import case
from seatrial.cli.main import main
from seatrial.errors import Unavailable
from seatrial.history import History, HistoryBuilder
from seatrial.op import NEMESIS, Op, Type
from seatrial.plan import Plan
from seatrial.runner import remembered, store
from seatrial.runner.breaker import Breaker
from seatrial.runner.planner import Overrides, make_plan
from seatrial.runner.spending import Spending
from seatrial.samples import Sample
from seatrial.slo import Slo
from seatrial.steady.budget import spent
from seatrial.steady_state import Learnt, PrometheusProbe, SteadyState, Tolerance
from seatrial.trial import write_text

NOW = datetime.datetime(2026, 11, 21, tzinfo=datetime.UTC)
SECOND = 1_000_000_000


def state(**fields: Any) -> SteadyState:
    known: dict[str, Any] = {"name": "p99", "probe": PrometheusProbe(query="q"), **fields}
    return SteadyState(**known)


def plan(*states: SteadyState, slo: Slo | None = None) -> Plan:
    made = make_plan(case("etcd-set"), 1, Overrides(faults=(), time_limit_s=20))
    return made.model_copy(update={"steady_states": states, "slo": slo})


def keep(
    room: Path,
    number: int,
    states: list[dict[str, Any]],
    *,
    status: str = "finished",
    stats: str = "valid",
    notes: list[dict[str, Any]] | None = None,
    days_ago: float = 0,
) -> None:
    """A judged trial in the store."""
    started = NOW - datetime.timedelta(days=days_ago)
    folder = store.create(room, "etcd-set", number, started)
    write_text(folder.plan, plan(state(after=Tolerance(max=1))).to_text())
    store.write_record(folder, status, started)
    document = {
        "case": "etcd-set",
        "target": "etcd",
        "checkers": {"stats": {"verdict": stats}},
        "steady_states": states,
        "notes": notes or [],
    }
    write_text(folder.verdict, json.dumps(document))


def before(value: float) -> list[dict[str, Any]]:
    return [{"name": "p99", "verdict": "valid", "stretches": {"before": {"value": value}}}]


LEARNS = state(after=Tolerance(within_spreads=3), baseline=Learnt(trials=3))


def test_a_baseline_is_the_median_of_the_last_trials_that_count(tmp_path: Path) -> None:
    for number, value in enumerate([100.0, 10.0, 12.0, 11.0]):
        keep(tmp_path, number, before(value), days_ago=4 - number)
    keep(tmp_path, 8, before(500.0), stats="unknown")
    keep(tmp_path, 9, before(900.0), status="interrupted")

    learnt = remembered.learn(plan(LEARNS), tmp_path).states["p99"]

    assert (learnt.value, len(learnt.trials)) == (11.0, 3)
    assert learnt.spread == pytest.approx(1.4826)


def test_too_few_trials_are_no_baseline(tmp_path: Path) -> None:
    keep(tmp_path, 1, before(10.0))

    learnt = remembered.learn(plan(LEARNS), tmp_path).states["p99"]

    assert learnt.value is None
    assert "needs 3 stored trials that count and read `before`, there are 1" in learnt.reason


def test_a_baseline_goes_with_the_trial(tmp_path: Path) -> None:
    for number in range(3):
        keep(tmp_path, number, before(10.0 + number))
    folder = store.create(tmp_path, "etcd-set", 7, NOW)
    remembered.keep_baselines(folder, remembered.learn(plan(LEARNS), tmp_path))

    baseline = remembered.read_baselines(folder)["p99"]

    assert (baseline.value, baseline.said) == (11.0, "in 3 stored trials")


# ── budgets ──────────────────────────────────────────────────────────────────────────────────

#: 86.4 s in a day; a trial may spend half of them.
SLO = Slo(name="writes", objective=0.999, period_days=1, spend=0.5)


def used(seconds: float) -> list[dict[str, Any]]:
    return [{"name": remembered.BUDGET_PART, "slo": "writes", "spent_s": seconds}]


def test_what_trials_of_the_period_spent_is_gone(tmp_path: Path) -> None:
    keep(tmp_path, 1, [], notes=used(60), days_ago=0.5)
    keep(tmp_path, 2, [], notes=used(1000), days_ago=3)

    left = remembered.budget(SLO, tmp_path, NOW)

    assert left.left_s == pytest.approx(26.4)
    assert left.allowed_s == pytest.approx(26.4)


def test_a_trial_does_not_begin_when_the_budget_is_gone(tmp_path: Path) -> None:
    keep(tmp_path, 1, [], notes=used(87))

    with pytest.raises(Unavailable, match=r"error budget of SLO 'writes' is gone: 87 of 86 s"):
        remembered.budget(SLO, tmp_path, NOW)


def test_a_trial_does_not_begin_on_an_unknown_budget(tmp_path: Path) -> None:
    asks = SLO.model_copy(update={"spent_query": "x", "spent_url": "http://127.0.0.1:9"})

    with pytest.raises(Unavailable, match=r"cannot be told: .*Connection refused"):
        remembered.budget(asks, tmp_path, NOW)


def ops(seconds: int, bad: set[int], hang: set[int] = frozenset()) -> list[Op]:  # type: ignore[assignment]
    """Two ops a second of one process; all fail in `bad`, nothing completes in `hang`."""
    out = [Op(Type.INFO, NEMESIS, "phase", "steady-before", time_ns=0)]
    for half in range(seconds * 2):
        second, at = half // 2, half * SECOND // 2
        if second in hang:
            continue
        kind = Type.INFO if second in bad else Type.OK
        error = "timeout" if second in bad else None
        out.append(Op(Type.INVOKE, half, "add", half, time_ns=at))
        nearly = SECOND // 4 if second + 1 not in hang or half % 2 == 0 else 0
        end = at + (nearly or SECOND // 2 + (len(hang)) * SECOND)
        out.append(Op(kind, half, "add", half, time_ns=end, error=error))
    out.append(Op(Type.INFO, NEMESIS, "phase", "quiesce", time_ns=seconds * SECOND))
    return sorted(out, key=lambda op: op.time_ns)


def history(found: list[Op]) -> History:
    builder = HistoryBuilder()
    for op in found:
        builder.append(op)
    return builder.history()


@pytest.mark.parametrize(
    ("bad", "hang", "seconds"),
    [(set(), set(), 0), ({3, 4}, set(), 2), (set(), {5, 6}, 2), ({1}, {5, 6}, 3)],
)
def test_bad_seconds_are_counted(bad: set[int], hang: set[int], seconds: int) -> None:
    found = spent(history(ops(10, bad, hang)), SLO)

    assert (found.bad, found.seconds, found.reason) == (seconds, 10, "")


def test_a_history_without_load_spent_nothing_that_is_known() -> None:
    assert spent(history([]), SLO).reason == "the trial had no second of load"


def test_a_trial_ends_when_its_share_is_spent() -> None:
    small = Slo(name="writes", objective=0.999, period_days=0.1, spend=0.5)  # 4.3 s
    said: list[str] = []
    spending = Spending(remembered.Budget(slo=small, spent_s=0), said.append)
    waiting = ops(12, {2, 3, 4, 5, 6, 7})

    for second in range(12):
        while waiting and waiting[0].time_ns < (second + 1) * SECOND:
            spending.note(waiting.pop(0))
        spending.tick((second + 1) * SECOND, "workload")

    assert spending.spent_s >= 5
    assert said[0] == "the error budget of SLO 'writes' is spent (5 s; 4.3 s were allowed)"


# ── aborts ───────────────────────────────────────────────────────────────────────────────────


def hear(breaker: Breaker, phase: str, *values: float | None) -> None:
    breaker.enter(phase)
    for value in values:
        breaker.hear(Sample(0, 0, value, why="" if value is not None else "no answer"))


def test_a_sample_outside_aborts_and_a_missing_one_does_not() -> None:
    said: list[str] = []
    aborts = plan(state(continuously=Tolerance(max_ratio=2), on_break="abort"))
    breaker = Breaker(aborts, said.append, lambda: False)

    hear(breaker, "steady-before", 1.0, 3.0)
    hear(breaker, "workload", 3.9, None)
    assert said == []

    hear(breaker, "workload", 4.1)
    assert said == ["p99 read 4.1; at most 4 (2 × 2 before) allowed"]


def test_in_fault_aborts_only_while_one_is_alive() -> None:
    said: list[str] = []
    alive = [False]
    aborts = plan(state(in_fault=Tolerance(max=1), on_break="abort"))
    breaker = Breaker(aborts, said.append, lambda: alive[0])

    hear(breaker, "workload", 5.0)
    assert said == []

    alive[0] = True
    hear(breaker, "workload", 5.0)
    assert len(said) == 1


# ── the score ────────────────────────────────────────────────────────────────────────────────


def test_the_score_weighs_and_leaves_out_what_was_not_tested(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def result(name: str, verdict: str, weight: float = 1.0) -> dict[str, Any]:
        return {"name": name, "verdict": verdict, "weight": weight, "on_break": "judge"}

    keep(tmp_path, 1, [result("a", "valid", 3), result("b", "invalid")])
    keep(tmp_path, 2, [result("a", "valid", 3), result("b", "unknown")])
    keep(tmp_path, 3, [result("a", "invalid", 3)], status="interrupted")
    noted = {**result("c", "invalid"), "on_break": "note"}
    keep(tmp_path, 4, [result("a", "invalid", 3), noted], stats="unknown")

    assert main(["score", "--store", str(tmp_path), "--json"]) == 0

    document = json.loads(capsys.readouterr().out)
    (found,) = document["cases"]
    assert (found["trials"], found["score"]) == (2, round(100 * 6 / 7, 2))
    assert [s["not_tested"] for s in found["steady_states"]] == [0, 1]
    assert document["targets"] == {"etcd": round(100 * 6 / 7, 2)}
    assert sum(document["left_out"].values()) == 2


def test_an_empty_store_has_no_score(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["score", "--store", str(tmp_path)]) == 0
    assert capsys.readouterr().out == "no stored trial counts\n"

"""Steady states read while a trial runs: what ends all faults, and what ends a ramp."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import pytest
from pydantic import ValidationError

from seatrial.case import Case, Limits
from seatrial.cases import case
from seatrial.cli.words import plan_text
from seatrial.errors import UsageError
from seatrial.fault import PlannedFault
from seatrial.op import NEMESIS, Op, Type
from seatrial.plan import Plan, PlannedRamp, PlannedSafety
from seatrial.runner import outside
from seatrial.runner.halts import Halts
from seatrial.runner.limits import changed
from seatrial.runner.lookout import Lookout
from seatrial.runner.nemesis import Nemesis
from seatrial.runner.planner import Overrides, make_plan
from seatrial.runner.watch import Watch
from seatrial.safety import Break, Safety, TimeWindow, Watched, closes
from seatrial.schedule import FaultChoice, Ramp, Schedule, Swizzle
from seatrial.steady_state import Metric, OpsProbe, SteadyState, Tolerance

S = 10**9


def watched(metric: Metric, window_s: float = 2.0, **bounds: float) -> Watched:
    """A state called `s`."""
    return Watched(
        steady_state="s",
        probe=OpsProbe(metric=metric),
        tolerance=Tolerance.model_validate(bounds),
        window_s=window_s,
    )


def fed(one: Watched, *, ops: int = 100, bad: int = 0, latency_ms: float = 5.0) -> Watch:
    """A watch after 10 s of evenly spaced ops, of which the last `bad` failed."""
    watch = Watch([one], keep_s=10)
    for number in range(ops):
        begun = number * 10 * S // ops
        done = begun + int(latency_ms * 1e6)
        kind, error = (Type.INFO, "timeout") if number >= ops - bad else (Type.OK, None)
        watch.note(Op(Type.INVOKE, number, "read", time_ns=begun))
        watch.note(Op(kind, number, "read", time_ns=done, error=error))
    return watch


@pytest.mark.parametrize(
    ("metric", "bad", "reading"),
    [
        ("error_rate", 0, 0.0),
        ("error_rate", 10, 0.5),
        ("error_rate", 40, 1.0),
        ("throughput", 0, 10.0),
        ("throughput", 10, 5.0),
        ("latency_ms", 0, 5.0),
        ("latency_ms", 10, None),
        ("unavailable_s", 0, 0.095),
        ("unavailable_s", 40, 4.095),
    ],
)
def test_a_reading_is_of_the_last_seconds(metric: Metric, bad: int, reading: float | None) -> None:
    one = watched(metric, max=1)

    seen = fed(one, bad=bad).read(one, 10 * S)

    assert seen == (None if reading is None else pytest.approx(reading))


def test_a_refusal_is_no_error_and_the_nemesis_no_client() -> None:
    one = watched("error_rate", max=0.1)
    watch = Watch([one], keep_s=1)
    watch.note(Op(Type.INVOKE, NEMESIS, "inject", time_ns=S))
    watch.note(Op(Type.INFO, NEMESIS, "inject", time_ns=S, error="no route"))
    assert watch.read(one, S) is None

    watch.note(Op(Type.INVOKE, 0, "cas", time_ns=S))
    watch.note(Op(Type.FAIL, 0, "cas", time_ns=S + 1))

    assert watch.read(one, S + 2) == 0.0


@pytest.mark.parametrize(
    ("bounds", "value", "words"),
    [
        ({"max": 0.2}, 0.3, "s read 0.3, at most 0.2 allowed"),
        ({"max": 0.2}, 0.2, ""),
        ({"min": 5.0}, 4.0, "s read 4, at least 5 allowed"),
        ({"max": 0.2}, None, ""),
        ({"min_ratio": 0.5}, 4.0, "s read 4, at least 5 allowed"),
        ({"max_ratio": 2}, 21.0, "s read 21, at most 20 allowed"),
    ],
)
def test_what_breaks_a_tolerance_is_said(
    bounds: Mapping[str, float], value: float | None, words: str
) -> None:
    one = watched("throughput", **bounds)
    watch = fed(one)
    watch.take_baseline([one], 10 * S)

    assert watch.broken(one, value) == words


# ── the lookout ──────────────────────────────────────────────────────────────────────────────

RAMP = PlannedRamp(
    id="ramp-1",
    kind="delay",
    victims="one",
    option="latency_ms",
    levels=(10, 50, 200),
    until=(watched("unavailable_s", max=1.0),),
)


class _Acting:
    """What the lookout asks a nemesis."""

    def __init__(self) -> None:
        fault = PlannedFault(
            id="f", kind="delay", victims="one", start_s=0, duration_s=9, group="ramp-1"
        )
        self.alive = ((fault, ("n1",)),)
        self.reached = (10.0, 0)

    def level(self, group: str) -> tuple[float, int]:
        return self.reached


async def climbing(ends_at: float | None) -> tuple[Lookout, Halts, PlannedFault]:
    """A ramp that climbs a level each 4 s; from `ends_at` seconds on nothing succeeds."""
    plan = make_plan(case("etcd-register"), 1, Overrides())
    plan = plan.model_copy(update={"ramps": (RAMP,), "faults": ()})
    watch, acting, halts = Watch(RAMP.until, keep_s=2), _Acting(), Halts()
    ((fault, _),) = acting.alive
    now = [0]
    lookout = Lookout(plan, watch, cast(Nemesis, acting), halts, lambda: now[0])
    async with halts.watching([fault], asyncio.Event()):
        for tenth in range(120):
            now[0] = tenth * S // 10
            acting.reached = (RAMP.levels[tenth // 40], tenth // 40 * 4 * S)
            watch.note(Op(Type.INVOKE, tenth, "read", time_ns=now[0]))
            if ends_at is None or tenth < ends_at * 10:
                watch.note(Op(Type.OK, tenth, "read", time_ns=now[0]))
            lookout.look()
        halted = halts.left_out(fault)
    assert (halted is not None) == (ends_at is not None)
    return lookout, halts, fault


def test_a_ramp_that_breaks_names_its_breaking_point_and_ends() -> None:
    lookout, halts, fault = asyncio.run(climbing(ends_at=6.0))

    (outcome,) = lookout.outcomes()
    assert (outcome.held, outcome.broke) == (10, 50)
    assert outcome.sentence == (
        "breaking point of delay of one, latency_ms: 50 "
        "(s read 1.1, at most 1 allowed); it held at 10"
    )
    left_out = halts.left_out(fault)
    assert left_out is not None and left_out.error is None
    assert left_out.skipped == "ramp-1 found its breaking point at latency_ms 50"


def test_a_ramp_that_never_breaks_says_how_far_it_held() -> None:
    lookout, _, _ = asyncio.run(climbing(ends_at=None))

    (outcome,) = lookout.outcomes()
    assert (outcome.held, outcome.broke) == (200, None)
    assert "it held up to 200, the last level" in outcome.sentence
    assert [level.level for level in outcome.levels] == [10, 50, 200]


def test_an_abort_ends_all_faults_with_its_reason() -> None:
    one = watched("unavailable_s", max=1.0)
    plan = make_plan(case("etcd-register"), 1, Overrides())
    plan = plan.model_copy(update={"safety": PlannedSafety(aborts=(one,))})

    async def go() -> tuple[Lookout, Halts]:
        halts, now = Halts(), [0]
        watch = fed(one, bad=0)
        lookout = Lookout(plan, watch, cast(Nemesis, _Acting()), halts, lambda: now[0])
        async with halts.watching(plan.faults, asyncio.Event()):
            for tenth in range(100, 130):
                now[0] = tenth * S // 10
                lookout.look()
            evidence = halts.left_out(plan.faults[0])
        assert evidence is not None and evidence.error is not None
        assert "the trial was aborted, s read 1." in evidence.error
        return lookout, halts

    lookout, _ = asyncio.run(go())
    assert lookout.aborted.is_set()
    assert "all faults were healed at once" in lookout.reason


# ── limits, before anything starts ───────────────────────────────────────────────────────────


def altered(**changes: object) -> Case:
    """The case `etcd-register`, changed."""
    return case("etcd-register").model_copy(update=changes)


def only(kind: str, *victims: str, seconds: float = 4.0) -> Schedule:
    """A schedule of one kind."""
    choice = FaultChoice(kind=kind, victims=victims, duration_s=(seconds, seconds))
    return Schedule(choices=(choice,))


RAMP_OF_KILLS = Ramp(
    kind="kill", option="per_minute", levels=(6, 12), until=(Break(steady_state="p99 latency"),)
)


OFFICE = TimeWindow(days=("Mon", "Tue", "Wed", "Thu", "Fri"), start="09:00", end="17:30")
HALVES_OF_ALL = Schedule(
    choices=(FaultChoice(kind="partition", victims=("one", "all"), options=({"shape": "halves"},)),)
)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"schedule": only("kill", "n9")}, "'kill' on 'n9' matches no node"),
        ({"schedule": only("kill", "primary")}, "'kill' on 'primary' matches no node"),
        ({"schedule": only("kill", "minority"), "nodes": 1}, "1 node(s) have no minority"),
        ({"schedule": only("kill", "follower"), "nodes": 1}, "1 node(s) have no follower"),
        ({"schedule": only("kill", "one", seconds=100)}, "no fault fits"),
        ({"schedule": HALVES_OF_ALL}, "partition 'halves' of n1, n2, n3 with victims n1, n2, n3"),
        ({"safety": Safety(forbidden=("pause",))}, "'pause' is in the schedule, and the case's"),
        ({"safety": Safety(forbidden=("puase",))}, "did you mean 'pause'"),
        ({"safety": Safety(max_victims=0)}, "allows 0 at once"),
        ({"schedule": only("kill", "all"), "safety": Safety(never=("all",))}, "allows 2 at once"),
        (
            {"schedule": only("kill", "majority"), "safety": Safety(max_victims=1)},
            "2 of 3 nodes, and the case's safety allows 1",
        ),
        (
            {"schedule": Schedule(pattern=Swizzle(kind="kill")), "safety": Safety(max_victims=1)},
            "3 of 3 nodes, and the case's safety allows 1",
        ),
        ({"limits": Limits(min_ok_in_fault=50)}, "limits contradict each other"),
        ({"limits": Limits(min_ok=10**6)}, "limits cannot be met: 1000 ops/s for 60 s"),
        (
            {"safety": Safety(aborts=(Break(steady_state="p99 latncy"),))},
            "did you mean 'p99 latency'",
        ),
        (
            {"safety": Safety(aborts=(Break(steady_state="p99 latency"),))},
            "it has no tolerance `during` the faults",
        ),
        (
            {"safety": Safety(aborts=(Break(steady_state="recovers after each healing"),))},
            "recovery_s cannot be read while the trial runs",
        ),
        ({"schedule": Schedule(pattern=RAMP_OF_KILLS)}, "it has no tolerance `during`"),
    ],
)
def test_what_contradicts_or_cannot_be_is_refused_before_anything_starts(
    changes: Mapping[str, object], says: str
) -> None:
    with pytest.raises(UsageError) as caught:
        make_plan(altered(**changes), 1, Overrides())

    assert says in str(caught.value)
    assert "hint:" in str(caught.value)
    assert caught.value.exit_code == 64


def test_a_smaller_cluster_of_the_command_line_leaves_victims_out() -> None:
    plan = make_plan(altered(schedule=only("kill", "one", "follower")), 1, Overrides(nodes=1))

    assert {fault.victims for fault in plan.faults} == {"one"}


@pytest.mark.parametrize("seed", range(5))
def test_max_victims_holds_at_every_moment_of_a_plan(seed: int) -> None:
    plan = make_plan(altered(safety=Safety(max_victims=1)), seed, Overrides(time_limit_s=300.0))

    assert plan.blast is not None and plan.blast.victims_max == 1
    assert plan.safety.victims_max == 1


def test_a_plan_with_a_ramp_says_what_ends_it() -> None:
    bound = Tolerance(max=500)
    ramp = RAMP_OF_KILLS.model_copy(
        update={"until": (Break(steady_state="p99 latency", tolerance=bound),)}
    )

    plan = make_plan(altered(schedule=Schedule(pattern=ramp)), 1, Overrides())

    (planned,) = plan.ramps
    assert (planned.id, planned.until[0].tolerance) == ("ramp-1", bound)
    assert {fault.group for fault in plan.faults} == {"ramp-1"}
    assert Plan.model_validate_json(plan.to_text()) == plan


def test_a_plan_in_words_says_what_bounds_it_and_what_ends_it() -> None:
    ramp = RAMP_OF_KILLS.model_copy(
        update={"until": (Break(steady_state="p99 latency", tolerance=Tolerance(max=500)),)}
    )
    bounded = altered(
        schedule=Schedule(pattern=ramp),
        safety=Safety(
            max_victims=1, windows=(OFFICE,), aborts=(Break(steady_state="hardly any errors"),)
        ),
    )

    said = " ".join(plan_text(make_plan(bounded, 1, Overrides())).split())

    assert "blast at most 1 of 3 nodes at once, 1 fault alive at once" in said
    assert "safety at most 1 victims at once" in said
    assert "faults only on Mon,Tue,Wed,Thu,Fri 09:00 to 17:30 UTC" in said
    assert "all faults end once hardly any errors leaves max 0.9 over 3 s" in said
    assert "ramp-1 kill of one, per_minute 6, 12, until p99 latency leaves max 500" in said


def test_changing_a_schedule_reaches_each_fault() -> None:
    schedule = changed(
        only("kill", "one"), lambda choice: choice.model_copy(update={"kind": "pause"})
    )

    assert schedule.choices[0].kind == "pause"


# ── the wall clock ───────────────────────────────────────────────────────────────────────────

NIGHT = TimeWindow(days=("Fri",), start="22:00", end="06:00")


def at(text: str) -> datetime.datetime:
    """A moment of UTC; 2026-11-20 is a Friday."""
    return datetime.datetime.fromisoformat(text).replace(tzinfo=datetime.UTC)


@pytest.mark.parametrize(
    ("window", "now", "end"),
    [
        (OFFICE, "2026-11-20 09:00", "2026-11-20 17:30"),
        (OFFICE, "2026-11-20 17:30", None),
        (OFFICE, "2026-11-21 12:00", None),
        (NIGHT, "2026-11-20 23:00", "2026-11-21 06:00"),
        (NIGHT, "2026-11-21 05:59", "2026-11-21 06:00"),
        (NIGHT, "2026-11-20 05:00", None),
        (TimeWindow(), "2026-11-21 12:00", "2026-11-22 00:00"),
    ],
)
def test_a_time_window_is_open_until_its_end(window: TimeWindow, now: str, end: str | None) -> None:
    assert closes((window,), at(now)) == (None if end is None else at(end))


@pytest.mark.parametrize(
    "window", [{"start": "9:00"}, {"end": "25:00"}, {"days": []}, {"timezone": "Mars/Olympus"}]
)
def test_a_time_window_that_never_opens_is_refused(window: Mapping[str, object]) -> None:
    with pytest.raises(ValidationError):
        TimeWindow.model_validate(window)


@pytest.mark.parametrize("now", ["2026-11-21 12:00", "2026-11-20 17:29:30"])
def test_a_trial_does_not_start_outside_of_its_time(
    now: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    plan = make_plan(altered(safety=Safety(windows=(OFFICE,))), 1, Overrides())

    with pytest.raises(Exception, match=r"(?s)of the case's time windows.*hint:") as caught:
        outside.forbid_now(plan, at(now))

    assert getattr(caught.value, "exit_code", None) == 69
    outside.forbid_now(plan, at("2026-11-20 12:00"))


def test_a_steady_state_without_a_name_of_the_case_is_none() -> None:
    state = SteadyState(name="x", probe=OpsProbe(metric="error_rate"), during=Tolerance(max=0.5))
    plan = make_plan(
        altered(
            steady_states=(state,), safety=Safety(aborts=(Break(steady_state="x", window_s=1),))
        ),
        1,
        Overrides(),
    )

    assert plan.safety.aborts[0].tolerance == Tolerance(max=0.5)

"""What ends a real trial's faults before their time: the lever, an abort, a ramp's answer."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from seatrial.case import Case, Limits
from seatrial.cases import case
from seatrial.runner import judge, lever, outside
from seatrial.runner.display import Quiet
from seatrial.runner.planner import Overrides, make_plan
from seatrial.safety import Break, Safety
from seatrial.schedule import FaultChoice, Ramp, Schedule
from seatrial.steady_state import OpsProbe, SteadyState, Tolerance
from seatrial.trial import Evidence, TrialFolder, TrialRecord
from seatrial.verdict import Validity

pytestmark = [pytest.mark.lab, pytest.mark.full]

ANSWERS = SteadyState(
    name="answers",
    probe=OpsProbe(metric="unavailable_s"),
    during=Tolerance(max=1.0),
    on_break="note",
)
BREAK = Break(steady_state="answers", window_s=0.5)


@pytest.fixture(autouse=True)
def _state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def small(schedule: Schedule, *, safety: Safety | None = None, time_limit_s: float = 40.0) -> Case:
    """Sets under little load, which are judged in no time."""
    return case("etcd-set").model_copy(
        update={
            "schedule": schedule,
            "safety": safety or Safety(),
            "steady_states": (ANSWERS,),
            "limits": Limits(min_ok=1, min_ok_in_fault=0, min_attempts_in_fault=0),
            "time_limit_s": time_limit_s,
        }
    )


def tried(case: Case, where: Path) -> tuple[judge.Judgement, TrialFolder, TrialRecord]:
    """Carry the case out."""
    judgement = outside.run_trial(make_plan(case, 1, Overrides()), where, Quiet(), keep=False)
    folder = TrialFolder((where / "latest").resolve())
    record = TrialRecord.model_validate_json(folder.record.read_text(encoding="utf-8"))
    return judgement, folder, record


def kill_of_all(seconds: float) -> Schedule:
    return Schedule(
        choices=(FaultChoice(kind="kill", victims=("all",), duration_s=(seconds, seconds)),),
        gap_s=(0.2, 0.2),
    )


def lasted_s(evidence: Evidence) -> float:
    assert evidence.inject_ns is not None and evidence.heal_ns is not None
    return (evidence.heal_ns - evidence.inject_ns) / 1e9


def test_the_lever_heals_a_trial_at_once_and_is_its_cause(tmp_path: Path) -> None:
    def pull_once_it_acts() -> None:
        deadline = time.monotonic() + 60
        while not [*tmp_path.glob("trials/*/evidence/fault-1.json")]:
            if time.monotonic() > deadline:
                return
            time.sleep(0.05)
        lever.pull("somebody needs the machine")

    puller = threading.Thread(target=pull_once_it_acts)
    puller.start()
    began = time.monotonic()
    judgement, folder, record = tried(small(kill_of_all(15.0)), tmp_path / "trials")
    puller.join()

    assert judgement.verdict is Validity.UNKNOWN
    assert "the safety lever was pulled by" in judgement.cause
    assert ": somebody needs the machine" in judgement.cause
    assert record.status == "interrupted" and record.leaks == ()
    (first, *rest) = folder.read_evidence()
    assert first.recovery is not None and first.recovery.seen
    assert lasted_s(first) < 10
    assert all(one.error and one.error.startswith("not begun") for one in rest)
    assert not folder.data.exists() and not lever.lives(folder.root)
    assert time.monotonic() - began < 38, "it did not go on to the end"


def test_an_abort_heals_all_at_once_and_says_why(tmp_path: Path) -> None:
    safety = Safety(aborts=(BREAK,))

    judgement, folder, record = tried(small(kill_of_all(15.0), safety=safety), tmp_path / "trials")

    assert judgement.verdict is Validity.UNKNOWN
    assert judgement.cause.startswith("the trial was aborted: answers read 1.")
    assert "all faults were healed at once" in judgement.cause
    assert record.status == "aborted" and record.leaks == ()
    (first, *_) = folder.read_evidence()
    assert first.recovery is not None and first.recovery.seen
    assert lasted_s(first) < 8


def test_a_ramp_climbs_until_it_breaks_and_names_the_level(tmp_path: Path) -> None:
    ramp = Ramp(
        kind="pause",
        victims="all",
        option="per_minute",
        levels=(24.0, 30.0, 36.0),
        hold_s=2.5,
        each_s=1.0,
        until=(BREAK.model_copy(update={"tolerance": Tolerance(max=0.5)}),),
    )

    judgement, folder, record = tried(
        small(Schedule(pattern=ramp), time_limit_s=16.0), tmp_path / "trials"
    )

    (outcome,) = record.ramps
    assert outcome.broke == 24.0 and outcome.held is None
    assert "breaking point of pause of all, per_minute: 24 (answers read" in judgement.cause
    assert judgement.verdict is Validity.VALID, judgement.cause
    skipped = [one for one in folder.read_evidence() if one.skipped]
    assert {one.fault.level for one in skipped} == {30.0, 36.0}
    assert "breaking point" in folder.report.read_text(encoding="utf-8")

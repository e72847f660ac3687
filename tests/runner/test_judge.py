"""Joining a trial's verdict: nothing unproven is green, and the cause says what was not proven."""

from __future__ import annotations

import datetime
from pathlib import Path

import numpy as np
import pytest

from seatrial.cases import case
from seatrial.checker import Budget, CheckOptions
from seatrial.errors import BadData, NoInput
from seatrial.fault import PlannedFault
from seatrial.history import History, HistoryBuilder
from seatrial.history.stream import HistoryWriter
from seatrial.op import NEMESIS, Op, Type, Value
from seatrial.plan import Plan
from seatrial.runner import guard, judge, store
from seatrial.runner.judge_faults import LATE_S, fault_parts
from seatrial.runner.judge_steady import steady_state_part
from seatrial.runner.planner import Overrides, make_plan
from seatrial.steady.reading import Reading, SteadyStateResult
from seatrial.trial import Evidence, StoredProof, TrialFolder, write_text
from seatrial.verdict import Anomaly, Validity, Verdict, join

SECOND = 1_000_000_000
SEEN = StoredProof(seen=True, sentence="seen")
NOT_SEEN = StoredProof(seen=False, sentence="n1 went on answering")
FAULT = PlannedFault(
    id="fault-1", kind="pause", victims="one", nodes=("n1",), start_s=1.0, duration_s=2.0
)


def evidence(**changes: object) -> Evidence:
    """Evidence of a fault that went as it should, with changes."""
    whole = Evidence(
        fault=FAULT,
        victims=("n1",),
        inject_ns=1 * SECOND,
        injected_ns=1 * SECOND + 1,
        heal_ns=3 * SECOND,
        healed_ns=3 * SECOND + 1,
        effect=SEEN,
        recovery=SEEN,
    )
    return whole.model_copy(update=changes)


def test_a_fault_that_acted_and_healed_is_valid() -> None:
    (part,) = fault_parts([FAULT], [evidence()])

    assert (part.verdict, part.cause) == (
        Validity.VALID,
        "fault-1 (pause of n1) acted and healed",
    )


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"effect": NOT_SEEN}, "had no measured effect: n1 went on answering"),
        ({"effect": None}, "had no measured effect: it was not measured"),
        ({"recovery": NOT_SEEN}, "was not seen to heal: n1 went on answering"),
        ({"recovery": None}, "was not seen to heal"),
        ({"error": "OSError: no such process"}, "OSError: no such process"),
        ({"heal_ns": 1_300_000_000}, "it was healed after 0.3 s of 2 s"),
    ],
)
def test_a_fault_that_is_not_proven_is_unknown_and_named(
    changes: dict[str, object], cause: str
) -> None:
    (part,) = fault_parts([FAULT], [evidence(**changes)])

    assert part.verdict is Validity.UNKNOWN
    assert "fault-1 (pause of n1)" in part.cause
    assert cause in part.cause


def test_a_fault_without_evidence_is_unknown() -> None:
    (part,) = fault_parts([FAULT], [])

    assert part.verdict is Validity.UNKNOWN
    assert "left no evidence" in part.cause


@pytest.mark.parametrize(
    ("parts", "whole"),
    [
        ("valid", "valid"),
        ("valid unknown", "unknown"),
        ("unknown invalid valid", "invalid"),
        ("", "unknown"),
    ],
)
def test_invalid_beats_unknown_beats_valid(parts: str, whole: str) -> None:
    assert join(map(Validity, parts.split())) == whole


def test_a_checker_that_judged_nothing_is_never_valid() -> None:
    assert Verdict.valid("all is well", judged=0).verdict is Validity.UNKNOWN


# ── the guard ────────────────────────────────────────────────────────────────────────────────


class Raises:
    """A checker with a defect."""

    name = "raises"

    def check(self, history: History, budget: Budget) -> Verdict:
        raise ZeroDivisionError("no such luck")


class Greedy:
    """A checker that takes more memory than it may."""

    name = "greedy"

    def check(self, history: History, budget: Budget) -> Verdict:
        hoard = [bytearray(64 << 20) for _ in range(64)]
        return Verdict.valid("it fitted", judged=len(hoard))


class Stuck:
    """A checker that does not look at its budget."""

    name = "stuck"

    def check(self, history: History, budget: Budget) -> Verdict:
        while True:
            pass


EMPTY = HistoryBuilder().history()


def test_a_checker_that_raises_is_unknown_with_the_reason() -> None:
    verdict = guard.check(Raises, EMPTY, 10, 1 << 30)

    assert verdict.verdict is Validity.UNKNOWN
    assert "ZeroDivisionError: no such luck" in verdict.cause


def test_a_checker_without_memory_is_unknown_with_the_bound() -> None:
    verdict = guard.check(Greedy, EMPTY, 10, 256 << 20)

    assert verdict.verdict is Validity.UNKNOWN
    assert "out of memory: more than 256 MiB" in verdict.cause


def test_a_checker_without_end_is_killed_and_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "GRACE_S", 0.2)

    verdict = guard.check(Stuck, EMPTY, 0.1, 1 << 30)

    assert verdict.verdict is Validity.UNKNOWN
    assert "out of time" in verdict.cause


# ── whole folders ────────────────────────────────────────────────────────────────────────────


def stored(tmp_path: Path, status: str = "finished", *, faults: bool = False) -> TrialFolder:
    """A small trial's folder: a register history without a flaw."""
    overrides = Overrides(faults=None if faults else (), time_limit_s=20.0)
    plan: Plan = make_plan(case("etcd-register"), 7, overrides)
    now = datetime.datetime(2026, 11, 21, tzinfo=datetime.UTC)
    folder = store.create(tmp_path, plan.case, plan.seed, now)
    write_text(folder.plan, plan.to_text())
    store.write_record(folder, status, now)
    with HistoryWriter(folder.history) as writer:
        for op in ops():
            writer.append(op)
    return folder


def ops() -> list[Op]:
    """One process that writes and reads back for 20 s; all is well."""
    out = []
    phases = {0: "steady-before", 300: "workload", 1700: "steady-after"}
    for i in range(2000):
        at = i * 10_000_000
        if i in phases:
            out.append(Op(Type.INFO, NEMESIS, "phase", phases[i], time_ns=at))
        f = ("write", "read", "cas")[i % 3]
        last = i - 1 if i % 3 == 1 else i - 2
        values: dict[str, Value] = {"write": i, "read": None, "cas": (last, i)}
        done: dict[str, Value] = {"write": i, "read": last, "cas": (last, i)}
        out.append(Op(Type.INVOKE, 0, f, values[f], key=0, time_ns=at))
        out.append(Op(Type.OK, 0, f, done[f], key=0, time_ns=at + 1_000_000))
    return out


class Content:
    """A checker that is always content."""

    name = "stats"

    def check(self, history: History, budget: Budget) -> Verdict:
        return Verdict.valid("fine", judged=len(history))


class Unhappy:
    """A checker that always finds the same."""

    name = "stats"

    def check(self, history: History, budget: Budget) -> Verdict:
        return Verdict.invalid(
            "read 3 is stale",
            judged=1,
            anomalies=[Anomaly("stale-read", "read 3 is stale", (3,), picture="<svg/>")],
        )


def judged(folder: TrialFolder, monkeypatch: pytest.MonkeyPatch, checker: type) -> judge.Judgement:
    """The judgement with one checker of our own."""
    monkeypatch.setattr("seatrial.checkers.make", lambda name, options: checker())
    return judge.judge_trial(folder, only={"stats": CheckOptions()})


def test_a_finished_trial_without_a_flaw_is_valid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judgement = judged(stored(tmp_path), monkeypatch, Content)

    assert judgement.verdict is Validity.VALID, judgement.cause


def test_an_interrupted_trial_is_at_best_unknown_and_says_so_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judgement = judged(stored(tmp_path, "interrupted"), monkeypatch, Content)

    assert judgement.verdict is Validity.UNKNOWN
    assert judgement.cause.startswith("the trial was interrupted")


def test_a_node_that_died_outside_of_the_plan_keeps_a_trial_from_being_valid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = stored(tmp_path)
    died = "n2 (pid 7) ended after 3.0 s: exit status 2, unplanned"
    now = datetime.datetime.now(datetime.UTC)
    store.write_record(folder, "finished", now, unplanned=(died, died))

    judgement = judged(folder, monkeypatch, Content)

    assert judgement.verdict is Validity.UNKNOWN
    assert judgement.cause == f"outside of the plan: {died} (and 1 more)"


def test_what_an_interrupted_trial_refuted_stays_refuted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judgement = judged(stored(tmp_path, "interrupted"), monkeypatch, Unhappy)

    assert judgement.verdict is Validity.INVALID
    assert judgement.cause == "stats: read 3 is stale"


def test_planned_faults_without_evidence_keep_a_trial_from_being_valid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judgement = judged(stored(tmp_path, faults=True), monkeypatch, Content)

    assert judgement.verdict is Validity.UNKNOWN
    assert "left no evidence" in judgement.cause


def test_a_fault_that_began_late_is_told_and_no_less_valid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = stored(tmp_path)
    plan = Plan.model_validate_json(folder.plan.read_text())
    plan = plan.model_copy(update={"faults": (FAULT,), "steady_states": ()})
    write_text(folder.plan, plan.to_text())
    for late_s, told in ((LATE_S + 3.1, True), (LATE_S / 2, False)):
        text = evidence(late_s=late_s).model_dump_json()
        write_text(folder.evidence / "fault-1.json", text)
        judgement = judged(folder, monkeypatch, Content)
        assert judgement.verdict is Validity.VALID, judgement.cause
        assert ("fault-1 began 4.1 s late" in judgement.cause) is told
        (part,) = judgement.faults
        assert part.document["late_s"] == late_s


def test_what_is_kept_is_the_agreed_document_and_the_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = stored(tmp_path)

    judge.keep(folder, judged(folder, monkeypatch, Unhappy))

    text = folder.verdict.read_text(encoding="utf-8")
    assert '"schema": "seatrial/verdict/1"' in text
    assert '"name": "stale-read"' in text
    assert (folder.evidence / "pictures" / "stats-0.svg").read_text(encoding="utf-8") == "<svg/>"


def test_a_history_cut_by_a_crash_is_judged_and_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = stored(tmp_path, "running")
    data = folder.history.read_bytes()
    folder.history.write_bytes(data[:-40])

    judgement = judged(folder, monkeypatch, Content)

    assert judgement.verdict is Validity.UNKNOWN
    assert any("cut short" in note.cause for note in judgement.notes)


def test_a_folder_that_is_no_trial_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(NoInput, match=r"it has no plan\.json"):
        judge.judge_trial(TrialFolder(tmp_path))


def test_a_plan_of_another_version_is_bad_data(tmp_path: Path) -> None:
    folder = stored(tmp_path)
    folder.plan.write_text('{"format": "seatrial/plan/99"}', encoding="utf-8")

    with pytest.raises(BadData, match="is not a plan of this version"):
        judge.judge_trial(folder)


# ── steady states ────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("when", "verdict", "says"),
    [
        ("before", Validity.UNKNOWN, "it was not steady to begin with"),
        ("after", Validity.INVALID, "p99 was 2,000 ms"),
    ],
)
def test_what_was_not_steady_before_any_fault_does_not_blame_the_faults(
    when: str, verdict: Validity, says: str
) -> None:
    reading = Reading(when, 2000.0, "at most 1,000 ms", Validity.INVALID)
    result = SteadyStateResult(
        name="p99",
        metric="latency_ms",
        unit="ms",
        validity=Validity.INVALID,
        cause="p99 was 2,000 ms; at most 1,000 ms allowed",
        judged=True,
        readings=(reading,),
        seconds=np.array([0.0]),
        values=np.array([2000.0]),
    )

    part = steady_state_part(result)

    assert part.verdict is verdict
    assert part.cause.startswith(says)


@pytest.mark.parametrize(
    ("broke_s", "verdict"), [(5.0, Validity.UNKNOWN), (15.0, Validity.INVALID)]
)
def test_what_broke_at_some_moment_before_the_faults_does_not_blame_them(
    broke_s: float, verdict: Validity
) -> None:
    reading = Reading("continuously", 9.0, "at most 5 allowed", Validity.INVALID)
    result = SteadyStateResult(
        name="lag",
        metric="q",
        unit="",
        validity=Validity.INVALID,
        cause="lag was 9; at most 5 allowed",
        judged=True,
        readings=(reading,),
        seconds=np.array([broke_s]),
        values=np.array([9.0]),
        broke=((broke_s, broke_s + 1),),
    )

    part = steady_state_part(result, 10.0)

    assert part.verdict is verdict
    assert part.cause.startswith("it was not steady") == (verdict is Validity.UNKNOWN)

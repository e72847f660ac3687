"""`seatrial step` by itself, without a cluster: rooms in, rooms and exit statuses out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from seatrial.cli.main import main
from seatrial.fault import PlannedFault
from seatrial.op import NEMESIS, Op, Type
from seatrial.plan import Plan
from seatrial.runner.judge_faults import fault_part
from seatrial.runner.steps.assemble import NEEDED
from seatrial.runner.steps.rooms import (
    AuditRecord,
    EventRecord,
    EventsRecord,
    LoadClock,
    LoadRecord,
    Rooms,
    StepRecord,
)
from seatrial.runner.steps.table import KINDS, STEPS
from seatrial.trial import Evidence, StoredProof
from seatrial.verdict import Json, Validity
from tests.steps.plans import short_plan
from tests.steps.test_assemble import write

SECOND = 1_000_000_000


def plan() -> Plan:
    """A plan without faults that ten reads can satisfy."""
    return short_plan().model_copy(
        update={"faults": (), "quorum": (), "steady_states": (), "checkers": CHECKERS}
    )


CHECKERS = {"linearizable": {"model": "cas-register"}, "stats": {"fs": ["read", "write"]}}


@pytest.fixture
def rooms(tmp_path: Path) -> Rooms:
    """A trial whose load has ended in order: one register, written and read."""
    made = Rooms(tmp_path / "trial")
    made.folder.root.mkdir()
    made.folder.plan.write_text(plan().to_text(), encoding="utf-8")
    for name in NEEDED:
        made.write(name, "step.json", record(name))
    clock = LoadClock(identity="here", zero_ns=0)
    load = LoadRecord(clock=clock, versions={}, host={}, next_process=5, memory={}, healed=True)
    made.write("workload", "load.json", load)
    made.write("final-reads", "clock.json", clock)
    made.write("steady-after", "audit.json", AuditRecord())
    history(made, read=2)
    return made


def record(name: str, status: str = "done", sentence: str = "so it was") -> StepRecord:
    """How a step went."""
    return StepRecord.model_validate(
        {
            "step": name,
            "room": name,
            "status": status,
            "exit_code": 0,
            "sentence": sentence,
            "started": "2026-01-01T00:00:00",
        }
    )


def history(made: Rooms, read: int) -> None:
    """Writes 1 and 2 one after the other, then reads `read`: 1 is stale."""
    ops = [Op(Type.INFO, NEMESIS, "phase", "steady-before", time_ns=0)]
    at = SECOND
    for f, value in (("write", 1), ("write", 2), ("read", read)):
        ops.append(Op(Type.INVOKE, 0, f, None if f == "read" else value, 7, time_ns=at))
        ops.append(Op(Type.OK, 0, f, value, 7, time_ns=at + 1000))
        at += SECOND
    ops.append(Op(Type.INFO, NEMESIS, "phase", "quiesce", time_ns=at))
    write(made.room("workload") / "history.arrow", ops)
    last = [Op(Type.INFO, NEMESIS, "phase", "teardown", time_ns=0)]
    write(made.room("final-reads") / "history.arrow", last)


def step(made: Rooms, *words: str) -> int:
    """The exit status of a step."""
    return main(["step", *words, "--dir", str(made.folder.root)])


def message(made: Rooms, room: str) -> str:
    """The sentence of a step."""
    return (made.room(room) / "message").read_text(encoding="utf-8").strip()


def test_a_green_trial_is_judged_step_by_step(rooms: Rooms) -> None:
    for name in CHECKERS:
        assert step(rooms, "check", "--checker", name) == 0, message(rooms, f"check-{name}")
    assert step(rooms, "steady-after") == 0
    rooms.write("steady-after", "audit.json", AuditRecord())  # there is no cluster to look at here
    assert step(rooms, "report") == 0
    assert step(rooms, "verdict") == 0
    assert message(rooms, "verdict").startswith("valid: every checker is content")
    assert (rooms.room("verdict") / "verdict").read_text().strip() == "valid"
    assert rooms.folder.report.is_file()
    document = json.loads(rooms.folder.verdict.read_text(encoding="utf-8"))
    assert {name: one["verdict"] for name, one in document["checkers"].items()} == {
        "linearizable": "valid",
        "stats": "valid",
    }


def test_a_stale_read_turns_the_check_and_the_last_leaf_red(rooms: Rooms) -> None:
    """Exit status 1 in both, and the pictures of the anomaly come along."""
    history(rooms, read=1)
    assert step(rooms, "check", "--checker", "linearizable") == 1
    assert step(rooms, "check", "--checker", "stats") == 0
    assert step(rooms, "report") == 0
    assert step(rooms, "verdict") == 1
    assert message(rooms, "verdict").startswith("invalid: linearizable:")
    pictures = list((rooms.room("check-linearizable") / "pictures").glob("*.svg"))
    kept = list((rooms.folder.evidence / "pictures").glob("linearizable-*.svg"))
    assert pictures and [p.read_text() for p in pictures] == [p.read_text() for p in kept]


def test_a_check_that_left_no_word_is_unknown(rooms: Rooms) -> None:
    assert step(rooms, "check", "--checker", "stats") == 0
    assert step(rooms, "verdict") == 2
    assert "the step check-linearizable left no word" in message(rooms, "verdict")


def test_a_check_that_was_killed_is_unknown(rooms: Rooms) -> None:
    """What it would have said is what it wrote when it began."""
    rooms.write(
        "check-linearizable",
        "step.json",
        record("check", "running", "it was killed before it could end"),
    )
    assert step(rooms, "check", "--checker", "stats") == 0
    assert step(rooms, "verdict") == 2
    assert "it was killed before it could end" in message(rooms, "verdict")


def test_without_a_history_the_verdict_says_which_step_failed(tmp_path: Path) -> None:
    made = Rooms(tmp_path)
    made.folder.plan.write_text(plan().to_text(), encoding="utf-8")
    made.write("preflight", "step.json", record("preflight"))
    made.write("provision", "step.json", record("provision", "failed", "no node came up"))
    assert step(made, "report") == 0
    assert step(made, "verdict") == 2
    assert "provision: no node came up" in message(made, "verdict")


def test_a_load_that_was_stopped_is_never_green(rooms: Rooms) -> None:
    load = rooms.read("workload", "load.json", LoadRecord)
    rooms.write("workload", "load.json", load.model_copy(update={"stopped": "a signal"}))
    assert step(rooms, "verdict") == 2
    assert "a signal" in message(rooms, "verdict")


def test_final_reads_that_were_not_done_are_never_green(rooms: Rooms) -> None:
    """What was acknowledged late in the load is then what nobody looked for."""
    unproven = record("final-reads", "unproven", "0 final ops, then stopped by a signal")
    rooms.write("final-reads", "step.json", unproven)
    for name in CHECKERS:
        assert step(rooms, "check", "--checker", name) == 0
    assert step(rooms, "verdict") == 2
    told = "unknown: the trial was interrupted: final-reads: 0 final ops, then stopped by a signal"
    assert message(rooms, "verdict") == told


@pytest.mark.parametrize(
    ("bound_ns", "cause"),
    [
        (0, ""),
        (200_000_000, ""),
        (300_000_000, "may be 0.300 s off"),
        (None, "could not be compared"),
    ],
)
def test_a_fault_whose_clock_is_not_known_well_enough_is_unknown(
    bound_ns: int | None, cause: str
) -> None:
    """A bound of up to a quarter of its length is believed."""
    fault = PlannedFault(id="fault-1", kind="kill", victims="one", start_s=1, duration_s=1)
    good = StoredProof(seen=True, sentence="so it was")
    evidence = Evidence(
        fault=fault, victims=("n1",), effect=good, recovery=good, clock_bound_ns=bound_ns
    )
    part = fault_part(fault, evidence, 0)
    assert part.verdict is (Validity.UNKNOWN if cause else Validity.VALID)
    assert cause in part.cause


@pytest.mark.parametrize("name", ["workload", "final-reads"])
def test_load_is_never_put_on_twice(rooms: Rooms, name: str) -> None:
    """The room says that it has begun, whoever calls again."""
    # `--here`: without a cluster there is nowhere to go to.
    assert step(rooms, name, "--here") == 73


@pytest.mark.parametrize("words", [("heal", "--exit"), ("audit",), ("collect",), ("teardown",)])
def test_the_exit_handler_goes_on_where_there_is_nothing(
    tmp_path: Path, words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SEATRIAL_LAB", raising=False)
    made = Rooms(tmp_path)
    made.folder.plan.write_text(plan().to_text(), encoding="utf-8")
    assert step(made, *words) == 0


@pytest.mark.parametrize("words", [("heal",), ("quiesce",), ("prepare",), ("steady-before",)])
def test_without_a_cluster_the_other_steps_are_unavailable(
    tmp_path: Path, words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SEATRIAL_LAB", raising=False)
    made = Rooms(tmp_path)
    made.folder.plan.write_text(plan().to_text(), encoding="utf-8")
    assert step(made, *words) == 69
    assert "is gone" in message(made, words[0])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("fault",), "--fault is missing"),
        (("check",), "--checker is missing"),
        (("report", "--checker", "stats"), "step report takes no --checker"),
        (("verdict", "--exit"), "step verdict takes no --exit"),
        (("workloads",), "did you mean 'workload'?"),
        (("fault", "--fault", "fault-9"), "the plan has no fault 'fault-9'"),
        (("check", "--checker", "linearisable"), "did you mean 'linearizable'?"),
    ],
)
def test_what_is_said_wrongly_is_said(
    rooms: Rooms, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], said: str
) -> None:
    assert step(rooms, *words) == 64
    captured = capsys.readouterr()
    assert said in captured.err + captured.out


def test_a_folder_belongs_to_one_plan(rooms: Rooms, tmp_path: Path) -> None:
    other = tmp_path / "other.json"
    other.write_text(plan().model_copy(update={"seed": 99}).to_text(), encoding="utf-8")
    assert step(rooms, "report", "--plan", str(other)) == 73
    assert step(rooms, "report", "--plan", str(tmp_path / "none.json")) == 66
    assert step(rooms, "report", "--plan", str(rooms.folder.plan)) == 0


def test_the_sentence_goes_where_a_pod_looks_for_it(rooms: Rooms, tmp_path: Path) -> None:
    last_words = tmp_path / "termination-log"
    step(rooms, "verdict", "--message-file", str(last_words))
    assert last_words.read_text(encoding="utf-8") == message(rooms, "verdict")


def test_a_step_is_done_again_in_an_empty_room(rooms: Rooms) -> None:
    """A retry of what only judges leaves nothing of the try before."""
    stray = rooms.room("check-stats") / "stray"
    assert step(rooms, "check", "--checker", "stats") == 0
    stray.write_text("old", encoding="utf-8")
    assert step(rooms, "check", "--checker", "stats") == 0
    assert not stray.exists()


@pytest.mark.parametrize("name", KINDS)
def test_every_step_can_be_loaded(name: str) -> None:
    assert callable(STEPS[name].load())


FAULT = PlannedFault(
    id="fault-1", kind="kill", victims="one", nodes=("n2",), start_s=1, duration_s=1
)


def with_fault(made: Rooms, status: str, sentence: str, *, events: bool) -> None:
    """A fault that acted from 1 to 2 s by its evidence, and how its step ended."""
    asked = plan().model_copy(update={"faults": (FAULT,)})
    made.folder.plan.write_text(asked.to_text(), encoding="utf-8")
    good = StoredProof(seen=True, sentence="so it was")
    evidence = Evidence(
        fault=FAULT,
        victims=("n2",),
        inject_ns=SECOND,
        injected_ns=SECOND + 1,
        heal_ns=2 * SECOND,
        healed_ns=2 * SECOND + 1,
        effect=good,
        recovery=good,
    )
    made.write("fault-1", "evidence/fault-1.json", evidence)
    made.write("fault-1", "step.json", record("fault-1", status, sentence))
    if events:
        moments = (("inject", SECOND), ("heal", 2 * SECOND))
        value: dict[str, Json] = {"fault": "fault-1", "kind": "kill", "victims": "n2"}
        found = [
            EventRecord(type=kind, f=f, value=value, own_ns=at, at_ns=at, bound_ns=0)
            for f, at in moments
            for kind in (Type.INVOKE, Type.INFO)
        ]
        made.write("fault-1", "events.json", EventsRecord(events=tuple(found)))
    for name in CHECKERS:
        assert step(made, "check", "--checker", name) == 0, message(made, f"check-{name}")


def test_a_fault_whose_step_ended_in_order_is_believed(rooms: Rooms) -> None:
    with_fault(rooms, "done", "it acted and healed", events=True)
    assert step(rooms, "verdict") == 0, message(rooms, "verdict")
    assert "1 fault acted and healed" in message(rooms, "verdict")


@pytest.mark.parametrize(
    ("status", "sentence", "events", "cause"),
    [
        ("failed", "the board is out of reach", False, "its step failed: the board is out of"),
        ("failed", "a defect of seatrial", True, "its step failed: a defect of seatrial"),
        ("running", "it was killed", False, "its step did not end: it was killed"),
        ("done", "it acted and healed", False, "its events are missing"),
    ],
)
def test_evidence_of_a_fault_whose_step_did_not_end_in_order_is_unknown(
    rooms: Rooms, status: str, sentence: str, events: bool, cause: str
) -> None:
    """However good it looks: the history does not know, or not for sure, when the fault acted."""
    with_fault(rooms, status, sentence, events=events)
    assert step(rooms, "verdict") == 2
    assert f"fault-1 (kill of n2): {cause}" in message(rooms, "verdict")


def test_a_fault_that_failed_before_its_evidence_says_why(rooms: Rooms) -> None:
    asked = plan().model_copy(update={"faults": (FAULT,)})
    rooms.folder.plan.write_text(asked.to_text(), encoding="utf-8")
    rooms.write("fault-1", "step.json", record("fault-1", "failed", "there is no load"))
    assert step(rooms, "verdict") == 2
    document = json.loads(rooms.folder.verdict.read_text(encoding="utf-8"))
    (part,) = document["faults"]
    assert part["cause"] == "fault-1 (kill of one): its step failed: there is no load"

"""From rooms to a trial folder: ops stand, events are laid between them, reads come last."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seatrial.history import History
from seatrial.history.load import load_arrow
from seatrial.history.stream import HistoryWriter
from seatrial.history.windows import fault_windows
from seatrial.op import NEMESIS, Op, Type
from seatrial.runner.steps.assemble import NEEDED, UNLOOKED, assemble
from seatrial.runner.steps.rooms import (
    AuditRecord,
    EventRecord,
    EventsRecord,
    LoadClock,
    LoadRecord,
    Rooms,
    StepRecord,
)
from seatrial.trial import TrialRecord
from tests.steps.plans import short_plan

PLAN = short_plan()


def write(path: Path, ops: list[Op]) -> None:
    """A history of these ops."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    with HistoryWriter(path) as writer:
        for op in ops:
            writer.append(op)


def load_ops(times: list[int]) -> list[Op]:
    """A read that begins and ends at each two moments."""
    ops = []
    for number, (begun, ended) in enumerate(zip(times[::2], times[1::2], strict=True)):
        ops.append(Op(Type.INVOKE, number, "read", None, 0, time_ns=begun))
        ops.append(Op(Type.OK, number, "read", number, 0, time_ns=ended))
    return ops


def event(kind: Type, f: str, at_ns: int, bound_ns: int | None) -> EventRecord:
    """An event of the first fault."""
    value = {"fault": "fault-1", "kind": "kill", "victims": "n1"}
    return EventRecord(type=kind, f=f, value=value, own_ns=at_ns, at_ns=at_ns, bound_ns=bound_ns)


def whole(bound_ns: int) -> tuple[EventRecord, ...]:
    """The four events of a fault that acts from 20 to 30 s."""
    second = 1_000_000_000
    return (
        event(Type.INVOKE, "inject", 19 * second, bound_ns),
        event(Type.INFO, "inject", 20 * second, bound_ns),
        event(Type.INVOKE, "heal", 30 * second, bound_ns),
        event(Type.INFO, "heal", 31 * second, bound_ns),
    )


def assembled(rooms: Rooms) -> History:
    """The history of the assembled trial."""
    assemble(rooms, PLAN)
    return load_arrow(rooms.folder.history).history


def test_windows_are_widened_by_the_bound_and_never_shrunk(tmp_path: Path) -> None:
    """An injection begins earlier, a healing ends later; acting is counted inside of both."""
    rooms = Rooms(tmp_path)
    write(
        rooms.room("workload") / "history.arrow", load_ops([0, 1, 40_000_000_000, 41_000_000_000])
    )
    rooms.write("fault-1", "events.json", EventsRecord(events=whole(500_000_000)))
    (window,) = fault_windows(assembled(rooms))
    assert (window.start_ns, window.end_ns) == (18_500_000_000, 31_500_000_000)
    assert (window.acting_ns, window.healing_ns) == (20_500_000_000, 29_500_000_000)


@given(
    st.lists(st.integers(0, 10**10), min_size=2, max_size=20).filter(lambda t: len(t) % 2 == 0),
    st.lists(st.integers(0, 10**10), max_size=4),
)
def test_ops_keep_their_order_and_events_find_their_places(
    tmp_path_factory: pytest.TempPathFactory, times: list[int], moments: list[int]
) -> None:
    """All times ascend, no op is lost, and the load's ops stand in the order of their record."""
    rooms = Rooms(tmp_path_factory.mktemp("trial"))
    ops = load_ops(sorted(times))
    write(rooms.room("workload") / "history.arrow", ops)
    events = tuple(event(Type.INVOKE, "inject", at, 0) for at in moments)
    rooms.write("fault-1", "events.json", EventsRecord(events=events))
    history = assembled(rooms)
    assert len(history) == len(ops) + len(moments)
    assert (np.diff(history.time_ns) >= 0).all()
    assert history.index.tolist() == list(range(len(history)))
    mine = [history.op(int(row)) for row in np.flatnonzero(history.process != NEMESIS)]
    assert [(o.type, o.process, o.time_ns, o.value) for o in mine] == [
        (o.type, o.process, o.time_ns, o.value) for o in ops
    ]


@pytest.mark.parametrize(("same", "first_ns"), [(True, 9_000), (False, 5_001)])
def test_final_reads_come_last_at_their_place_if_that_is_known(
    tmp_path: Path, same: bool, first_ns: int
) -> None:
    """On the same kernel's clock exactly; elsewhere right behind the last op of the load."""
    rooms = Rooms(tmp_path)
    write(rooms.room("workload") / "history.arrow", load_ops([1_000, 5_000]))
    write(rooms.room("final-reads") / "history.arrow", load_ops([0, 70]))
    clock = LoadClock(identity="boot time", zero_ns=100)
    rooms.write("workload", "load.json", _load(clock))
    own = LoadClock(identity="boot time" if same else "another", zero_ns=9_100)
    rooms.write("final-reads", "clock.json", own)
    history = assembled(rooms)
    assert history.time_ns.tolist() == [1_000, 5_000, first_ns, first_ns + 70]


def test_final_reads_never_come_before_the_load(tmp_path: Path) -> None:
    """They follow it by cause, whatever a clock says."""
    rooms = Rooms(tmp_path)
    write(rooms.room("workload") / "history.arrow", load_ops([1_000, 5_000]))
    write(rooms.room("final-reads") / "history.arrow", load_ops([0, 70]))
    rooms.write("workload", "load.json", _load(LoadClock(identity="x y", zero_ns=1_000)))
    rooms.write("final-reads", "clock.json", LoadClock(identity="x y", zero_ns=0))
    assert assembled(rooms).time_ns.tolist() == [1_000, 5_000, 5_001, 5_071]


def test_the_same_rooms_give_the_same_bytes(tmp_path: Path) -> None:
    rooms = Rooms(tmp_path)
    write(rooms.room("workload") / "history.arrow", load_ops([0, 1, 2, 3]))
    rooms.write("fault-1", "events.json", EventsRecord(events=whole(7)))
    found = []
    for _ in range(2):
        assemble(rooms, PLAN)
        names = (rooms.folder.history, rooms.folder.record)
        found.append([path.read_bytes() for path in names])
    assert found[0] == found[1]


def test_leaks_and_the_unplanned_stand_in_the_record(tmp_path: Path) -> None:
    """From the last look before the end; who did not come back to quiesce, and what was removed by
    force and shows in no look, as well."""
    rooms = Rooms(tmp_path)
    forced = "PodChaos fault-1: its finalizers were removed: what it did may still be in place"
    healed = AuditRecord(leaks=("link n1 → n2 is cut",), unhealed=(forced,))
    rooms.write("heal", "heal.json", healed)
    rooms.write("quiesce", "quiesce.json", AuditRecord(unplanned=("n3 did not answer",)))
    rooms.write("steady-after", "audit.json", AuditRecord(unplanned=("n1 ended",)))
    assemble(rooms, PLAN)
    record = TrialRecord.model_validate_json(rooms.folder.record.read_text(encoding="utf-8"))
    assert record.leaks == (forced,)
    assert record.unplanned == ("n3 did not answer", "n1 ended")


@pytest.mark.parametrize(
    ("broken", "status", "ending"),
    [
        ("provision", "failed", "failed"),
        ("workload", "running", "interrupted"),
        ("quiesce", None, "failed"),
        ("quiesce", "failed", "failed"),
        ("final-reads", None, "failed"),
        ("final-reads", "unproven", "interrupted"),
        ("steady-after", None, "failed"),
        (None, None, "finished"),
    ],
)
def test_a_trial_ends_as_the_steps_it_needs(
    tmp_path: Path, broken: str | None, status: str | None, ending: str
) -> None:
    rooms = Rooms(tmp_path)
    for name in NEEDED:
        if name != broken:
            rooms.write(name, "step.json", _step(name, "done"))
        elif status is not None:
            rooms.write(name, "step.json", _step(name, status))
    rooms.write("steady-after", "audit.json", AuditRecord())
    assemble(rooms, PLAN)
    record = TrialRecord.model_validate_json(rooms.folder.record.read_text(encoding="utf-8"))
    assert record.status == ending
    assert (broken or "") in record.reason


def test_a_trial_that_nobody_looked_over_has_not_ended_well(tmp_path: Path) -> None:
    """All steps are done, but none said whether anything of the faults is left."""
    rooms = Rooms(tmp_path)
    for name in NEEDED:
        rooms.write(name, "step.json", _step(name, "done"))
    assemble(rooms, PLAN)
    record = TrialRecord.model_validate_json(rooms.folder.record.read_text(encoding="utf-8"))
    assert (record.status, record.reason) == ("failed", UNLOOKED)


def _load(clock: LoadClock) -> LoadRecord:
    return LoadRecord(clock=clock, versions={}, host={}, next_process=9, memory={}, healed=True)


def _step(name: str, status: str) -> StepRecord:
    return StepRecord.model_validate(
        {
            "step": name,
            "room": name,
            "status": status,
            "exit_code": 0,
            "sentence": "so it was",
            "started": "2026-01-01T00:00:00",
        }
    )

"""From rooms to an ordinary trial folder: one history on one axis, evidence, clocks, `trial.json`.

The ops of the load stand as they were recorded. Events of faults are laid between them by their
places on the axis, each moved by its bound to the side that claims less: an injection begins
earlier and a healing ends later (the window is widened), and it counts as acting later and until
earlier. Final reads come after the load by cause; they are laid after its last op. The same rooms
give the same bytes, whoever assembles them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np

from seatrial import __version__
from seatrial.clock import ClockRecord
from seatrial.engine.site import ClusterRecord
from seatrial.fault import PlannedFault
from seatrial.history import History
from seatrial.history.builder import HistoryBuilder
from seatrial.history.load import load_arrow
from seatrial.history.merge import joined
from seatrial.history.stream import write_arrow
from seatrial.op import NEMESIS, Op, Type
from seatrial.plan import Plan
from seatrial.runner.steps.rooms import (
    AuditRecord,
    EventsRecord,
    LoadClock,
    LoadRecord,
    Record,
    Rooms,
    StepRecord,
    VersionsRecord,
)
from seatrial.trial import Evidence, TrialRecord, write_text
from seatrial.verdict import Json

Status = Literal["finished", "interrupted", "failed"]

UNLOOKED = "steady-after: nobody looked whether anything of the faults is left"
#: Whose end in anything but order makes a trial one that failed: without them there is no history.
NEEDED = (
    "preflight",
    "provision",
    "prepare",
    "workload",
    "quiesce",
    "final-reads",
    "steady-after",
)


class ClocksRecord(Record):
    """`clocks.json`: how each step's clock was brought onto the axis, and within which bound."""

    format: str = "seatrial/clocks/1"
    axis: LoadClock
    clocks: tuple[ClockRecord, ...]


def assemble(rooms: Rooms, plan: Plan) -> None:
    """Write what the rooms tell into the trial's folder; what is missing is left out."""
    folder = rooms.folder
    for path in (folder.evidence, folder.logs, folder.metrics):
        path.mkdir(parents=True, exist_ok=True)
    load = rooms.find("workload", "load.json", LoadRecord)
    if (rooms.room("workload") / "history.arrow").is_file():
        _write_history(rooms, plan, load)
    samples = rooms.room("workload") / "samples.jsonl"
    if samples.is_file():
        write_text(folder.samples, samples.read_text(encoding="utf-8"))
    by_room = {record.room: record for record in rooms.records()}
    for fault in plan.faults:
        seen = _evidence(rooms, fault, by_room.get(fault.id))
        if seen is not None:
            text = seen.model_dump_json(indent=2) + "\n"
            write_text(folder.evidence / f"{fault.id}.json", text)
    if load is not None:
        clocks = [rooms.find(fault.id, "clock.json", ClockRecord) for fault in plan.faults]
        record = ClocksRecord(axis=load.clock, clocks=tuple(c for c in clocks if c is not None))
        write_text(folder.clocks, record.model_dump_json(indent=2) + "\n")
    trial = _trial_record(rooms, load)
    write_text(folder.record, trial.model_dump_json(indent=2) + "\n")


# ── the history ──────────────────────────────────────────────────────────────────────────────


def _write_history(rooms: Rooms, plan: Plan, load: LoadRecord | None) -> None:
    history = load_arrow(rooms.room("workload") / "history.arrow").history
    history = _with_events(history, sorted(_events(rooms, plan), key=lambda op: op.time_ns))
    final = rooms.room("final-reads") / "history.arrow"
    if final.is_file():
        history = _with_reads(history, final, _shift(rooms, load))
    part = rooms.folder.history.with_name(f".history-{os.getpid()}.part")
    write_arrow(replace(history, index=np.arange(len(history), dtype=np.int64)), part)
    part.replace(rooms.folder.history)


def _events(rooms: Rooms, plan: Plan) -> Iterator[Op]:
    """The nemesis' ops, each moved by its bound to the side that claims less."""
    for fault in plan.faults:
        found = rooms.find(fault.id, "events.json", EventsRecord)
        for event in found.events if found is not None else ():
            bound_ns = event.bound_ns or 0
            at_ns = event.at_ns + (bound_ns if event.type is Type.INFO else -bound_ns)
            yield Op(
                event.type,
                NEMESIS,
                event.f,
                {name: str(value) for name, value in event.value.items()},
                time_ns=max(0, at_ns),
                error=event.error,
            )


def _with_events(history: History, events: list[Op]) -> History:
    """The events between the ops, whose own order stays. O(n)."""
    if not events:
        return history
    mixed, first = _appended(history, events)
    so_far = np.maximum.accumulate(history.time_ns) if len(history) else history.time_ns
    places = np.searchsorted(so_far, [op.time_ns for op in events], side="right")
    order = np.insert(np.arange(first), places, first + np.arange(len(events)))
    return mixed.take(order.astype(np.int64))


def _with_reads(history: History, path: Path, shift_ns: int | None) -> History:
    """The final reads behind all else: at their place on the axis, and never before the rest."""
    reads = load_arrow(path).history
    ops = [reads.op(row) for row in range(len(reads))]
    if not ops:
        return history
    last_ns = int(history.time_ns.max()) if len(history) else 0
    least_ns = last_ns + 1 - ops[0].time_ns
    moved_ns = least_ns if shift_ns is None else max(shift_ns, least_ns)
    later = [
        Op(op.type, op.process, op.f, op.value, op.key, op.time_ns + moved_ns, op.error)
        for op in ops
    ]
    return _appended(history, later)[0]


def _appended(history: History, ops: list[Op]) -> tuple[History, int]:
    """Ops behind a history, and the row of the first of them."""
    builder = HistoryBuilder(history.atoms, history.names).extend(ops)
    return joined(history, builder.history()), len(history)


def _shift(rooms: Rooms, load: LoadRecord | None) -> int | None:
    """From the clock of the final reads to the axis, where both are the same kernel's clock."""
    own = rooms.find("final-reads", "clock.json", LoadClock)
    if load is None or own is None or not own.identity or own.identity != load.clock.identity:
        return None
    return own.zero_ns - load.clock.zero_ns


# ── the evidence ─────────────────────────────────────────────────────────────────────────────


def _evidence(rooms: Rooms, fault: PlannedFault, step: StepRecord | None) -> Evidence | None:
    """What is known of a fault; an error where its step did not end well, or left only a part.

    Evidence that came before the end of its step is not on the axis, and the history knows nothing
    of the fault.
    """
    seen = rooms.find(fault.id, f"evidence/{fault.id}.json", Evidence)
    why = ""
    if step is None:
        why = "its step left no word" if seen is not None else ""
    elif step.status == "failed":
        why = f"its step failed: {step.sentence}"
    elif step.status == "running":
        why = f"its step did not end: {step.sentence}"
    elif seen is not None and seen.inject_ns is not None:
        events = rooms.find(fault.id, "events.json", EventsRecord)
        if events is None or not events.events:
            why = "its events are missing: the history does not know when it acted"
    if not why:
        return seen
    seen = seen or Evidence(fault=fault, clock_bound_ns=None)
    return seen.model_copy(update={"error": seen.error or why})


# ── trial.json ───────────────────────────────────────────────────────────────────────────────


def _trial_record(rooms: Rooms, load: LoadRecord | None) -> TrialRecord:
    records = rooms.records()
    status, reason = _ending({record.room: record for record in records}, load)
    versions = rooms.find("preflight", "versions.json", VersionsRecord)
    cluster = rooms.find("provision", "cluster.json", ClusterRecord)
    nodes: dict[str, dict[str, Json]] = {
        node.name: {"address": node.address} for node in (cluster.nodes if cluster else ())
    }
    audits = {
        room: rooms.find(room, file, AuditRecord)
        for room, file in (
            ("quiesce", "quiesce.json"),
            ("heal", "heal.json"),
            ("steady-after", "audit.json"),
        )
    }
    last = audits["steady-after"] or audits["heal"] or AuditRecord()
    unhealed = audits["heal"].unhealed if audits["heal"] else ()
    if status == "finished" and audits["steady-after"] is None:
        status, reason = "failed", UNLOOKED
    silent = audits["quiesce"] or AuditRecord()
    return TrialRecord(
        trial=rooms.folder.root.name,
        status=status,
        started=records[0].started if records else "",
        reason=reason,
        versions={
            **(load.versions if load else {"seatrial": __version__}),
            **(versions.versions if versions else {}),
            **(cluster.versions if cluster else {}),
        },
        host=load.host if load else {},
        nodes=nodes,
        leaks=(*unhealed, *last.leaks),
        unplanned=(*silent.unplanned, *last.unplanned),
    )


def _ending(by_room: dict[str, StepRecord], load: LoadRecord | None) -> tuple[Status, str]:
    """How the trial ended, by the steps that it cannot do without."""
    for name in NEEDED:
        record = by_room.get(name)
        if record is None:
            return "failed", f"the step {name} left no word"
        if record.status == "failed":
            return "failed", f"{name}: {record.sentence}"
        if record.status == "running":
            return "interrupted", f"{name}: {record.sentence}"
        if name == "workload" and load is not None and load.stopped:
            return "interrupted", load.stopped
        if name == "final-reads" and record.status == "unproven":
            return "interrupted", f"{name}: {record.sentence}"
    return "finished", ""

"""A trial that never was, with everything a real one has: latencies, faults, evidence, an anomaly.

Made from a seed with NumPy, so that a report of any size can be drawn without a database.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from seatrial.case import Intent, Limits
from seatrial.fault import PlannedFault
from seatrial.history import History, HistoryBuilder
from seatrial.history.stream import write_arrow
from seatrial.op import NEMESIS, Op, Type, Value
from seatrial.plan import (
    Plan,
    PlannedPhases,
    PlannedQuorum,
    PlannedTarget,
    PlannedWorkload,
)
from seatrial.steady_state import OpsProbe, SteadyState, Tolerance
from seatrial.trial import Evidence, StoredProof, TrialFolder, TrialRecord
from seatrial.verdict import Json

S = 1_000_000_000
LOAD_NS = 3 * S
LENGTH_S = 60.0
PICTURE = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="420" height="90" viewBox="0 0 420 90">'
    '<defs><marker id="tip" markerWidth="8" markerHeight="8" refX="7" refY="4" orient="auto">'
    '<path d="M0 0L8 4L0 8z" fill="#1d3b5c"/></marker></defs>'
    '<script>alert(1)</script><a href="http://evil.example/"><text x="9" y="9">gone</text></a>'
    '<g font-family="sans-serif" font-size="13"><rect x="10" y="28" width="130" height="34" rx="6" '
    'fill="#eef4fb" stroke="#1d3b5c"/><text x="75" y="50" text-anchor="middle">write 3 := 9041'
    '</text><rect x="280" y="28" width="130" height="34" rx="6" fill="#fdeeea" stroke="#8c1d13" '
    'onclick="alert(2)"/><text x="345" y="50" text-anchor="middle">read 3 → 9017</text>'
    '<path d="M140 45H278" stroke="#1d3b5c" stroke-width="1.5" marker-end="url(#tip)"/>'
    '<text x="209" y="38" text-anchor="middle">before</text></g></svg>'
)

FAULTS = (
    PlannedFault(id="f1", kind="kill", victims="leader", pick=0.3, start_s=12.0, duration_s=4.5),
    PlannedFault(
        id="f2",
        kind="partition",
        victims="minority",
        nodes=("n2",),
        start_s=21.0,
        duration_s=8.0,
        options={"shape": "isolate"},
    ),
    PlannedFault(id="f3", kind="pause", victims="one", nodes=("n3",), start_s=26.0, duration_s=6.0),
    PlannedFault(
        id="f4",
        kind="partition",
        victims="leader",
        start_s=38.0,
        duration_s=7.0,
        options={"shape": "one-way"},
    ),
)
REAL = {"f1": (12.04, 16.7, "n1"), "f2": (21.02, 29.2, "n2"), "f3": (26.01, 32.1, "n3")}
REAL["f4"] = (38.3, 45.1, "n2")


@dataclass(frozen=True)
class Sea:
    """A history and the indexes of the ops of its stale read (empty if there is none)."""

    history: History
    proof: tuple[int, ...]


def slow(t: np.ndarray) -> np.ndarray:
    """How much slower ops are at each second of the load."""
    out = np.ones_like(t)
    for start, end, _ in REAL.values():
        out = np.where((t >= start) & (t < end), 2.2, out)
        out = np.where((t >= start) & (t < start + 1.1), 90.0, out)
        out = np.where((t >= end) & (t < end + 0.4), 4.0, out)
    return out


def history(ops: int = 12_000, seed: int = 7, *, stale: bool = True, evil: str = "") -> Sea:
    """A history of about `ops` client ops over `LENGTH_S` seconds, with phases and faults."""
    random = np.random.default_rng(seed)
    start = np.sort(random.uniform(0, LENGTH_S, ops))
    ms = random.lognormal(1.5, 0.45, ops) * slow(start)
    fate = np.full(ops, int(Type.OK))
    fate[ms > 900] = int(Type.INFO)
    during = slow(start) > 1
    fate[during & (random.random(ops) < 0.03)] = int(Type.FAIL)
    f = random.choice(3, ops, p=[0.5, 0.35, 0.15])
    fate[(f == 2) & (random.random(ops) < 0.4)] = int(Type.FAIL)
    key, value = random.integers(0, 8, ops), np.arange(ops)
    free: list[float] = []
    numbers: list[int] = []
    events: list[tuple[float, int, Op]] = []
    for i in range(ops):
        lane = next((j for j, at in enumerate(free) if at < start[i]), len(free))
        if lane == len(free):
            free.append(0.0)
            numbers.append(lane)
        free[lane] = start[i] + ms[i] / 1e3
        process = numbers[lane]
        if fate[i] == Type.INFO:
            numbers[lane] += 100
        events += _pair(i, process, int(f[i]), int(key[i]), int(value[i]), fate[i], start[i], ms[i])
    if stale:
        events += _stale()
    if evil:
        bad = Op(Type.INVOKE, 9001, "write", evil, evil, 0)
        events += [(30.0, -3, bad), (30.01, -2, Op(Type.INFO, 9001, "write", evil, evil, 0, evil))]
    events += _nemesis()
    builder = HistoryBuilder()
    proof: list[int] = []
    for at, order, op in sorted(events, key=lambda event: event[:2]):
        index = builder.append(
            Op(op.type, op.process, op.f, op.value, op.key, LOAD_NS + round(at * S), op.error)
        )
        if order == -5:
            proof.append(index)
    return Sea(builder.history(), tuple(proof))


def long_history(ops: int, seed: int = 7) -> Sea:
    """A history of very many ops: copies of a short one, each with processes of its own."""
    short = history(5_000, seed)
    rows = np.flatnonzero(short.history.client)
    copies = -(-ops // 5_000)
    picked = np.concatenate([np.flatnonzero(~short.history.client), np.tile(rows, copies)])
    copy = np.concatenate(
        [np.full(len(picked) - copies * len(rows), -1), np.repeat(np.arange(copies), len(rows))]
    )
    time_ns = short.history.time_ns[picked] + np.maximum(copy, 0) * 7_654_321
    order = np.lexsort((picked, time_ns))
    taken = short.history.take(picked[order])
    whose = taken.process + np.where(taken.process == NEMESIS, 0, copy[order] * 10_000)
    index = np.arange(len(order))
    many = replace(taken, index=index, time_ns=time_ns[order], process=whose.astype(np.int32))
    first = np.flatnonzero(copy[order] == 0)
    of_copy = dict(
        zip(short.history.index[picked[order][first]].tolist(), first.tolist(), strict=True)
    )
    return Sea(many, tuple(of_copy[i] for i in short.proof))


def _pair(
    i: int, process: int, f: int, key: int, value: int, fate: int, start: float, ms: float
) -> list[tuple[float, int, Op]]:
    name = ("read", "write", "cas")[f]
    asked: Value = (None, value, (value - 8, value))[f]
    done: Value = value - 8 if f == 0 and fate == Type.OK else asked
    error = None
    if fate == Type.INFO:
        error = "deadline exceeded"
    elif fate == Type.FAIL and f != 2:
        error = "no leader"
    end = start + ms / 1e3
    return [
        (start, i, Op(Type.INVOKE, process, name, asked, key)),
        (end, i, Op(Type(fate), process, name, done, key, error=error)),
    ]


def _stale() -> list[tuple[float, int, Op]]:
    """A read of an old value, begun after the new one's write was acknowledged."""
    return [
        (40.100, -5, Op(Type.INVOKE, 5001, "write", 9017, 3)),
        (40.106, -5, Op(Type.OK, 5001, "write", 9017, 3)),
        (40.210, -5, Op(Type.INVOKE, 5002, "write", 9041, 3)),
        (40.217, -5, Op(Type.OK, 5002, "write", 9041, 3)),
        (40.231, -5, Op(Type.INVOKE, 5003, "read", None, 3)),
        (40.236, -5, Op(Type.OK, 5003, "read", 9017, 3)),
    ]


def _nemesis() -> list[tuple[float, int, Op]]:
    phases = {
        "provision": -3.0,
        "prepare": -1.0,
        "steady-before": 0.0,
        "workload": 10.0,
        "heal": 50.0,
        "steady-after": 50.3,
        "quiesce": 60.0,
    }
    out = [(at, -9, Op(Type.INFO, NEMESIS, "phase", name)) for name, at in phases.items()]
    for fault in FAULTS:
        start, end, node = REAL[fault.id]
        value: dict[str, Value] = {"fault": fault.id, "kind": fault.kind, "victims": node}
        for f, at in (("inject", start), ("heal", end - 0.2)):
            out.append((at, -8, Op(Type.INVOKE, NEMESIS, f, value)))
            out.append((at + 0.2 * (f == "heal"), -7, Op(Type.INFO, NEMESIS, f, value)))
    return out


STEADY = (
    SteadyState(
        name="few errors",
        probe=OpsProbe(metric="error_rate"),
        before=Tolerance(max=0.01),
        during=Tolerance(max=0.3),
        after=Tolerance(max=0.01),
    ),
    SteadyState(
        name="throughput comes back",
        probe=OpsProbe(metric="throughput"),
        before=Tolerance(min=50),
        after=Tolerance(min_ratio=0.8),
    ),
    SteadyState(
        name="p99 latency",
        probe=OpsProbe(metric="latency_ms"),
        before=Tolerance(max=50),
        after=Tolerance(max=50, max_ratio=2),
        on_break="note",
    ),
)


def plan() -> Plan:
    """The plan of the trial."""
    return Plan(
        case="etcd-register",
        title="Registers of etcd stay linearizable through kills, pauses and partitions",
        intent=Intent(
            claim="Every read of a key returns the value of the latest acknowledged write.",
            refuted_by="A history of one key that no single order of its ops explains.",
        ),
        engine="lab",
        isolation="namespace",
        seed=7,
        target=PlannedTarget(name="etcd", nodes=("n1", "n2", "n3"), settings={}),
        workload=PlannedWorkload(
            name="register",
            settings={"keys": 8, "values": "unique"},
            fs=("read", "write", "cas"),
            concurrency=10,
            rate=None,
            op_timeout_s=2.0,
            final_reads=True,
        ),
        phases=PlannedPhases(
            before_s=10, faults_s=40, after_s=10, quiesce_timeout_s=30, final_timeout_s=30
        ),
        faults=FAULTS,
        quorum=(
            PlannedQuorum(
                from_s=26,
                to_s=29,
                faults=("f2", "f3"),
                impaired=2,
                majority="may be lost",
                sentence="n2 and n3 of three are impaired: the majority may be lost",
            ),
        ),
        steady_states=STEADY,
        checkers={"linearizable": {"model": "cas-register"}, "stats": {}},
        limits=Limits(),
        repeat="seatrial run etcd-register --seed 7 --time-limit 60s --faults kill,pause,partition",
    )


def verdict(answer: str, proof: tuple[int, ...]) -> dict[str, Json]:
    """`verdict.json` of a trial with that answer."""
    stale: dict[str, Json] = {
        "name": "stale-read",
        "explanation": "Key 3 read 9017 although 9041 had been acknowledged 14 ms before the read "
        "began: no order of the ops of key 3 explains it.",
        "ops": list(proof),
        "steps": [
            "Process 5001 wrote 9017, acknowledged at 40.106 s.",
            "Process 5002 wrote 9041, acknowledged at 40.217 s.",
            "Process 5003 began to read at 40.231 s and got 9017.",
        ],
    }
    causes = {
        "valid": "Every checker, steady state and fault is in order: 11,204 ops are linearizable.",
        "invalid": "Key 3 is not linearizable: a read by process 5003 returned 9017 after 9041 had "
        "been acknowledged.",
        "unknown": "Fault F4 (one-way partition of n2) had no measured effect, so the trial proves "
        "nothing about it.",
    }
    wrong = answer == "invalid"
    linear: dict[str, Json] = {
        "verdict": "invalid" if wrong else "valid",
        "cause": causes["invalid"] if wrong else "8 keys are linearizable",
        "judged": 11_204,
        "seconds": 0.412,
        "anomalies": [stale] if wrong else [],
        "details": {"keys": 8, "model": "cas-register", "bad keys": [3] if wrong else []},
    }
    stats: dict[str, Json] = {
        "verdict": "valid",
        "cause": "enough ok ops of each f, also in each fault",
        "judged": 12_000,
        "seconds": 0.01,
        "anomalies": [],
        "details": {"read": 5900, "write": 4100, "cas": 1100},
    }
    return {
        "schema": "seatrial/verdict/1",
        "verdict": answer,
        "cause": causes[answer],
        "checkers": {"linearizable": linear, "stats": stats},
        "case": "etcd-register",
        "target": "etcd",
        "seed": 7,
        "trial": "20261121T040000-etcd-register-7",
        "faults": [_judged(fault, answer) for fault in FAULTS],
        "steady_states": _steady_states(),
        "seconds": 78.4,
    }


def _judged(fault: PlannedFault, answer: str) -> Json:
    start, end, node = REAL[fault.id]
    dud = answer == "unknown" and fault.id == "f4"
    return {
        "id": fault.id,
        "kind": fault.kind,
        "victims": [node],
        "planned": {"start_s": fault.start_s, "duration_s": fault.duration_s},
        "real": {"start_s": start, "end_s": end},
        "injected": True,
        "effect": {"seen": not dud, "sentence": "measured"},
        "healed": {"seen": True, "sentence": "measured"},
        "verdict": "unknown" if dud else "valid",
        "cause": "no effect was measured" if dud else "",
    }


def _steady_states() -> list[Json]:
    random = np.random.default_rng(3)
    t = np.arange(0.5, LENGTH_S)
    factor = slow(t)
    shapes = {
        "few errors": (np.where(factor > 1, 0.1, 0.0) * random.random(60), (0.0, 0.08, 0.0)),
        "throughput comes back": (200 / factor**0.3 + random.normal(0, 6, 60), (203, 151, 198)),
        "p99 latency": (14 * factor**0.7 + random.random(60) * 4, (15.2, 480, 16.1)),
    }
    out: list[Json] = []
    for state in STEADY:
        values, readings = shapes[state.name]
        stretches: dict[str, Json] = {
            when: {"value": reading, "limit": None, "ok": True if getattr(state, when) else None}
            for when, reading in zip(("before", "during", "after"), readings, strict=True)
        }
        series: Mapping[str, Json] = {"t_s": (t + 3).tolist(), "value": values.tolist()}
        out.append(
            {
                "name": state.name,
                "verdict": "valid",
                "cause": "",
                "stretches": stretches,
                "series": series,
            }
        )
    return out


def evidence(fault: PlannedFault, answer: str) -> Evidence:
    """The evidence of one fault."""
    start, end, node = REAL[fault.id]
    dud = answer == "unknown" and fault.id == "f4"
    effect = {
        "kill": f"The process of {node} was gone 3 ms after SIGKILL.",
        "pause": f"The kernel says T (stopped) for {node}; it answered no request for 5.9 s.",
        "partition": f"Of 20 packets between {node} and the others 0 arrived.",
    }[fault.kind]
    return Evidence(
        fault=fault,
        victims=(node,),
        inject_ns=LOAD_NS + round(start * S),
        injected_ns=LOAD_NS + round((start + 0.03) * S),
        heal_ns=LOAD_NS + round((end - 0.2) * S),
        healed_ns=LOAD_NS + round(end * S),
        effect=StoredProof(
            seen=not dud,
            sentence="All 20 packets still arrived." if dud else effect,
            measured={"packets sent": 20, "packets arrived": 20 if dud else 0},
        ),
        recovery=StoredProof(
            seen=True,
            sentence=f"{node} answered again {(end - fault.start_s):.2f} s after the injection.",
            measured={"first answer ms": 182.4},
        ),
    )


def record(answer: str) -> TrialRecord:
    """`trial.json`."""
    return TrialRecord(
        trial="20261121T040000-etcd-register-7",
        status="finished",
        started="2026-11-21T04:00:00Z",
        versions={"seatrial": "0.1.0", "etcd": "3.5.1", "python": "3.11.7"},
        host={"kernel": "6.1.0", "cpus": 2, "memory GiB": 7.8, "isolation": "namespace"},
        nodes={n: {"address": f"10.0.0.{i}", "starts": 2} for i, n in enumerate(("n1", "n2"), 1)},
    )


def folder(root: Path, answer: str = "invalid", ops: int = 12_000, evil: str = "") -> TrialFolder:
    """A whole trial's folder under `root`."""
    trial = TrialFolder(root)
    long = ops > 50_000
    made = long_history(ops) if long else history(ops, stale=answer == "invalid", evil=evil)
    pictures = trial.evidence / "pictures"
    pictures.mkdir(parents=True)
    write_arrow(made.history, trial.history)
    trial.plan.write_text(plan().to_text(), encoding="utf-8")
    trial.record.write_text(record(answer).model_dump_json(), encoding="utf-8")
    trial.verdict.write_text(json.dumps(verdict(answer, made.proof)), encoding="utf-8")
    for fault in FAULTS:
        text = evidence(fault, answer).model_dump_json()
        (trial.evidence / f"{fault.id}.json").write_text(text, encoding="utf-8")
    (pictures / "linearizable-0.svg").write_text(PICTURE, encoding="utf-8")
    return trial

"""Judging a stored trial, or any history: each part's verdict, joined, with one sentence of cause.

A trial's verdict joins its checkers, its steady states, each of its faults (planned, injected,
measured, healed) and how it ended. Nothing unproven is green.
"""

from __future__ import annotations

import itertools
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

from seatrial import checkers as shelf
from seatrial.checker import Checker, CheckOptions
from seatrial.errors import UsageError
from seatrial.fault import PlannedFault
from seatrial.history import History
from seatrial.history.load import load_arrow
from seatrial.history.windows import fault_windows
from seatrial.op import Value
from seatrial.plan import Plan
from seatrial.runner.guard import check
from seatrial.runner.judge_faults import fault_parts, late_note
from seatrial.runner.judge_steady import (
    budget_part,
    calm_until_s,
    fault_labels,
    steady_state_part,
    times_of,
    with_tolerances,
)
from seatrial.runner.part import Part
from seatrial.runner.plans import read_plan
from seatrial.runner.quorum import majority_of
from seatrial.runner.remembered import read_baselines
from seatrial.samples import read_samples
from seatrial.steady.evaluate import evaluate
from seatrial.steady_state import SteadyState
from seatrial.timeline import load_start_ns
from seatrial.trial import RampOutcome, TrialFolder, TrialRecord, write_text
from seatrial.verdict import SCHEMA, Json, Validity, Verdict, join

OPTION_FIELDS = ("model", "initial", "consistency_model", "version_order", "group_size")


#: Checkers that are given the ops `fingerprint` too, which follow any workload's last reads.
SEE_FINGERPRINTS = ("replicas", "stats")
#: What a checker's time is extended by where it has to be compiled first.
COMPILE_TIMEOUT_S = 300.0


@dataclass(frozen=True, slots=True)
class Judgement:
    """All parts of a judgement; `document` is what `verdict.json` holds."""

    verdict: Validity
    cause: str
    checkers: Mapping[str, Verdict]
    faults: tuple[Part, ...] = ()
    steady_states: tuple[Part, ...] = ()
    notes: tuple[Part, ...] = ()
    trial: Mapping[str, Json] = field(default_factory=dict)
    seconds: float = 0.0

    def document(self) -> dict[str, Json]:
        """The document in the agreed schema."""
        out: dict[str, Json] = {
            "schema": SCHEMA,
            "verdict": self.verdict.value,
            "cause": self.cause,
            "checkers": {name: verdict.to_json() for name, verdict in self.checkers.items()},
        }
        if self.trial:
            out |= dict(self.trial)
            out["faults"] = [_part(part) for part in self.faults]
            out["steady_states"] = [_part(part) for part in self.steady_states]
            out["notes"] = [_part(part) for part in self.notes]
        out["seconds"] = round(self.seconds, 3)
        return out


def _part(part: Part) -> dict[str, Json]:
    return {
        **part.document,
        "name": part.name,
        "verdict": part.verdict.value,
        "cause": part.cause,
    }


def options_from(document: Mapping[str, Json]) -> CheckOptions:
    """Options of one checker as a plan writes them: known fields, the rest is `extra`."""
    known = {name: document[name] for name in OPTION_FIELDS if name in document}
    order = known.pop("version_order", ())
    return CheckOptions(
        model=_text(known.get("model")),
        initial=value_from(known.get("initial")),
        consistency_model=_text(known.get("consistency_model")),
        version_order=tuple(map(str, order)) if isinstance(order, (list, tuple)) else (),
        group_size=_whole(known.get("group_size")),
        negative_balances=bool(document.get("negative_balances", False)),
        extra={
            name: value
            for name, value in document.items()
            if name not in OPTION_FIELDS and name != "negative_balances"
        },
    )


def _text(value: Json) -> str | None:
    return value if isinstance(value, str) else None


def _whole(value: Json) -> int | None:
    return value if isinstance(value, int) else None


def value_from(value: Json) -> Value:
    """A JSON value as an op's value: lists become tuples."""
    if isinstance(value, (list, tuple)):
        return tuple(value_from(item) for item in value)
    if isinstance(value, Mapping):
        return {name: value_from(item) for name, item in value.items()}
    return value


def check_names(names: Sequence[str]) -> None:
    """Raise `UnknownName` for a checker that is not in the catalogue."""
    for name in names:
        _ = shelf.CHECKERS[name]


def check_options(options: Mapping[str, CheckOptions]) -> None:
    """Raise `UsageError` for what a checker cannot take, before anything is judged."""
    for name, chosen in options.items():
        if chosen != CheckOptions():
            shelf.make(name, chosen)


def compiled() -> bool:
    """Whether Numba has compiled checkers here before (it keeps them beside the source)."""
    folders = [Path(folder) for folder in shelf.__path__]
    if os.environ.get("NUMBA_CACHE_DIR"):
        folders.append(Path(os.environ["NUMBA_CACHE_DIR"]))
    return any(True for folder in folders for _ in folder.rglob("*.nbi"))


def check_history(
    history: History,
    options: Mapping[str, CheckOptions],
    *,
    timeout_s: float,
    memory: int,
    say: Callable[[str], None] = lambda _: None,
) -> dict[str, Verdict]:
    """The verdict of each named checker, each in its own bounded process."""
    out: dict[str, Verdict] = {}
    judged = _without_fingerprints(history)
    if not compiled():
        say("the checkers' loops are compiled first: once on this machine, up to a minute")
        timeout_s += COMPILE_TIMEOUT_S
    for name, chosen in options.items():
        say(f"checking {name}")

        def make(name: str = name, chosen: CheckOptions = chosen) -> Checker:
            return shelf.make(name, chosen)

        seen = history if name in SEE_FINGERPRINTS else judged
        out[name] = check(make, seen, timeout_s, memory)
    return out


def _without_fingerprints(history: History) -> History:
    """The workload's own ops: what a replica said of itself is no op of its model. O(n)."""
    prints = history.is_f("fingerprint")
    return history.take(~prints) if prints.any() else history


def judge_history(
    history: History,
    options: Mapping[str, CheckOptions],
    *,
    timeout_s: float,
    memory: int,
    say: Callable[[str], None] = lambda _: None,
) -> Judgement:
    """Judge a history without a trial around it."""
    began = time.monotonic()
    verdicts = check_history(history, options, timeout_s=timeout_s, memory=memory, say=say)
    verdict = join(v.verdict for v in verdicts.values())
    cause = _cause(verdict, verdicts, ())
    return Judgement(verdict, cause, verdicts, seconds=time.monotonic() - began)


def judge_trial(
    folder: TrialFolder,
    *,
    only: Mapping[str, CheckOptions] | None = None,
    checked: Mapping[str, Verdict] | None = None,
    timeout_s: float | None = None,
    memory: int | None = None,
    steady: Sequence[SteadyState] = (),
    say: Callable[[str], None] = lambda _: None,
) -> Judgement:
    """Judge a stored trial: its checkers (or `only` these), faults and steady states.

    `checked` are the checkers' verdicts where they have been reached before, elsewhere.
    `steady` replaces steady states of the same name: other tolerances on what was sampled then.
    """
    began = time.monotonic()
    plan = read_plan(folder)
    loaded = load_arrow(folder.history)
    history = loaded.history
    notes = _notes(folder, loaded.note)
    notes += [Part("not asked", Validity.VALID, text) for text in plan.not_asked]
    timeout_s = plan.limits.check_timeout_s if timeout_s is None else timeout_s
    memory = plan.limits.check_memory_bytes if memory is None else memory
    options = only if only is not None else planned_options(plan, history)
    verdicts = dict(checked or {}) or check_history(
        history, options, timeout_s=timeout_s, memory=memory, say=say
    )
    load_ns = load_start_ns(history, plan.phases.before_s)
    times = times_of(history, folder)
    faults = tuple(
        replace(part, document={**part.document, "times": times[part.name].to_json()})
        if part.name in times
        else part
        for part in fault_parts(plan.faults, folder.read_evidence(), load_ns)
    )
    results = evaluate(
        with_tolerances(plan.steady_states, steady),
        history,
        baselines=read_baselines(folder),
        recorded=read_samples(p for p in (folder.samples, folder.samples_host) if p.is_file()),
        labels=fault_labels(plan.faults, history),
        planned_faults=len(plan.faults),
    )
    calm_s = calm_until_s(history)
    states = tuple(steady_state_part(result, calm_s) for result in results)
    if plan.slo is not None:
        notes.append(budget_part(plan.slo, history, folder))
    notes += late_note(faults)
    acted = sum(not part.document["skipped"] for part in faults)
    parts = (*faults, *states)
    answers = [part.verdict for part in (*parts, *notes)]
    verdict = join([*(v.verdict for v in verdicts.values()), *answers])
    return Judgement(
        verdict=verdict,
        cause=_cause(verdict, verdicts, parts, notes, faults=acted, states=len(states)),
        checkers=verdicts,
        faults=faults,
        steady_states=states,
        notes=tuple(notes),
        trial={
            "case": plan.case,
            "target": plan.target.name,
            "seed": plan.seed,
            "trial": str(folder.root),
        },
        seconds=time.monotonic() - began,
    )


def planned_options(plan: Plan, history: History | None = None) -> dict[str, CheckOptions]:
    """The checkers of a plan; `stats` learns its limits and when everything may rightly stop.

    The latter is read from the history; without one, nothing may stop.
    """
    stops: list[Json] = []
    if history is not None:
        stops += [f"{low}-{high}" for low, high in _may_stop(plan, history)]
    bounds: dict[str, Json] = {
        "fs": list(plan.workload.fs),
        "min_ok": plan.limits.min_ok,
        "min_ok_in_fault": plan.limits.min_ok_in_fault,
        "min_attempts_in_fault": plan.limits.min_attempts_in_fault,
        "may_stop_ns": stops,
    }
    out = {name: options_from(document) for name, document in plan.checkers.items()}
    out["stats"] = options_from({**bounds, **plan.checkers.get("stats", {})})
    if "replicas" in out:  # a node that was never heard from must not pass for one that agrees
        nodes: dict[str, Json] = {"nodes": list(plan.target.nodes)}
        out["replicas"] = options_from({**nodes, **plan.checkers["replicas"]})
    return out


def _may_stop(plan: Plan, history: History) -> list[tuple[int, int]]:
    """When the faults that were really alive, on their real victims, left no sure majority."""
    planned = {fault.id: fault for fault in plan.faults}
    last = int(history.time_ns[-1]) if len(history) else 0
    spans: list[tuple[int, int, PlannedFault]] = []
    for window in fault_windows(history):
        fault = planned.get(window.fault)
        if fault is not None and window.victims:
            end = window.end_ns if window.end_ns is not None else last
            real = fault.model_copy(update={"nodes": window.victims})
            spans.append((window.start_ns, end, real))
    edges = sorted({edge for start, end, _ in spans for edge in (start, end)})
    found: list[tuple[int, int]] = []
    for low, high in itertools.pairwise(edges):
        alive = [fault for start, end, fault in spans if start <= low and end >= high]
        if alive and majority_of(alive, plan.target.nodes) != "survives":
            joined = bool(found) and found[-1][1] == low
            found[-1:] = [(found[-1][0], high)] if joined else [*found[-1:], (low, high)]
    return found


def keep(folder: TrialFolder, judgement: Judgement) -> None:
    """Write `verdict.json` and the anomalies' pictures into the trial's folder."""
    for name, verdict in judgement.checkers.items():
        for number, anomaly in enumerate(verdict.anomalies):
            if anomaly.picture:
                path = folder.evidence / "pictures" / f"{name}-{number}.svg"
                write_text(path, anomaly.picture)
    write_text(folder.verdict, dump(judgement.document(), indent=2) + "\n")


def dump(document: Json, indent: int | None = None) -> str:
    """JSON text; numbers that JSON has no word for (infinity) become null."""
    return json.dumps(_finite(document), ensure_ascii=False, indent=indent, allow_nan=False)


def _finite(value: Json) -> Json:
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None
    if isinstance(value, Mapping):
        return {name: _finite(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return value


# ── the parts ────────────────────────────────────────────────────────────────────────────────


def _notes(folder: TrialFolder, cut: str) -> list[Part]:
    """How the trial ended, where that keeps it from being green."""
    out: list[Part] = []
    try:
        record = TrialRecord.model_validate_json(folder.record.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return [Part("trial", Validity.UNKNOWN, "trial.json is missing or damaged")]
    if record.status != "finished":
        how = {
            "running": "the tool was killed in the middle of the trial",
            "interrupted": "the trial was interrupted",
            "aborted": "the trial was aborted",
            "failed": "the tool failed",
        }[record.status]
        why = record.reason.partition("\n\n")[0].rstrip(":")  # the rest quotes logs
        out.append(
            Part(
                "trial",
                Validity.UNKNOWN,
                f"{how}{': ' if why else ''}{why}",
                {"reason": record.reason},
            )
        )
    out += [_ramp_part(ramp) for ramp in record.ramps]
    if cut:
        out.append(Part("history", Validity.UNKNOWN, f"the history is cut short: {cut}"))
    if record.leaks:
        out.append(
            Part("leaks", Validity.UNKNOWN, f"left behind after healing: {'; '.join(record.leaks)}")
        )
    if record.unplanned:
        more = f" (and {len(record.unplanned) - 1} more)" if len(record.unplanned) > 1 else ""
        cause = f"outside of the plan: {record.unplanned[0]}{more}"
        document: dict[str, Json] = {"events": list(record.unplanned)}
        out.append(Part("nodes", Validity.UNKNOWN, cause, document))
    return out


def _ramp_part(ramp: RampOutcome) -> Part:
    """A ramp's answer; one that read nothing at any level has none."""
    found = ramp.broke is not None or ramp.held is not None
    verdict = Validity.VALID if found else Validity.UNKNOWN
    document = cast(dict[str, Json], ramp.model_dump(mode="json"))
    return Part(ramp.id, verdict, ramp.sentence, document)


def _cause(
    verdict: Validity,
    checkers: Mapping[str, Verdict],
    parts: Sequence[Part],
    notes: Sequence[Part] = (),
    *,
    faults: int = 0,
    states: int = 0,
) -> str:
    """The first and gravest reason, in one sentence."""
    if not checkers and not parts and not notes:
        raise UsageError("no checker was named and none could be guessed\n\nhint: --checker NAME")
    found = [part.cause for part in notes if part.verdict is Validity.VALID]
    if verdict is not Validity.VALID:
        ended = [part.cause for part in notes if part.verdict is verdict]
        reasons = [f"{name}: {v.cause}" for name, v in checkers.items() if v.verdict is verdict]
        reasons = ended + reasons + [part.cause for part in parts if part.verdict is verdict]
        more = f" (and {len(reasons) - 1} more)" if len(reasons) > 1 else ""
        return "; ".join([reasons[0] + more, *found])
    judged = ", ".join(f"{name} judged {v.judged:,}" for name, v in checkers.items())
    told = [f"every checker is content ({judged})"]
    told += [f"{name}: {v.cause}" for name, v in checkers.items() if not v.judged]
    if faults:
        told.append(f"{faults} fault{'s' if faults > 1 else ''} acted and healed")
    if states:
        told.append(f"{states} steady states held")
    return "; ".join([*told, *found])

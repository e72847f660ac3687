"""The page: everything that is known, laid out by the template, escaped by it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from seatrial.history import History
from seatrial.op import Type
from seatrial.report import facts as compute
from seatrial.report import figure, times, words
from seatrial.report.anomalies import views as anomaly_views
from seatrial.report.document import CheckerPart, VerdictDocument
from seatrial.report.faults import FaultView, join
from seatrial.report.source import Material
from seatrial.report.steady import views as steady_views
from seatrial.timeline import NS_PER_S
from seatrial.verdict import Json, Validity

NO_VERDICT: Final = "The trial has no verdict: it was not judged, or was cut short before."


@dataclass(frozen=True, slots=True)
class Doubt:
    """Something that was vacuous, unknown or missing, and why."""

    what: str
    why: str


def render(material: Material, title: str = "", repeat: str = "") -> str:
    """The report as one HTML text that needs nothing else. O(n log n) in the ops."""
    history, verdict = material.history, material.verdict or VerdictDocument(cause=NO_VERDICT)
    before_s = material.plan.phases.before_s if material.plan is not None else None
    origin_ns = compute.origin_of(history, before_s)
    faults = join(material, origin_ns)
    facts = None if history is None else compute.gather(history, faults, origin_ns)
    page: dict[str, object] = {
        "title": title or _title(material),
        "material": material,
        "plan": material.plan,
        "record": material.record,
        "history": history,
        "verdict": verdict,
        "origin_ns": origin_ns,
        "head": _head(material, verdict),
        "faults": faults,
        "facts": facts,
        "figure": figure.draw(facts, faults) if facts else None,
        "anomalies": anomaly_views(material, verdict, faults, origin_ns),
        "steady": steady_views(material, verdict, origin_ns),
        "times": times.rows(verdict, faults),
        "times_chart": times.chart(verdict, faults),
        "by_f": (),
        "errors": (),
        "recoveries": (),
        "availability": None,
        "doubts": doubts(material, verdict, faults),
        "repeat": material.plan.repeat if material.plan else repeat,
    }
    if history is not None and facts is not None:
        page |= {
            "by_f": compute.by_f(history, facts.spans),
            "errors": compute.errors(history, facts.spans, origin_ns),
            "recoveries": compute.recoveries(facts, faults),
            "availability": compute.availability(facts),
        }
    return _environment().get_template("report.html.j2").render(page)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("seatrial.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["count"] = words.count
    environment.filters["number"] = words.number
    environment.filters["ms"] = words.latency
    environment.filters["seconds"] = words.seconds
    environment.filters["details"] = words.details
    environment.filters["label"] = words.label
    environment.globals["window"] = words.window
    environment.globals["symbol"] = symbol
    return environment


def symbol(answer: str) -> Markup:
    """The verdict's sign, told apart by its shape: a tick, a cross, a question mark."""
    drawn = {
        "valid": "M7 12.5l3.4 3.4L17 9",
        "invalid": "M8 8l8 8M16 8l-8 8",
        "unknown": "M9 9.4a3 3 0 1 1 4.4 2.7c-1 .5-1.4 1-1.4 2.2M12 17.3v.1",
    }[answer]
    return Markup(
        '<svg class="sign {}" viewBox="0 0 24 24" aria-hidden="true">'
        '<circle cx="12" cy="12" r="11"/><path d="{}"/></svg>'
    ).format(answer, drawn)


def _title(material: Material) -> str:
    if material.plan:
        return material.plan.title
    return (material.verdict.case if material.verdict else "") or "A judged history"


def _head(material: Material, verdict: VerdictDocument) -> list[tuple[str, str]]:
    """The facts under the verdict: name and value, those that are known."""
    plan, record = material.plan, material.record
    found: list[tuple[str, str]] = []
    if plan:
        versions = record.versions if record else {}
        version = versions.get(plan.target.name, "")
        found += [
            ("case", plan.case),
            ("target", f"{plan.target.name} {version}".strip()),
            ("nodes", f"{len(plan.target.nodes)}: {', '.join(plan.target.nodes)}"),
            ("engine", plan.engine),
            ("seed", str(plan.seed)),
        ]
    else:
        found += [("case", verdict.case), ("target", _text(verdict.target))]
        found += [("seed", "" if verdict.seed is None else str(verdict.seed))]
    if material.history is not None:
        found += _extent(material.history)
    if verdict.seconds is not None:
        found.append(("judged in", words.seconds(verdict.seconds)))
    if record:
        found += [("started", words.date(record.started)), ("trial", record.trial)]
        if record.status != "finished":
            found.append(("status", record.status))
        found += [(ramp.id, ramp.sentence) for ramp in record.ramps]
    return [(name, said) for name, said in found if said]


def _extent(history: History) -> list[tuple[str, str]]:
    """How many ops there are, and how long they took with all the phases around them."""
    invoked = int(np.count_nonzero(history.client & (history.type == Type.INVOKE)))
    length = int(history.time_ns.max()) / NS_PER_S if len(history) else 0.0
    found = [("ops", words.count(invoked))]
    return [*found, ("duration", words.seconds(length))] if length > 0 else found


def _text(given: Json) -> str:
    return "" if given is None else words.details(given)


def doubts(
    material: Material, verdict: VerdictDocument, faults: tuple[FaultView, ...]
) -> list[Doubt]:
    """All that was vacuous, unknown or missing, each with its reason."""
    found = [Doubt("missing", sentence) for sentence in material.missing]
    record = material.record
    if record and record.status != "finished":
        found.append(Doubt(f"the trial is {record.status}", record.reason or "no reason is known"))
    for leak in record.leaks if record else ():
        found.append(Doubt("left behind", leak))
    found += [
        Doubt(n.name, n.cause)
        for n in verdict.notes
        if n.name not in ("trial", "leaks") and n.verdict != Validity.VALID
    ]
    for name, checker in verdict.checkers.items():
        found += _checker_doubts(name, checker)
    for fault in faults:
        found += _fault_doubts(fault)
    for state in verdict.steady_states:
        if state.verdict == Validity.UNKNOWN:
            found.append(Doubt(f"steady state {state.name}", state.cause or "no cause given"))
    return found


def _checker_doubts(name: str, checker: CheckerPart) -> list[Doubt]:
    if checker.verdict == Validity.UNKNOWN:
        return [Doubt(f"checker {name}", checker.cause or "no cause given")]
    if checker.judged == 0:
        return [Doubt(f"checker {name}", "judged nothing")]
    return []


def _fault_doubts(fault: FaultView) -> list[Doubt]:
    if fault.start_s is None and fault.verdict == Validity.VALID:
        return []  # rightly left out: its ramp had its answer
    name = f"fault F{fault.number} {fault.kind} on {fault.whom}"
    found: list[str] = []
    if fault.error:
        found.append(fault.error)
    if fault.start_s is None:
        found.append("it was planned and never injected")
    elif fault.effect is None:
        found.append("its effect was not measured")
    elif not fault.effect.seen:
        found.append(f"no effect was measured: {fault.effect.sentence}")
    if fault.start_s is not None and (fault.recovery is None or not fault.recovery.seen):
        said = fault.recovery.sentence if fault.recovery else "nothing was measured"
        found.append(f"it is not proved to be healed: {said}")
    return [Doubt(name, why) for why in found]

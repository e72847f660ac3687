"""Plans and verdicts in words, for a terminal of 80 columns; and as one JSON document."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import click

from seatrial.fault import PlannedFault
from seatrial.plan import Plan
from seatrial.runner.judge import Judgement, dump
from seatrial.runner.part import Part
from seatrial.safety import Watched
from seatrial.steady.reading import metric_of
from seatrial.verdict import Json, Validity, Verdict

WIDTH = 80
#: How many anomalies a checker shows here; the report has all.
ANOMALIES_SHOWN = 3
STYLE = {Validity.VALID: "green", Validity.INVALID: "red", Validity.UNKNOWN: "yellow"}
SIGN = {Validity.VALID: "✓", Validity.INVALID: "✗", Validity.UNKNOWN: "?"}


def say_judgement(
    judgement: Judgement,
    *,
    as_json: bool,
    path: str | None = None,
    repeat: str | None = None,
    compact: bool = False,
) -> None:
    """Print a judgement: one line of JSON, or words with colour where there is a terminal."""
    if as_json:
        document = judgement.document()
        click.echo(dump({"path": path, **document} if path is not None else document))
        return
    if path is not None:
        click.secho(path, bold=True)
    for line in judgement_lines(judgement, repeat=repeat, compact=compact):
        click.echo(line)


def judgement_lines(
    judgement: Judgement, *, repeat: str | None = None, compact: bool = False
) -> Iterator[str]:
    """The lines of a judgement."""
    yield ""
    yield headline(judgement.verdict)
    yield from _wrap(judgement.cause, "  ")
    yield ""
    for name, verdict in judgement.checkers.items():
        yield _line(name, verdict.verdict, f"{verdict.judged:,} judged in {verdict.seconds:.2f} s")
        yield from _verdict_lines(verdict, judgement.cause)
    for title, parts in (("faults", judgement.faults), ("steady states", judgement.steady_states)):
        if parts:
            yield from _part_lines(title, parts)
    for part in judgement.notes:
        yield _line(part.name, part.verdict, part.cause)
    trial = judgement.trial.get("trial")
    if isinstance(trial, str):
        yield ""
        yield f"  trial   {trial}"
        yield f"  report  {Path(trial) / 'report.html'}"
    if repeat:
        yield f"  repeat  {repeat}"
    if not compact:
        yield ""


def headline(verdict: Validity) -> str:
    """The verdict alone, with its sign."""
    return click.style(f"{SIGN[verdict]} {verdict.value}", fg=STYLE[verdict], bold=True)


def _line(name: str, verdict: Validity, text: str) -> str:
    sign = click.style(SIGN[verdict], fg=STYLE[verdict])
    return f"  {sign} {name:<22} {text}"


def _verdict_lines(verdict: Verdict, said: str) -> Iterator[str]:
    if verdict.verdict is not Validity.VALID and verdict.cause not in said:
        yield from _wrap(verdict.cause, "      ")
    for anomaly in verdict.anomalies[:ANOMALIES_SHOWN]:
        times = f" ({anomaly.count:,} times)" if anomaly.count > 1 else ""
        yield from _wrap(f"{anomaly.name}{times}: {anomaly.explanation}", "      ", "        ")
    hidden = len(verdict.anomalies) - ANOMALIES_SHOWN
    if hidden > 0:
        yield f"      … and {hidden} more in the report"


def _part_lines(title: str, parts: Sequence[Part]) -> Iterator[str]:
    good = sum(part.verdict is Validity.VALID for part in parts)
    verdict = max((part.verdict for part in parts), key=_gravity)
    yield _line(title, verdict, f"{good} of {len(parts)} in order")
    for part in parts:
        if part.verdict is not Validity.VALID:
            yield from _wrap(f"{SIGN[part.verdict]} {part.cause}", "      ", "        ")


def _gravity(verdict: Validity) -> int:
    return (Validity.VALID, Validity.UNKNOWN, Validity.INVALID).index(verdict)


def _wrap(text: str, indent: str, then: str | None = None) -> list[str]:
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=indent,
        subsequent_indent=indent if then is None else then,
        break_long_words=False,
        break_on_hyphens=False,
    )


def plan_text(plan: Plan) -> str:
    """A plan for people; `--json` has every field."""
    phases = plan.phases
    whole = phases.before_s + phases.faults_s + phases.after_s
    final = "final reads, " if plan.workload.final_reads else ""
    lines = [
        f"{plan.case}: {plan.title}",
        "",
        *_wrap(f"claim    {plan.intent.claim}", "", "         "),
        *_wrap(f"refuted  {plan.intent.refuted_by}", "", "         "),
        "",
        f"seed     {plan.seed}",
        f"target   {plan.target.name}, {len(plan.target.nodes)} nodes"
        f" ({', '.join(plan.target.nodes)}), engine {plan.engine}, isolation {plan.isolation}",
        *_wrap(f"load     {_workload_words(plan)}", "", " " * 9),
        *_wrap(_settings(plan.workload.settings), " " * 9),
        f"phases   {whole:g} s of load: {phases.before_s:g} s steady before, {phases.faults_s:g} s"
        f" with faults, {phases.after_s:g} s after",
        f"         then quiesce, {final}check, report",
        "",
        *_fault_table(plan.faults),
        "",
        *_quorum_table(plan),
        *_safety(plan),
        *_hypothesis(plan),
        *_not_asked(plan),
        f"checkers {', '.join(plan.checkers)}",
        f"limits   {plan.limits.min_ok} ok ops of each f, in each fault window"
        f" {plan.limits.min_attempts_in_fault} attempts and {plan.limits.min_ok_in_fault} ok",
        "",
        f"repeat   {plan.repeat}",
    ]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _workload_words(plan: Plan) -> str:
    rate = "flat out" if plan.workload.rate is None else f"{plan.workload.rate:g} ops/s"
    return (
        f"{plan.workload.name} ({', '.join(plan.workload.fs)}), "
        f"{plan.workload.concurrency} clients, {rate}, op timeout {plan.workload.op_timeout_s:g} s"
    )


def _settings(settings: Mapping[str, Json]) -> str:
    return ", ".join(f"{name} {dump(value)}" for name, value in settings.items())


def _fault_table(faults: Sequence[PlannedFault]) -> list[str]:
    if not faults:
        return ["faults   none"]
    out = [f"faults       at      for  {'what':<26} victims"]
    for fault in faults:
        whom = ", ".join(fault.nodes) or "whoever it is then"
        what = " ".join([fault.kind, *map(str, fault.options.values())])
        out.append(
            f"       {fault.start_s:6.2f} s {fault.duration_s:5.2f} s"
            f"  {what:<26} {fault.victims}: {whom}"
        )
    return out


def _quorum_table(plan: Plan) -> list[str]:
    if not plan.quorum:
        return []
    out = [*_blast(plan), "quorum"]
    for stretch in plan.quorum:
        head = f"         {stretch.from_s:6.2f} s to {stretch.to_s:6.2f} s  {stretch.majority}: "
        out += _wrap(head + stretch.sentence, "", " " * 29)
        if stretch.clients:
            out += _wrap(f"clients: {stretch.clients}", " " * 29, " " * 38)
    return [*out, ""]


def _safety(plan: Plan) -> list[str]:
    """What the trial may never exceed, and what ends faults before their time."""
    safety, out = plan.safety, []
    if safety.victims_max is not None:
        out.append(f"at most {safety.victims_max} victims at once")
    out += [f"faults only on {window.sentence()}" for window in safety.windows]
    for one in safety.aborts:
        out.append(f"all faults end once {_watched(one)}")
    lines = [line for text in out for line in _wrap(f"safety   {text}", "", " " * 11)]
    for ramp in plan.ramps:
        levels = ", ".join(f"{level:g}" for level in ramp.levels)
        ends = " or ".join(map(_watched, ramp.until))
        lines += _wrap(
            f"{ramp.id:<8} {ramp.kind} of {ramp.victims}, {ramp.option} {levels}, until {ends}",
            "",
            " " * 11,
        )
    return [*lines, ""] if lines else []


def _watched(one: Watched) -> str:
    bounds = one.tolerance.model_dump(exclude_none=True, exclude_defaults=True)
    told = " ".join(f"{name} {value}" for name, value in bounds.items())
    return f"{one.steady_state} leaves {told} over {one.window_s:g} s"


def _blast(plan: Plan) -> list[str]:
    """The plan's worst moment, in one sentence."""
    blast = plan.blast
    if blast is None:
        return []
    danger = [
        f"{words} {seconds:g} s"
        for words, seconds in (
            ("lost for", blast.is_lost_s),
            ("in danger for", blast.may_be_lost_s),
        )
        if seconds
    ]
    return _wrap(
        f"blast    at most {blast.victims_max} of {blast.nodes} nodes at once, "
        f"{blast.alive_max} fault{'s' if blast.alive_max > 1 else ''} alive at once; of "
        f"{blast.fault_s:g} s with faults the majority is {' and '.join(danger) or 'never lost'}",
        "",
        " " * 9,
    )


def _hypothesis(plan: Plan) -> list[str]:
    if not plan.steady_states:
        return []
    out = ["steady states"]
    for state in plan.steady_states:
        asked = []
        for when, tolerance in state.tolerances().items():
            bounds = tolerance.model_dump(exclude_none=True)
            asked.append(f"{when} " + " ".join(f"{k} {_bound(v)}" for k, v in bounds.items()))
        asked += [state.on_break] if state.on_break != "judge" else []
        head = f"{state.name}: {metric_of(state.probe)}; "
        out += _wrap(head + "; ".join(asked), " " * 9, " " * 11)
    return [*out, ""]


def _not_asked(plan: Plan) -> list[str]:
    lines = [line for text in plan.not_asked for line in _wrap(text, "not asked  ", " " * 11)]
    return [*lines, ""] if lines else []


def _bound(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)

"""What stored trials know that the next one needs: baselines, budgets, and the score.

Only trials that ended in order and did enough to count (the checker `stats` was content) are
asked; what was not tested is left out and counted apart, never mixed in.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from pydantic import BaseModel, ConfigDict

from seatrial.errors import Unavailable
from seatrial.plan import Plan
from seatrial.probes.prometheus import PrometheusServer
from seatrial.runner.store import trials
from seatrial.slo import Slo
from seatrial.steady.limits import Baseline
from seatrial.trial import TrialFolder, write_text
from seatrial.verdict import Json

#: Median absolute deviation to standard deviation, where values are normal.
SPREAD: Final = 1.4826
BUDGET_PART: Final = "error budget"
_QUERY_TIMEOUT_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Counted:
    """One stored trial with its verdict; `vacuous` says why it does not count, empty if it does."""

    name: str
    started: str
    document: Mapping[str, Any]
    vacuous: str


def judged_trials(store: Path) -> Iterator[Counted]:
    """All judged trials of a store, newest first."""
    for trial in trials(store):
        try:
            document = json.loads(trial.folder.verdict.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        started = trial.record.started if trial.record is not None else ""
        status = trial.record.status if trial.record is not None else "damaged"
        why = "" if status in ("finished", "aborted") else f"the trial is {status}"
        stats = document.get("checkers", {}).get("stats", {}).get("verdict")
        if not why and stats != "valid":
            why = "too little was tried to count"
        yield Counted(trial.name, started, document, why)


# ── baselines ────────────────────────────────────────────────────────────────────────────────


class LearntBaseline(BaseModel):
    """A baseline of one steady state, and the trials that it was learnt from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    value: float | None = None
    spread: float | None = None
    reason: str = ""
    trials: tuple[str, ...] = ()


class LearntBaselines(BaseModel):
    """`metrics/baselines.json`: as known when the trial began."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: str = "seatrial/baselines/1"
    states: Mapping[str, LearntBaseline] = {}


def learn(plan: Plan, store: Path) -> LearntBaselines:
    """The baselines that a plan's steady states learn from the store."""
    asked = {s.name: s.baseline for s in plan.steady_states if s.baseline is not None}
    if not asked:
        return LearntBaselines()
    values: dict[str, list[tuple[str, float]]] = {name: [] for name in asked}
    for trial in judged_trials(store):
        if trial.vacuous or trial.document.get("case") != plan.case:
            continue
        for state in trial.document.get("steady_states", ()):
            before = (state.get("stretches") or {}).get("before") or {}
            if state.get("name") in values and isinstance(before.get("value"), (int, float)):
                values[state["name"]].append((trial.name, float(before["value"])))
    return LearntBaselines(
        states={
            name: _baseline(values[name][: learnt.trials], learnt.trials_min)
            for name, learnt in asked.items()
        }
    )


def _baseline(found: Sequence[tuple[str, float]], at_least: int) -> LearntBaseline:
    if len(found) < at_least:
        return LearntBaseline(
            reason=(
                f"a learnt baseline needs {at_least} stored trials that count and read `before`, "
                f"there are {len(found)}"
            )
        )
    values = np.array([value for _, value in found])
    middle = float(np.median(values))
    spread = float(np.median(np.abs(values - middle))) * SPREAD
    return LearntBaseline(value=middle, spread=spread, trials=tuple(name for name, _ in found))


def keep_baselines(folder: TrialFolder, learnt: LearntBaselines) -> None:
    """Write them into the trial's folder, so that it is judged by the same ones for ever."""
    if learnt.states:
        write_text(folder.baselines, learnt.model_dump_json(indent=2) + "\n")


def read_baselines(folder: TrialFolder) -> dict[str, Baseline]:
    """The baselines that a trial was begun with; none where there is no file."""
    try:
        text = folder.baselines.read_text(encoding="utf-8")
        learnt = LearntBaselines.model_validate_json(text)
    except (OSError, ValueError):
        return {}
    return {
        name: Baseline(
            one.value,
            one.reason,
            np.nan if one.spread is None else one.spread,
            f"in {len(one.trials)} stored trials",
        )
        for name, one in learnt.states.items()
    }


# ── error budgets ────────────────────────────────────────────────────────────────────────────


class Budget(BaseModel):
    """`metrics/budget.json`: what was left of an SLO's budget when the trial began."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: str = "seatrial/budget/1"
    slo: Slo
    spent_s: float
    trials: tuple[str, ...] = ()
    spent_elsewhere_s: float = 0.0

    @property
    def left_s(self) -> float:
        """Seconds that are left of the period's budget."""
        return self.slo.budget_s - self.spent_s - self.spent_elsewhere_s

    @property
    def allowed_s(self) -> float:
        """Seconds that this trial may spend: its share, or what is left if that is less."""
        return min(self.slo.share_s, self.left_s)


def budget(slo: Slo, store: Path, now: datetime.datetime) -> Budget:
    """What is left; raises `Unavailable` where the budget is gone, or cannot be told."""
    begin = now - datetime.timedelta(days=slo.period_days)
    total, names = 0.0, []
    for trial in judged_trials(store):
        try:
            recent = datetime.datetime.fromisoformat(trial.started) >= begin
        except ValueError:
            recent = True
        for note in trial.document.get("notes", ()) if recent else ():
            if note.get("name") == BUDGET_PART and note.get("slo") == slo.name:
                total += float(note.get("spent_s") or 0)
                names.append(trial.name)
    found = Budget(slo=slo, spent_s=total, trials=tuple(names), spent_elsewhere_s=_elsewhere(slo))
    if found.left_s <= 0:
        raise Unavailable(
            f"the error budget of SLO {slo.name!r} is gone: "
            f"{found.spent_s + found.spent_elsewhere_s:,.0f} of {slo.budget_s:,.0f} s are spent "
            f"({slo.objective:.4%} over {slo.period_days:g} days; {len(names)} stored trials)\n\n"
            "hint: wait until the period has moved on, or let the case name another budget"
        )
    return found


def _elsewhere(slo: Slo) -> float:
    """What production has spent, by the SLO's own query."""
    if not slo.spent_query:
        return 0.0
    server = PrometheusServer(slo.spent_url, timeout_s=_QUERY_TIMEOUT_S, environment=True)
    try:
        read = server.ask(slo.spent_query)
    finally:
        server.close()
    if read.value is None:
        raise Unavailable(
            f"how much of SLO {slo.name!r} is spent cannot be told: {read.why}\n\n"
            "hint: no trial begins on an unknown budget; mend spent_query or spent_url"
        )
    return read.value * slo.budget_s


def keep_budget(folder: TrialFolder, found: Budget) -> None:
    """Write it into the trial's folder."""
    write_text(folder.budget, found.model_dump_json(indent=2) + "\n")


def read_budget(folder: TrialFolder) -> Budget | None:
    """The budget that a trial began with; None where there is none."""
    try:
        return Budget.model_validate_json(folder.budget.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


# ── the score ────────────────────────────────────────────────────────────────────────────────


@dataclass(slots=True)
class StateScore:
    """One steady state over the trials that count: how often it held, of how often judged."""

    name: str
    weight: float
    held: int = 0
    judged: int = 0
    not_tested: int = 0


@dataclass(slots=True)
class CaseScore:
    """One case on one target."""

    case: str
    target: str
    trials: int = 0
    states: dict[str, StateScore] = field(default_factory=dict)

    @property
    def percent(self) -> float | None:
        """Weighted part of what was judged that held, 0 to 100; None where nothing was."""
        return percent(self.states.values())

    def document(self) -> dict[str, Json]:
        """The score as JSON."""
        return {
            "case": self.case,
            "target": self.target,
            "trials": self.trials,
            "score": self.percent,
            "steady_states": [
                {
                    "name": state.name,
                    "weight": state.weight,
                    "held": state.held,
                    "judged": state.judged,
                    "not_tested": state.not_tested,
                }
                for state in self.states.values()
            ],
        }


def percent(states: Iterable[StateScore]) -> float | None:
    """Σ weight × held over Σ weight × judged, in percent; None of nothing."""
    found = list(states)
    judged: float = sum(state.weight * state.judged for state in found)
    if not judged:
        return None
    return round(100 * sum(state.weight * state.held for state in found) / judged, 2)


def scores(store: Path, case: str | None = None) -> tuple[list[CaseScore], dict[str, int]]:
    """The scores of a store by case and target, and how many trials were left out and why.

    A steady state counts by the weight that it has in the newest trial. One that was `unknown` in
    a trial was not tested there; one that only notes is not counted.
    """
    found: dict[tuple[str, str], CaseScore] = {}
    left_out: dict[str, int] = {}
    for trial in judged_trials(store):
        name, target = str(trial.document.get("case")), str(trial.document.get("target"))
        if case is not None and name != case:
            continue
        if trial.vacuous:
            left_out[trial.vacuous] = left_out.get(trial.vacuous, 0) + 1
            continue
        score = found.setdefault((name, target), CaseScore(name, target))
        score.trials += 1
        for state in trial.document.get("steady_states", ()):
            if state.get("on_break") == "note":
                continue
            weight = float(state.get("weight", 1.0))
            one = score.states.setdefault(state["name"], StateScore(state["name"], weight))
            one.judged += state["verdict"] in ("valid", "invalid")
            one.held += state["verdict"] == "valid"
            one.not_tested += state["verdict"] == "unknown"
    return sorted(found.values(), key=lambda one: (one.target, one.case)), left_out

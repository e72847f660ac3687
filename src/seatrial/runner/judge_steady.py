"""Parts of a verdict about steady states, the error budget, and the times of faults."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from seatrial.errors import BadData
from seatrial.fault import PlannedFault
from seatrial.fault_times import FaultTimes, fault_times, read_roles
from seatrial.history import History
from seatrial.history.windows import fault_windows, phases
from seatrial.op import Type
from seatrial.runner.part import Part
from seatrial.runner.remembered import BUDGET_PART, read_budget
from seatrial.slo import Slo
from seatrial.steady.budget import spent
from seatrial.steady.reading import SteadyStateResult
from seatrial.steady_state import SteadyState
from seatrial.trial import TrialFolder
from seatrial.verdict import Json, Validity


def with_tolerances(
    planned: Sequence[SteadyState], others: Sequence[SteadyState]
) -> tuple[SteadyState, ...]:
    """The planned steady states with those of the same name replaced, and new ones of ops added.

    Raises `BadData` for one whose probe was not sampled in the trial.
    """
    states = list(planned)
    places = {state.name: place for place, state in enumerate(planned)}
    for other in others:
        place = places.get(other.name)
        if place is not None and (other.probe == planned[place].probe):
            states[place] = other
        elif other.probe.source != "ops":
            known = ", ".join(repr(s.name) for s in planned if s.probe.source != "ops")
            raise BadData(
                f"steady state {other.name!r} was not sampled with this probe in the trial\n\n"
                f"hint: sampled were {known or 'none'}; `seatrial run` samples anew"
            )
        elif place is not None:
            states[place] = other
        else:
            states.append(other)
    return tuple(states)


def times_of(history: History, folder: TrialFolder) -> Mapping[str, FaultTimes]:
    """The times of each fault that was begun."""
    by_name = {phase.name: phase for phase in phases(history)}
    ok = history.client & (history.type == Type.OK)
    ends = [
        by_name[name].end_ns for name in ("steady-after", "heal", "workload") if name in by_name
    ]
    return fault_times(
        fault_windows(history),
        np.sort(history.time_ns[ok]),
        by_name.get("steady-before"),
        max(ends, default=0),
        read_roles(folder.roles),
    )


def budget_part(slo: Slo, history: History, folder: TrialFolder) -> Part:
    """How much of the error budget the trial spent, against what it was allowed."""
    used, left = spent(history, slo), read_budget(folder)
    share = min(slo.share_s, left.left_s) if left is not None else slo.share_s
    document: dict[str, Json] = {
        "slo": slo.name,
        "spent_s": used.bad,
        "seconds": used.seconds,
        "budget_s": round(slo.budget_s, 3),
        "allowed_s": round(share, 3),
        "spent_before_s": None if left is None else left.spent_s + left.spent_elsewhere_s,
    }
    said = (
        f"the trial spent {used.bad} s ({used.bad / slo.budget_s:.2%}) of the error budget of "
        f"{slo.name!r}; {share:,.1f} of {slo.budget_s:,.0f} s were allowed"
    )
    if used.reason:
        return Part(BUDGET_PART, Validity.UNKNOWN, f"{slo.name}: {used.reason}", document)
    if used.bad <= share:
        return Part(BUDGET_PART, Validity.VALID, said, document)
    blamed = Validity.INVALID if used.bad > slo.share_s else Validity.UNKNOWN
    return Part(BUDGET_PART, blamed, said, document)


def fault_labels(planned: Sequence[PlannedFault], history: History) -> dict[str, str]:
    """How sentences call each fault: its kind and role, its victims, its id."""
    victims = {window.fault: ", ".join(window.victims) for window in fault_windows(history)}
    out = {}
    for fault in planned:
        whom = victims.get(fault.id, "")
        role = fault.victims if fault.victims != whom else ""
        out[fault.id] = f"{fault.kind} of {' '.join(filter(None, (role, whom)))} ({fault.id})"
    return out


def calm_until_s(history: History) -> float:
    """When the stretch before the faults ended, in seconds of the trial."""
    return next((p.end_ns / 1e9 for p in phases(history) if p.name == "steady-before"), 0.0)


def steady_state_part(state: SteadyStateResult, calm_until_s: float = 0.0) -> Part:
    """A steady state's part; one that only notes never turns the trial.

    What broke before `calm_until_s`, when no fault had begun, blames no fault: it is unknown.
    """
    document = state.to_json()
    document["stretches"] = document.pop("readings")
    document["series"] = {"t_s": _rounded(state.seconds), "value": _rounded(state.values)}
    verdict, cause = state.validity, state.cause
    broken = {r.when for r in state.readings if r.validity is Validity.INVALID}
    first_s = min((start for start, _ in state.broke), default=calm_until_s)
    if "before" in broken or ("continuously" in broken and first_s < calm_until_s):
        verdict = Validity.UNKNOWN
        cause = f"it was not steady to begin with, before any fault: {cause}"
    return Part(state.name, verdict if state.judged else Validity.VALID, cause, document)


def _rounded(values: NDArray[np.float64]) -> list[Json]:
    return [round(value, 4) for value in values.tolist()]

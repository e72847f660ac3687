"""A whole trial on a live etcd with faults chosen by hand: load, faults, evidence, judgement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from seatrial.case import Case, Intent, Limits
from seatrial.fault import PlannedFault
from seatrial.runner import display
from seatrial.runner.outside import run_trial
from seatrial.runner.planner import Overrides, make_plan
from seatrial.trial import Evidence, TrialFolder, TrialRecord
from seatrial.verdict import Json

#: No fault starts sooner: the load begins with a stretch without faults.
CALM_S = 1.0

REGISTER = Case(
    name="harm",
    title="Linearizable registers while one thing after another is broken",
    intent=Intent(claim="registers stay linearizable", refuted_by="a history that is not"),
    workload="register",
    limits=Limits(min_ok=5, min_ok_in_fault=0, min_attempts_in_fault=1),
    concurrency=6,
    rate=200.0,
    nodes=3,
)


def planned(
    kind: str,
    start_s: float,
    duration_s: float,
    nodes: Sequence[str] = (),
    victims: str = "one",
    options: Mapping[str, Json] | None = None,
) -> PlannedFault:
    """One fault; its id is its kind and its moment."""
    return PlannedFault(
        id=f"{kind}-{start_s:g}",
        kind=kind,
        victims=victims,
        nodes=tuple(nodes),
        start_s=CALM_S + start_s,
        duration_s=duration_s,
        options=options or {},
    )


def sail(
    folder: Path,
    faults: Sequence[PlannedFault],
    *,
    case: Case = REGISTER,
    binary: str | None = None,
    isolation: str = "namespace",
) -> tuple[str, str, dict[str, Evidence], TrialRecord]:
    """Carry the faults out under load: verdict, cause, evidence by fault, and the record."""
    ends = max(fault.start_s + fault.duration_s for fault in faults)
    chosen = Overrides(
        faults=(), time_limit_s=ends + 2 * CALM_S, binary=binary, isolation=isolation
    )
    plan = make_plan(case, 1, chosen)
    phases = plan.phases.model_copy(
        update={"before_s": CALM_S, "faults_s": ends - CALM_S, "after_s": CALM_S}
    )
    plan = plan.model_copy(update={"faults": tuple(faults), "phases": phases})
    judgement = run_trial(plan, folder, display.make(quiet=True), keep=False)
    (record,) = folder.glob("**/trial.json")
    kept = TrialFolder(record.parent)
    evidence = {each.fault.id: each for each in kept.read_evidence()}
    parsed = TrialRecord.model_validate_json(kept.record.read_text(encoding="utf-8"))
    assert parsed.status == "finished", parsed.reason
    return str(judgement.verdict), judgement.cause, evidence, parsed


def assert_proved(evidence: Mapping[str, Evidence], faults: Sequence[PlannedFault]) -> None:
    """Each fault was carried out, seen to act, healed, and seen to have ended."""
    for fault in faults:
        found = evidence[fault.id]
        assert found.error is None, (fault.id, found.error)
        assert found.effect is not None and found.effect.seen, (fault.id, found.effect)
        assert found.recovery is not None and found.recovery.seen, (fault.id, found.recovery)

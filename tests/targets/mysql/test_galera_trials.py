"""Whole trials on three real nodes of Galera in the lab: killed, cut off, healed, judged.

`seatrial run galera-bank` does the same for longer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from seatrial.cases import case
from seatrial.fault import PlannedFault
from seatrial.runner import display
from seatrial.runner.judge import Judgement
from seatrial.runner.outside import run_trial
from seatrial.runner.planner import Overrides, make_plan
from seatrial.targets.mysql import make_galera
from seatrial.verdict import Json, Validity

pytestmark = [
    pytest.mark.full,
    pytest.mark.skipif(
        bool(make_galera({}).why_not_here()),
        reason="no mariadbd with Galera here: make test-full installs it",
    ),
]

CALM_S = 3.0


def planned(kind: str, start_s: float, node: str, options: Mapping[str, Json]) -> PlannedFault:
    """One fault on one node, long enough to be noticed by the others."""
    return PlannedFault(
        id=f"{kind}-{node}",
        kind=kind,
        victims="one",
        nodes=(node,),
        start_s=start_s,
        duration_s=9.0,
        options=options,
    )


def trial(
    folder: Path, name: str, faults: Sequence[PlannedFault], settings: Mapping[str, Json]
) -> Judgement:
    """A trial of a case with these faults."""
    ends = max((fault.start_s + fault.duration_s for fault in faults), default=10.0)
    chosen = case(name).model_copy(update={"target_settings": settings})
    plan = make_plan(chosen, 1, Overrides(faults=(), time_limit_s=ends + 4 * CALM_S))
    phases = plan.phases.model_copy(
        update={"before_s": CALM_S, "faults_s": ends, "after_s": 3 * CALM_S}
    )
    plan = plan.model_copy(update={"faults": tuple(faults), "phases": phases})
    return run_trial(plan, folder, display.make(quiet=True), keep=False)


def test_what_galera_promises_holds_while_a_node_is_killed_and_another_cut_off(
    tmp_path: Path,
) -> None:
    """The bank; registers and transactions are left to trials, which take minutes each."""
    faults = (
        planned("kill", CALM_S, "n2", {}),
        planned("partition", CALM_S + 22.0, "n1", {"shape": "isolate"}),
    )

    found = trial(tmp_path, "galera-bank", faults, {})

    assert [part.verdict for part in found.faults] == [Validity.VALID] * 2, found.cause
    checkers = {one: verdict.verdict for one, verdict in found.checkers.items()}
    assert checkers == dict.fromkeys(checkers, Validity.VALID), found.cause
    assert "own check found nothing on 3 nodes" in found.checkers["replicas"].cause


def test_plain_repeatable_read_is_no_snapshot_isolation_and_that_is_seen(tmp_path: Path) -> None:
    """InnoDB's REPEATABLE READ writes over what its snapshot does not show, unless told not to."""
    settings: dict[str, Json] = {"snapshot_isolation": False, "lock_reads": False}

    found = trial(tmp_path, "galera-append", (), settings)

    assert found.checkers["list-append"].verdict is Validity.INVALID, found.cause
    assert found.checkers["replicas"].verdict is Validity.VALID

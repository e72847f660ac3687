"""What the stored trials have covered: fault kind × role × workload × target, and the holes.

Only what proves something counts: a trial that ended in order and did enough to count (the checker
`stats` is content), and in it each fault that was seen to act and to heal.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import NamedTuple

from seatrial import faults, targets, workloads
from seatrial.fault import SIZES
from seatrial.plan import Plan
from seatrial.runner.store import StoredTrial, trials
from seatrial.verdict import Json, Validity


class Cell(NamedTuple):
    """One combination."""

    target: str
    workload: str
    kind: str
    role: str


@dataclass(frozen=True, slots=True)
class Coverage:
    """How many faults of each combination acted and healed, and in how many trials.

    `left_out` counts stored trials that prove nothing, by reason.
    """

    faults: Counter[Cell]
    trials: int
    left_out: Counter[str]

    def holes(self) -> tuple[Cell, ...]:
        """Every combination of the catalogues that nothing covers."""
        return tuple(cell for cell in _all() if cell not in self.faults)

    def document(self) -> dict[str, Json]:
        """The whole as JSON."""
        cells: list[Json] = [
            {**cell._asdict(), "faults": count} for cell, count in sorted(self.faults.items())
        ]
        holes: list[Json] = [{**cell._asdict()} for cell in self.holes()]
        return {
            "schema": "seatrial/coverage/1",
            "trials": self.trials,
            "left_out": dict(self.left_out),
            "covered": cells,
            "holes": holes,
        }


def cover(store: Path) -> Coverage:
    """Read the store. O(trials); no history is read."""
    found: Counter[Cell] = Counter()
    left_out: Counter[str] = Counter()
    counted = 0
    for trial in trials(store):
        cells, reason = _cells(trial)
        if reason:
            left_out[reason] += 1
        else:
            counted += 1
            found.update(cells)
    return Coverage(found, counted, left_out)


def _cells(trial: StoredTrial) -> tuple[Iterable[Cell], str]:
    """The combinations that a trial proves, or why it proves none."""
    if trial.record is None or trial.record.status not in ("finished", "aborted"):
        return (), "did not end in order" if trial.record is not None else "damaged"
    try:
        plan = Plan.model_validate_json(trial.folder.plan.read_text(encoding="utf-8"))
        verdict = json.loads(trial.folder.verdict.read_text(encoding="utf-8"))
        stats = verdict["checkers"]["stats"]["verdict"]
        seen = [
            Cell(plan.target.name, plan.workload.name, str(fault["kind"]), str(fault["role"]))
            for fault in verdict["faults"]
            if fault["verdict"] == Validity.VALID and not fault.get("skipped")
        ]
    except FileNotFoundError:
        return (), "not judged"
    except (OSError, ValueError, KeyError, TypeError):
        return (), "damaged, or of another version"
    if stats != Validity.VALID:
        return (), "vacuous"
    return seen, ""


def _all() -> Iterable[Cell]:
    for target in targets.TARGETS:
        roles = roles_of(target)
        known = targets.workloads_of(target)
        can = [name for name in workloads.WORKLOADS if known is None or name in known]
        for workload, kind, role in product(can, faults.FAULTS, roles):
            yield Cell(target, workload, kind, role)


def roles_of(target: str) -> Sequence[str]:
    """Whom a fault can go to: the sizes, and the target's roles."""
    return (*SIZES, *targets.make(target).roles)

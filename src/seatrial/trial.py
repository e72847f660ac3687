"""A stored trial: a folder, whole and portable. This module says what lies where.

`plan.json`, `trial.json` (status, versions, host), `history.arrow`, `evidence/FAULT.json`,
`clocks.json` (where steps had clocks of their own), `metrics/`, `logs/`, `verdict.json`,
`report.html`. Each JSON file names its format in `format`
(verdicts in `schema`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from seatrial.errors import CannotCreate
from seatrial.fault import PlannedFault
from seatrial.verdict import Json


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class StoredProof(_Data):
    """A probe's reading, as evidence keeps it (`seatrial.fault.Proof`)."""

    seen: bool
    sentence: str
    measured: Mapping[str, Json] = {}


#: A fault that is healed sooner than this before its planned end was not cut short.
ENDED_EARLY_S = 0.1


class Evidence(_Data):
    """What became of one planned fault. Times in ns from the start of the trial, None if never.

    `skipped` says why it was rightly left out (its ramp had found the breaking point), `ended` why
    it was rightly ended before its time (that, or the trial was aborted).
    """

    format: Literal["seatrial/evidence/1"] = "seatrial/evidence/1"
    fault: PlannedFault
    victims: tuple[str, ...] = ()
    inject_ns: int | None = None
    injected_ns: int | None = None
    heal_ns: int | None = None
    healed_ns: int | None = None
    effect: StoredProof | None = None
    recovery: StoredProof | None = None
    error: str | None = None
    #: How far these moments may be off the trial's axis; 0: the load's own clock; None: unknown,
    #: or not placed on it.
    clock_bound_ns: int | None = 0
    skipped: str = ""
    ended: str = ""
    #: How long after its planned moment it began; None if it never did, or nobody noted it.
    late_s: float | None = None

    @property
    def acts_ns(self) -> int | None:
        """From when on its planned duration counts: it acts on all victims, however long the
        injection took; None if it never began."""
        return self.inject_ns if self.injected_ns is None else self.injected_ns


class RampLevel(_Data):
    """One level of a ramp: the worst reading of each watched steady state while it lasted."""

    level: float
    readings: Mapping[str, float | None] = {}


class RampOutcome(_Data):
    """What a ramp found. `broke`: the level at which a steady state broke, None if none did."""

    id: str
    held: float | None = None
    broke: float | None = None
    broke_ns: int | None = None
    levels: tuple[RampLevel, ...] = ()
    sentence: str


class TrialRecord(_Data):
    """`trial.json`: how the trial went, apart from what it found."""

    format: Literal["seatrial/trial/1"] = "seatrial/trial/1"
    trial: str
    status: Literal["running", "finished", "interrupted", "aborted", "failed"]
    started: str
    reason: str = ""
    versions: Mapping[str, str] = {}
    host: Mapping[str, Json] = {}
    nodes: Mapping[str, Mapping[str, Json]] = {}
    leaks: tuple[str, ...] = ()
    #: What happened to nodes outside of the plan: ends of their processes, and long silence.
    unplanned: tuple[str, ...] = ()
    ramps: tuple[RampOutcome, ...] = ()


class TrialFolder:
    """Paths inside one trial's folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.plan = root / "plan.json"
        self.record = root / "trial.json"
        self.history = root / "history.arrow"
        self.evidence = root / "evidence"
        self.clocks = root / "clocks.json"
        self.metrics = root / "metrics"
        self.logs = root / "logs"
        #: Where the nodes' data lies while the trial runs; gone after it.
        self.data = root / "data"
        #: A copy of the nodes' data, with `--keep`.
        self.nodes = root / "nodes"
        #: Samples of probes that were asked inside the lab, and on the host.
        self.samples = self.metrics / "samples.jsonl"
        #: What was known when it began: learnt baselines, and what was left of an error budget.
        #: Who led, over time.
        self.roles = self.metrics / "roles.jsonl"
        self.baselines = self.metrics / "baselines.json"
        self.budget = self.metrics / "budget.json"
        self.samples_host = self.metrics / "samples-host.jsonl"
        self.verdict = root / "verdict.json"
        self.report = root / "report.html"

    def read_evidence(self) -> tuple[Evidence, ...]:
        """All evidence in order of the planned start; files that do not parse raise."""
        if not self.evidence.is_dir():
            return ()
        found = [
            Evidence.model_validate_json(path.read_text(encoding="utf-8"))
            for path in sorted(self.evidence.glob("*.json"))
        ]
        return tuple(sorted(found, key=lambda e: (e.fault.start_s, e.fault.id)))


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all (a crash leaves the old one); makes its folder.

    Raises `CannotCreate` where it cannot be written.
    """
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink()
        raise CannotCreate(
            f"cannot write {path}: {error.strerror}\n\nhint: another --store, or free some space"
        ) from error

"""The canary: which checker catches which planted bug, and that none cries with no bug planted.

A checker that has never been seen to catch anything proves nothing when it is silent. Each bug is
planted in the simulated database under its workload, with growing numbers of ops until the checker
says `invalid`; then the same workloads run without a bug, where `invalid` would be a false alarm.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from statistics import median
from typing import Final

from seatrial.checker import Budget, CheckOptions
from seatrial.checkers import make
from seatrial.engine.simulated.bugs import BUGS
from seatrial.engine.simulated.run import simulate
from seatrial.engine.simulated.workloads import WORKLOADS, checkers_of
from seatrial.errors import UnknownName
from seatrial.history import History
from seatrial.verdict import Json, Validity, Verdict

SCHEMA: Final = "seatrial/canary/1"
#: Numbers of ops tried, one after another, until the bug is caught.
SIZES: Final = (125, 250, 500, 1000, 2000)
#: Ops of each trial without a bug.
CLEAN_OPS: Final = 500
CHECK_TIMEOUT_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Catch:
    """One bug and one checker. `ops` are the numbers of ops that it took, one a seed that caught.

    `anomalies` are the names of what it found, over all seeds, in alphabetical order. `expected`:
    the bug's entry says that this checker must catch it.
    """

    bug: str
    workload: str
    checker: str
    expected: bool
    seeds: int
    ops: tuple[int, ...]
    anomalies: tuple[str, ...] = ()

    @property
    def caught(self) -> int:
        """In how many seeds the checker said `invalid`."""
        return len(self.ops)


@dataclass(frozen=True, slots=True)
class Clean:
    """One workload, isolation and checker without a bug: false alarms, and how often unknown."""

    workload: str
    isolation: str
    checker: str
    seeds: int
    alarms: tuple[int, ...]  # the seeds
    unknown: int


@dataclass(frozen=True, slots=True)
class Matrix:
    """All catches and all clean runs."""

    seeds: int
    catches: tuple[Catch, ...]
    clean: tuple[Clean, ...]

    @property
    def missed(self) -> tuple[str, ...]:
        """Bugs that an expected checker never caught."""
        return tuple(c.bug for c in self.catches if c.expected and not c.caught)

    @property
    def alarms(self) -> int:
        """False alarms, all told."""
        return sum(len(row.alarms) for row in self.clean)

    @property
    def trusted(self) -> bool:
        """Every bug is caught by each checker that must, and there is no false alarm."""
        return not self.missed and not self.alarms


def canary(
    seeds: int = 20,
    *,
    bugs: Iterable[str] | None = None,
    sizes: tuple[int, ...] = SIZES,
    clean: bool = True,
    progress: Callable[[str], None] | None = None,
) -> Matrix:
    """Plant each of `bugs` (all of them by default) under seeds 0 … `seeds` − 1.

    Raises `UnknownName` for a bug that is in no table. Minutes for all bugs and 20 seeds.
    """
    names = list(BUGS if bugs is None else bugs)
    for name in names:
        if name not in BUGS:
            raise UnknownName("bug", name, BUGS)
    tell = progress or (lambda text: None)
    catches: list[Catch] = []
    for name in names:
        tell(f"bug {name}")
        catches += _plant(name, seeds, sizes)
    rows: list[Clean] = []
    for workload in dict.fromkeys(BUGS[name].workload for name in names) if clean else ():
        for isolation in WORKLOADS[workload].isolations:
            tell(f"no bug: {workload}, {isolation}")
            rows += _clean(workload, isolation, seeds)
    return Matrix(seeds, tuple(catches), tuple(rows))


def _plant(name: str, seeds: int, sizes: tuple[int, ...]) -> list[Catch]:
    bug = BUGS[name]
    checkers = checkers_of(bug.workload, WORKLOADS[bug.workload].isolations[0])
    needed: dict[str, list[int]] = {checker: [] for checker in checkers}
    found: dict[str, set[str]] = {checker: set() for checker in checkers}

    def caught(checker: str, history: History) -> bool:
        verdict = _verdict(checker, checkers[checker], history)
        if verdict.verdict is not Validity.INVALID:
            return False
        found[checker].update(anomaly.name for anomaly in verdict.anomalies)
        return True

    for seed in range(seeds):
        left = [checker for checker in checkers if checker in bug.checkers]
        besides = [checker for checker in checkers if checker not in bug.checkers]
        for ops in sizes:
            history = simulate(bug.workload, seed=seed, ops=ops, bug=name)
            last = ops == sizes[-1]
            for checker in tuple(left):
                if caught(checker, history):
                    needed[checker].append(ops)
                    left.remove(checker)
            if left and not last:
                continue
            for checker in besides:  # Judged once, where those that must catch it are done.
                if caught(checker, history):
                    needed[checker].append(ops)
            break
    return [
        Catch(
            name,
            bug.workload,
            checker,
            checker in bug.checkers,
            seeds,
            tuple(ops),
            tuple(sorted(found[checker])),
        )
        for checker, ops in needed.items()
    ]


def _clean(workload: str, isolation: str, seeds: int) -> list[Clean]:
    checkers = checkers_of(workload, isolation)
    alarms: dict[str, list[int]] = {checker: [] for checker in checkers}
    unknown = dict.fromkeys(checkers, 0)
    for seed in range(seeds):
        history = simulate(workload, seed=seed, ops=CLEAN_OPS, isolation=isolation)
        for checker, options in checkers.items():
            said = _verdict(checker, options, history).verdict
            if said is Validity.INVALID:
                alarms[checker].append(seed)
            unknown[checker] += said is Validity.UNKNOWN
    return [
        Clean(workload, isolation, checker, seeds, tuple(alarms[checker]), unknown[checker])
        for checker in checkers
    ]


def _verdict(checker: str, options: CheckOptions, history: History) -> Verdict:
    return make(checker, options).check(history, Budget.start(CHECK_TIMEOUT_S))


def to_json(matrix: Matrix) -> dict[str, Json]:
    """The matrix as one JSON document."""
    return {
        "schema": SCHEMA,
        "seeds": matrix.seeds,
        "trusted": matrix.trusted,
        "missed": list(matrix.missed),
        "false_alarms": matrix.alarms,
        "bugs": [
            {
                "bug": c.bug,
                "summary": BUGS[c.bug].summary,
                "workload": c.workload,
                "checker": c.checker,
                "expected": c.expected,
                "caught": c.caught,
                "ops_median": int(median(c.ops)) if c.ops else None,
                "anomalies": list(c.anomalies),
            }
            for c in matrix.catches
        ],
        "clean": [
            {
                "workload": row.workload,
                "isolation": row.isolation,
                "checker": row.checker,
                "alarms": list(row.alarms),
                "unknown": row.unknown,
            }
            for row in matrix.clean
        ],
    }


def to_text(matrix: Matrix) -> str:
    """The matrix as plain tables, then one sentence."""
    lines = [f"{'planted bug':<28}{'workload':<13}{'checker':<14}{'caught':>8}{'ops':>7}"]
    for c in matrix.catches:
        if c.expected or c.caught:
            ops = f"{int(median(c.ops))}" if c.ops else "-"
            mark = "" if c.expected else "  (besides)"
            caught = f"{c.caught}/{c.seeds}"
            lines.append(f"{c.bug:<28}{c.workload:<13}{c.checker:<14}{caught:>8}{ops:>7}{mark}")
    if matrix.clean:
        header = f"{'no bug':<13}{'isolation':<21}{'checker':<14}{'alarms':>8}{'unknown':>9}"
        lines += ["", header]
    for row in matrix.clean:
        alarms, unknown = f"{len(row.alarms)}/{row.seeds}", f"{row.unknown}/{row.seeds}"
        lines.append(
            f"{row.workload:<13}{row.isolation:<21}{row.checker:<14}{alarms:>8}{unknown:>9}"
        )
    planted = len({c.bug for c in matrix.catches})
    missed = f"missed: {', '.join(matrix.missed)}" if matrix.missed else "each was caught"
    lines += ["", f"{planted} bugs planted, {missed}; {matrix.alarms} false alarms"]
    return "\n".join(lines) + "\n"


def to_document(matrix: Matrix) -> str:
    """`to_json` as text."""
    return json.dumps(to_json(matrix), indent=2) + "\n"

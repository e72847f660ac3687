"""From anomalies to a verdict: what was asked for, what was found, what it rules out.

The verdict is `invalid` exactly when something was found that the requested consistency model (or
list of anomalies) forbids; everything else found is told in the details as seen but allowed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from seatrial.checker import CheckOptions
from seatrial.checkers.transactions import models
from seatrial.errors import UsageError
from seatrial.verdict import Anomaly, Json, Verdict

DEFAULT_MODEL = "strict-serializable"


@dataclass(frozen=True, slots=True)
class Demand:
    """What must not be found: the anomalies forbidden, and why."""

    models: tuple[str, ...]
    anomalies: tuple[str, ...]
    forbidden: frozenset[str]

    @property
    def order(self) -> str:
        """The order that transactions must keep: `-realtime`, `-process` or none."""
        for order in ("-realtime", "-process"):
            if any(name.endswith(order) for name in self.forbidden):
                return order
        return ""

    @property
    def label(self) -> str:
        """What was asked, in words."""
        if self.models:
            return " and ".join(map(models.words, self.models))
        return "free of " + ", ".join(self.anomalies)


def demand(options: CheckOptions, default: str = DEFAULT_MODEL) -> Demand:
    """What the options ask for; raises `UnknownName` or `UsageError` for what they cannot mean."""
    listed = options.extra.get("anomalies")
    names: tuple[str, ...] = ()
    if listed is not None:
        if isinstance(listed, str):
            listed = [part for part in listed.split(",") if part]
        if not isinstance(listed, (list, tuple)) or not listed:
            raise UsageError(
                f"anomalies must be a list of names, not {listed!r}\n\n"
                "hint: for example ['G1', 'G-single']"
            )
        names = tuple(models.known_anomaly(str(name)) for name in listed)
    asked = options.consistency_model or ("" if names else default)
    wanted = tuple(models.canonical(part) for part in asked.split(",") if part.strip())
    forbidden = models.forbidden(wanted) | models.implying(names)
    return Demand(wanted, names, forbidden)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a checker found in a history.

    `found` tells each anomaly by name (drawn only when asked, since drawing costs time). `spare`
    are cycles that hold if real-time or process order is preferred to data dependencies. `doubts`
    are reasons why the history cannot be `valid` even if nothing is found.
    """

    judged: int
    found: dict[str, Callable[[], Anomaly]]
    spare: dict[str, Callable[[], Anomaly]]
    counts: dict[str, int]
    doubts: tuple[str, ...] = ()
    details: dict[str, Json] | None = None


#: The order of telling: plain anomalies of single transactions, then cycles from bad to subtle.
_TELLING = (
    "garbage-read",
    "duplicate-elements",
    "incompatible-order",
    "cyclic-versions",
    "internal",
    "future-read",
    "G1a",
    "G1b",
    "dirty-update",
    "lost-update",
    *models.CYCLE_ANOMALIES,
    "empty-transaction-graph",
)


def _telling(names: Iterable[str]) -> list[str]:
    known = {name: i for i, name in enumerate(_TELLING)}
    return sorted(names, key=lambda name: (known.get(name, len(known)), name))


def judge(asked: Demand, evidence: Evidence) -> Verdict:
    """The verdict on what was found."""
    found = dict(evidence.found)
    if not asked.forbidden & found.keys():
        found.update(
            {name: tell for name, tell in evidence.spare.items() if name in asked.forbidden}
        )
    bad = [name for name in found if name in asked.forbidden]
    details = _details(asked, found, evidence)
    undecided = [name for name in found if name in models.UNDECIDED]
    if bad:
        told = [found[name]() for name in _telling([*bad, *undecided])]
        return Verdict.invalid(
            _cause(asked, bad), judged=evidence.judged, anomalies=told, details=details
        )
    told = [found[name]() for name in _telling(undecided)]
    if not evidence.judged:
        doubt = evidence.doubts[0] if evidence.doubts else "no `ok` transaction to judge"
        return Verdict.unknown(doubt, judged=0, anomalies=told, details=details)
    if evidence.doubts or told:
        doubt = evidence.doubts[0] if evidence.doubts else told[0].explanation
        return Verdict.unknown(doubt, judged=evidence.judged, anomalies=told, details=details)
    return Verdict.valid(
        f"{evidence.judged:,} transactions are consistent with {asked.label}",
        judged=evidence.judged,
        details=details,
    )


def _details(asked: Demand, found: Iterable[str], evidence: Evidence) -> dict[str, Json]:
    names = set(found) - models.UNDECIDED
    not_, also_not = models.boundary(names)
    out: dict[str, Json] = dict(evidence.details or {})
    if asked.models:
        out["consistency_model"] = list(asked.models)
    if asked.anomalies:
        out["anomalies_judged"] = list(asked.anomalies)
    out["not"] = list(not_)
    out["also_not"] = list(also_not)
    out["may_still_be"] = list(models.still_possible(names, asked.models))
    allowed = [name for name in _telling(names) if name not in asked.forbidden]
    if allowed:
        out["seen_but_allowed"] = {name: evidence.counts.get(name, 1) for name in allowed}
    if len(evidence.doubts) > 0:
        out["doubts"] = list(evidence.doubts)
    return out


def _cause(asked: Demand, bad: Sequence[str]) -> str:
    """`this history is not snapshot isolation (G-single); it may still be read committed`."""
    by_model: dict[str, list[str]] = {}
    weakest, _ = models.boundary(bad)
    for model in weakest:
        guilty = [n for n in _telling(bad) if model in models.ruled_out([n])]
        by_model[model] = guilty
    if not by_model:
        return f"this history holds {', '.join(_telling(bad))}, which must not be there"
    first = " or ".join(map(models.words, by_model))
    guilty = _telling({name for names in by_model.values() for name in names})
    possible = models.still_possible(bad, asked.models)
    rest = f"; it may still be {' or '.join(map(models.words, possible))}" if possible else ""
    return f"this history is not {first} ({', '.join(guilty)}){rest}"

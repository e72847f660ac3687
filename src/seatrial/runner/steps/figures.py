"""Figures that a workflow's engine measures: one plain value a file, beside a step's other files.

Argo reads them as output parameters; it cannot look into JSON.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from seatrial.runner.judge import Judgement
from seatrial.runner.steps.step import Step
from seatrial.trial import write_text
from seatrial.verdict import Json

#: Where recovery was not measured, or the target never recovered.
NOT_KNOWN = -1.0


def keep(step: Step, figures: Mapping[str, str | int | float]) -> None:
    """Write each figure into a file of its name in the step's room."""
    for name, value in figures.items():
        write_text(step.path / name, f"{value:.3f}" if isinstance(value, float) else str(value))


def recovery_s(judgement: Judgement) -> float:
    """The longest recovery from a fault, in seconds, as a steady state read it.

    `NOT_KNOWN` where no steady state asks for it, or the target never recovered.
    """
    found = [
        value
        for part in judgement.steady_states
        if part.document.get("metric") == "recovery_s"
        for value in _values(part.document.get("stretches"))
    ]
    return max(found, default=NOT_KNOWN)


def _values(stretches: Json) -> list[float]:
    readings = stretches.values() if isinstance(stretches, Mapping) else ()
    values = [each.get("value") for each in readings if isinstance(each, Mapping)]
    return [float(v) for v in values if isinstance(v, (int, float)) and math.isfinite(v)]

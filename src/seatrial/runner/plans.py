"""Reading a stored plan back."""

from __future__ import annotations

from seatrial.errors import BadData, NoInput
from seatrial.plan import Plan
from seatrial.trial import TrialFolder


def read_plan(folder: TrialFolder) -> Plan:
    """The plan of a stored trial; raises `NoInput` or `BadData`."""
    try:
        return Plan.model_validate_json(folder.plan.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise NoInput(
            f"{folder.root} is no trial: it has no plan.json\n\nhint: seatrial list trials"
        ) from error
    except ValueError as error:
        raise BadData(f"{folder.plan} is not a plan of this version: {error}") from error

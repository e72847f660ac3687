"""What the command line changes of single kinds of faults: `KIND.NAME=VALUE`."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import ValidationError

from seatrial import faults as shelf
from seatrial.errors import UsageError
from seatrial.runner.limits import changed
from seatrial.schedule import FaultChoice, Schedule, leaves
from seatrial.settings import from_text

#: Names that are no options of the kind but of its place in the schedule.
VICTIMS, DURATION = "victims", "duration_s"


def with_fault_options(schedule: Schedule, texts: Sequence[str]) -> Schedule:
    """The schedule with `texts` laid over its faults, one after another.

    Raises `UsageError` for what is no `KIND.NAME=VALUE`, for a kind that the schedule does not
    hold, and for one in a pattern that sets its options itself (a ramp, a swizzle, a flapping).
    """
    for text in texts:
        name, sign, value = text.partition("=")
        kind, dot, option = name.partition(".")
        if not (sign and dot and kind and option and value):
            raise UsageError(
                f"--fault-option {text!r} is no KIND.NAME=VALUE\n\n"
                "hint: --fault-option delay.latency_ms=200"
            )
        schedule = _laid_over(schedule, kind, option, value)
    return schedule


def _laid_over(schedule: Schedule, kind: str, option: str, text: str) -> Schedule:
    _ = shelf.FAULTS[kind]
    there = [choice.kind for choice in leaves(schedule.root)]
    if kind not in there:
        raise UsageError(
            f"--fault-option for {kind!r}, which is not among the faults\n\n"
            f"hint: --faults {','.join(dict.fromkeys([*there, kind]))}"
        )

    def change(choice: FaultChoice) -> FaultChoice:
        return _changed(choice, option, text) if choice.kind == kind else choice

    made = changed(schedule, change)
    if made == schedule and all(
        change(choice) != choice for choice in leaves(schedule.root) if choice.kind == kind
    ):
        raise UsageError(
            f"--fault-option {kind}.{option}: the case's pattern sets what {kind!r} does itself"
            f"\n\nhint: --faults {kind} takes it out of the pattern"
        )
    return made


def _changed(choice: FaultChoice, option: str, text: str) -> FaultChoice:
    changes: dict[str, object]
    if option == VICTIMS:
        changes = {"victims": tuple(word.strip() for word in text.split(","))}
    elif option == DURATION:
        changes = {"duration_s": _durations(choice.kind, text)}
    else:
        changes = {"options": tuple({**o, option: from_text(text)} for o in choice.options)}
    try:
        return FaultChoice.model_validate({**choice.model_dump(), **changes})
    except ValidationError as error:
        raise UsageError(
            f"--fault-option {choice.kind}.{option}={text}: {error.errors()[0]['msg']}"
        ) from None


def _durations(kind: str, text: str) -> tuple[float, float]:
    words = text.split(",")
    try:
        return float(words[0]), float(words[-1])
    except ValueError:
        raise UsageError(
            f"--fault-option {kind}.duration_s={text!r}: seconds, or the least and the most of "
            "them\n\nhint: duration_s=3,5"
        ) from None

"""Settings of targets and workloads: JSON in, a checked model out, errors said at once."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from seatrial.errors import UsageError
from seatrial.verdict import Json


class Settings(BaseModel):
    """Base of all settings models: frozen, and no setting that is not declared."""

    model_config = ConfigDict(frozen=True, extra="forbid")


Model = TypeVar("Model", bound=Settings)


def parse(owner: str, model: type[Model], given: Mapping[str, Json]) -> Model:
    """`given` as a `model`; missing settings take their defaults.

    `owner` names whose settings they are (`target 'etcd'`). Raises `UsageError` that says every
    unknown name (with the nearest known one) and every bad value at once.
    """
    try:
        return model.model_validate(dict(given))
    except ValidationError as error:
        known = list(model.model_fields)
        lines = [_line(owner, problem, known) for problem in error.errors()]
        raise UsageError(
            "\n".join(lines) + f"\n\nhint: known settings: {', '.join(known)}"
        ) from None


def _line(owner: str, problem: Any, known: list[str]) -> str:
    name = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
        nearest = f" (did you mean {close[0]!r}?)" if close else ""
        return f"{owner} has no setting {name!r}{nearest}"
    message = problem["msg"].removeprefix("Value error, ")
    if not name:
        return f"{owner}: {message}"
    return f"{owner}: setting {name!r} is {problem['input']!r}: {message}"


def from_text(text: str) -> Json:
    """A value as it is typed: JSON where it is JSON (200, true, [1, 2]), else the text itself."""
    try:
        value: Json = json.loads(text)
    except ValueError:
        return text
    return value

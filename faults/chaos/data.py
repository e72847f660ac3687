"""The common ground of all values here: frozen, no unknown field, errors in the project's words."""

from __future__ import annotations

import difflib
from typing import Any, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    ModelWrapValidatorHandler,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails

from seatrial.errors import UsageError


class Data(BaseModel):
    """A frozen value. What is wrong with it is one `UsageError` that lists every problem."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @model_validator(mode="wrap")
    @classmethod
    def _in_our_words(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            return handler(data)
        except ValidationError as error:
            raise UsageError(_sentence(cls, error)) from None

    @classmethod
    def title(cls) -> str:
        """What errors call it."""
        return cls.__name__.lower()

    @classmethod
    def stranger(cls, name: str) -> str:
        """What to say about a field that is not here, besides the nearest name; may be ""."""
        return ""


def _sentence(cls: type[Data], error: ValidationError) -> str:
    found = [_problem(cls, detail) for detail in error.errors()]
    problems = "; ".join(problem for problem, _ in found)
    hints = "; ".join(dict.fromkeys(hint for _, hint in found))
    return f"{cls.title()}: {problems}\n\nhint: {hints}"


def _problem(cls: type[Data], detail: ErrorDetails) -> tuple[str, str]:
    where = ".".join(map(str, detail["loc"])) or "value"
    if detail["type"] == "missing":
        return f"field {where!r} is missing", f"give {where!r}"
    if detail["type"] != "extra_forbidden":
        said = detail["msg"]
        return f"field {where!r}: {said[0].lower()}{said[1:]} (was {detail['input']!r})", (
            f"change {where!r}"
        )
    known = f"fields: {', '.join(cls.model_fields) or 'none'}"
    told = cls.stranger(where)
    if told:
        return f"field {where!r} (was {detail['input']!r}) {told}", known
    close = difflib.get_close_matches(where, cls.model_fields, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]!r}?" if close else known
    return f"there is no field {where!r} (was {detail['input']!r})", hint

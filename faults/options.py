"""Typed options of faults: checked when a plan is made, read when a fault is carried out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from pydantic import ConfigDict

from seatrial.errors import UsageError
from seatrial.settings import Settings, parse
from seatrial.verdict import Json


class Options(Settings):
    """Base of the options of a kind: frozen, and no option that is not declared."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class NoOptions(Options):
    """A kind without options."""


Model = TypeVar("Model", bound=Settings)


def read(kind: str, model: type[Model], given: Mapping[str, Json]) -> Model:
    """`given` as the options of `kind`; raises `UsageError` that names each bad one."""
    return parse(f"fault {kind!r}", model, given)


def problem(kind: str, model: type[Settings], given: Mapping[str, Json]) -> str:
    """What is wrong with `given`, "" if nothing is."""
    try:
        parse(f"fault {kind!r}", model, given)
    except UsageError as error:
        return str(error)
    return ""

"""The tables of `docs/reference/chaos-mesh.md`, from the values themselves."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from seatrial.faults.chaos.action import Action, places
from seatrial.faults.chaos.catalogue import FAMILIES, Family
from seatrial.faults.chaos.data import Data
from seatrial.faults.chaos.http import Tls
from seatrial.faults.chaos.kernel import Frame
from seatrial.faults.chaos.selector import (
    Expression,
    MachineSelector,
    MachineVictims,
    Selector,
    Victims,
)


def tables() -> str:
    """The made part of the page. O(fields)."""
    parts = [*_common()]
    for family in FAMILIES.values():
        parts += _family(family)
    return "\n".join(parts).rstrip() + "\n"


def _common() -> Iterator[str]:
    yield "## On whom\n"
    yield "`Victims` are pods, `MachineVictims` machines; a mode says how many of the selected.\n"
    for data in (Victims, Selector, Expression, MachineVictims, MachineSelector):
        yield f"### {data.__name__}\n"
        yield _table(data)


def _family(family: Family) -> Iterator[str]:
    yield f"## {family.kind} (`{family.name}`)\n"
    yield f"Needs {family.needs}. Module `seatrial.faults.chaos.{family.name}`.\n"
    shared = _shared(family)
    if shared:
        yield f"All actions of {family.kind}:\n"
        yield _table(family.actions[0], only=shared)
    for action in family.actions:
        yield f"### {family.name}: `{action.short()}`\n"
        over = " It is over at once." if action.one_shot else ""
        yield f"`{action.__name__}`: {action.summary}.{over}\n"
        own = [name for name in action.model_fields if name not in shared]
        if own:
            yield _table(action, only=own)
    for data, kind in ((Frame, "kernel"), (Tls, "http")):
        if family.name == kind:
            yield f"### {data.__name__}\n"
            yield _table(data)


def _shared(family: Family) -> list[str]:
    if len(family.actions) == 1:
        return []
    first = family.actions[0]
    return [
        name
        for name, field in first.model_fields.items()
        if all(
            name in each.model_fields
            and repr(each.model_fields[name]) == repr(field)
            and dict(places(each))[name].path == dict(places(first))[name].path
            for each in family.actions
        )
    ]


def _table(data: type[Data], only: list[str] | None = None) -> str:
    where = dict(places(data)) if issubclass(data, Action) else {}
    rows = []
    for name, field in data.model_fields.items():
        if only is None or name in only:
            at = f"`{where[name].path}`" if name in where else ""
            cells = (f"`{name}`", _kind(field), _default(field), field.description or "", at)
            rows.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    if where:
        head = "| field | what | default | meaning | in the spec |\n|---|---|---|---|---|"
    else:
        head = "| field | what | default |\n|---|---|---|"
        rows = [re.sub(r" \|  \|  \|$", " |", row) for row in rows]
    return "\n".join((head, *rows)) + "\n"


def _default(field: FieldInfo) -> str:
    if field.default_factory is not None:
        return "none"
    if field.default is PydanticUndefined:
        return "**required**"
    if field.default is None or field.default == ():
        return "none"
    value = field.default
    return f"`{', '.join(value)}`" if isinstance(value, tuple) else f"`{value}`"


def _kind(field: FieldInfo) -> str:
    return _bounded(_type(field.annotation), field.metadata)


def _bounded(name: str, metadata: list[Any]) -> str:
    """A type with its bounds: `int, ≥ 1, < 2147483648`."""
    flat = [inner for each in metadata for inner in getattr(each, "metadata", [each])]
    signs = {"gt": ">", "ge": "≥", "lt": "<", "le": "≤"}
    said = [
        f"{sign} {_number(getattr(each, key))}"
        for key, sign in signs.items()
        for each in flat
        if getattr(each, key, None) is not None
    ]
    if name != "str":
        said += ["at least one" for each in flat if getattr(each, "min_length", None)]
    said += [f"multiple of {m.multiple_of}" for m in flat if getattr(m, "multiple_of", None)]
    said += [f"matches `{m.pattern}`" for m in flat if getattr(m, "pattern", None)]
    return ", ".join((name, *said))


def _number(bound: float) -> str:
    exponent = math.log2(bound) if bound > 1 else 0
    if exponent >= 20 and exponent == int(exponent):
        return f"2^{exponent:.0f}"
    return f"{bound:,}".replace(",", " ")


def _type(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " ".join(f"`{value}`" for value in arguments)
    if hasattr(annotation, "__metadata__"):
        return _bounded(_type(annotation.__origin__), list(annotation.__metadata__))
    if origin is tuple:
        inner = _type(arguments[0])
        return f"pairs of {inner}" if arguments[-1] is not ... else f"list of {inner}"
    if origin is Mapping:
        return f"map of {_type(arguments[1])}"
    if origin in (Union, type(int | str)):
        return " or ".join(_type(each) for each in arguments if each is not type(None))
    return str(getattr(annotation, "__name__", annotation))

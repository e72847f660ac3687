"""Steady states as YAML: read whole and checked, every problem with its place; and written.

A file is a list of steady states, or a map with `steady_states` and `slo`. The names are those of
`seatrial.steady_state`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import TypeAdapter, ValidationError

from seatrial.errors import BadData, NoInput
from seatrial.slo import Slo
from seatrial.steady_state import SteadyState

_STATES: Final = TypeAdapter(tuple[SteadyState, ...])
_PROBLEMS_MAX: Final = 20


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """What a file holds."""

    states: tuple[SteadyState, ...]
    slo: Slo | None = None


def read_file(path: Path) -> Hypothesis:
    """The steady states of a YAML file; raises `NoInput` or `BadData` with each problem."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise NoInput(
            f"{path} cannot be read: {error.strerror}\n\nhint: a YAML file, or one of the "
            "templates: seatrial steady"
        ) from error
    except UnicodeDecodeError as error:
        raise BadData(f"{path} is not UTF-8 text: {error}") from error
    return parse(text, str(path))


def parse(text: str, origin: str) -> Hypothesis:
    """The steady states of a YAML text; `origin` names it in errors. Raises `BadData`."""
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise BadData(f"{origin} is not YAML: {error}") from error
    if isinstance(document, dict):
        strange = sorted(set(document) - {"steady_states", "slo"})
        if strange or "steady_states" not in document:
            said = f"unknown: {', '.join(map(repr, strange))}" if strange else "no steady_states"
            raise BadData(
                f"{origin}: {said}\n\nhint: a map of `steady_states` and `slo`, or a list of "
                "steady states"
            )
        states, slo = document["steady_states"], document.get("slo")
    else:
        states, slo = document, None
    if not isinstance(states, list):
        raise BadData(f"{origin} holds no list of steady states\n\nhint: seatrial steady etcd")
    try:
        found = _STATES.validate_python(states)
        _unique(found, origin)
        return Hypothesis(found, None if slo is None else Slo.model_validate(slo))
    except ValidationError as error:
        lines = [_line(origin, states, problem) for problem in error.errors()[:_PROBLEMS_MAX]]
        raise BadData(
            "\n".join(lines) + "\n\nhint: the fields are in docs/reference/steady-states.md"
        ) from None


def _unique(states: Sequence[SteadyState], origin: str) -> None:
    names = [state.name for state in states]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise BadData(f"{origin}: two steady states are called {twice[0]!r}")


def _line(origin: str, states: list[Any], problem: Any) -> str:
    place = list(problem["loc"])
    name = ""
    if place and isinstance(place[0], int) and place[0] < len(states):
        item = states[place[0]]
        called = item.get("name") if isinstance(item, dict) else None
        name = f" ({called!r})" if called else ""
        place[0] = f"[{place[0]}]"
    where = ".".join(str(part) for part in place)
    message = problem["msg"].removeprefix("Value error, ")
    return f"{origin}: {where}{name}: {message}"


def to_yaml(states: Sequence[SteadyState], slo: Slo | None = None) -> str:
    """Steady states as YAML that `parse` reads back to the same."""
    document: dict[str, object] = {"steady_states": [_plain(state) for state in states]}
    if slo is not None:
        document["slo"] = slo.model_dump(mode="json", exclude_defaults=True)
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=100)


def _plain(state: SteadyState) -> dict[str, object]:
    plain = state.model_dump(mode="json", exclude_defaults=True)
    probe = {"source": state.probe.source, **plain.pop("probe", {})}
    return {"name": plain.pop("name"), "probe": probe, **plain}

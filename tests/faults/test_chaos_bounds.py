"""The bounds of the values lie inside the CRDs' own: extremes of every field make valid objects."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest

from seatrial.errors import UsageError
from seatrial.faults.chaos.action import Action
from seatrial.faults.chaos.examples import examples
from tests.faults.test_chaos_goldens import VALIDATOR, needs_crds

#: What a bound without a sign of its own lies next to.
TINY = 1e-3


def flat(metadata: Any) -> Iterator[Any]:
    for each in metadata:
        yield from flat(each.metadata) if hasattr(each, "metadata") else (each,)


def extremes(annotation: Any, metadata: list[Any]) -> list[Any]:
    """The smallest and largest numbers, or every word, that a field takes; nothing for others."""
    if hasattr(annotation, "__metadata__"):
        return extremes(annotation.__origin__, [*metadata, *annotation.__metadata__])
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return list(arguments)
    if origin is tuple:
        return [[each] for each in extremes(arguments[0], [])]
    if origin is not None:
        inner = [each for each in arguments if each is not type(None)]
        return extremes(inner[0], metadata) if len(inner) == 1 else []
    if annotation not in (int, float):
        return []
    step = 1 if annotation is int else TINY
    found = []
    for each in flat(metadata):
        for name, offset in (("ge", 0), ("le", 0), ("gt", step), ("lt", -step)):
            bound = getattr(each, name, None)
            found += [] if bound is None else [annotation(bound + offset)]
    return found


def variants() -> Iterator[dict[str, Any]]:
    """Each example with one field at an extreme, where the action's other rules allow it."""
    for example in examples():
        kind: type[Action] = type(example.action)
        given = example.action.model_dump(mode="json", exclude_unset=True)
        for name, field in kind.model_fields.items():
            for value in extremes(field.annotation, list(field.metadata)):
                try:
                    action = kind.model_validate({**given, name: value})
                except UsageError:
                    continue
                yield example.model_copy(update={"action": action}).manifest()


@pytest.fixture(scope="module")
def made() -> list[dict[str, Any]]:
    return list(variants())


def test_there_are_extremes_to_try(made: list[dict[str, Any]]) -> None:
    """Else the next test would prove nothing."""
    assert len(made) > 300
    assert len({document["kind"] for document in made}) >= 11


def test_no_number_is_written_with_an_exponent(made: list[dict[str, Any]]) -> None:
    texts = [json.dumps(document["spec"]) for document in made]
    assert [text for text in texts if "e+" in text or "e-0" in text] == []


@needs_crds
def test_the_crds_accept_every_extreme(made: list[dict[str, Any]], tmp_path: Path) -> None:
    path = tmp_path / "extremes.json"
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": made}))
    run = subprocess.run([*VALIDATOR, str(path)], capture_output=True, text=True, check=False)
    wrong = [line for line in run.stdout.splitlines() if not line.startswith("VALID")]
    assert wrong == []
    assert run.returncode == 0
    assert run.stdout.count("VALID") == len(made)

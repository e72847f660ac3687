"""The linter takes any document: whatever is wrong with its shape, it reports and never raises."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import click
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seatrial.cli.main import cli
from seatrial.workflows.lint import lint
from seatrial.workflows.lint.scene import read, step_of, texts
from tests.workflows.sample import ALL, made
from tests.workflows.test_lint import by_hand

JUNK: st.SearchStrategy[Any] = st.sampled_from(
    [None, 1, True, "x", "{{x}}", [], {}, [1, None], {"a": [{}]}, ["a", {}]]
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    if isinstance(value, (dict, list)):
        inside = value.items() if isinstance(value, dict) else enumerate(value)
        for key, inner in inside:
            yield from places(inner, (*path, key))


PLACES = [path for path in places(by_hand()) if path != ("kind",)]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(PLACES), JUNK), min_size=1, max_size=3))
def test_a_document_of_any_shape_is_judged(changes: list[tuple[tuple[Any, ...], Any]]) -> None:
    document = by_hand()
    for (*way, last), junk in changes:
        holder: Any = document
        for key in way:
            try:
                holder = holder[key]
            except (KeyError, IndexError, TypeError):
                break
        if isinstance(holder, dict) or (isinstance(holder, list) and isinstance(last, int)):
            with_junk = copy.deepcopy(junk)
            if isinstance(holder, dict) or last < len(holder):
                holder[last] = with_junk

    for problem in lint(document):
        assert problem.rule and str(problem)


@pytest.mark.parametrize("name", ALL)
def test_every_command_that_a_node_runs_is_one_of_ours_with_options_that_it_has(name: str) -> None:
    scene = read(made(name))
    judged = 0
    for template in scene.templates.values():
        container = template.get("container")
        words = texts(container.get("args")) if isinstance(container, dict) else []
        if not words:
            continue
        command = cli.get_command(click.Context(cli), words[0])
        assert command is not None, words[0]
        with command.make_context(words[0], ["7" if "{{" in w else w for w in words[1:]]):
            judged += 1
        assert step_of(template)
    assert judged

"""Examples in README and docs are real: Python runs, command lines parse."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from seatrial.case import Case, Intent
from seatrial.cli.main import cli
from seatrial.schedule import FaultChoice, Schedule
from seatrial.steady_state import OpsProbe, SteadyState, Tolerance

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
FENCE = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
#: Names that the README's snippet takes from the tutorial's imports.
IMPORTS = {
    item.__name__: item
    for item in (Case, Intent, FaultChoice, Schedule, OpsProbe, SteadyState, Tolerance)
}


def blocks(language: str) -> list[tuple[str, str]]:
    """All fenced blocks of a language: page, text."""
    return [
        (str(page.relative_to(ROOT)), text)
        for page in PAGES
        for found, text in FENCE.findall(page.read_text(encoding="utf-8"))
        if found == language
    ]


def command_lines() -> list[tuple[str, str]]:
    """All `seatrial …` lines of console blocks."""
    out = []
    for page, text in blocks("console"):
        for line in text.splitlines():
            words = line.removeprefix("$ ").removeprefix(".venv/bin/")
            if words.startswith("seatrial "):
                out.append((page, words.partition(" > ")[0].partition("  #")[0]))
    return out


@pytest.mark.parametrize(("page", "text"), blocks("python"))
def test_python_in_the_docs_compiles_and_cases_are_valid(page: str, text: str) -> None:
    code = compile(text, page, "exec")

    if "history = load(" not in text:
        space: dict[str, object] = dict(IMPORTS)
        exec(code, space)
        assert len(space) > len(IMPORTS)


@pytest.mark.parametrize(("page", "line"), command_lines())
def test_command_lines_in_the_docs_parse(page: str, line: str) -> None:
    _, name, *arguments = shlex.split(line)

    command = cli.get_command(click.Context(cli), name)

    assert command is not None, f"{page}: there is no command {name!r}"
    command.make_context(name, arguments)

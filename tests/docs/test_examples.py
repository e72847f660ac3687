"""Examples in README and docs are real: Python prints what stands there, commands parse."""

from __future__ import annotations

import contextlib
import io
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
#: Python, and what it prints, if a block of text follows at once.
PYTHON = re.compile(r"^```python\n(.*?)^```(?:\n\n?```text\n(.*?)^```)?", re.MULTILINE | re.DOTALL)
#: Names that the README's snippet takes from the tutorial's imports.
IMPORTS = {
    item.__name__: item
    for item in (Case, Intent, FaultChoice, Schedule, OpsProbe, SteadyState, Tolerance)
}
#: Examples that read a file or a trial of the reader's own are only compiled.
READS_A_FILE = ('load("', "TrialFolder(")


def blocks(language: str) -> list[tuple[str, str]]:
    """All fenced blocks of a language: page, text."""
    return [
        (str(page.relative_to(ROOT)), text)
        for page in PAGES
        for found, text in FENCE.findall(page.read_text(encoding="utf-8"))
        if found == language
    ]


def python_blocks() -> list[tuple[str, str, str]]:
    """All blocks of Python: page, text, and what it prints (empty if the page does not say)."""
    return [
        (str(page.relative_to(ROOT)), text, printed)
        for page in PAGES
        for text, printed in PYTHON.findall(page.read_text(encoding="utf-8"))
    ]


def command_lines() -> list[tuple[str, str]]:
    """All `seatrial …` lines of console blocks."""
    out = []
    for page, text in blocks("console"):
        for line in text.replace("\\\n", "").splitlines():
            words = line.removeprefix("$ ").removeprefix(".venv/bin/")
            if words.startswith("seatrial "):
                out.append((page, words.partition(" > ")[0].partition("  #")[0]))
    return out


@pytest.mark.parametrize(("page", "text", "printed"), python_blocks())
def test_python_in_the_docs_runs_and_prints_what_stands_there(
    page: str, text: str, printed: str
) -> None:
    code = compile(text, page, "exec")

    if not any(words in text for words in READS_A_FILE):
        space: dict[str, object] = {"__name__": __name__, **IMPORTS}
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            exec(code, space)
        assert len(space) > len(IMPORTS) + 1
        if printed:
            assert said.getvalue().split() == printed.split()


@pytest.mark.parametrize(("page", "line"), command_lines())
def test_command_lines_in_the_docs_parse(page: str, line: str) -> None:
    _, name, *arguments = shlex.split(line)

    command = cli.get_command(click.Context(cli), name)

    assert command is not None, f"{page}: there is no command {name!r}"
    command.make_context(name, arguments)

"""The reference names all that there is, and what a page says a command prints is printed."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from pathlib import Path

import click
import pytest

from seatrial.cases import CASES
from seatrial.checkers import CHECKERS
from seatrial.checkers.options import OPTIONS
from seatrial.cli.main import COMMANDS, cli, main
from seatrial.engine.simulated import BUGS
from seatrial.faults import FAULTS
from seatrial.targets import TARGETS
from seatrial.targets.etcd.settings import EtcdSettings
from seatrial.targets.mysql.errors import AT_COMMIT
from seatrial.targets.mysql.settings import GaleraSettings, TidbSettings
from seatrial.targets.mysql.tidb import ROLES
from seatrial.workloads import WORKLOADS
from seatrial.workloads import make as make_workload

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = ROOT / "docs" / "reference"
#: A command without effects, and what it prints (in parts), on the page right after it.
SHOWN = re.compile(
    r"^```console\n\$ (seatrial plan [^\n]+)\n```\n(?:\n[^\n`]*\n)?\n```text\n(.*?)^```",
    re.MULTILINE | re.DOTALL,
)
SHOWN_ON = [
    (page.relative_to(ROOT).as_posix(), line, text)
    for page in sorted((ROOT / "docs").rglob("*.md"))
    for line, text in SHOWN.findall(page.read_text(encoding="utf-8"))
]


@pytest.mark.parametrize(
    ("page", "names"),
    [
        ("cases.md", CASES),
        ("faults.md", FAULTS),
        ("workloads.md", WORKLOADS),
        ("workloads.md", EtcdSettings.model_fields),
        ("targets.md", TARGETS),
        ("targets.md", TidbSettings.model_fields),
        ("targets.md", GaleraSettings.model_fields),
        ("checkers/index.md", CHECKERS),
        ("canary.md", BUGS),
    ],
)
def test_each_name_stands_in_its_reference(page: str, names: Iterable[str]) -> None:
    text = (REFERENCE / page).read_text(encoding="utf-8")

    missing = [name for name in names if f"`{name}`" not in text]

    assert not missing


@pytest.mark.parametrize("name", WORKLOADS)
def test_each_setting_of_a_workload_stands_in_the_reference(name: str) -> None:
    text = (REFERENCE / "workloads.md").read_text(encoding="utf-8")

    assert all(f"`{setting}`" in text for setting in make_workload(name).settings)


@pytest.mark.parametrize("part", ROLES)
def test_each_role_of_tidb_stands_in_the_reference(part: str) -> None:
    text = (REFERENCE / "targets.md").read_text(encoding="utf-8")

    assert all(f"`{role}`" in text for role in ROLES[part])


@pytest.mark.parametrize("number", AT_COMMIT)
def test_each_error_of_the_taxonomy_stands_in_the_reference_with_its_meaning(number: int) -> None:
    text = (REFERENCE / "mysql-errors.md").read_text(encoding="utf-8")
    meant = "fail" if AT_COMMIT[number].certain else "info"

    (row,) = [line for line in text.splitlines() if re.match(rf"\| [^|]*\b{number}\b", line)]
    assert f"| `{meant}` |" in row


@pytest.mark.parametrize("name", COMMANDS)
def test_each_option_of_a_command_stands_in_the_reference(name: str) -> None:
    text = (REFERENCE / "command-line.md").read_text(encoding="utf-8")
    command = cli.get_command(click.Context(cli), name)
    assert command is not None

    options = [option for param in command.params for option in param.opts if "--" in option]

    assert f"seatrial {name}" in text
    assert [option for option in options if option not in text] == []


@pytest.mark.parametrize("name", OPTIONS)
def test_each_setting_of_a_checker_stands_in_the_reference(name: str) -> None:
    text = (REFERENCE / "checkers" / "index.md").read_text(encoding="utf-8")

    assert [s for s in OPTIONS[name] if f"| `{name}` | `{s}` |" not in text] == []


def test_some_page_shows_a_plan() -> None:
    assert SHOWN_ON


@pytest.mark.parametrize(("page", "line", "text"), SHOWN_ON)
def test_a_plan_on_a_page_is_the_plan_that_is_printed(
    page: str, line: str, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(shlex.split(line)[1:]) == 0

    printed = capsys.readouterr().out.splitlines()
    assert [shown for shown in text.splitlines() if shown not in printed] == []

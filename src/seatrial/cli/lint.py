"""`seatrial lint`: what is wrong with Argo objects that no schema sees."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from seatrial.errors import BadData, NoInput, UsageError
from seatrial.workflows.lint import RULES
from seatrial.workflows.lint import lint as problems_of
from seatrial.workflows.lint.scene import KINDS, Node, Problem


@click.command(epilog="Example: seatrial render etcd-register | seatrial lint -")
@click.argument("files", nargs=-1, type=click.Path(path_type=Path, allow_dash=True))
@click.option("--rules", is_flag=True, help="List the rules.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
def lint(files: tuple[Path, ...], rules: bool, as_json: bool) -> int:
    """Judge Workflows, WorkflowTemplates and CronWorkflows in FILES.

    Exit status: 0 no problem, 1 some problem, 64 and up: nothing could be judged.
    """
    if rules:
        _list_rules(as_json)
        return 0
    if not files:
        raise UsageError("no file is named\n\nhint: seatrial lint FILE, or - for standard input")
    judged = 0
    found: list[tuple[str, Problem]] = []
    for file in files:
        for document in _read(file):
            if document.get("kind") in KINDS:
                judged += 1
                found += [(str(file), problem) for problem in problems_of(document)]
    if not judged:
        raise BadData(
            f"no Argo object in {', '.join(map(str, files))}\n\nhint: kinds: {', '.join(KINDS)}"
        )
    _say(found, judged, as_json)
    return 1 if found else 0


def _say(found: list[tuple[str, Problem]], judged: int, as_json: bool) -> None:
    if as_json:
        problems = [
            {"file": file, "rule": p.rule, "where": p.where, "what": p.what, "mend": p.mend}
            for file, p in found
        ]
        click.echo(json.dumps({"judged": judged, "problems": problems}, ensure_ascii=False))
        return
    for file, problem in found:
        click.echo(f"{file}: {problem}")
    click.echo(f"{judged} objects judged, {len(found)} problems")


def _list_rules(as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps([{"name": k, "summary": v} for k, v in RULES.items()]))
        return
    width = max(map(len, RULES))
    for name, summary in RULES.items():
        click.echo(f"{name:<{width}}  {summary}")


def _read(file: Path) -> list[Node]:
    """The objects of a file, lists taken apart."""
    import yaml

    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
        loaded = [d for d in yaml.load_all(text, Loader=yaml.CSafeLoader) if d is not None]
    except OSError as error:
        raise NoInput(f"cannot read {file}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BadData(f"{file} is no YAML: {' '.join(str(error).split())}") from None
    found: list[Node] = []
    for document in loaded:
        if not isinstance(document, dict):
            raise BadData(f"{file}: an object is a mapping, not {type(document).__name__}")
        found += document.get("items", []) if document.get("kind") == "List" else [document]
    return found

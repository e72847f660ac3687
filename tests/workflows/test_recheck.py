"""A recheck: what it judges is named, and each judgement can be read off its node."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import pytest

from seatrial.cli import main
from seatrial.errors import UsageError
from seatrial.workflows.documents import document
from seatrial.workflows.lint import lint
from seatrial.workflows.recheck import recheck
from seatrial.workflows.settings import Settings
from tests.workflows.sample import NIGHT, made

READ_WHAT_NOBODY_WROTE = (
    {"process": 0, "type": "invoke", "f": "read", "value": None, "time": 0},
    {"process": 0, "type": "ok", "f": "read", "value": 3, "time": 1},
)


def template(name: str) -> dict[str, Any]:
    (found,) = [t for t in made("recheck-workflow")["spec"]["templates"] if t["name"] == name]
    return cast(dict[str, Any], found)


def test_who_submits_the_template_must_say_what_to_judge() -> None:
    """Argo refuses a Workflow whose parameter has no value."""
    parameters = cast(Any, document(recheck(Settings())))["spec"]["arguments"]["parameters"]

    assert [(each["name"], "value" in each) for each in parameters] == [
        ("trials", False),
        ("checkers", False),
    ]


def test_what_would_judge_nothing_is_refused() -> None:
    for trials, checkers, cron in (
        ((), (), NIGHT),
        (("a/1",), (), None),
        ((), ("stats",), None),
    ):
        with pytest.raises(UsageError, match="judges nothing"):
            recheck(Settings(), trials, checkers, cron=cron)
    with pytest.raises(UsageError, match="judges nothing"):
        recheck(Settings(), kind="Workflow")


@pytest.mark.parametrize(
    ("lists", "status"),
    [
        (('["a/1"]', '["stats"]'), 0),
        (('["a/1"]', "[]"), 2),
        (("[]", '["stats"]'), 2),
        (('["a/1"]', "[ ]"), 2),
        (('["a/1"]', "stats"), 2),
        (('["a/1"]', '[""]'), 2),
        (('["a/1"]', '{"a": 1}'), 2),
    ],
)
def test_an_empty_list_ends_it_red_before_anything_is_fanned_out(
    lists: tuple[str, str], status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """As the node `given` does it, which all else waits for."""
    values = dict(zip(("trials", "checkers"), lists, strict=True))
    words = template("given")["container"]["args"]
    for name, value in values.items():
        words = [word.replace(f"{{{{workflow.parameters.{name}}}}}", value) for word in words]

    assert main(words) == status
    assert capsys.readouterr().out.startswith("unknown: nothing to judge") == bool(status)
    (given, trials) = template("recheck")["dag"]["tasks"]
    assert given["name"] == "given"
    assert trials["depends"] == "given.Succeeded"


def test_each_judgement_stands_on_its_node(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Message, verdict and document, from the command that the node runs."""
    history = tmp_path / "history.jsonl"
    history.write_text("".join(json.dumps(op) + "\n" for op in READ_WHAT_NOBODY_WROTE))
    check = template("check")
    values = {"/trial/stored": str(history), "{{inputs.parameters.checker}}": "linearizable"}
    room, last = tmp_path / "judged", tmp_path / "termination-log"
    values |= {"/trial/judged": str(room), "/dev/termination-log": str(last)}
    words = [values.get(word, word) for word in check["container"]["args"]]

    assert main([*words, "--model", "cas-register"]) == 1

    found = {
        each["name"]: Path(each["valueFrom"]["path"].replace("/trial/judged", str(room)))
        for each in check["outputs"]["parameters"]
    }
    assert found["verdict"].read_text() == "invalid"
    assert found["message"].read_text() == last.read_text()
    assert found["message"].read_text().startswith("invalid: linearizable")
    (artifact,) = check["outputs"]["artifacts"]
    assert artifact["path"] == "/trial/judged/verdict.json"
    assert json.loads((room / "verdict.json").read_text())["verdict"] == "invalid"


def test_two_judgements_do_not_go_into_one_folder(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "a", "b", "--into", "c"]) == 64
    assert "take one judgement" in capsys.readouterr().err


def test_it_lints_clean() -> None:
    assert lint(made("recheck")) == lint(made("recheck-cron")) == []

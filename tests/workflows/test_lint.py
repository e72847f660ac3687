"""Each rule has a workflow that breaks it and no other; what we render breaks none."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from seatrial.cli import main
from seatrial.workflows.lint import RULES, lint
from seatrial.workflows.lint.ends import holds
from seatrial.workflows.lint.references import names
from tests.workflows.sample import ALL, made

Document = dict[str, Any]

#: A hand-written run that makes a fault and a target itself, in order by every rule.
BY_HAND = """
apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata: {generateName: by-hand-}
spec:
  entrypoint: main
  onExit: clean
  podMetadata: {labels: {seatrial/run: "{{workflow.name}}"}}
  arguments: {parameters: [{name: seed, value: "7"}]}
  templates:
  - name: main
    dag:
      tasks:
      - {name: cut, template: cut}
      - name: load
        template: load
        arguments: {parameters: [{name: seed, value: "{{workflow.parameters.seed}}"}]}
      - name: judge
        template: judge
        depends: load.Succeeded || load.Failed
        arguments: {parameters: [{name: ops, value: "{{tasks.load.outputs.parameters.ops}}"}]}
      - name: verdict
        template: verdict
        depends: >-
          (judge.Succeeded || judge.Failed || judge.Errored || judge.Skipped || judge.Omitted)
          && (cut.Succeeded || cut.Failed || cut.Errored || cut.Skipped || cut.Omitted)
  - name: cut
    activeDeadlineSeconds: 60
    resource:
      action: apply
      setOwnerReference: true
      manifest: |
        apiVersion: chaos-mesh.org/v1alpha1
        kind: NetworkChaos
        metadata: {name: "cut-{{workflow.uid}}", labels: {seatrial/run: "{{workflow.name}}"}}
        spec: {action: partition, mode: all, duration: 30s}
  - name: load
    activeDeadlineSeconds: 60
    inputs: {parameters: [{name: seed}]}
    outputs:
      parameters: [{name: ops, valueFrom: {path: /trial/ops, default: "0"}}]
      artifacts: [{name: page, path: /trial/page.html, optional: true, archive: {none: {}}}]
    container:
      image: x
      command: [seatrial]
      args: [step, workload, --seed, "{{inputs.parameters.seed}}"]
  - name: judge
    activeDeadlineSeconds: 60
    inputs: {parameters: [{name: ops}]}
    container: {image: x, command: [judge], args: ["{{inputs.parameters.ops}}"]}
  - name: verdict
    activeDeadlineSeconds: 60
    container: {image: x, command: [seatrial], args: [step, verdict]}
  - name: clean
    dag:
      tasks:
      - {name: heal, template: heal}
      - {name: tell, template: tell, depends: heal.Succeeded || heal.Failed || heal.Errored}
      - {name: down, template: down, depends: tell.Succeeded || tell.Failed || tell.Errored}
  - name: heal
    activeDeadlineSeconds: 60
    resource:
      action: delete
      flags: [networkchaos.chaos-mesh.org, -l, "seatrial/run={{workflow.name}}"]
  - name: tell
    activeDeadlineSeconds: 60
    container: {image: x, command: [tell], args: ["{{workflow.status}}"]}
  - name: down
    activeDeadlineSeconds: 60
    container:
      image: x
      command: [seatrial]
      args: [step, teardown, --ended, "{{workflow.status}}"]
"""


def by_hand() -> Document:
    return dict(yaml.load(BY_HAND, yaml.CSafeLoader))


def at(document: Document, path: str) -> Any:
    """What a path of keys, names and indexes leads to."""
    found: Any = document
    for key in path.split("/"):
        if isinstance(found, list):
            named = [each for each in found if isinstance(each, dict) and each.get("name") == key]
            found = named[0] if named else found[int(key)]
        else:
            found = found[key]
    return found


def put(path: str, value: object) -> Callable[[Document], None]:
    """Sets what `path` leads to."""

    def change(document: Document) -> None:
        way, _, last = path.rpartition("/")
        holder = at(document, way)
        holder[int(last) if isinstance(holder, list) else last] = value

    return change


def cut(path: str) -> Callable[[Document], None]:
    """Takes away what `path` leads to."""

    def change(document: Document) -> None:
        way, _, last = path.rpartition("/")
        holder = at(document, way)
        del holder[int(last) if isinstance(holder, list) else last]

    return change


def manifest(old: str, new: str) -> Callable[[Document], None]:
    """Changes the text of the fault's manifest."""

    def change(document: Document) -> None:
        resource = at(document, f"{T}/cut/resource")
        assert old in resource["manifest"]
        resource["manifest"] = resource["manifest"].replace(old, new)

    return change


def cron(schedules: list[str], timezone: str = "Etc/UTC") -> Callable[[Document], None]:
    """Makes it a CronWorkflow."""

    def change(document: Document) -> None:
        document["kind"] = "CronWorkflow"
        document["metadata"] = {"name": "by-hand"}
        document["spec"] = {
            "schedules": schedules,
            "timezone": timezone,
            "workflowSpec": document["spec"],
        }

    return change


T = "spec/templates"
MAIN, CLEAN = f"{T}/main/dag/tasks", f"{T}/clean/dag/tasks"
OVER = "judge.Succeeded || judge.Failed || judge.Errored"
S3 = {"name": "room", "path": "/trial/room", "s3": {"key": "room"}}
#: Rule, what is done to the workflow above, and how.
BROKEN: list[tuple[str, str, Callable[[Document], None]]] = [
    ("reference", "no such input", put(f"{T}/load/container/args/3", "{{inputs.parameters.sed}}")),
    (
        "reference",
        "no such parameter",
        put(f"{T}/load/container/args/3", "{{workflow.parameters.x}}"),
    ),
    ("reference", "not an ancestor", cut(f"{MAIN}/judge/depends")),
    (
        "reference",
        "no such output",
        put(f"{MAIN}/judge/arguments/parameters/0/value", "{{tasks.load.outputs.parameters.sum}}"),
    ),
    (
        "reference",
        "an item without items",
        put(f"{MAIN}/load/arguments/parameters/0/value", "{{item}}"),
    ),
    (
        "reference",
        "in an expression",
        put(f"{T}/judge/container/args/0", "{{= inputs.parameters['x'] }}"),
    ),
    ("reference", "the end, too early", put(f"{T}/judge/container/args/0", "{{workflow.status}}")),
    ("reference", "in an argument", put("spec/arguments/parameters/0/value", "{{workflow.uid}}")),
    (
        "reference",
        "a global output",
        put(f"{T}/tell/container/args/0", "{{workflow.outputs.parameters.p}}"),
    ),
    (
        "reference",
        "in a label",
        put(
            "spec/workflowMetadata", {"labelsFrom": {"a": {"expression": "workflow.parameters.x"}}}
        ),
    ),
    ("template", "of a task", put(f"{MAIN}/cut/template", "cutt")),
    ("template", "of the exit handler", put("spec/onExit", "cleann")),
    ("template", "of a task's end", put(f"{MAIN}/cut/onExit", "cutt")),
    ("template", "of a hook", put(f"{MAIN}/cut/hooks", {"running": {"template": "cutt"}})),
    ("template", "of a hook of all", put("spec/hooks", {"exit": {"template": "cleann"}})),
    ("entrypoint", "is missing", cut("spec/entrypoint")),
    ("depends", "on nothing", put(f"{MAIN}/cut/depends", "loud.Succeeded")),
    (
        "depends",
        "in a circle",
        put(f"{CLEAN}/heal/depends", "tell.Succeeded || tell.Failed || tell.Errored"),
    ),
    (
        "unknown-input",
        "is given",
        put(f"{MAIN}/cut/arguments", {"parameters": [{"name": "a", "value": "1"}]}),
    ),
    ("missing-input", "of a hook", put(f"{MAIN}/cut/hooks", {"exit": {"template": "load"}})),
    ("missing-input", "is not given", cut(f"{MAIN}/load/arguments")),
    ("output-default", "of a parameter", cut(f"{T}/load/outputs/parameters/0/valueFrom/default")),
    ("output-default", "of an artifact", cut(f"{T}/load/outputs/artifacts/0/optional")),
    (
        "ends-in-verdict",
        "another leaf",
        put(f"{MAIN}/verdict/depends", f"({OVER} || judge.Omitted)"),
    ),
    (
        "ends-in-verdict",
        "not after omission",
        put(f"{MAIN}/verdict/depends", f"({OVER}) && ({OVER.replace('judge', 'cut')})"),
    ),
    ("ends-in-verdict", "no verdict", put(f"{T}/verdict/container/args/1", "report")),
    ("ends-in-verdict", "may be skipped", put(f"{MAIN}/verdict/when", "1 == 1")),
    ("repeated", "its own retry", put(f"{T}/load/retryStrategy", {"limit": 1})),
    ("repeated", "everybody's retry", put("spec/retryStrategy", {"limit": 1})),
    ("repeated", "defaults", put("spec/templateDefaults", {"retryStrategy": {"limit": 1}})),
    ("hidden-message", "an expression", put(f"{T}/judge/retryStrategy", {"expression": "true"})),
    ("manifest", "no object", put(f"{T}/cut/resource/manifest", "kind: [")),
    (
        "condition-on-chaos",
        "success",
        put(f"{T}/cut/resource/successCondition", "status.phase == Running"),
    ),
    (
        "condition",
        "a query",
        put(f"{T}/cut/resource/failureCondition", 'status.conditions.#(type=="AllInjected")'),
    ),
    ("run-label", "of an object", manifest("seatrial/run:", "run:")),
    ("run-label", "of pods", cut("spec/podMetadata")),
    (
        "run-label",
        "another's",
        put(f"{T}/tell/metadata", {"labels": {"seatrial/run": "another"}}),
    ),
    ("owner", "of an object", cut(f"{T}/cut/resource/setOwnerReference")),
    (
        "owner",
        "of what a step makes",
        put(
            f"{T}/judge/container",
            {"command": ["seatrial"], "args": ["step", "fault", "{{inputs.parameters.ops}}"]},
        ),
    ),
    ("duration", "none", manifest("duration: 30s", "value: x")),
    ("duration", "no length", manifest("30s", "10x")),
    ("action", "misspelt", manifest("action: partition", "action: partitoin")),
    ("action", "none", manifest("action: partition, ", "")),
    ("action", "no such kind", manifest("kind: NetworkChaos", "kind: NetworkChoas")),
    ("unbounded", "a pod", cut(f"{T}/tell/activeDeadlineSeconds")),
    ("command", "none", lambda d: cut(f"{T}/tell/container/command")(d)),
    ("teardown", "no handler", cut("spec/onExit")),
    ("teardown", "another kind", put(f"{T}/heal/resource/flags/0", "podchaos.chaos-mesh.org")),
    ("teardown-stops", "after a failure", put(f"{CLEAN}/tell/depends", "heal.Succeeded")),
    ("keep", "not told", put(f"{T}/down/container/args", ["step", "teardown"])),
    ("keep", "told something else", put(f"{T}/down/container/args/3", "{{workflow.name}}")),
    ("keep", "skipped", put(f"{CLEAN}/down/when", "{{workflow.status}} == Succeeded")),
    ("teardown-needs-store", "a room", put(f"{T}/tell/inputs", {"artifacts": [S3]})),
    ("name", "too long", put("metadata/generateName", "x" * 59)),
    ("name", "impossible", put("metadata/generateName", "Bad_Name!-")),
    ("name", "begins with a dash", put("metadata/generateName", "-by-hand")),
    ("name", "of an output", put(f"{T}/load/outputs/artifacts/0/name", "t" * 129)),
    ("label", "no value", put("metadata/labels", {"seatrial/case": "a b"})),
    ("dropped-field", "mutex", put("spec/synchronization", {"mutex": {"name": "m"}})),
    ("dropped-field", "podPriority", put("spec/podPriority", 1)),
    ("cron", "three fields", cron(["0 2 *"])),
    ("cron", "words that are none", cron(["a b c d e"])),
    ("cron", "out of range", cron(["0 2 * * 7"])),
    ("cron", "no length", cron(["@every foo"])),
    ("cron", "a zone", cron(["0 2 * * *"], "Mars/North")),
    ("packed", "a page", cut(f"{T}/load/outputs/artifacts/0/archive")),
    ("size", "copies", put("metadata/annotations", {"copies": "x" * (1 << 20)})),
]


@pytest.mark.parametrize("name", ALL)
def test_what_is_rendered_breaks_no_rule(name: str) -> None:
    assert list(map(str, lint(made(name)))) == []


def test_the_workflow_by_hand_breaks_no_rule() -> None:
    assert list(map(str, lint(by_hand()))) == []


@pytest.mark.parametrize(
    ("rule", "what", "change"), BROKEN, ids=lambda value: value if isinstance(value, str) else ""
)
def test_each_rule_is_broken_by_a_workflow_that_breaks_no_other(
    rule: str, what: str, change: Callable[[Document], None]
) -> None:
    document = by_hand()
    change(document)

    found = lint(document)

    others = BESIDES.get((rule, what), set())
    assert {problem.rule for problem in found} == {rule} | others, list(map(str, found))
    assert all(problem.mend and problem.what for problem in found)


#: What else a change breaks by its nature.
BESIDES: dict[tuple[str, str], set[str]] = {
    ("reference", "not an ancestor"): {"ends-in-verdict"},
    ("template", "of the exit handler"): {"teardown", "reference"},
    ("owner", "of what a step makes"): {"teardown"},
    ("teardown", "no handler"): {"reference"},
    ("condition", "a query"): {"condition-on-chaos"},
    ("action", "no such kind"): {"teardown"},
}


def test_every_rule_has_a_workflow_that_breaks_it() -> None:
    assert set(RULES) == {rule for rule, _, _ in BROKEN}


@pytest.mark.parametrize(
    ("depends", "state", "expected"),
    [
        ("a", "Succeeded", True),
        ("a", "Failed", False),
        ("a && b.Failed", "Failed", False),
        ("a.Failed || b.Succeeded", "Failed", True),
        ("!a.Failed && (b || c.Omitted)", "Omitted", True),
        ("!a.Failed && (b || c.Omitted)", "Failed", False),
    ],
)
def test_depends_is_read_as_argo_reads_it(depends: str, state: str, expected: bool) -> None:
    assert holds(depends, state) is expected


def test_names_in_tags_and_expressions_are_found() -> None:
    text = "{{a.b}} {{= inputs.parameters['seed'] == 'workflow.no' ? workflow.name : item.x }}"

    assert [*names(text)] == ["a.b", "inputs.parameters.seed", "workflow.name", "item.x"]


def test_other_kinds_are_passed_over() -> None:
    assert lint({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}}) == []


def test_the_command_tells_problems_and_their_mend(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = by_hand()
    put("spec/podPriority", 1)(broken)
    file = tmp_path / "w.yaml"
    file.write_text(yaml.safe_dump_all([by_hand(), broken, {"kind": "ConfigMap"}]))

    assert main(["lint", str(file), "--json"]) == 1
    (problem,) = json.loads(capsys.readouterr().out)["problems"]
    assert problem["rule"] == "dropped-field"
    assert "podPriorityClassName" in problem["mend"]

    file.write_text(yaml.safe_dump(by_hand()))
    assert main(["lint", str(file)]) == 0
    assert "1 objects judged, 0 problems" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "status", "wrong"),
    [("a: [", 65, "no YAML"), ("kind: Pod", 65, "no Argo object"), (None, 66, "cannot read")],
)
def test_the_command_says_what_it_cannot_judge(
    text: str | None, status: int, wrong: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "w.yaml"
    if text is not None:
        file.write_text(text)

    assert main(["lint", str(file)]) == status
    assert wrong in capsys.readouterr().err


def test_each_rule_stands_in_the_reference() -> None:
    page = Path(__file__).resolve().parents[2] / "docs" / "reference" / "lint.md"
    text = page.read_text(encoding="utf-8")

    assert [rule for rule, says in RULES.items() if f"| `{rule}` | {says} |" not in text] == []

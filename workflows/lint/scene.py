"""A workflow document as the rules look at it: templates by name, tasks, and what reaches what."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from seatrial.verdict import Json

Node = Mapping[str, Json]
KINDS = ("Workflow", "WorkflowTemplate", "ClusterWorkflowTemplate", "CronWorkflow")
#: `{{name}}` and `{{= expression }}`.
TAG = re.compile(r"\{\{(=?)\s*(.*?)\s*\}\}", re.DOTALL)
#: A task's name in `depends`, with the state that is asked for.
DEPENDS = re.compile(r"([A-Za-z0-9_][-A-Za-z0-9_]*)(?:\.([A-Za-z]+))?")
#: Templates in templates: Argo itself stops at 100.
DEPTH_MAX = 100


@dataclass(frozen=True, slots=True)
class Problem:
    """One finding: the rule that is broken, where, what is wrong, and the mend."""

    rule: str
    where: str
    what: str
    mend: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what} [{self.rule}]\n  mend: {self.mend}"


@dataclass(frozen=True, slots=True)
class Call:
    """A task of a DAG or a step of a list of steps: who calls which template with what."""

    owner: str
    name: str
    template: str
    raw: Node
    #: Task → states of it that the call asks for in `depends`.
    after: Mapping[str, frozenset[str]]
    #: Tasks whose outputs may be used: all that come before.
    before: frozenset[str]
    #: Whether a failure of the task is swallowed where it stands (`continueOn`).
    goes_on: bool


@dataclass(frozen=True, slots=True)
class Scene:
    """One document."""

    kind: str
    name: str
    raw: Node
    spec: Node
    templates: Mapping[str, Node]
    calls: Sequence[Call]
    parameters: frozenset[str] = field(default_factory=frozenset)

    @property
    def title(self) -> str:
        """How findings name the document."""
        return f"{self.kind} {self.name or '(no name)'}"

    def reach(self, entry: str) -> frozenset[str]:
        """Names of all templates that `entry` leads to, itself included."""
        found: set[str] = set()
        todo = [entry]
        while todo:
            name = todo.pop()
            if name in found or name not in self.templates:
                continue
            found.add(name)
            for call in (call for call in self.calls if call.owner == name):
                todo += [call.template, *(text(h.get("template")) for _, h in hooks(call.raw))]
        return frozenset(found)

    def of(self, owner: str) -> list[Call]:
        """The calls that a template makes."""
        return [call for call in self.calls if call.owner == owner]

    @property
    def handler(self) -> str:
        """The exit handler's template, "" without one."""
        return text(self.spec.get("onExit"))


def read(document: Node) -> Scene:
    """The scene of a document; what is not there is empty."""
    spec = node(document.get("spec"))
    inner = node(spec.get("workflowSpec")) if document.get("kind") == "CronWorkflow" else spec
    metadata = node(document.get("metadata"))
    templates = {text(t.get("name")): t for t in nodes(inner.get("templates"))}
    return Scene(
        kind=text(document.get("kind")),
        name=text(metadata.get("name")) or text(metadata.get("generateName")),
        raw=document,
        spec=inner,
        templates=templates,
        calls=[call for name, template in templates.items() for call in _calls(name, template)],
        parameters=frozenset(
            text(p.get("name")) for p in nodes(node(inner.get("arguments")).get("parameters"))
        ),
    )


def _calls(owner: str, template: Node) -> Iterator[Call]:
    tasks = nodes(node(template.get("dag")).get("tasks"))
    if tasks:
        after = {text(task.get("name")): _after(task) for task in tasks}
        for task in tasks:
            name = text(task.get("name"))
            yield _call(owner, task, after[name], _ancestors(name, after))
    before: set[str] = set()
    groups = template.get("steps")
    for group in groups if isinstance(groups, (list, tuple)) else ():
        steps = nodes(group)
        for step in steps:
            yield _call(owner, step, {}, frozenset(before))
        before |= {text(step.get("name")) for step in steps}


def hooks(raw: Node) -> Iterator[tuple[str, Node]]:
    """What a task, or a whole workflow, runs beside or after itself: where it stands, and it."""
    if raw.get("onExit"):
        yield "onExit", {"template": raw["onExit"]}
    for event, hook in node(raw.get("hooks")).items():
        yield f"hooks.{event}", node(hook)


def _call(
    owner: str, raw: Node, after: Mapping[str, frozenset[str]], before: frozenset[str]
) -> Call:
    on = node(raw.get("continueOn"))
    return Call(
        owner=owner,
        name=text(raw.get("name")),
        template=text(raw.get("template")),
        raw=raw,
        after=after,
        before=before,
        goes_on=bool(on.get("failed") or on.get("error")),
    )


def _after(task: Node) -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for name in texts(task.get("dependencies")):
        found.setdefault(name, set()).add("Succeeded")
    for name, state in DEPENDS.findall(text(task.get("depends"))):
        found.setdefault(name, set()).add(state or "Succeeded")
    return {name: frozenset(states) for name, states in found.items()}


def _ancestors(name: str, after: Mapping[str, Mapping[str, frozenset[str]]]) -> frozenset[str]:
    found: set[str] = set()
    todo = [*after.get(name, ())]
    while todo:
        task = todo.pop()
        if task not in found:
            found.add(task)
            todo += after.get(task, ())
    return frozenset(found)


def strings(value: Json, path: str = "") -> Iterator[tuple[str, str]]:
    """Every string below `value` with its path."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from strings(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(value, (list, tuple)):
        for index, inner in enumerate(value):
            yield from strings(inner, f"{path}[{index}]")


def command(template: Node) -> list[str]:
    """The words that a container runs."""
    container = node(template.get("container"))
    return [*texts(container.get("command")), *texts(container.get("args"))]


def step_of(template: Node) -> str:
    """NAME of `seatrial step NAME`, or the seatrial command itself, or ""."""
    words = command(template)
    if not words or words[0].rpartition("/")[2] != "seatrial" or len(words) < 2:
        return ""
    return words[2] if words[1] == "step" and len(words) > 2 else words[1]


def node(value: Json) -> Node:
    """`value` if it is a mapping, else an empty one."""
    return value if isinstance(value, Mapping) else {}


def nodes(value: Json) -> list[Node]:
    """The mappings of a list."""
    found = value if isinstance(value, (list, tuple)) else ()
    return [item for item in found if isinstance(item, Mapping)]


def text(value: Json) -> str:
    """`value` if it is text, else ""."""
    return value if isinstance(value, str) else ""


def texts(value: Json) -> list[str]:
    """The texts of a list."""
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []

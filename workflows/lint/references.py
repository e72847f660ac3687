"""Every `{{…}}` resolves, every template and task that is named exists, every output has a default.

Argo replaces what it knows at the moment a node starts; what it does not know stays as it is, or
ends the node in an error, depending on where it stands. Since v4.0.7 an output that a skipped or
failed task never made is such an error, unless it declares a default.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from seatrial.verdict import Json
from seatrial.workflows.lint.scene import (
    TAG,
    Call,
    Node,
    Problem,
    Scene,
    hooks,
    node,
    nodes,
    strings,
    text,
)

#: What Argo knows of the workflow everywhere.
WORKFLOW = re.compile(
    r"workflow\.(name|namespace|uid|mainEntrypoint|serviceAccountName|duration|priority"
    r"|scheduledTime|parameters|parameters\.json|creationTimestamp(\.[A-Za-z0-9]+)?"
    r"|(labels|annotations)(\.\S+|\.json)?)"
)
#: What it knows only once the workflow is over.
AT_END = re.compile(r"workflow\.(status|failures)")
TEMPLATE = re.compile(
    r"node\.name|pod\.name|retries|lastRetry\.(exitCode|status|duration|message)|tasks\.name"
    r"|steps\.name|inputs\.parameters|(inputs|outputs)\.(artifacts|parameters)\.[^.]+\.path"
)
METRIC = re.compile(r"duration|exitCode|status|resourcesDuration\.\w+|outputs\.result|retries")
CRON = re.compile(r"cronworkflow\.\w+(\.\S+)?")
OF_TASK = re.compile(
    r"(tasks|steps)\.([-A-Za-z0-9_]+)\."
    r"(id|ip|status|exitCode|startedAt|finishedAt|hostNodeName|outputs\.(\S+))"
)
#: Dotted names in an expression tag; text in quotes and functions are left out.
IN_EXPRESSION = re.compile(
    r"\b((?:workflow|inputs|outputs|tasks|steps|item|lastRetry|cronworkflow)(?:\.[-A-Za-z0-9_]+)+)"
)
QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")


def check(scene: Scene) -> Iterator[Problem]:
    """All findings about names that lead nowhere."""
    yield from _templates_exist(scene)
    yield from _arguments_fit(scene)
    yield from _tags(scene)
    for name, template in scene.templates.items():
        yield from _outputs(scene, name, template)


def _templates_exist(scene: Scene) -> Iterator[Problem]:
    if not scene.templates:
        return  # it refers to a WorkflowTemplate, which is judged where it stands
    named = [("spec.entrypoint", text(scene.spec.get("entrypoint")))]
    named += [(f"spec.{at}", text(hook.get("template"))) for at, hook in hooks(scene.spec)]
    for call in scene.calls:
        at = f"{call.owner}.{call.name}"
        named.append((at, call.template))
        named += [(f"{at}.{on}", text(hook.get("template"))) for on, hook in hooks(call.raw)]
    for where, name in named:
        if name and name not in scene.templates:
            yield _missing(scene, where, name)
    if not scene.spec.get("entrypoint") and "Template" not in scene.kind:
        yield Problem("entrypoint", scene.title, "no entrypoint", "name the first template")
    for call in scene.calls:
        where = f"{scene.title}, {call.owner}.{call.name}"
        known = {other.name for other in scene.of(call.owner)}
        for task in call.after:
            if task not in known:
                yield Problem(
                    "depends",
                    where,
                    f"depends on {task!r}, which is no task of {call.owner!r}",
                    f"one of {', '.join(sorted(known))}",
                )
        if call.name in call.before:
            yield Problem("depends", where, "depends on itself in a circle", "cut the circle")


def _missing(scene: Scene, where: str, name: str) -> Problem:
    return Problem(
        "template",
        f"{scene.title}, {where}",
        f"there is no template {name!r}",
        f"one of {', '.join(sorted(scene.templates))}",
    )


def _arguments_fit(scene: Scene) -> Iterator[Problem]:
    """What a call gives is what the template takes."""
    called: list[tuple[str, Node, str]] = []
    for call in scene.calls:
        where = f"{scene.title}, {call.owner}.{call.name}"
        called.append((where, call.raw, call.template))
        called += [
            (f"{where}.{on}", hook, text(hook.get("template"))) for on, hook in hooks(call.raw)
        ]
    for where, raw, called_name in called:
        template = scene.templates.get(called_name)
        if template is None:
            continue
        for what in ("parameters", "artifacts"):
            given = {text(p.get("name")) for p in nodes(node(raw.get("arguments")).get(what))}
            taken = {text(p.get("name")): p for p in nodes(node(template.get("inputs")).get(what))}
            for name in sorted(given - set(taken)):
                yield Problem(
                    "unknown-input",
                    where,
                    f"gives {what[:-1]} {name!r}, which {called_name!r} does not take",
                    f"declare it in the inputs of {called_name!r}",
                )
            for name in sorted(set(taken) - given):
                if not _has_value(taken[name]):
                    yield Problem(
                        "missing-input",
                        where,
                        f"does not give {what[:-1]} {name!r}, which {called_name!r} needs",
                        "give it, or declare a default",
                    )


def _has_value(declared: Node) -> bool:
    sources = {"value", "default", "valueFrom", "raw", "s3", "gcs", "http", "git", "optional"}
    return bool(sources & set(declared))


def _outputs(scene: Scene, name: str, template: Node) -> Iterator[Problem]:
    outputs = node(template.get("outputs"))
    where = f"{scene.title}, {name}"
    for parameter in nodes(outputs.get("parameters")):
        if "default" not in node(parameter.get("valueFrom")) and "value" not in parameter:
            yield Problem(
                "output-default",
                where,
                f"output {text(parameter.get('name'))!r} has no default: a failed or skipped node "
                "ends every node that reads it",
                "valueFrom.default",
            )
    for artifact in nodes(outputs.get("artifacts")):
        if artifact.get("optional") is not True and "from" not in artifact:
            yield Problem(
                "output-default",
                where,
                f"output artifact {text(artifact.get('name'))!r} is not optional: a node that ends "
                "before it is written ends in Error, whatever it had to say",
                "optional: true",
            )


def _tags(scene: Scene) -> Iterator[Problem]:
    """References, each judged by what is known at its place."""
    ends = scene.reach(scene.handler) - scene.reach(text(scene.spec.get("entrypoint")))
    for path, string in strings(dict(scene.spec)):
        if path.startswith("templates["):
            continue
        for name in names(string):
            if path.startswith("arguments."):
                yield Problem(
                    "reference",
                    f"{scene.title}, spec.{path}",
                    f"{{{{{name}}}}} stands in an argument of the workflow, where Argo leaves it",
                    "refer to it where the argument is used",
                )
            elif not _global(scene, name, at_end=path.startswith("metrics")):
                yield _unresolved(scene, f"spec.{path}", name)
    labels = node(node(scene.spec.get("workflowMetadata")).get("labelsFrom"))
    for key, source in labels.items():
        for name in IN_EXPRESSION.findall(text(node(source).get("expression"))):
            if not _global(scene, name, at_end=False):
                yield _unresolved(scene, f"labelsFrom.{key}", name)
    for name, template in scene.templates.items():
        yield from _template_tags(scene, name, template, at_end=name in ends)


def _template_tags(scene: Scene, owner: str, template: Node, *, at_end: bool) -> Iterator[Problem]:
    rest = {key: value for key, value in template.items() if key not in ("dag", "steps")}
    for path, string in strings(rest):
        for name in names(string):
            if _global(scene, name, at_end=at_end) or _own(template, name):
                continue
            if path.startswith("metrics") and (METRIC.fullmatch(name) or _output(template, name)):
                continue
            if path.startswith("outputs") and _of_any_task(scene, owner, name):
                continue
            yield _unresolved(scene, f"{owner}.{path}", name)
    for call in scene.of(owner):
        for path, string in strings(dict(call.raw)):
            for name in names(string):
                if not (
                    _global(scene, name, at_end=at_end)
                    or _own(template, name)
                    or _of_task(scene, call, name)
                    or _item(call, name)
                ):
                    yield _unresolved(scene, f"{owner}.{call.name}.{path}", name)


def names(string: str) -> Iterator[str]:
    """What the tags of a string refer to."""
    for equals, inside in TAG.findall(string):
        if not equals:
            yield inside
            continue
        plain = re.sub(r"\[\s*['\"]([-\w]+)['\"]\s*\]", r".\1", inside)
        yield from IN_EXPRESSION.findall(QUOTED.sub("", plain))


def _unresolved(scene: Scene, where: str, name: str) -> Problem:
    return Problem(
        "reference",
        f"{scene.title}, {where}",
        f"{{{{{name}}}}} leads to nothing that is known there",
        "an input, a parameter of the workflow, or an output of a task that comes before",
    )


def _global(scene: Scene, name: str, *, at_end: bool) -> bool:
    if name.startswith("workflow.parameters."):
        return name.removeprefix("workflow.parameters.") in scene.parameters
    if name.startswith("workflow.outputs."):
        return name in _global_outputs(scene)
    if WORKFLOW.fullmatch(name) or (scene.kind == "CronWorkflow" and CRON.fullmatch(name)):
        return True
    return at_end and AT_END.fullmatch(name) is not None


def _global_outputs(scene: Scene) -> set[str]:
    return {
        f"workflow.outputs.{what}.{text(output.get('globalName'))}"
        for template in scene.templates.values()
        for what in ("parameters", "artifacts")
        for output in nodes(node(template.get("outputs")).get(what))
        if output.get("globalName")
    }


def _own(template: Node, name: str) -> bool:
    if TEMPLATE.fullmatch(name):
        return True
    what, _, rest = name.removeprefix("inputs.").partition(".")
    if not name.startswith("inputs.") or what not in ("parameters", "artifacts"):
        return False
    declared = nodes(node(template.get("inputs")).get(what))
    return rest in {text(each.get("name")) for each in declared}


def _output(template: Node, name: str) -> bool:
    declared = nodes(node(template.get("outputs")).get("parameters"))
    return name in {f"outputs.parameters.{text(each.get('name'))}" for each in declared}


def _of_any_task(scene: Scene, owner: str, name: str) -> bool:
    match = OF_TASK.fullmatch(name)
    return match is not None and match[2] in {call.name for call in scene.of(owner)}


def _of_task(scene: Scene, call: Call, name: str) -> bool:
    """Whether a call may use it: a task before it, and an output that its template declares."""
    match = OF_TASK.fullmatch(name)
    if match is None or match[2] not in call.before:
        return False
    (made,) = [other for other in scene.of(call.owner) if other.name == match[2]][:1] or [call]
    template = scene.templates.get(made.template)
    if match[4] is None or match[4] in ("result", "parameters") or template is None:
        return True
    what, _, output = match[4].partition(".")
    declared = nodes(node(template.get("outputs")).get(what))
    return output in {text(each.get("name")) for each in declared}


def _item(call: Call, name: str) -> bool:
    if name != "item" and not name.startswith("item."):
        return False
    items: Json = call.raw.get("withItems")
    if isinstance(items, list) and name != "item":
        key = name.removeprefix("item.")
        return all(isinstance(item, dict) and key in item for item in items)
    return bool(items or call.raw.get("withParam") or call.raw.get("withSequence"))

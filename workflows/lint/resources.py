"""Objects that a workflow makes: owned, labelled, bounded, and waited for in a way that works.

What stands in the text of a `resource` template is seen by no schema before the pod runs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import yaml

from seatrial.faults.chaos.catalogue import FAMILIES
from seatrial.workflows.lint.scene import (
    TAG,
    Node,
    Problem,
    Scene,
    command,
    node,
    nodes,
    step_of,
    text,
)
from seatrial.workflows.names import RUN

MAKES = ("create", "apply", "replace")
#: Chaos Mesh kind → its actions; none where its objects have no such field.
ACTIONS = {
    family.kind: tuple(dict.fromkeys(one.action for one in family.actions if one.action))
    for family in FAMILIES.values()
}
TAGGED_ACTION = re.compile(r"\baction:[^\n,}]*\{\{")
CHAOS = "chaos-mesh.org/"
#: Kinds of chaos-mesh.org whose plural Argo guesses right, and which are no faults themselves.
COMPOSED = ("Workflow", "Schedule", "StatusCheck")
#: Over at once: their `duration` means nothing.
AT_ONCE = ("pod-kill", "container-kill")
#: As Go's `time.ParseDuration` reads it.
DURATION = re.compile(r"([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+")
#: Label-selector syntax over gjson paths: keys and list indexes, compared or in a set.
CONDITION = re.compile(
    r"\s*[A-Za-z0-9._/-]+\s*((==?|!=)\s*[A-Za-z0-9._-]*"
    r"|\s(not)?in\s*\([^()]*\)|[<>]\s*[0-9]+)?\s*(,.*)?"
)
#: Steps that make objects, and need to know who owns them.
MAKERS = ("provision", "fault")
OWNER = "SEATRIAL_OWNER_UID"
OWN_RUN = "{{workflow.name}}"


@dataclass(frozen=True, slots=True)
class Made:
    """One object of a `resource` template."""

    template: str
    action: str
    manifest: Node
    resource: Node

    @property
    def kind(self) -> str:
        """The object's kind."""
        return text(self.manifest.get("kind"))

    @property
    def group(self) -> str:
        """The object's apiVersion."""
        return text(self.manifest.get("apiVersion"))


def check(scene: Scene) -> Iterator[Problem]:
    """All findings about objects, and about pods without label, owner or bound."""
    for name, template in scene.templates.items():
        where = f"{scene.title}, {name}"
        resource = node(template.get("resource"))
        if resource.get("manifest"):
            yield from _resource(where, name, resource)
        if any(key in template for key in ("container", "script", "resource", "containerSet")):
            yield from _pod(scene, where, template)


def made(scene: Scene) -> Iterator[Made]:
    """The objects that the workflow's `resource` templates make, where they parse."""
    for name, template in scene.templates.items():
        resource = node(template.get("resource"))
        manifest = parse(text(resource.get("manifest")))
        if manifest and text(resource.get("action")) in MAKES:
            yield Made(name, text(resource.get("action")), manifest, resource)


def parse(manifest: str) -> Node:
    """The object in a manifest's text; empty where there is none. Tags count as plain text."""
    try:
        return node(yaml.safe_load(TAG.sub("x", manifest)))
    except yaml.YAMLError:
        return {}


def _resource(where: str, name: str, resource: Node) -> Iterator[Problem]:
    manifest = parse(text(resource.get("manifest")))
    if not manifest.get("kind") or not manifest.get("apiVersion"):
        yield Problem(
            "manifest", where, "the manifest is no Kubernetes object", "apiVersion, kind, metadata"
        )
        return
    found = Made(name, text(resource.get("action")), manifest, resource)
    yield from _conditions(where, found)
    if found.action in MAKES:
        yield from _owned(where, found)
        if found.group.startswith(CHAOS):
            yield from _duration(where, found)
            yield from _action(where, found)


def _conditions(where: str, found: Made) -> Iterator[Problem]:
    for key in ("successCondition", "failureCondition"):
        condition = text(found.resource.get(key))
        if not condition:
            continue
        if found.group.startswith(CHAOS) and found.kind not in COMPOSED:
            yield Problem(
                "condition-on-chaos",
                where,
                f"{key} on {found.kind}: Argo asks for {found.kind.lower()}es, which do not exist, "
                "and the node fails",
                "create it without a condition and wait for it in a step of its own",
            )
        if CONDITION.fullmatch(condition) is None:
            yield Problem(
                "condition",
                where,
                f"{key} {condition!r} is no label selector over keys and indexes",
                "status.phase == Succeeded; what needs a query belongs into a step",
            )


def _owned(where: str, found: Made) -> Iterator[Problem]:
    labels = node(node(found.manifest.get("metadata")).get("labels"))
    if not labels.get(RUN):
        yield Problem(
            "run-label",
            where,
            f"{found.kind} without the label {RUN}: neither teardown nor reaper would find it",
            f"metadata.labels: {{{RUN}: '{{{{workflow.name}}}}'}}",
        )
    if found.resource.get("setOwnerReference") is not True:
        yield Problem(
            "owner",
            where,
            f"{found.kind} is not owned by the Workflow: deleting the Workflow would leave it",
            "setOwnerReference: true",
        )


def _duration(where: str, found: Made) -> Iterator[Problem]:
    spec = node(found.manifest.get("spec"))
    if found.kind == "Workflow":
        lengths = [(text(t.get("name")), t.get("deadline")) for t in nodes(spec.get("templates"))]
    elif spec.get("action") in AT_ONCE:
        return
    else:
        lengths = [(found.kind, spec.get("duration"))]
    for what, length in lengths:
        if not isinstance(length, str) or DURATION.fullmatch(length) is None:
            yield Problem(
                "duration",
                where,
                f"{what} has no duration that Chaos Mesh reads ({length!r}): a fault whose owner "
                "dies would stay",
                "duration: 30s",
            )


def _action(where: str, found: Made) -> Iterator[Problem]:
    """What Chaos Mesh's webhook alone would say, once the pod runs."""
    if found.kind not in (*ACTIONS, *COMPOSED):
        yield Problem(
            "action",
            where,
            f"Chaos Mesh has no kind {found.kind!r}",
            f"one of {', '.join(ACTIONS)}",
        )
        return
    known = ACTIONS.get(found.kind, ())
    action = text(node(found.manifest.get("spec")).get("action"))
    put_in_later = TAGGED_ACTION.search(text(found.resource.get("manifest"))) is not None
    if known and action not in known and not put_in_later:
        yield Problem(
            "action", where, f"{found.kind} has no action {action!r}", f"one of {', '.join(known)}"
        )


def _pod(scene: Scene, where: str, template: Node) -> Iterator[Problem]:
    everywhere = node(node(scene.spec.get("podMetadata")).get("labels"))
    own = node(node(template.get("metadata")).get("labels"))
    # Argo lets a template's labels go before those of all pods.
    label = text({**everywhere, **own}.get(RUN))
    if label.replace(" ", "") != OWN_RUN:
        yield Problem(
            "run-label",
            where,
            f"its pods have {f'{RUN}: {label!r}' if label else f'no label {RUN}'}: nothing that "
            "looks for the run would find them",
            f"spec.podMetadata.labels: {{{RUN}: '{OWN_RUN}'}}",
        )
    if not (template.get("activeDeadlineSeconds") or template.get("timeout")):
        yield Problem(
            "unbounded", where, "nothing bounds how long it runs", "activeDeadlineSeconds"
        )
    if step_of(template) in MAKERS and _environment(template, OWNER) != "{{workflow.uid}}":
        yield Problem(
            "owner",
            where,
            f"`seatrial step {step_of(template)}` is not told who owns what it makes",
            f"env {OWNER}: '{{{{workflow.uid}}}}'",
        )
    if command(template) and not node(template.get("container")).get("command"):
        yield Problem(
            "command",
            where,
            "no command: the controller would ask the registry for the image's entrypoint",
            "command: [seatrial]",
        )


def _environment(template: Node, name: str) -> str:
    for variable in nodes(node(template.get("container")).get("env")):
        if variable.get("name") == name:
            return text(variable.get("value"))
    return ""

"""Names within their limits, no field that Argo 4 dropped, and reports that a browser shows."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from seatrial.verdict import Json
from seatrial.workflows import cron
from seatrial.workflows.lint.scene import Node, Problem, Scene, node, nodes, text, texts
from seatrial.workflows.names import CRON_NAME_MAX, SUFFIX_CHARS, WORKFLOW_NAME_MAX
from seatrial.workflows.settings import is_label_key, is_label_value

TEMPLATE_NAME_MAX = 128
#: RFC 1123, a subdomain.
OBJECT_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
NAME = re.compile(r"[A-Za-z0-9][-A-Za-z0-9_]*")
#: Path from the spec → what takes its place; dropped in Argo 4.
DROPPED = {
    "schedule": "schedules, a list",
    "podPriority": "podPriorityClassName",
    "synchronization.mutex": "synchronization.mutexes, a list",
    "synchronization.semaphore": "synchronization.semaphores, a list",
}
#: What a browser shows in place, if it is not packed.
SHOWN = (".html", ".svg", ".png", ".json", ".txt")
#: A request to the API server may be larger, an object in etcd may not (1.5 MiB with its rest).
OBJECT_BYTES_MAX = 1 << 20


def check(scene: Scene) -> Iterator[Problem]:
    """All findings of this family."""
    yield from _own_name(scene)
    yield from _inner_names(scene)
    yield from _labels(scene)
    yield from _dropped(scene)
    yield from _cron(scene)
    for name, template in scene.templates.items():
        yield from _packed(scene, name, template)


def _own_name(scene: Scene) -> Iterator[Problem]:
    metadata = node(scene.raw.get("metadata"))
    limit = CRON_NAME_MAX if scene.kind == "CronWorkflow" else WORKFLOW_NAME_MAX
    name = text(metadata.get("name"))
    if not name:
        name, limit = text(metadata.get("generateName")), limit - SUFFIX_CHARS
    if not name or len(name) > limit:
        yield Problem(
            "name",
            scene.title,
            f"its name has {len(name)} characters; it must have 1 to {limit}",
            "a shorter name: Argo appends to it",
        )
    # What is generated goes on with letters and digits.
    elif OBJECT_NAME.fullmatch(name if metadata.get("name") else f"{name}x") is None:
        yield Problem(
            "name",
            scene.title,
            f"{name!r} is no name of an object: the API server refuses it",
            "lower-case letters, digits, '-' and '.', a letter or digit at both ends",
        )


def _inner_names(scene: Scene) -> Iterator[Problem]:
    templates = [text(t.get("name")) for t in nodes(scene.spec.get("templates"))]
    yield from _unique(scene, "templates", templates, TEMPLATE_NAME_MAX)
    for name, template in scene.templates.items():
        yield from _unique(scene, f"{name}, tasks", [c.name for c in scene.of(name)])
        for way in ("inputs", "outputs"):
            for what in ("parameters", "artifacts"):
                found = [text(p.get("name")) for p in nodes(node(template.get(way)).get(what))]
                yield from _unique(scene, f"{name}, {way}.{what}", found, TEMPLATE_NAME_MAX)


def _unique(
    scene: Scene, where: str, names: list[str], limit: int = TEMPLATE_NAME_MAX
) -> Iterator[Problem]:
    for name, times in Counter(names).items():
        if times > 1:
            yield Problem(
                "name", f"{scene.title}, {where}", f"{name!r} stands {times} times", "another name"
            )
        if NAME.fullmatch(name) is None or len(name) > limit:
            yield Problem(
                "name",
                f"{scene.title}, {where}",
                f"{name!r} is no name (letters, digits, '-'; at most {limit})",
                "a shorter or simpler one",
            )


def _labels(scene: Scene) -> Iterator[Problem]:
    places: dict[str, Json] = {
        "metadata": scene.raw.get("metadata"),
        "spec.podMetadata": scene.spec.get("podMetadata"),
        "spec.workflowMetadata": scene.spec.get("workflowMetadata"),
        **{f"{name}.metadata": t.get("metadata") for name, t in scene.templates.items()},
    }
    for where, metadata in places.items():
        for key, value in node(node(metadata).get("labels")).items():
            if "{{" in text(value):
                continue
            if not (isinstance(value, str) and is_label_key(key) and is_label_value(value)):
                yield Problem(
                    "label",
                    f"{scene.title}, {where}",
                    f"{key}: {value!r} is no label",
                    "at most 63 letters, digits, '-', '_', '.', as text",
                )


def _dropped(scene: Scene) -> Iterator[Problem]:
    outer = node(scene.raw.get("spec"))
    places: list[tuple[str, Node]] = [("spec", scene.spec), *scene.templates.items()]
    if outer is not scene.spec:
        places.append(("spec", outer))
    for where, mapping in places:
        for path, instead in DROPPED.items():
            if _at(mapping, path) is not None:
                yield Problem(
                    "dropped-field",
                    f"{scene.title}, {where}",
                    f"{path} is gone in Argo 4 and would be left out silently",
                    instead,
                )


def _at(mapping: Node, path: str) -> Json:
    found: Json = dict(mapping)
    for key in path.split("."):
        found = found.get(key) if isinstance(found, Mapping) else None
    return found


def _cron(scene: Scene) -> Iterator[Problem]:
    if scene.kind != "CronWorkflow":
        return
    spec = node(scene.raw.get("spec"))
    schedules = texts(spec.get("schedules"))
    wrong = [f"{one!r}: {cron.problem(one)}" for one in schedules if cron.problem(one)]
    if wrong or not schedules:
        yield Problem(
            "cron",
            scene.title,
            f"schedules {'; '.join(wrong) or 'are missing'}",
            "minute hour day month weekday",
        )
    zone = text(spec.get("timezone"))
    try:
        ZoneInfo(zone or "Etc/UTC")
    except (ZoneInfoNotFoundError, ValueError):
        yield Problem("cron", scene.title, f"time zone {zone!r} is unknown", "Europe/Berlin")


def _packed(scene: Scene, name: str, template: Node) -> Iterator[Problem]:
    for artifact in nodes(node(template.get("outputs")).get("artifacts")):
        path = text(artifact.get("path"))
        if path.endswith(SHOWN) and "none" not in node(artifact.get("archive")):
            yield Problem(
                "packed",
                f"{scene.title}, {name}",
                f"{path} is packed: Argo's UI shows only what is not",
                "archive: {none: {}}",
            )

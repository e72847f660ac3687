"""What the workflow makes, its exit handler removes, however the run ended and whatever is down."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from seatrial.workflows.lint.ends import STATES, holds
from seatrial.workflows.lint.resources import CHAOS, Made, made, parse
from seatrial.workflows.lint.scene import Node, Problem, Scene, node, nodes, step_of, text, texts

#: What is made by a step → the step of the exit handler that removes it.
UNDONE_BY = {"provision": "teardown", "fault": "heal"}
#: What Argo knows of the end in an exit handler.
ENDED = "{{workflow.status}}"
LEFT = ("Succeeded", "Failed", "Errored")


def check(scene: Scene) -> Iterator[Problem]:
    """All findings about the exit handler."""
    objects = [*made(scene)]
    entry = scene.reach(text(scene.spec.get("entrypoint")))
    steps = {step_of(scene.templates[name]) for name in entry} & set(UNDONE_BY)
    if not objects and not steps:
        return
    if not scene.handler:
        yield Problem(
            "teardown",
            scene.title,
            f"makes {', '.join(sorted({o.kind for o in objects} | steps))} and has no exit handler",
            "spec.onExit",
        )
        return
    handlers = [scene.templates[name] for name in sorted(scene.reach(scene.handler))]
    for step in sorted(steps):
        if UNDONE_BY[step] not in map(step_of, handlers):
            yield Problem(
                "teardown",
                scene.title,
                f"nothing in the exit handler undoes `seatrial step {step}`",
                f"seatrial step {UNDONE_BY[step]}",
            )
    for each in objects:
        if each.template in entry and not any(_removes(h, each) for h in handlers):
            yield Problem(
                "teardown",
                f"{scene.title}, {each.template}",
                f"nothing in the exit handler removes the {each.kind} that it makes",
                f"a template that deletes {each.kind} by the run's label",
            )
    yield from _goes_on(scene)
    yield from _keeps(scene)


def _keeps(scene: Scene) -> Iterator[Problem]:
    """Whether a target is kept is the plan's word, and the step `teardown` is told what it takes.

    Decided by a `when`, nothing would say that the target is still there.
    """
    for owner in sorted(scene.reach(scene.handler)):
        template = scene.templates[owner]
        if step_of(template) == "teardown":
            words = texts(node(template.get("container")).get("args"))
            told = dict(pairwise(words)).get("--ended", "")
            if told.replace(" ", "") != ENDED:
                yield Problem(
                    "keep",
                    f"{scene.title}, {owner}",
                    "is not told how the workflow ended: a case that keeps the target of a trial "
                    "that failed would lose it",
                    f"--ended '{ENDED}'",
                )
        for call in scene.of(owner):
            calls = step_of(scene.templates.get(call.template, {}))
            if calls == "teardown" and call.raw.get("when"):
                yield Problem(
                    "keep",
                    f"{scene.title}, {owner}.{call.name}",
                    "may be skipped without a word by its `when`",
                    "no `when`: the plan's keep_target says when the target stays",
                )


def _removes(handler: Node, found: Made) -> bool:
    step = step_of(handler)
    if found.kind == "Workflow" and found.group.startswith("argoproj.io/"):
        return step == "stop"
    if step == ("heal" if found.group.startswith(CHAOS) else "teardown"):
        return True
    resource = node(handler.get("resource"))
    if resource.get("action") != "delete":
        return False
    if parse(text(resource.get("manifest"))).get("kind") == found.kind:
        return True
    kinds = [flag.partition(".")[0].lower() for flag in texts(resource.get("flags"))]
    return any(kind.rstrip("s").startswith(found.kind.lower().rstrip("s")) for kind in kinds)


def _goes_on(scene: Scene) -> Iterator[Problem]:
    """Each step of the handler runs however the one before ended, and without the store."""
    for owner in sorted(scene.reach(scene.handler)):
        for call in scene.of(owner):
            where = f"{scene.title}, {owner}.{call.name}"
            depends = text(call.raw.get("depends"))
            stuck = [state for state in LEFT if depends and not holds(depends, state)]
            if stuck or call.raw.get("dependencies"):
                yield Problem(
                    "teardown-stops",
                    where,
                    f"does not run when the one before is {', '.join(stuck) or 'not Succeeded'}",
                    f"depend on every state: {', '.join(STATES)}",
                )
            if "steps" in scene.templates[owner] and not call.goes_on:
                yield Problem(
                    "teardown-stops",
                    where,
                    "a failure of it ends the handler",
                    "continueOn: {failed: true, error: true}",
                )
        for artifact in nodes(node(scene.templates[owner].get("inputs")).get("artifacts")):
            if "raw" not in artifact:
                yield Problem(
                    "teardown-needs-store",
                    f"{scene.title}, {owner}",
                    f"reads {text(artifact.get('name'))!r} from the artifact store: while that is "
                    "down, nothing is removed",
                    "a raw artifact, or none",
                )

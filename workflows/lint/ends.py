"""A red trial is red: the graph ends in the verdict, and nothing is repeated behind one's back.

A DAG's phase is that of its leaves. A failure that a later node tolerates is gone, unless the
last leaf fails again on purpose. Retries that repeat a load or a fault would make another
history than the one that is judged.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from seatrial.workflows.lint.scene import (
    DEPENDS,
    Call,
    Problem,
    Scene,
    node,
    step_of,
    text,
)
from seatrial.workflows.nodes import ONCE

GATE = "verdict"
BAD_STATES = frozenset({"Failed", "Errored", "AllFailed"})
STATES = ("Succeeded", "Failed", "Errored", "Skipped", "Omitted")
WORDS = re.compile(r"[A-Za-z0-9_.-]+|&&|\|\||!|\(|\)")


def check(scene: Scene) -> Iterator[Problem]:
    """All findings about how the workflow ends, and about retries."""
    entry = text(scene.spec.get("entrypoint"))
    for owner in sorted(scene.reach(entry)):
        if scene.of(owner):
            yield from _ends_red(scene, owner)
    yield from _retries(scene)


def _ends_red(scene: Scene, owner: str) -> Iterator[Problem]:
    calls = scene.of(owner)
    tolerated = {c.name for c in calls if c.goes_on} | {
        task for call in calls for task, states in call.after.items() if states & BAD_STATES
    }
    if not tolerated:
        return
    for leaf in _leaves(scene, owner):
        where = f"{scene.title}, {owner}.{leaf.name}"
        if step_of(scene.templates.get(leaf.template, {})) != GATE:
            yield Problem(
                "ends-in-verdict",
                where,
                f"is a last node, but no verdict: the failure of {', '.join(sorted(tolerated))} "
                "is tolerated, so that a red run would show green",
                "let `seatrial step verdict` be the only last node",
            )
        elif leaf.raw.get("when"):
            yield Problem("ends-in-verdict", where, "the verdict may be skipped", "no `when`")
        else:
            yield from _runs_always(leaf, where)


def _runs_always(leaf: Call, where: str) -> Iterator[Problem]:
    depends = text(leaf.raw.get("depends"))
    silent = [state for state in STATES if depends and not holds(depends, state)]
    if silent:
        yield Problem(
            "ends-in-verdict",
            where,
            f"does not run when what comes before is {', '.join(silent)}",
            "depend on every state",
        )


def _leaves(scene: Scene, owner: str) -> list[Call]:
    calls = scene.of(owner)
    if "steps" in scene.templates[owner]:
        longest = max(len(call.before) for call in calls)
        return [call for call in calls if len(call.before) == longest]
    followed = {task for call in calls for task in call.after}
    return [call for call in calls if call.name not in followed]


def holds(depends: str, state: str) -> bool:
    """Whether a `depends` holds when all its tasks are in `state`.

    A name alone asks for Succeeded, Skipped or Daemoned, as Argo has it.
    """
    words = [
        word if word in ("&&", "||", "!", "(", ")") else _asks(word, state)
        for word in WORDS.findall(depends)
    ]
    return _any(words)


def _asks(word: str, state: str) -> str:
    match = DEPENDS.fullmatch(word)
    wanted = match[2] if match is not None and match[2] else ""
    met = state in ("Succeeded", "Skipped") if not wanted else wanted == state
    return "true" if met else "false"


def _any(words: list[str]) -> bool:
    """`a && b || !c`, and brackets; consumes the words it reads."""
    value = _all(words)
    while words and words[0] == "||":
        words.pop(0)
        value = _all(words) or value
    return value


def _all(words: list[str]) -> bool:
    value = _one(words)
    while words and words[0] == "&&":
        words.pop(0)
        value = _one(words) and value
    return value


def _one(words: list[str]) -> bool:
    word = words.pop(0) if words else "false"
    if word == "!":
        return not _one(words)
    if word == "(":
        value = _any(words)
        if words:
            words.pop(0)
        return value
    return word == "true"


def _retries(scene: Scene) -> Iterator[Problem]:
    everywhere = [
        f"spec.{where}"
        for where, found in (
            ("retryStrategy", scene.spec.get("retryStrategy")),
            ("templateDefaults", node(scene.spec.get("templateDefaults")).get("retryStrategy")),
        )
        if found
    ]
    for name, template in scene.templates.items():
        step, own = step_of(template), node(template.get("retryStrategy"))
        where = f"{scene.title}, {name}"
        if step in (*ONCE, GATE) and (own or everywhere):
            yield Problem(
                "repeated",
                where,
                f"`seatrial step {step}` would be repeated by "
                f"{'its retryStrategy' if own else everywhere[0]}",
                "no retry: another load makes another history",
            )
        if own.get("expression"):
            yield Problem(
                "hidden-message",
                where,
                "a retryStrategy with an expression: where it says no, Argo puts its own words in "
                "place of the node's message",
                "retryPolicy: OnError",
            )
        yield from _repeated_resource(template, bool(own or everywhere), where)


def _repeated_resource(template: object, retried: bool, where: str) -> Iterator[Problem]:
    resource = node(template.get("resource")) if isinstance(template, dict) else {}
    if retried and resource.get("action") == "create":
        yield Problem(
            "repeated",
            where,
            "action create is retried: a second try meets the first one's object or makes another",
            "action: apply, under a fixed name",
        )

"""What the command line changes of the target's settings: `NAME=VALUE`, and where one runs already.

`--endpoints`, `--selector` and `--target-namespace` are short for settings below
`kubernetes.running`; whatever a target can be told stays one document, which the plan holds.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from seatrial.errors import UsageError
from seatrial.settings import from_text
from seatrial.verdict import Json

#: Where targets keep what says that they run already.
RUNNING = ("kubernetes", "running")


def laid_over(settings: Mapping[str, Json], texts: Sequence[str]) -> dict[str, Json]:
    """`settings` with `NAME=VALUE` laid over them, one after another; a dot goes one level down.

    A value is JSON where it is JSON, else the text itself. Raises `UsageError`.
    """
    made: dict[str, Any] = _copy(settings)
    for text in texts:
        name, sign, value = text.partition("=")
        steps = name.split(".")
        if not sign or not all(steps):
            raise UsageError(
                f"--target-option {text!r} is no NAME=VALUE\n\n"
                "hint: --target-option kubernetes.image=quay.io/coreos/etcd:v3.5.21"
            )
        _put(made, steps, from_text(value), text)
    return made


def running(
    settings: Mapping[str, Json],
    endpoints: Sequence[str],
    selector: str | None,
    namespace: str | None,
) -> dict[str, Json]:
    """`settings` that say where the cluster runs; raises `UsageError` for a half of it."""
    made: dict[str, Any] = _copy(settings)
    given: dict[str, Json] = {}
    if endpoints:
        given["endpoints"] = [*endpoints]
    if selector is not None:
        given["selector"] = selector
    if namespace is not None:
        given["namespace"] = namespace
    for name, value in given.items():
        _put(made, [*RUNNING, name], value, f"--{name}")
    there = runs_already(made)
    if namespace is not None and not {"selector", "nodes"} & set(there):
        raise UsageError(
            "--target-namespace says where pods are, and not which\n\n"
            "hint: --selector app.kubernetes.io/name=etcd"
        )
    if selector is not None and not there.get("namespace"):
        raise UsageError(
            f"--selector {selector!r} says which pods, and not where\n\n"
            "hint: --target-namespace NAMESPACE"
        )
    return made


def runs_already(settings: Mapping[str, Json]) -> Mapping[str, Json]:
    """What says where the cluster runs; empty where one is to be made."""
    there: Json | Mapping[str, Json] = settings
    for step in RUNNING:
        there = there.get(step) if isinstance(there, Mapping) else None
    return there if isinstance(there, Mapping) else {}


def _put(made: dict[str, Any], steps: Sequence[str], value: Json, text: str) -> None:
    *above, last = steps
    for step in above:
        below = made.get(step)
        if below is None:
            below = {}
        if not isinstance(below, dict):
            raise UsageError(f"--target-option {text!r}: {step} is {below!r}, with nothing below")
        made[step] = below
        made = below
    made[last] = value


def _copy(settings: Mapping[str, Json]) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(json.dumps(settings))
    return made

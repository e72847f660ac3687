"""One action of one Chaos Mesh kind, as a typed value: the settings of the injury, not its victims.

A subclass names its `kind` and `action`, and has one field for each setting, annotated with `At`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, Literal

from seatrial.faults.chaos.data import Data
from seatrial.faults.chaos.units import At
from seatrial.verdict import Json

#: On whom it acts: pods by selector, machines by selector or address, or what its fields name.
Scope = Literal["pods", "machines", "cloud"]


class Action(Data):
    """Settings of one action; `spec()` is its part of the object's `spec`."""

    kind: ClassVar[str]
    #: The object's `action`; "" where the kind has no such field.
    action: ClassVar[str]
    #: What it does, in one sentence.
    summary: ClassVar[str]
    scope: ClassVar[Scope] = "pods"
    #: Why the object has no `duration`; "" where it has one.
    no_duration: ClassVar[str] = ""
    #: What the action needs besides its fields, as it stands in the spec.
    fixed: ClassVar[dict[str, Json]] = {}

    def spec(self) -> dict[str, Json]:
        """The action's own part of `spec`: no victims, no duration."""
        out: dict[str, Any] = {"action": self.action} if self.action else {}
        for path, value in type(self).fixed.items():
            _put(out, path, value)
        for name, at in places(type(self)):
            value = getattr(self, name)
            if value is not None and value != () and value != {}:
                _put(out, at.path, at.write(value))
        return out

    @classmethod
    def stranger(cls, name: str) -> str:
        """A field of another action of the same kind is named as such."""
        owners = sorted({each.title() for each in _family(Action) if _has(each, cls.kind, name)})
        return f"belongs to {', '.join(owners)}, not to this action" if owners else ""

    @classmethod
    def title(cls) -> str:
        """`NetworkChaos delay`, or the kind alone where it has one action without a name."""
        return f"{cls.kind} {cls.action}".strip()


def places(action: type[Action]) -> Iterator[tuple[str, At]]:
    """Each field's name and place; a field without a place is a defect of ours."""
    for name, field in action.model_fields.items():
        found = [each for each in field.metadata if isinstance(each, At)]
        assert found, f"{action.__name__}.{name} has no place in the spec"
        for at in found:
            yield name, at


def _put(out: dict[str, Any], path: str, value: Json) -> None:
    *parents, last = path.split(".")
    for parent in parents:
        out = out.setdefault(parent, {})
    out[last] = value


def _family(root: type[Action]) -> Iterator[type[Action]]:
    for each in root.__subclasses__():
        yield each
        yield from _family(each)


def _has(each: type[Action], kind: str, name: str) -> bool:
    named = hasattr(each, "kind") and hasattr(each, "action") and each.kind == kind
    return named and name in each.model_fields

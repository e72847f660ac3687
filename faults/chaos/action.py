"""One action of one Chaos Mesh kind, as a typed value: the settings of the injury, not its victims.

A subclass names its `kind` and `action`, and has one field for each setting, annotated with `At`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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
    #: Its name among the actions of its kind, where that is not the object's `action`.
    called: ClassVar[str] = ""
    #: What it does, in one sentence.
    summary: ClassVar[str]
    scope: ClassVar[Scope] = "pods"
    #: Over at once: the object has a `duration` as all have, and it means nothing to it.
    one_shot: ClassVar[bool] = False
    #: The part of the spec where those fields stand whose place begins with a dot.
    section: ClassVar[str] = ""
    #: What the action needs besides its fields, as it stands in the spec.
    fixed: ClassVar[Mapping[str, Json]] = {}
    #: Where the action wants the object's duration a second time, and how it is written there.
    duration_at: ClassVar[At | None] = None

    def spec(self) -> dict[str, Json]:
        """The action's own part of `spec`: no victims, no duration."""
        out: dict[str, Any] = {"action": self.action} if self.action else {}
        for path, value in self.fixed.items():
            put(out, path, value)
        for name, at in places(type(self)):
            value = getattr(self, name)
            if value is not None and value != () and value != {}:
                put(out, at.path, at.write(value))
        return out

    @classmethod
    def stranger(cls, name: str) -> str:
        """A field of another action of the same kind is named as such."""
        owners = sorted({each.title() for each in _family(Action) if _has(each, cls.kind, name)})
        return f"belongs to {', '.join(owners)}, not to this action" if owners else ""

    @classmethod
    def short(cls) -> str:
        """Its name among the actions of its kind: `delay`."""
        return cls.called or cls.action

    @classmethod
    def title(cls) -> str:
        """`NetworkChaos delay`."""
        return f"{cls.kind} {cls.short()}"


def places(action: type[Action]) -> Iterator[tuple[str, At]]:
    """Each field's name and place; a field without a place is a defect of ours."""
    for name, field in action.model_fields.items():
        found = [each for each in field.metadata if isinstance(each, At)]
        assert len(found) == 1, f"{action.__name__}.{name} has {len(found)} places in the spec"
        path = found[0].path
        yield name, At(action.section + path if path[0] == "." else path, found[0].write)


def put(out: dict[str, Any], path: str, value: Json) -> None:
    """Set what stands at a dotted path, making what is above it."""
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

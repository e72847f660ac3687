"""On whom a Chaos Mesh object acts: a selector, a mode and the mode's value.

Some habits of Chaos Mesh decide the rules here. With `pods` (or `physicalMachines`) every other
criterion is silently ignored (`selectPods`), so the two are never mixed. A selector of namespaces
alone takes whatever runs there, the trial's own pods as well, so it must say more. `value` is
text, must be there for three modes, and means nothing for the other two.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from seatrial.errors import UsageError
from seatrial.faults.chaos.data import Data
from seatrial.faults.chaos.units import Names, Text, Texts
from seatrial.verdict import Json

Mode = Literal["one", "all", "fixed", "fixed-percent", "random-max-percent"]
Phase = Literal["Pending", "Running", "Succeeded", "Failed", "Unknown"]
Operator = Literal["In", "NotIn", "Exists", "DoesNotExist"]

Labels = Mapping[Text, str]


class Expression(Data):
    """One label requirement; `values` for In and NotIn, none for Exists and DoesNotExist."""

    key: Text
    operator: Operator
    values: Texts = ()

    @model_validator(mode="after")
    def _values_fit(self) -> Expression:
        if (self.operator in ("In", "NotIn")) != bool(self.values):
            must = "needs values" if not self.values else f"takes no values, {[*self.values]} given"
            raise UsageError(
                f"expression on label {self.key!r}: operator {self.operator!r} {must}\n\n"
                "hint: In and NotIn take values; Exists and DoesNotExist take none"
            )
        return self

    def to_json(self) -> dict[str, Json]:
        """As in the CRD."""
        out: dict[str, Json] = {"key": self.key, "operator": self.operator}
        return out | {"values": [*self.values]} if self.values else out


class Selector(Data):
    """Which pods; every criterion given must hold, and `pods` stands alone."""

    namespaces: Texts = ()
    label_selectors: Labels = Field(default_factory=dict)
    expression_selectors: tuple[Expression, ...] = ()
    annotation_selectors: Labels = Field(default_factory=dict)
    field_selectors: Labels = Field(default_factory=dict)
    pod_phase_selectors: tuple[Phase, ...] = ()
    nodes: Texts = ()
    node_selectors: Labels = Field(default_factory=dict)
    pods: Mapping[Text, Names] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _says_whom(self) -> Selector:
        given = [name for name in type(self).model_fields if getattr(self, name)]
        if "pods" in given and len(given) > 1:
            raise UsageError(
                f"selector: 'pods' stands alone, Chaos Mesh would ignore {', '.join(given[:-1])}"
                "\n\nhint: name the pods, or describe them; not both"
            )
        if not set(given) - {"namespaces", "pod_phase_selectors"}:
            raise UsageError(
                f"selector: {', '.join(given) or 'no criterion'} would take every pod there, the "
                "trial's own as well\n\nhint: select by the target's instance label "
                "(label_selectors) or by name (pods)"
            )
        return self

    def to_json(self) -> dict[str, Json]:
        """As in the CRD, empty criteria left out."""
        lists: dict[str, Json] = {
            "namespaces": [*self.namespaces],
            "labelSelectors": dict(self.label_selectors),
            "expressionSelectors": [each.to_json() for each in self.expression_selectors],
            "annotationSelectors": dict(self.annotation_selectors),
            "fieldSelectors": dict(self.field_selectors),
            "podPhaseSelectors": [*self.pod_phase_selectors],
            "nodes": [*self.nodes],
            "nodeSelectors": dict(self.node_selectors),
            "pods": {namespace: [*names] for namespace, names in self.pods.items()},
        }
        return {key: value for key, value in lists.items() if value}


class MachineSelector(Data):
    """Which PhysicalMachine objects; `physical_machines` (namespace → names) stands alone."""

    namespaces: Texts = ()
    label_selectors: Labels = Field(default_factory=dict)
    expression_selectors: tuple[Expression, ...] = ()
    annotation_selectors: Labels = Field(default_factory=dict)
    field_selectors: Labels = Field(default_factory=dict)
    physical_machines: Mapping[Text, Names] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _says_whom(self) -> MachineSelector:
        given = [name for name in type(self).model_fields if getattr(self, name)]
        if "physical_machines" in given and len(given) > 1:
            raise UsageError(
                "selector: 'physical_machines' stands alone, Chaos Mesh would ignore "
                f"{', '.join(given[:-1])}\n\nhint: name the machines, or describe them; not both"
            )
        if not set(given) - {"namespaces"}:
            raise UsageError(
                f"selector: {', '.join(given) or 'no criterion'} would take every machine there"
                "\n\nhint: use label_selectors, or physical_machines by name"
            )
        return self

    def to_json(self) -> dict[str, Json]:
        """As in the CRD, empty criteria left out."""
        lists: dict[str, Json] = {
            "namespaces": [*self.namespaces],
            "labelSelectors": dict(self.label_selectors),
            "expressionSelectors": [each.to_json() for each in self.expression_selectors],
            "annotationSelectors": dict(self.annotation_selectors),
            "fieldSelectors": dict(self.field_selectors),
            "physicalMachines": {
                namespace: [*names] for namespace, names in self.physical_machines.items()
            },
        }
        return {key: value for key, value in lists.items() if value}


class _Chosen(Data):
    """A mode: `one` or `all` of the selected, or as many as `value` says.

    `value` is a count for `fixed`, a percentage (1 to 100) for the two percent modes; whole in all
    of them, for that is how Chaos Mesh reads it (`strconv.Atoi`) after the webhook took more.
    """

    mode: Mode = "all"
    value: Annotated[int, Field(strict=True)] | None = None

    @model_validator(mode="after")
    def _value_fits(self) -> Self:
        mode, value = self.mode, self.value
        if mode in ("one", "all"):
            wrong = "" if value is None else "takes no value"
        elif value is None:
            wrong = "needs a value"
        elif mode == "fixed":
            wrong = "" if value >= 1 else "needs a whole number, 1 or more"
        else:
            wrong = "" if 1 <= value <= 100 else "needs a percentage, 1 to 100"
        if wrong:
            raise UsageError(
                f"mode {mode!r} {wrong} (was {value})\n\n"
                "hint: one, all: no value; fixed: how many; fixed-percent, random-max-percent: "
                "1 to 100"
            )
        return self

    def _written(self, whom: dict[str, Json]) -> dict[str, Json]:
        value: dict[str, Json] = {} if self.value is None else {"value": str(self.value)}
        return {"mode": self.mode, **value, **whom}


class Victims(_Chosen):
    """Pods: a selector and a mode."""

    selector: Selector

    def to_json(self) -> dict[str, Json]:
        """`mode`, `value` (as text) and `selector`, as in the CRD."""
        return self._written({"selector": self.selector.to_json()})


class MachineVictims(_Chosen):
    """Machines outside of Kubernetes: a selector or addresses (`http://host:31767`), and a mode.

    Chaos Mesh calls addresses deprecated and takes one of the two only.
    """

    selector: MachineSelector | None = None
    addresses: Texts = ()

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if (self.selector is None) == (not self.addresses):
            raise UsageError(
                "machines: selector and addresses "
                f"{'are both given' if self.addresses else 'are both missing'}\n\n"
                "hint: give a selector, or addresses; one of the two"
            )
        return self

    def to_json(self) -> dict[str, Json]:
        """`mode`, `value` (as text) and `selector` or `address`, as in the CRD."""
        if self.selector is not None:
            return self._written({"selector": self.selector.to_json()})
        return self._written({"address": [*self.addresses]})


def pods(namespace: str, names: Sequence[str]) -> Victims:
    """Exactly these pods, all of them."""
    return Victims(selector=Selector(pods={namespace: tuple(sorted(names))}))


def machines(namespace: str, names: Sequence[str]) -> MachineVictims:
    """Exactly these PhysicalMachine objects, all of them."""
    chosen = {namespace: tuple(sorted(names))}
    return MachineVictims(selector=MachineSelector(physical_machines=chosen))

"""Rendered objects as YAML: the same object, the same bytes, in the order that people read."""

from __future__ import annotations

import json
from typing import Any, cast

from hera.workflows import Workflow

from seatrial import yaml_text
from seatrial.verdict import Json

#: What people look for first in a mapping.
FIRST = ("apiVersion", "kind", "metadata", "name", "template", "depends", "when", "arguments")


def document(workflow: Workflow) -> dict[str, Json]:
    """The object as Argo's API has it, checked by Hera's models on the way."""
    made = workflow.to_dict()
    spec = made["spec"].get("workflowSpec", made["spec"])
    for template in spec.get("templates", []):
        _own_annotations(template)
    return cast(dict[str, Json], _ordered(made))


def _own_annotations(template: dict[str, Any]) -> None:
    """Move annotations from the template's pods to the template.

    Hera writes them into `metadata`; Argo reads a node's display name from the template itself.
    """
    metadata = template.get("metadata", {})
    if "annotations" in metadata:
        template["annotations"] = metadata.pop("annotations")
    if metadata == {}:
        template.pop("metadata", None)


def _ordered(value: Any) -> Any:
    if isinstance(value, list):
        return [_ordered(item) for item in value]
    if not isinstance(value, dict):
        return value
    first = [key for key in FIRST if key in value]
    return {key: _ordered(value[key]) for key in [*first, *(k for k in value if k not in FIRST)]}


def to_json(document: dict[str, Json]) -> str:
    """An object as JSON."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def to_yaml(*documents: dict[str, Json]) -> str:
    """Objects as one YAML stream."""
    return yaml_text.to_yaml(documents)

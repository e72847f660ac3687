"""Every rendered object is the golden beside this file, byte for byte, and the CRDs accept it.

`SEATRIAL_REWRITE_GOLDENS=1` writes the goldens anew; a missing one fails.
"""

from __future__ import annotations

import copy
import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from seatrial.workflows.documents import to_yaml
from tests.workflows.sample import ALL, made
from tests.workflows.validator import VALIDATOR, refused

GOLDENS = Path(__file__).parent / "goldens"
REWRITE = os.environ.get("SEATRIAL_REWRITE_GOLDENS") == "1"


@pytest.mark.parametrize("name", ALL)
def test_what_is_rendered_is_the_golden(name: str) -> None:
    text = to_yaml(_without_plan(made(name)))
    golden = GOLDENS / f"{name}.yaml"
    if REWRITE:
        GOLDENS.mkdir(exist_ok=True)
        golden.write_text(text, encoding="utf-8")

    assert golden.is_file(), "no golden: SEATRIAL_REWRITE_GOLDENS=1 writes it"
    assert text == golden.read_text(encoding="utf-8")


def _without_plan(document: dict[str, Any]) -> dict[str, Any]:
    """The object with its plan left out, which `test_trial` compares as a plan."""
    copied = copy.deepcopy(document)
    spec = copied["spec"].get("workflowSpec", copied["spec"])
    for parameter in spec.get("arguments", {}).get("parameters", []):
        if parameter["name"] == "plan":
            parameter["value"] = "(the plan)"
    return copied


def test_no_golden_is_left_over() -> None:
    assert {path.stem for path in GOLDENS.glob("*.yaml")} == set(ALL)


@pytest.mark.parametrize("name", ALL)
def test_yaml_reads_back_as_the_same_object(name: str) -> None:
    document = made(name)

    assert yaml.load(to_yaml(document), yaml.CSafeLoader) == document


@pytest.mark.skipif(not VALIDATOR, reason="SEATRIAL_CRD_VALIDATOR names no CRD validator")
def test_the_crds_accept_every_object_and_no_unknown_field(tmp_path: Path) -> None:
    assert refused(tmp_path, *map(made, ALL)) == ""


@pytest.mark.skipif(not VALIDATOR, reason="SEATRIAL_CRD_VALIDATOR names no CRD validator")
def test_the_crds_accept_the_manifests_inside_templates(tmp_path: Path) -> None:
    """After substitution: every reference is replaced by a value that could stand there."""
    inside = [
        template["resource"]["manifest"].replace("{{", "").replace("}}", "")
        for document in map(made, ALL)
        for template in _templates(document)
        if "resource" in template
    ]
    manifests = [yaml.safe_load(text) for text in inside]

    assert manifests
    assert refused(tmp_path, *manifests) == ""


def _templates(document: dict[str, object]) -> list[dict[str, dict[str, str]]]:
    spec = document["spec"]
    assert isinstance(spec, dict)
    return list(spec.get("workflowSpec", spec)["templates"])

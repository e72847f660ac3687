"""A golden manifest for every action, and what the CRDs say to all of them.

`SEATRIAL_REWRITE_GOLDENS=1` writes the goldens anew; a missing one fails.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from seatrial.fault import PlannedFault
from seatrial.faults.chaos.action import Action, places
from seatrial.faults.chaos.catalogue import FAMILIES, actions
from seatrial.faults.chaos.examples import ACTIONS, document, examples
from seatrial.faults.chaos.experiment import Experiment, workflow

GOLDENS = Path(__file__).parent / "goldens"
REWRITE = os.environ.get("SEATRIAL_REWRITE_GOLDENS") == "1"
EXAMPLES = {example.name: example for example in examples()}
#: A program that validates objects against CRDs: `PROGRAM FILE`, exit status 0 if all are valid.
VALIDATOR = os.environ.get("SEATRIAL_CRD_VALIDATOR", "").split()
CRDS = next((Path(w) for w in VALIDATOR if Path(w, "chaos-mesh.org_podchaos.yaml").exists()), None)
needs_crds = pytest.mark.skipif(CRDS is None, reason="SEATRIAL_CRD_VALIDATOR names no CRDs")


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_manifest_is_its_golden(name: str) -> None:
    golden, made = GOLDENS / f"{name}.yaml", document(EXAMPLES[name])
    if REWRITE:
        golden.write_text(made, encoding="utf-8")

    assert golden.exists(), f"no golden for {name}: SEATRIAL_REWRITE_GOLDENS=1 writes it"
    assert golden.read_text(encoding="utf-8") == made


def test_no_golden_is_left_over() -> None:
    assert {path.stem for path in GOLDENS.iterdir()} == set(EXAMPLES)


def test_each_action_has_one_example() -> None:
    assert len(actions()) == len({action.title() for action in actions()}) == len(EXAMPLES)
    assert {type(action) for action in ACTIONS} == set(actions())


def test_every_object_has_a_duration() -> None:
    """Also those over at once: a fault may never outlive its runner (TiPocket's could)."""
    without = [
        name for name, example in EXAMPLES.items() if example.spec().get("duration") != "30000ms"
    ]
    assert without == []


@needs_crds
def test_the_crds_accept_every_golden() -> None:
    run = subprocess.run(
        [*VALIDATOR, *map(str, sorted(GOLDENS.glob("*.yaml")))],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
    assert run.stdout.count("VALID") == len(EXAMPLES)


@needs_crds
def test_the_validator_refuses_an_unknown_field(tmp_path: Path) -> None:
    """Else the test above would prove nothing."""
    wrong = EXAMPLES["networkchaos-delay"].manifest()
    assert isinstance(wrong["spec"], dict)
    wrong["spec"]["latency"] = "50ms"
    path = tmp_path / "wrong.yaml"
    path.write_text(json.dumps(wrong))
    run = subprocess.run([*VALIDATOR, str(path)], capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert "unknown field 'latency'" in run.stdout


@needs_crds
def test_each_kind_fits_into_a_workflow(tmp_path: Path) -> None:
    fault = PlannedFault(id="F1", kind="pod", victims="one", start_s=1, duration_s=30)
    path = tmp_path / "workflow.yaml"
    path.write_text(json.dumps(workflow(fault, "trial", list(EXAMPLES.values()))))
    run = subprocess.run([*VALIDATOR, str(path)], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout


@cache
def spec_of(kind: str) -> dict[str, Any]:
    assert CRDS is not None
    text = (CRDS / f"chaos-mesh.org_{kind.lower()}.yaml").read_text()
    document = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    schema = document["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return dict(schema["properties"]["spec"])


def leaves(schema: Mapping[str, Any], path: str = "") -> Iterator[str]:
    """Dotted paths of all fields that hold a value, not others."""
    if "properties" not in schema:
        yield path
        return
    for name, inner in schema["properties"].items():
        yield from leaves(inner, f"{path}.{name}" if path else name)


#: What an `Experiment` and its victims write themselves (tests of their own: selectors, modes).
WHOLE = ("action", "duration", "mode", "value", "selector", "address", "remoteCluster")
#: Settings in a CRD that its list of actions lets nobody ask for.
UNREACHABLE = ("http-abort", "http-config", "http-delay", "http-request")


def written(action: type[Action]) -> set[str]:
    found = {at.path for _, at in places(action)} | set(action.fixed)
    return found | ({action.duration_at.path} if action.duration_at else set())


@needs_crds
@pytest.mark.parametrize("family", FAMILIES)
def test_every_field_of_the_crd_is_typed(family: str) -> None:
    """No setting of Chaos Mesh 2.8 is out of reach, and none is made up."""
    spec = spec_of(FAMILIES[family].kind)
    paths = set().union(*(written(action) for action in FAMILIES[family].actions))
    extra = {"patch.body.type"} if family == "http" else set()  # always JSON, written with the body
    missing = [
        leaf
        for leaf in leaves(spec)
        if leaf.split(".")[0] not in WHOLE + UNREACHABLE
        and not any(leaf == path or leaf.startswith(f"{path}.") for path in paths | extra)
    ]
    assert missing == []
    known = set(leaves(spec))
    made_up = [p for p in paths if not any(k == p or k.startswith(f"{p}.") for k in known)]
    assert made_up == []


@needs_crds
@pytest.mark.parametrize("family", FAMILIES)
def test_every_action_of_the_crd_is_there_and_no_other(family: str) -> None:
    allowed = spec_of(FAMILIES[family].kind)["properties"].get("action", {}).get("enum", [""])
    assert {action.action for action in FAMILIES[family].actions} == set(allowed)


@needs_crds
@pytest.mark.parametrize("family", FAMILIES)
def test_what_the_crd_requires_is_required(family: str) -> None:
    """Nothing that the CRD asks for can be left out of an action's own settings."""
    required = set(spec_of(FAMILIES[family].kind).get("required", [])) - set(WHOLE)
    for example in ACTIONS:
        if example.kind == FAMILIES[family].kind:
            assert required <= set(example.spec())


def test_an_object_needs_a_name_that_kubernetes_takes() -> None:
    one = EXAMPLES["podchaos-pod-kill"]
    for name in ("Kill", "a" * 64, "-a", ""):
        with pytest.raises(Exception, match="name"):
            Experiment(name=name, namespace="t", action=one.action, on=one.on, duration_s=1)

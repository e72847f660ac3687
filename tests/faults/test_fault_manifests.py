"""The Chaos Mesh objects of each fault: their meaning, and their CRDs where those are at hand."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from seatrial import faults
from seatrial.errors import Unavailable, UsageError
from seatrial.fault import PlannedFault
from seatrial.faults.partition import NODES_MIN, Link, Shape, cuts

NODES = ("n1", "n2", "n3", "n4", "n5")
SHAPES = tuple(NODES_MIN)
#: A program that validates objects against CRDs: `PROGRAM FILE`, exit status 0 if all are valid.
VALIDATOR = os.environ.get("SEATRIAL_CRD_VALIDATOR", "")


def planned(kind: str, **options: str) -> PlannedFault:
    return PlannedFault(
        id="F03_Partition", kind=kind, victims="one", start_s=1, duration_s=3.25, options=options
    )


def manifest(kind: str, victims: list[str], **options: str) -> dict[str, Any]:
    fault = planned(kind, **options)
    return dict(faults.kind(kind).manifest(fault, victims, NODES, "trials"))


def pairs(spec: Mapping[str, Any]) -> set[Link]:
    """The directions that a NetworkChaos of `partition` cuts."""
    sources = spec["selector"]["pods"]["trials"]
    targets = spec["target"]["selector"]["pods"]["trials"]
    found = {(a, b) for a in sources for b in targets}
    assert spec["action"] == "partition" and spec["direction"] in ("to", "both")
    return found | {(b, a) for a, b in found} if spec["direction"] == "both" else found


def test_kill_keeps_the_pod_down_for_the_duration() -> None:
    made = manifest("kill", ["n2", "n1"])
    assert made["kind"] == "PodChaos"
    assert made["metadata"]["name"] == "f03-partition"
    assert made["metadata"]["namespace"] == "trials"
    assert made["spec"] == {
        "action": "pod-failure",
        "duration": "3250ms",
        "mode": "all",
        "selector": {"pods": {"trials": ["n1", "n2"]}},
    }


def test_pause_has_no_equal() -> None:
    with pytest.raises(Unavailable, match="'pause' has no equal in Chaos Mesh"):
        manifest("pause", ["n1"])


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("victims", [["n1"], ["n4", "n2"]])
def test_a_partition_cuts_the_same_directions_as_in_the_lab(
    shape: Shape, victims: list[str]
) -> None:
    made = manifest("partition", victims, shape=shape)
    if made["kind"] == "NetworkChaos":
        assert made["spec"]["duration"] == "3250ms"
        found = pairs(made["spec"])
    else:
        parallel, *parts = made["spec"]["templates"]
        assert made["kind"] == "Workflow"
        assert made["spec"]["entry"] == parallel["name"]
        assert parallel["children"] == [part["name"] for part in parts]
        assert {part["deadline"] for part in made["spec"]["templates"]} == {"3250ms"}
        found = set().union(*(pairs(part["networkChaos"]) for part in parts))
    assert found == cuts(shape, NODES, victims)


def test_two_sides_need_one_object() -> None:
    for shape in ("isolate", "halves", "one-way-in", "one-way-out"):
        assert manifest("partition", ["n1"], shape=shape)["kind"] == "NetworkChaos"


def test_a_fault_id_that_names_nothing_is_an_error() -> None:
    fault = planned("kill").model_copy(update={"id": "—"})
    with pytest.raises(UsageError, match="no letter or digit"):
        faults.kind("kill").manifest(fault, ["n1"], NODES, "trials")


@pytest.mark.skipif(not VALIDATOR, reason="SEATRIAL_CRD_VALIDATOR names no CRD validator")
def test_the_crds_accept_every_manifest(tmp_path: Path) -> None:
    made = [manifest("kill", ["n1"])]
    for shape, victims in ((s, v) for s in SHAPES for v in (["n1"], ["n4", "n2"])):
        made.append(manifest("partition", victims, shape=shape))
    paths = []
    for number, document in enumerate(made):
        paths.append(tmp_path / f"{number}.yaml")
        paths[-1].write_text(json.dumps(document))
    run = subprocess.run(
        [*VALIDATOR.split(), *map(str, paths)], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert run.stdout.count("VALID") == len(made)


def test_options_that_a_fault_does_not_know_are_named() -> None:
    for name in ("kill", "pause"):
        kind = faults.kind(name)
        assert kind.unavailable("none", NODES, {}) == ""
        assert "speed" in kind.unavailable("none", NODES, {"speed": "fast"})


def test_every_direction_is_covered_by_halves_of_one() -> None:
    """Sanity of `pairs`: isolating each node in turn cuts every direction there is."""
    found: set[Link] = set()
    for node in NODES:
        found |= pairs(manifest("partition", [node], shape="isolate")["spec"])
    assert found == set(permutations(NODES, 2))


def test_failure_and_container_kill_have_their_equals_and_a_rolling_restart_has_none() -> None:
    assert manifest("failure", ["n1"])["spec"]["action"] == "pod-failure"
    made = manifest("container-kill", ["n1"])["spec"]
    assert (made["action"], made["containerNames"]) == ("container-kill", ["node"])
    with pytest.raises(Unavailable, match="'rolling-restart' has no equal in Chaos Mesh"):
        manifest("rolling-restart", ["n1"])


def test_faults_of_the_disk_are_io_chaos_where_it_has_them() -> None:
    made = manifest("io-latency", ["n2"])
    assert made["kind"] == "IOChaos"
    assert made["spec"] == {
        "action": "latency",
        "delay": "50ms",
        "volumePath": "/seatrial/data",
        "methods": ["read", "write", "fsync", "fsyncdir"],
        "percent": 100,
        "duration": "3250ms",
        "mode": "all",
        "selector": {"pods": {"trials": ["n2"]}},
    }
    made = manifest("io-error", ["n2"], errno="ENOSPC")
    assert (made["spec"]["action"], made["spec"]["errno"]) == ("fault", 28)
    for kind in ("disk-full", "lost-writes"):
        with pytest.raises(Unavailable, match=f"'{kind}' has no equal in Chaos Mesh"):
            manifest(kind, ["n1"])

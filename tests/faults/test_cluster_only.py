"""Kinds that only a cluster can do: listed apart, refused in the lab, whole on a cluster."""

from __future__ import annotations

import contextlib
import json

import pytest
import yaml

from seatrial import faults
from seatrial.cases import CASES, case
from seatrial.cli.main import main
from seatrial.engine.argo.effects import BY_COMMAND
from seatrial.engine.argo.orderly import NAMES as BY_THE_API
from seatrial.errors import Unavailable, UsageError
from seatrial.fault import CLUSTER, PlannedFault
from seatrial.faults import FAULTS
from seatrial.faults.chaos.catalogue import FAMILIES
from seatrial.faults.chaos.examples import ACTIONS, examples
from seatrial.runner.planner import Overrides, make_plan
from tests.faults.test_chaos_goldens import GOLDENS

NODES = ("n1", "n2", "n3")
ONLY_CLUSTER = [name for name, entry in FAULTS.items() if entry.only == "cluster"]
ONLY_LAB = [name for name, entry in FAULTS.items() if entry.only == "lab"]


def planned(kind: str, **options: object) -> PlannedFault:
    return PlannedFault.model_validate(
        {
            "id": "F1",
            "kind": kind,
            "victims": "one",
            "start_s": 1,
            "duration_s": 5,
            "options": options,
        }
    )


def test_every_chaos_mesh_kind_is_in_the_catalogue() -> None:
    assert set(ONLY_CLUSTER) == set(FAMILIES)


@pytest.mark.parametrize("name", FAULTS)
def test_the_catalogue_says_truly_who_can_do_it(name: str) -> None:
    kind, only = faults.kind(name), FAULTS[name].only
    if only == "cluster":
        assert "a Kubernetes cluster only" in kind.unavailable("namespace", NODES, {})
        assert "hint: " in kind.unavailable("none", NODES, {})
    else:
        assert "cluster" not in kind.unavailable("namespace", NODES, {})
    if only == "lab":
        assert kind.unavailable(CLUSTER, NODES, {})
        with pytest.raises(Unavailable):
            kind.manifest(planned(name), ["n1"], NODES, "trial")
    elif name in (*BY_COMMAND, *BY_THE_API):
        options = {"image": "etcd:v3.6.0"} if name.endswith("grade") else {}
        assert kind.unavailable(CLUSTER, NODES, options) == ""
        with pytest.raises(Unavailable, match="no equal in Chaos Mesh"):
            kind.manifest(planned(name), ["n1"], NODES, "trial")
    elif only == "":
        with contextlib.suppress(UsageError):  # options that must be given
            kind.manifest(planned(name), ["n1"], NODES, "trial")


@pytest.mark.parametrize("example", ACTIONS, ids=lambda action: str(action.title()))
def test_a_case_can_ask_a_cluster_for_every_action(example: object) -> None:
    action = next(each for each in ACTIONS if each is example)
    name = next(name for name, family in FAMILIES.items() if family.kind == action.kind)
    options = {
        "action": action.short(),
        **action.model_dump(mode="json", exclude_unset=True),
    }
    kind, fault = faults.kind(name), planned(name, **options)

    assert kind.unavailable(CLUSTER, NODES, fault.options) == ""
    made = kind.manifest(fault, ["n2"], NODES, "trial")
    assert made["kind"] == action.kind
    text = json.dumps(made["spec"])
    assert '"duration": "5000ms"' in text
    assert ('["n2"]' in text) == (action.scope != "cloud")


@pytest.mark.parametrize("name", ONLY_CLUSTER)
def test_wrong_options_are_said_before_anything_starts(name: str) -> None:
    said = faults.kind(name).unavailable(CLUSTER, NODES, {"speed": "fast"})
    assert "hint: " in said


@pytest.mark.parametrize("name", ONLY_CLUSTER)
def test_the_lab_refuses_it_in_the_plan(name: str) -> None:
    with pytest.raises(UsageError, match=f"fault '{name}' cannot be done here: .*\n\nhint: "):
        make_plan(case(next(iter(CASES))), 1, Overrides(faults=(name,)))


def test_the_command_line_refuses_it_with_a_status(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "etcd-register", "--faults", "dns"]) >= 64
    said = capsys.readouterr()
    assert said.out == ""
    assert "acts on a Kubernetes cluster only" in said.err
    assert "hint: " in said.err


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("stress-dns", "stress"), ("dsn", "dns"), ("partitoin", "partition"), ("pod_chaos", "pod")],
)
def test_a_misspelt_kind_gets_the_nearest(
    typed: str, meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """TiPocket's `kill_pd_nonleader_5min` fell to a default and killed any one node."""
    assert main(["plan", "etcd-register", "--faults", typed]) == 64
    assert f"did you mean '{meant}" in capsys.readouterr().err


def test_on_a_cluster_what_only_the_lab_can_is_refused_or_left_out() -> None:
    asked = case("etcd-register")
    with pytest.raises(UsageError, match="'disk-full' has no equal"):
        make_plan(asked, 1, Overrides(engine="argo", faults=("disk-full",)))
    kinds = {fault.kind for fault in make_plan(asked, 1, Overrides(engine="argo")).faults}
    assert kinds and not kinds & set(ONLY_LAB)


def test_the_list_says_which_engine_can_do_which(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "faults"]) == 0
    text = capsys.readouterr().out
    both, lab, cluster = text.split("\n\n")
    assert "kill " in both and "partition " in both and "lab, and on a cluster" in both
    assert "disk-full " in lab and "in the lab only" in lab
    assert all(f"\n{name} " in cluster for name in ONLY_CLUSTER)
    assert "on a cluster only" in cluster

    assert main(["list", "faults", "--json"]) == 0
    rows = {row["name"]: row["engines"] for row in json.loads(capsys.readouterr().out)}
    assert rows["kill"] == ["lab", "cluster"]
    assert rows["disk-full"] == ["lab"]
    assert rows["pause"] == ["lab", "cluster"]
    assert rows["dns"] == ["cluster"]
    assert set(rows) == set(FAULTS)


def test_the_yaml_has_a_document_of_every_action(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "faults", "--yaml"]) == 0
    text = capsys.readouterr().out
    assert text == "".join((GOLDENS / f"{each.name}.yaml").read_text() for each in examples())
    found = list(yaml.safe_load_all(text))
    assert len(found) == len(ACTIONS)
    assert [each["kind"] for each in found] == [action.kind for action in ACTIONS]
    assert all(each["apiVersion"] == "chaos-mesh.org/v1alpha1" for each in found)


@pytest.mark.parametrize("words", [["cases", "--yaml"], ["faults", "--yaml", "--json"]])
def test_yaml_is_for_faults_alone(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", *words]) == 64
    assert "hint: seatrial list faults --yaml" in capsys.readouterr().err

"""The exit handler's steps over the API server: what they cannot do is never called done."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from seatrial.cases import case
from seatrial.cli.main import main
from seatrial.engine.argo.api import Api
from seatrial.runner.planner import Overrides, make_plan
from tests.kube.cluster import NAMESPACE, RUN
from tests.kube.server import Cluster
from tests.kube.test_site import ENVIRONMENT


@pytest.fixture
def trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A pod's folder with the plan of a kill, and the pod's environment."""
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    folder = tmp_path / "trial"
    folder.mkdir()
    plan = make_plan(case("etcd-register"), 1, Overrides(engine="argo", faults=("kill",)))
    (folder / "plan.json").write_text(plan.to_text())
    return folder


def step(folder: Path, *words: str) -> tuple[int, str]:
    """Exit status and sentence of a step."""
    status = main(["step", *words, "--dir", str(folder)])
    room = "exit-heal" if words == ("heal", "--exit") else words[0]
    return status, (folder / "steps" / room / "message").read_text().strip()


def test_faults_that_cannot_be_looked_for_are_not_healed(
    cluster: Cluster, api: Api, trial: Path
) -> None:
    """The handler's node is red, and says why."""
    cluster.fail("GET", "podchaos", 403, times=9, reason="Forbidden")
    for words in (("heal", "--exit"), ("audit",)):
        status, said = step(trial, *words)
        assert status == 69 and "podchaos" in said


def test_faults_are_healed_also_where_nobody_can_be_asked_to_stop(
    cluster: Cluster, api: Api, trial: Path
) -> None:
    """The board is asked first, and its refusal does not keep the faults in place."""
    where = f"/apis/chaos-mesh.org/v1alpha1/namespaces/{NAMESPACE}/podchaos"
    body = {
        "kind": "PodChaos",
        "metadata": {"name": "fault-1", "labels": {"seatrial/run": RUN.name}},
        "spec": {"action": "pod-kill"},
    }
    cluster.put(where, body)
    cluster.fail("GET", "configmaps", 403, times=9, reason="Forbidden")
    status, _ = step(trial, "heal", "--exit")
    assert status == 69
    assert f"{where}/fault-1" not in cluster.objects


@pytest.mark.parametrize("words", [("heal",), ("heal", "--exit")])
def test_what_did_not_end_in_order_is_said_though_it_is_gone(
    cluster: Cluster, api: Api, trial: Path, words: tuple[str, ...]
) -> None:
    """Its object is removed all the same, and whether its injury is mended nobody knows.

    A step that is repeated in a new pod says it again.
    """
    where = f"/apis/chaos-mesh.org/v1alpha1/namespaces/{NAMESPACE}/podchaos"
    body = {
        "kind": "PodChaos",
        "metadata": {"name": "fault-1", "labels": {"seatrial/run": RUN.name}},
        "spec": {"action": "pod-failure"},
    }
    cluster.put(where, body)
    cluster.fail("PATCH", "podchaos", 403, reason="Forbidden")
    status, said = step(trial, *words)
    assert status == 2
    assert "PodChaos fault-1: PATCH" in said and "it went wrong on purpose (403)" in said
    assert f"{where}/fault-1" not in cluster.objects
    if words == ("heal",):
        shutil.rmtree(trial / "steps")
        again = step(trial, *words)[1]
        assert "PodChaos fault-1: PATCH" in again
        record = json.loads((trial / "steps/heal/heal.json").read_text())
        assert len(record["unhealed"]) == 1


def test_a_target_that_could_not_be_removed_is_named(
    cluster: Cluster, api: Api, trial: Path
) -> None:
    """Not proven, with the object and the reason."""
    cluster.fail("DELETE", "statefulsets", 403, reason="Forbidden")
    status, said = step(trial, "teardown")
    assert status == 2
    assert said.startswith("not taken down: StatefulSet ") and "(403)" in said
    assert step(trial, "teardown") == (0, "the cluster is gone")

"""Campaigns as a person at a terminal sees them: one verdict of all trials; labels of a trial."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from seatrial.cli.main import main
from seatrial.engine.argo import labels, paths
from seatrial.engine.argo.api import Api
from tests.kube.access import Use
from tests.kube.cluster import NAMESPACE, RUN
from tests.kube.server import Cluster, Object
from tests.workflows.sample import PLAN

WORKFLOWS = paths.workflows(NAMESPACE)
NIGHT = "night-1"


def node(name: str, phase: str, **outputs: str) -> Object:
    """One pod of a workflow."""
    return {
        "displayName": name,
        "name": f"some.{name}",
        "type": "Pod",
        "phase": phase,
        "outputs": {"parameters": [{"name": k, "value": v} for k, v in outputs.items()]},
    }


def put(cluster: Cluster, name: str, phase: str, *nodes: Object, campaign: str = "") -> None:
    """A Workflow that has ended."""
    body: Object = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {"name": name, "namespace": NAMESPACE, "uid": f"uid-{name}"},
        "spec": {},
        "status": {"phase": phase, "nodes": {str(i): one for i, one in enumerate(nodes)}},
    }
    if campaign:
        body["metadata"]["labels"] = {"seatrial/campaign": campaign}
    cluster.put(WORKFLOWS, body)


def night(cluster: Cluster, *verdicts: str, phase: str = "Failed") -> None:
    """A campaign that has ended, and its trials; "" is one that never came to a verdict."""
    put(
        cluster,
        "another-night-1",
        "Failed",
        node("verdict", "Failed", verdict="invalid"),
        campaign="another",
    )
    follows = []
    for number, verdict in enumerate(verdicts, 1):
        good = "Succeeded" if verdict == "valid" else "Failed"
        told = node("verdict", good, verdict=verdict, message=f"{verdict}: trial {number}\n")
        put(cluster, f"{NIGHT}-{number}", good, *([told] if verdict else []), campaign=NIGHT)
        follows.append(node(f"trial-{number}", good))
    put(cluster, NIGHT, phase, *follows)


@pytest.mark.parametrize(
    ("verdicts", "phase", "status", "words"),
    [
        (("valid", "valid"), "Succeeded", 0, "valid: of 2 trials 2 valid"),
        (
            ("valid", "unknown", "invalid", ""),
            "Failed",
            1,
            "invalid: of 4 trials 1 valid, 1 invalid, 2 unknown; night-1-3: invalid: trial 3; "
            "night-1-2: unknown: trial 2; night-1-4: the workflow is Failed",
        ),
        (
            ("valid", "unknown"),
            "Failed",
            2,
            "unknown: of 2 trials 1 valid, 1 unknown; night-1-2: unknown: trial 2",
        ),
        (
            ("valid",),
            "Failed",
            2,
            "unknown: of 1 trials 1 valid; the campaign itself: the workflow is Failed",
        ),
    ],
)
def test_a_campaign_ends_with_the_verdict_of_all_its_trials(
    cluster: Cluster,
    api: Api,
    capsys: pytest.CaptureFixture[str],
    verdicts: tuple[str, ...],
    phase: str,
    status: int,
    words: str,
) -> None:
    """Invalid beats unknown; the trials against it are named, each with its sentence."""
    night(cluster, *verdicts, phase=phase)
    assert main(["watch", NIGHT]) == status
    assert capsys.readouterr().out.strip() == words


def test_the_end_of_a_campaign_as_json_has_each_trials_verdict(
    cluster: Cluster, api: Api, capsys: pytest.CaptureFixture[str]
) -> None:
    """By name; a trial's own end has none."""
    night(cluster, "valid", "invalid")
    assert main(["watch", NIGHT, "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["trials"] == {f"{NIGHT}-1": "valid", f"{NIGHT}-2": "invalid"}
    assert main(["watch", f"{NIGHT}-1", "--json"]) == 0
    assert "trials" not in json.loads(capsys.readouterr().out)


def test_a_campaign_whose_trials_may_not_be_listed_is_no_more_than_its_nodes_say(
    cluster: Cluster, api: Api
) -> None:
    """Unknown, not valid."""
    night(cluster, "valid", "invalid")
    cluster.rights["somebody"] = frozenset({Use(NAMESPACE, "argoproj.io", "workflows", "get")})
    assert main(["watch", NIGHT]) == 2


def test_the_node_that_follows_a_trial_leaves_its_one_sentence(
    cluster: Cluster, api: Api, tmp_path: Path
) -> None:
    """Where Kubernetes picks it up, and where Argo does: nothing of the progress is in it."""
    night(cluster, "invalid")
    files = [tmp_path / "termination-log", tmp_path / "message"]
    words = [word for file in files for word in ("--message-file", str(file))]
    assert main(["watch", f"{NIGHT}-1", *words]) == 1
    assert {file.read_text() for file in files} == {"invalid: trial 1"}


def test_a_drawn_seed_becomes_a_label_of_the_trial(cluster: Cluster, api: Api) -> None:
    """Which its template could not know; other labels stay."""
    put(cluster, RUN.name, "Running", campaign=NIGHT)
    asyncio.run(labels.tell(api, RUN, PLAN))
    metadata = cluster.objects[f"{WORKFLOWS}/{RUN.name}"]["metadata"]
    assert metadata["labels"] == {"seatrial/campaign": NIGHT, "seatrial/seed": "7"}
    assert metadata["annotations"] == {"seatrial/repeat": PLAN.repeat}


def test_a_trial_goes_on_without_its_label(cluster: Cluster, api: Api) -> None:
    """Nobody may change the Workflow, or it is gone: that is no cause to end a trial."""
    put(cluster, RUN.name, "Running")
    cluster.fail("PATCH", "workflows", 403)
    asyncio.run(labels.tell(api, RUN, PLAN))
    assert "labels" not in cluster.objects[f"{WORKFLOWS}/{RUN.name}"]["metadata"]


@pytest.mark.parametrize(
    "words",
    [("--cron", "@daily"), ("--kind", "WorkflowTemplate"), ("--trials", "2", "--cron", "@daily")],
)
def test_what_does_not_start_now_cannot_be_watched(
    cluster: Cluster, api: Api, words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """And nothing is made."""
    assert main(["submit", "etcd-register", *words, "--watch"]) == 64
    assert "does not start now" in capsys.readouterr().err
    assert all(method != "PATCH" for method, _, _ in cluster.requests)

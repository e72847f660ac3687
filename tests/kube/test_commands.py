"""`submit`, `watch`, `fetch`, `stop`, `reap --engine argo`, `doctor --cluster` on the server."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from seatrial.cli.main import main
from seatrial.engine.argo import paths, runs
from seatrial.engine.argo.api import Api
from seatrial.engine.argo.board import ConfigMapBoard
from seatrial.verdict import Json
from seatrial.workflows.settings import Settings
from tests.kube.bucket import Bucket, announce
from tests.kube.cluster import NAMESPACE, RUN, ChaosMesh
from tests.kube.server import Cluster, Object

WORKFLOWS = paths.workflows(NAMESPACE)
PODCHAOS = paths.chaos("PodChaos", NAMESPACE)
BOARD = f"{paths.config_maps(NAMESPACE)}/{RUN.name}-board"


def node(name: str, phase: str, **outputs: str) -> Object:
    """One pod of a workflow."""
    return {
        "displayName": name,
        "name": f"{RUN.name}.{name}",
        "type": "Pod",
        "phase": phase,
        "startedAt": "2026-11-21T02:00:01Z",
        "outputs": {"parameters": [{"name": k, "value": v} for k, v in outputs.items()]},
    }


def workflow(phase: str, *nodes: Object, **more: object) -> Object:
    """A Workflow as Argo has it."""
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {"name": RUN.name, "namespace": NAMESPACE, "uid": "the-uid"},
        "spec": {
            "templates": [
                {
                    "outputs": {
                        "artifacts": [
                            {"s3": {"key": "trials/{{workflow.name}}/{{workflow.uid}}/plan.json"}}
                        ]
                    }
                }
            ]
        },
        "status": {
            "phase": phase,
            "nodes": {str(number): one for number, one in enumerate(nodes)},
            **more,
        },
    }


def injury(name: str, run: str) -> Object:
    """A fault of some run."""
    return {
        "apiVersion": "chaos-mesh.org/v1alpha1",
        "kind": "PodChaos",
        "metadata": {"name": name, "labels": {"seatrial/run": run}},
        "spec": {"action": "pod-failure", "selector": {"pods": {NAMESPACE: ["db-n1"]}}},
    }


VERDICT = node("verdict", "Failed", verdict="invalid", message="invalid: a stale read\n")


# ── submit ───────────────────────────────────────────────────────────────────────────────────


def test_submit_makes_what_render_prints(
    cluster: Cluster, api: Api, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same options, the same object."""
    options = ["etcd-register", "--faults", "kill", "--seed", "7", "--label", "team=storage"]
    assert main(["render", *options]) == 0
    printed = yaml.safe_load(capsys.readouterr().out)
    assert main(["submit", *options, "--json"]) == 0
    (told,) = json.loads(capsys.readouterr().out)
    made = cluster.objects[f"{WORKFLOWS}/{told['name']}"]
    assert made["spec"] == printed["spec"]
    assert made["metadata"]["labels"]["team"] == "storage"


@pytest.mark.parametrize("cron", [(), ("--cron", "0 2 * * *")])
def test_steps_get_the_image_that_is_installed_unless_one_is_named(
    cluster: Cluster, api: Api, cron: tuple[str, ...]
) -> None:
    """Who deployed another image than the default's name need not name it again."""
    templates = paths.collection("argoproj.io/v1alpha1", "WorkflowTemplate", NAMESPACE)
    spec = {"templates": [{"container": {"image": "seatrial:dev"}}, {"dag": {}}]}
    cluster.put(templates, {"metadata": {"name": "seatrial-trial"}, "spec": spec})
    for options, image in (((), "seatrial:dev"), (("--image", "mine:1"), "mine:1")):
        assert main(["submit", "etcd-register", *cron, *options]) == 0
        kind = "CronWorkflow" if cron else "Workflow"
        made = [o for o in cluster.objects.values() if o.get("kind") == kind][-1]
        inner = made["spec"]["workflowSpec"] if cron else made["spec"]
        found = {one["container"]["image"] for one in inner["templates"] if "container" in one}
        assert found == {image}


@pytest.mark.parametrize("word", ["templates", "trial"])
def test_templates_are_made_with_the_image_that_belongs_to_them(
    cluster: Cluster, api: Api, word: str
) -> None:
    """New templates over old ones: not with the image of the old."""
    templates = paths.collection("argoproj.io/v1alpha1", "WorkflowTemplate", NAMESPACE)
    spec = {"templates": [{"container": {"image": "seatrial:old"}}, {"dag": {}}]}
    cluster.put(templates, {"metadata": {"name": "seatrial-trial"}, "spec": spec})
    assert main(["submit", word]) == 0
    made = cluster.objects[f"{templates}/seatrial-trial"]["spec"]["templates"]
    images = {one["container"]["image"] for one in made if "container" in one}
    assert images == {Settings().image}


def test_a_lost_answer_makes_no_second_trial(
    cluster: Cluster, api: Api, capsys: pytest.CaptureFixture[str]
) -> None:
    """The request is repeated, and what it made before is known again."""
    cluster.fail("POST", "workflows", lose=True)
    assert main(["submit", "etcd-register", "--json"]) == 0
    (told,) = json.loads(capsys.readouterr().out)
    assert [p for p in cluster.objects if "/workflows/" in p] == [f"{WORKFLOWS}/{told['name']}"]


def test_submit_with_a_schedule_makes_or_changes_a_cron_workflow(
    cluster: Cluster, api: Api, capsys: pytest.CaptureFixture[str]
) -> None:
    """Twice the same name is one object, the second time changed."""
    where = paths.collection("argoproj.io/v1alpha1", "CronWorkflow", NAMESPACE)
    for hour in ("2", "3"):
        assert main(["submit", "etcd-register", "--cron", f"0 {hour} * * *"]) == 0
    (made,) = [body for path, body in cluster.objects.items() if path.startswith(where)]
    assert made["spec"]["schedules"] == ["0 3 * * *"]


def test_submit_says_what_the_cluster_says(
    cluster: Cluster, api: Api, capsys: pytest.CaptureFixture[str]
) -> None:
    """A refusal is status 69, with the API's own words."""
    cluster.fail("POST", "workflows", 403, reason="Forbidden")
    assert main(["submit", "etcd-register"]) == 69
    assert "it went wrong on purpose (403)" in capsys.readouterr().err


# ── watch ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("said", "status"), [("valid", 0), ("invalid", 1), ("unknown", 2), ("", 2)]
)
def test_watch_ends_with_the_verdict(
    cluster: Cluster, api: Api, capsys: pytest.CaptureFixture[str], said: str, status: int
) -> None:
    """The last leaf's output is the exit status; where there is none it is unknown."""
    cluster.put(WORKFLOWS, workflow("Failed", node("verdict", "Failed", verdict=said, message="x")))
    assert main(["watch", RUN.name]) == status


def test_watch_keeps_the_exit_handlers_nodes_apart(
    cluster: Cluster, api: Api, capsys: pytest.CaptureFixture[str]
) -> None:
    """Argo gives two nodes the same display name where two graphs have a task of one name."""
    late = {**node("heal", "Succeeded"), "name": f"{RUN.name}.onExit.heal"}
    cluster.put(WORKFLOWS, workflow("Failed", node("heal", "Failed"), late))
    assert main(["watch", RUN.name]) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if "heal" in line]
    told = sorted(line.split()[1:3] for line in lines)
    assert told == [["exit-heal", "Succeeded"], ["heal", "Failed"]]


def test_watch_tells_phases_faults_and_ops(cluster: Cluster, api: Api) -> None:
    """A node that changes its phase is told, and what the steps say on the board."""
    cluster.put(WORKFLOWS, workflow("Running", node("workload", "Running")))
    acting = {"fault-1": {"kind": "kill", "touches": "process", "victims": ["n2"]}}
    notices = {"workload": {"phase": "faults", "ops": 1234}, "acting": {"acting": acting}}
    cluster.put(
        paths.config_maps(NAMESPACE),
        {
            "metadata": {"name": f"{RUN.name}-board"},
            "data": {
                name: json.dumps({"version": 1, "document": document, "writer": "w"})
                for name, document in notices.items()
            },
        },
    )
    seen: list[tuple[str, str]] = []

    def tell(now: runs.WorkflowState, board: str) -> None:
        seen.append((now.phase, board))
        cluster.put(WORKFLOWS, workflow("Failed", VERDICT))

    cluster.fail("GET", "workflows", 503, times=2)
    end = asyncio.run(runs.follow(api, NAMESPACE, RUN.name, tell, every_s=0.01))
    assert seen[0] == ("Running", "faults, 1,234 ops; fault-1 (kill of n2)")
    assert (end.verdict, end.sentence) == ("invalid", "invalid: a stale read")


def test_what_has_no_verdict_of_its_own_is_green_only_if_all_of_it_succeeded() -> None:
    """A campaign has trials instead; nothing at all is no success."""
    green = node("trial-1", "Succeeded")
    assert runs.state(workflow("Succeeded", green)).verdict == "valid"
    assert runs.state(workflow("Succeeded", green, node("trial-2", "Failed"))).verdict == "unknown"
    assert runs.state(workflow("Failed", green)).verdict == "unknown"
    assert runs.state(workflow("Succeeded")).verdict == "unknown"


def test_a_large_workflow_is_read_as_well(cluster: Cluster, api: Api) -> None:
    """Argo compresses the nodes of a status that is too large for an object."""
    packed = base64.b64encode(gzip.compress(json.dumps({"1": VERDICT}).encode())).decode()
    cluster.put(WORKFLOWS, workflow("Failed", compressedNodes=packed))
    assert runs.state(cluster.objects[f"{WORKFLOWS}/{RUN.name}"]).verdict == "invalid"


def test_a_workflow_that_is_not_there(
    cluster: Cluster, api: Api, capsys: pytest.CaptureFixture[str]
) -> None:
    """Status 66, and those that are there."""
    cluster.put(WORKFLOWS, workflow("Running"))
    assert main(["watch", "nightly-1"]) == 66
    assert f"hint: {RUN.name}" in capsys.readouterr().err


# ── stop and reap ────────────────────────────────────────────────────────────────────────────


def test_stop_heals_before_it_stops(cluster: Cluster, mesh: ChaosMesh, api: Api) -> None:
    """The steps see the word on the board and heal; only then Argo is told."""
    order: list[str] = []

    def heard(kind: str, path: str, body: Object) -> None:
        mesh.heard(kind, path, body)
        if path == BOARD and "stop" in body.get("data", {}):
            order.append("asked")
            cluster.remove(f"{PODCHAOS}/fault-1")
        if path.startswith(WORKFLOWS) and body["spec"].get("shutdown") == "Stop":
            order.append("stopped")
        if kind == "DELETED" and path.startswith(PODCHAOS):
            order.append("healed")

    cluster.put(WORKFLOWS, workflow("Running"))
    cluster.put(PODCHAOS, injury("fault-1", RUN.name))
    cluster.when = heard
    assert main(["stop", RUN.name, "--reason", "enough"]) == 0
    assert order == ["asked", "healed", "stopped"]
    assert json.loads(cluster.objects[BOARD]["data"]["stop"])["document"] == {"reason": "enough"}


def test_stop_ends_faults_of_steps_that_are_dead(
    cluster: Cluster, mesh: ChaosMesh, api: Api
) -> None:
    """Nobody listens: they are ended from here, and the workflow is stopped all the same."""
    cluster.put(WORKFLOWS, workflow("Running"))
    cluster.put(PODCHAOS, injury("fault-1", RUN.name))
    said: list[str] = []
    asyncio.run(runs.stop(api, NAMESPACE, RUN.name, "", said.append, heal_s=0.1))
    assert f"{PODCHAOS}/fault-1" not in cluster.objects
    assert cluster.objects[f"{WORKFLOWS}/{RUN.name}"]["spec"]["shutdown"] == "Stop"
    assert any("fault-1" in line for line in said)


def test_stop_waits_for_faults_that_are_no_objects(cluster: Cluster, api: Api) -> None:
    """A pause is done by command: its step says on the board that it acts, and when it healed."""
    cluster.put(WORKFLOWS, workflow("Running"))
    paused: dict[str, Json] = {"kind": "pause", "touches": "process", "victims": ["n1"]}
    board, said = ConfigMapBoard(api, RUN), list[str]()

    async def act(heals: bool) -> tuple[str, ...]:
        await board.post("acting", {"begun": 1, "acting": {"fault-1": paused}})
        stopping = asyncio.create_task(runs.stop(api, NAMESPACE, RUN.name, "", said.append, 3.0))
        while "stop" not in cluster.objects[BOARD]["data"]:
            await asyncio.sleep(0.001)
        assert "shutdown" not in cluster.objects[f"{WORKFLOWS}/{RUN.name}"]["spec"]
        if heals:
            await board.post("acting", {"begun": 1, "acting": {}})
        return await stopping

    assert asyncio.run(act(heals=True)) == ()
    cluster.put(WORKFLOWS, workflow("Running"))
    cluster.remove(BOARD)
    assert asyncio.run(act(heals=False)) == ("fault-1 (pause of n1) has not said that it healed",)


@pytest.mark.parametrize("command", [("stop", RUN.name), ("reap", "--engine", "argo")])
def test_what_may_not_be_looked_at_is_not_healed(
    cluster: Cluster, api: Api, command: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """Somebody without rights on Chaos Mesh's objects is not told that all is well."""
    cluster.put(WORKFLOWS, workflow("Running"))
    refused = cluster.fail("GET", "chaos-mesh.org", 403, reason="Forbidden", times=1000)
    assert main([*command]) == 70
    assert "is not known: you may not look" in capsys.readouterr().out
    # Rights for what the cases need are enough, as the reaper has them.
    refused.path = "chaos-mesh.org.*(io|stress|time|dns|http|jvm|kernel)chaos"
    cluster.put(WORKFLOWS, workflow("Running"))
    assert main([*command]) == 0


def test_stopping_a_campaign_stops_its_trials_that_still_run(
    cluster: Cluster, api: Api, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is over stays as it is; where nothing runs there is nothing to do."""
    for name, phase in (("one", "Running"), ("two", "Succeeded"), ("other", "Running")):
        body = workflow(phase)
        label = "another" if name == "other" else "night-1"
        body["metadata"] |= {"name": name, "labels": {"seatrial/campaign": label}}
        cluster.put(WORKFLOWS, body)
    assert main(["stop", "--campaign", "night-1"]) == 0
    assert "1 of 2 trials of night-1 still run" in capsys.readouterr().err
    stopped = [
        body["metadata"]["name"]
        for path, body in cluster.objects.items()
        if path.startswith(WORKFLOWS) and "shutdown" in body["spec"]
    ]
    assert stopped == ["one"]
    assert main(["stop", "--campaign", "a-night-that-went-well"]) == 0
    assert main(["stop", "--campaign", "night-1", "--all"]) == 64


def test_reap_takes_what_is_over_or_gone_and_leaves_what_runs(
    cluster: Cluster, mesh: ChaosMesh, api: Api, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the label of the run and the Workflow's own phase."""
    cluster.put(WORKFLOWS, workflow("Running"))
    cluster.put(PODCHAOS, injury("lives", RUN.name))
    cluster.put(PODCHAOS, injury("left", "a-run-that-is-gone"))
    assert main(["reap", "--engine", "argo", "--dry-run"]) == 0
    assert "there is: PodChaos left of a-run-that-is-gone" in capsys.readouterr().out
    assert main(["reap", "--engine", "argo"]) == 0
    assert f"{PODCHAOS}/left" not in cluster.objects
    assert f"{PODCHAOS}/lives" in cluster.objects


def test_reap_takes_down_the_target_of_a_run_that_was_terminated(
    cluster: Cluster, api: Api, capsys: pytest.CaptureFixture[str]
) -> None:
    """Such a Workflow has no exit handler; one whose handler succeeded has had its say."""
    handler = {"name": f"{RUN.name}.onExit.teardown(0)", "displayName": "teardown(0)"}
    runs_of = {
        "terminated": (),
        "torn": ({**node("", "Failed"), **handler},),
        "kept": ({**node("", "Succeeded"), **handler},),
    }
    sets = paths.collection("apps/v1", "StatefulSet", NAMESPACE)
    claims = paths.collection("v1", "PersistentVolumeClaim", NAMESPACE)
    for name, nodes in runs_of.items():
        body = workflow("Failed", *nodes)
        body["metadata"]["name"] = name
        cluster.put(WORKFLOWS, body)
        for where in (sets, claims):
            cluster.put(where, {"metadata": {"name": name, "labels": {"seatrial/run": name}}})
    assert main(["reap", "--engine", "argo", "--dry-run"]) == 0
    told = "there is: StatefulSet terminated of terminated, which is over"
    assert told in capsys.readouterr().out
    assert main(["reap", "--engine", "argo"]) == 0
    for where in (sets, claims):
        left = [path for path in cluster.objects if path.startswith(where)]
        assert left == [f"{where}/kept"]


# ── fetch ────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def bucket(cluster: Cluster) -> Iterator[Bucket]:
    """The store, and where the cluster says it is."""
    made = Bucket()
    announce(cluster, made)
    yield made
    made.close()


def test_fetch_brings_the_folder_home(
    cluster: Cluster, api: Api, bucket: Bucket, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every piece under the run's key, at its place; not those of another run of the name."""
    cluster.put(WORKFLOWS, workflow("Failed", VERDICT))
    pieces = {
        "plan.json": b"{}",
        "trial.json": b"{}",
        "history.arrow": bytes(range(256)) * 5000,
        "evidence/fault-1.json": b"{}",
        "steps/workload/load.json": b"{}",
    }
    for name, data in pieces.items():
        bucket.objects[f"trials/{RUN.name}/the-uid/{name}"] = data
    bucket.objects[f"trials/{RUN.name}/an-older-uid/plan.json"] = b"old"

    assert main(["fetch", RUN.name, "--store", str(tmp_path)]) == 1
    folder = tmp_path / RUN.name
    found = {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    assert found == pieces
    assert "invalid on the cluster" in capsys.readouterr().out
    assert main(["fetch", RUN.name, "--store", str(tmp_path)]) == 73


def test_fetch_says_what_is_wrong(
    cluster: Cluster, api: Api, bucket: Bucket, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing kept: 66. A store that is elsewhere from here: 69 and how to reach it."""
    cluster.put(WORKFLOWS, workflow("Failed", VERDICT))
    assert main(["fetch", RUN.name, "--store", str(tmp_path)]) == 66
    cluster.remove(f"{paths.config_maps(NAMESPACE)}/artifact-repositories")
    assert main(["fetch", RUN.name, "--store", str(tmp_path)]) == 69
    assert "there is no ConfigMap artifact-repositories" in capsys.readouterr().err

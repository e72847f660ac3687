"""`seatrial run --engine argo` is submit, watch and fetch in one, judged here, over the server."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from seatrial.cli.main import main
from seatrial.engine.argo import runs
from seatrial.engine.argo.api import Api
from tests.kube.bucket import Bucket
from tests.kube.server import Cluster, Object
from tests.kube.test_commands import WORKFLOWS, bucket, node
from tests.runner.test_judge import stored

__all__ = ["bucket"]
RUN = ["run", "etcd-register", "--engine", "argo", "--faults", "none", "--seed", "7", "--json"]


class Argo:
    """Ends each Workflow that is made with a verdict, and leaves its artifacts in the bucket."""

    def __init__(self, cluster: Cluster, bucket: Bucket | None, folder: Path, verdict: str) -> None:
        self.cluster, self.bucket, self.folder, self.verdict = cluster, bucket, folder, verdict
        cluster.when = self.heard

    def heard(self, kind: str, path: str, body: Object) -> None:
        """A Workflow is made: it is over at once."""
        if kind != "ADDED" or not path.startswith(WORKFLOWS):
            return
        metadata = body["metadata"]
        for file in self.folder.rglob("*"):
            if file.is_file() and self.bucket is not None:
                name = file.relative_to(self.folder)
                key = f"seatrial/{metadata['name']}/{metadata['uid']}/{name}"
                self.bucket.objects[key] = file.read_bytes()
        phase = "Succeeded" if self.verdict == "valid" else "Failed"
        end = node("verdict", phase, verdict=self.verdict, message=f"{self.verdict}: so it is\n")
        status = {"phase": phase, "nodes": {"1": end}}
        self.cluster.change(path, lambda there: there.update(status=status))


def trial(tmp_path: Path) -> Path:
    """A trial's folder that judges as valid here."""
    found = stored(tmp_path / "there").root
    plan = json.loads((found / "plan.json").read_text())
    plan["steady_states"] = []
    (found / "plan.json").write_text(json.dumps(plan))
    return found


def test_a_run_on_a_cluster_is_judged_here_and_exits_with_the_verdict(
    cluster: Cluster,
    api: Api,
    bucket: Bucket,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The folder comes home under the workflow's name, as that of any other trial."""
    Argo(cluster, bucket, trial(tmp_path), "valid")
    home = tmp_path / "trials"

    assert main([*RUN, "--store", str(home)]) == 0

    told = json.loads(capsys.readouterr().out)
    (folder,) = home.iterdir()
    assert told["verdict"] == "valid"
    assert told["trial"] == str(folder)
    assert (folder / "report.html").is_file()


@pytest.mark.parametrize(("said", "status"), [("invalid", 1), ("unknown", 2)])
def test_a_cluster_that_says_otherwise_keeps_it_from_green(
    cluster: Cluster,
    api: Api,
    bucket: Bucket,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    said: str,
    status: int,
) -> None:
    Argo(cluster, bucket, trial(tmp_path), said)
    assert main([*RUN, "--store", str(tmp_path / "trials")]) == status
    assert f"the cluster said {said}: {said}: so it is" in capsys.readouterr().err


@pytest.mark.parametrize(("said", "status"), [("valid", 0), ("invalid", 1), ("unknown", 2)])
def test_without_artifacts_the_clusters_verdict_stands(
    cluster: Cluster,
    api: Api,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    said: str,
    status: int,
) -> None:
    """A store that cannot be reached from here changes no verdict."""
    Argo(cluster, None, tmp_path / "nothing", said)
    assert main([*RUN, "--store", str(tmp_path / "trials")]) == status
    printed = capsys.readouterr()
    assert json.loads(printed.out)["verdict"] == said
    assert "not fetched: there is no ConfigMap artifact-repositories" in printed.err


def test_ctrl_c_stops_the_workflow(
    cluster: Cluster,
    api: Api,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Its exit handler heals and clears up; the status says interrupted."""

    async def interrupted(*_: object) -> runs.WorkflowState:
        raise KeyboardInterrupt

    def running(kind: str, path: str, body: Object) -> None:
        if kind == "ADDED" and path.startswith(WORKFLOWS):
            cluster.change(path, lambda there: there.update(status={"phase": "Running"}))

    cluster.when = running
    monkeypatch.setattr(runs, "follow", interrupted)

    assert main([*RUN, "--store", str(tmp_path)]) == 130

    (made,) = [body for path, body in cluster.objects.items() if path.startswith(WORKFLOWS)]
    assert made["spec"]["shutdown"] == "Stop"
    assert f"{made['metadata']['name']} is stopped" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "wrong"),
    [
        (["--engine", "argo", "--keep"], "--keep-target on-failure"),
        (["--engine", "lab", "--image", "x"], "without a cluster"),
        (["--context", "x"], "without a cluster"),
    ],
)
def test_options_of_one_place_are_refused_in_the_other(
    words: list[str], wrong: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "etcd-register", *words]) == 64
    assert wrong in capsys.readouterr().err

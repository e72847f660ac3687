"""`seatrial doctor --cluster`: a cluster that lacks nothing, and what is said of each lack."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import time
from collections.abc import Callable
from email.utils import formatdate
from functools import cache
from pathlib import Path

import pytest
import yaml

from seatrial.cli import doctor
from seatrial.cli.main import main
from seatrial.engine.argo import controllers, fetching, paths
from seatrial.engine.argo.api import Api
from tests.kube import access
from tests.kube.bucket import Bucket, announce
from tests.kube.cluster import NAMESPACE
from tests.kube.server import Cluster, Object

DEPLOY = Path(__file__).parents[2] / "deploy"
DAEMON = "chaos-mesh"
MACHINES = ("machine-1", "machine-2")
DEPLOYMENTS = "/apis/apps/v1/namespaces/{}/deployments"
SETS = f"/apis/apps/v1/namespaces/{DAEMON}/daemonsets"
PODS = paths.pods(DAEMON)
DENIED = b'<?xml version="1.0"?><Error><Code>AccessDenied</Code><Message>no</Message></Error>'

#: Name → status, meaning, mend.
Rows = dict[str, tuple[str, str, str]]


@cache
def deployed(path: str) -> str:
    """Objects of a file of deploy/, as JSON."""
    found = yaml.load_all((DEPLOY / path).read_text(), yaml.CSafeLoader)
    return json.dumps([*found])


@pytest.fixture
def look(
    api: Api, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[[], Rows]:
    """What the command says, with less patience for a server that is busy."""
    monkeypatch.setattr(doctor, "PATIENCE_S", 0.5)

    def rows() -> Rows:
        assert main(["doctor", "--cluster", "--json"]) == 0
        said = json.loads(capsys.readouterr().out)
        return {row["name"]: (row["status"], row["meaning"], row["mend"]) for row in said}

    return rows


def deployment(name: str, image: str, ready: int = 1) -> Object:
    """A controller."""
    containers = [{"name": "main", "image": image}]
    return {
        "metadata": {"name": name, "namespace": "there"},
        "spec": {"template": {"spec": {"containers": containers}}},
        "status": {"readyReplicas": ready},
    }


def daemon_pod(machine: str, ready: bool = True) -> Object:
    """The daemon of a machine."""
    return {
        "metadata": {"name": f"daemon-{machine}", "labels": {"app": "daemon"}},
        "spec": {"nodeName": machine},
        "status": {"conditions": [{"type": "Ready", "status": "True" if ready else "False"}]},
    }


@pytest.fixture
def whole(cluster: Cluster) -> Cluster:
    """A cluster as deploy/README.md leaves it, where the artifact store is in the cluster."""
    cluster.groups[paths.ARGO] = (
        "workflows",
        "workflowtemplates",
        "cronworkflows",
        "workflowtaskresults",
    )
    cluster.groups[paths.CHAOS_MESH] = tuple(kind.lower() for kind in paths.CHAOS_KINDS)
    cluster.groups["pingcap.com"] = ("tidbclusters",)
    cluster.put("/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
    for name, image in (
        ("workflow-controller", "quay.io/argoproj/workflow-controller:v4.1.2"),
        ("chaos-controller-manager", "ghcr.io/chaos-mesh/chaos-mesh:v2.8.3"),
        ("tidb-controller-manager", "pingcap/tidb-operator:v1.6.6"),
    ):
        cluster.put(DEPLOYMENTS.format("there"), deployment(name, image))
    for machine in MACHINES:
        cluster.put("/api/v1/nodes", {"metadata": {"name": machine}, "spec": {}})
        cluster.put(PODS, daemon_pod(machine))
    cluster.put(
        SETS,
        {
            "metadata": {"name": "chaos-daemon", "namespace": DAEMON},
            "spec": {"selector": {"matchLabels": {"app": "daemon"}}},
            "status": {"numberReady": 2, "desiredNumberScheduled": 2},
        },
    )
    for path in ("base/rights.yaml", "base/artifacts.yaml", "base/templates.yaml"):
        for body in json.loads(deployed(path)):
            if body["kind"] in ("ServiceAccount", "ConfigMap", "WorkflowTemplate"):
                where = paths.collection(body["apiVersion"], body["kind"], NAMESPACE)
                cluster.put(where, body)
    cluster.rights = access.granted(json.loads(deployed("base/rights.yaml")))
    key = base64.b64encode(b"key").decode()
    cluster.put(
        paths.collection("v1", "Secret", NAMESPACE),
        {"metadata": {"name": "seatrial-s3"}, "data": {"accesskey": key, "secretkey": key}},
    )
    cluster.put(paths.collection("v1", "Service", NAMESPACE), {"metadata": {"name": "minio"}})
    cluster.answers[proxy()] = (403, DENIED)
    return cluster


def proxy() -> str:
    """Where the server hands requests on to the store of deploy/."""
    return f"/api/v1/namespaces/{NAMESPACE}/services/http:minio:9000/proxy/seatrial/"


def test_a_whole_cluster_lacks_nothing(whole: Cluster, look: Callable[[], Rows]) -> None:
    """Every line is good, says what it saw, and has no mend."""
    rows = look()
    assert {name: row[0] for name, row in rows.items()} == dict.fromkeys(rows, "ok")
    assert not any(mend for _, _, mend in rows.values())
    said = {name: meaning for name, (_, meaning, _) in rows.items()}
    assert said["API server"] == "Kubernetes v1.34.9"
    assert said["Argo Workflows"] == "v4.1.2, workflow-controller is ready"
    assert said["Chaos Mesh"] == "v2.8.3, chaos-controller-manager is ready"
    assert said["TiDB Operator"] == "v1.6.6, tidb-controller-manager is ready"
    assert said["chaos daemon"] == "ready on all 2 machines"
    assert said["kernel modules"].endswith("on 2 machines that were asked")
    assert said["service accounts"].startswith("seatrial-judge, seatrial-load, seatrial-cluster:")
    assert said["templates"].startswith("seatrial-trial, seatrial-recheck; image seatrial:")
    assert "an S3 answers (AccessDenied); not asked: whether" in said["artifact store"]


def test_an_empty_cluster_lacks_each_thing_by_itself(
    cluster: Cluster, look: Callable[[], Rows]
) -> None:
    """With the mend of each."""
    rows = look()
    missing = {name for name, (status, _, _) in rows.items() if status == "missing"}
    assert missing == {
        "namespace",
        "Argo Workflows",
        "Chaos Mesh",
        "chaos daemon",
        "service accounts",
        "artifact store",
    }
    assert all(mend for status, _, mend in rows.values() if status != "ok")
    assert rows["TiDB Operator"][:2] == (
        "limited",
        "pingcap.com is not installed: no case on TiDB runs here",
    )


def test_a_server_that_refuses_ends_the_list(cluster: Cluster, look: Callable[[], Rows]) -> None:
    """Nothing else can be asked then."""
    cluster.fail("GET", "/version", 401, times=9, reason="Unauthorized")
    rows = look()
    assert list(rows) == ["API server"] and rows["API server"][0] == "missing"


@pytest.mark.parametrize(("off_s", "status"), [(0, "ok"), (3600, "limited"), (-60, "limited")])
def test_the_clock_is_told_with_its_bound(
    whole: Cluster, look: Callable[[], Rows], off_s: int, status: str
) -> None:
    """The `Date` of an answer has whole seconds; how long it took widens the bound."""
    whole.date = lambda: formatdate(time.time() + off_s, usegmt=True)
    found, meaning, _ = look()["clock"]
    assert found == status
    low, high = (float(word) for word in meaning.split() if word[0] in "+-")
    assert low <= off_s <= high and high - low < 30


def test_a_controller_of_another_version_is_told(whole: Cluster, look: Callable[[], Rows]) -> None:
    """And one that is not ready, and kinds that an older one lacks."""
    where = DEPLOYMENTS.format("there")
    whole.put(where, deployment("workflow-controller", "quay.io/argoproj/x:v3.7.18"))
    whole.put(where, deployment("chaos-controller-manager", "c/c:v2.8.3@sha256:abc", ready=0))
    rows = look()
    assert rows["Argo Workflows"][:2] == ("limited", "v3.7.18; seatrial is made for v4.1")
    assert rows["Chaos Mesh"][:2] == ("missing", "chaos-controller-manager v2.8.3 is not ready")
    whole.groups[paths.CHAOS_MESH] = ("podchaos",)
    assert "chaos-mesh.org has no awschaos" in look()["Chaos Mesh"][1]
    whole.remove(f"{where}/workflow-controller")
    assert look()["Argo Workflows"][1] == "no deployment workflow-controller runs"
    whole.fail("GET", "deployments", 403, reason="Forbidden")
    status, meaning, _ = look()["Argo Workflows"]
    assert status == "limited" and "is not known" in meaning


def test_machines_without_a_daemon_are_named(whole: Cluster, look: Callable[[], Rows]) -> None:
    """Those that take ordinary pods; by the set's own count where machines may not be listed."""
    whole.put(PODS, daemon_pod("machine-2", ready=False))
    status, meaning, _ = look()["chaos daemon"]
    assert (status, meaning.partition(":")[0]) == ("limited", "not ready on machine-2")
    closed = [{"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}]
    whole.put("/api/v1/nodes", {"metadata": {"name": "machine-2"}, "spec": {"taints": closed}})
    assert look()["chaos daemon"][:2] == ("ok", "ready on all 1 machines")
    whole.fail("GET", "/api/v1/nodes", 403, reason="Forbidden")
    status, meaning, _ = look()["chaos daemon"]
    assert status == "limited" and meaning.startswith("ready on 2 of the 2 machines")


def test_kernels_without_netem_are_named(whole: Cluster, look: Callable[[], Rows]) -> None:
    """Asked inside of the daemons' pods, where that is allowed."""
    asked: list[list[str]] = []

    def command(pod: str, container: str, argv: list[str]) -> tuple[str, int]:
        asked.append([container, *argv[4:]])
        return ("sch_netem\nsch_tbf\n" if pod.endswith("-2") else "", 0)

    whole.command = command
    status, meaning, mend = look()["kernel modules"]
    assert status == "limited" and mend.startswith("modprobe")
    assert meaning.startswith("machine-2 has no sch_netem, sch_tbf:")
    assert asked == [["chaos-daemon", *controllers.MODULES]] * 2
    whole.command = lambda *_: (controllers.UNKNOWN, 0)
    assert look()["kernel modules"][1].startswith("not known: machine-1 does not tell; ")
    whole.denied.add(("create", "pods/exec"))
    assert look()["kernel modules"][1].startswith("not asked: it takes the right to create pods/ex")


def test_the_question_for_modules_is_answered_by_this_kernel() -> None:
    """The script itself, in a shell: a module that no kernel has is the one that it prints."""
    there = Path("/proc/modules")
    loaded = [line.split()[0] for line in there.read_text().splitlines()] if there.exists() else []
    words = ["sh", "-c", controllers.LACKING, "sh", "no_such_module", *loaded[:1]]
    run = subprocess.run(words, capture_output=True, text=True, timeout=10, check=True)
    tells = there.exists() or os.path.isdir(f"/proc/1/root/lib/modules/{os.uname().release}")
    assert run.stdout == ("no_such_module\n" if tells else f"{controllers.UNKNOWN}\n")


def test_rights_that_are_not_there_are_named(whole: Cluster, look: Callable[[], Rows]) -> None:
    """One's own by SelfSubjectAccessReview, the accounts' by LocalSubjectAccessReview."""
    mine = whole.rights["seatrial-cluster"]
    whole.rights["seatrial-cluster"] = frozenset(
        use for use in mine if (use.resource, use.verb) != ("podchaos", "delete")
    )
    whole.denied.add(("create", "workflows"))
    whole.denied.add(("create", "cronworkflows"))
    rows = look()
    assert rows["your rights"][:2] == (
        "limited",
        "not: create workflows.argoproj.io in seatrial; "
        "create cronworkflows.argoproj.io in seatrial",
    )
    status, meaning, mend = rows["service accounts"]
    assert (status, mend) == ("missing", "kubectl apply -k deploy/")
    told = "seatrial-cluster cannot create workflows.argoproj.io in seatrial; "
    assert meaning == f"{told}seatrial-cluster cannot delete podchaos.chaos-mesh.org in seatrial"


def test_rights_that_no_step_needs_are_named(whole: Cluster, look: Callable[[], Rows]) -> None:
    """For instance those of somebody who bound an account to cluster-admin."""
    extra = access.Use(NAMESPACE, "", "secrets", "get")
    whole.rights["seatrial-load"] = whole.rights["seatrial-load"] | {extra}
    status, meaning, _ = look()["service accounts"]
    assert status == "limited"
    assert meaning == "more than they need: seatrial-load can get secrets in seatrial"


def test_accounts_that_may_not_be_asked_for_are_said_to_be_so(
    whole: Cluster, look: Callable[[], Rows]
) -> None:
    """There, and no more is known."""
    whole.fail("POST", "localsubjectaccessreviews", 403, times=999, reason="Forbidden")
    status, meaning, _ = look()["service accounts"]
    assert status == "limited" and "could not be asked" in meaning
    where = paths.collection("v1", "ServiceAccount", NAMESPACE)
    whole.remove(f"{where}/seatrial-load")
    assert look()["service accounts"][:2] == ("missing", "seatrial has no seatrial-load")


def test_templates_are_there_and_of_one_version(whole: Cluster, look: Callable[[], Rows]) -> None:
    """Campaigns and nights start from them."""
    where = paths.collection("argoproj.io/v1alpha1", "WorkflowTemplate", NAMESPACE)

    def change(body: Object) -> None:
        next(t for t in body["spec"]["templates"] if "container" in t)["container"]["image"] = "x:9"

    whole.change(f"{where}/seatrial-recheck", change)
    status, meaning, _ = look()["templates"]
    assert status == "limited" and meaning.endswith("x:9: steps of different versions")
    whole.remove(f"{where}/seatrial-trial")
    assert look()["templates"][1].startswith("seatrial has no seatrial-trial")


@pytest.mark.parametrize(
    ("answer", "status", "told"),
    [
        ((404, b"<Error><Code>NoSuchBucket</Code></Error>"), "missing", "it has no such bucket"),
        ((200, b"<ListBucketResult/>"), "limited", "shows the bucket to whoever asks"),
        ((503, b"no endpoints available for service"), "missing", "no endpoints available"),
        (None, "missing", "does not answer"),
    ],
)
def test_a_store_in_the_cluster_is_asked_through_the_server(
    whole: Cluster,
    look: Callable[[], Rows],
    answer: tuple[int, bytes] | None,
    status: str,
    told: str,
) -> None:
    """Its name means nothing on this machine."""
    if answer is None:
        del whole.answers[proxy()]
    else:
        whole.answers[proxy()] = answer
    found, meaning, mend = look()["artifact store"]
    assert (found, bool(mend)) == (status, True)
    assert told in meaning and meaning.startswith("bucket seatrial at minio.seatrial.svc:9000")


def test_a_store_that_may_not_be_asked_is_not_called_missing(
    whole: Cluster, look: Callable[[], Rows]
) -> None:
    """Nor one whose keys this account may not see."""
    whole.fail("GET", "services/http:minio", 403, reason="Forbidden")
    assert look()["artifact store"][0] == "limited"
    whole.fail("GET", "secrets", 403, reason="Forbidden")
    status, meaning, _ = look()["artifact store"]
    assert status == "limited" and "credentials cannot be read" in meaning


def test_keys_that_are_not_there_are_missed(whole: Cluster, look: Callable[[], Rows]) -> None:
    """With the command that makes them."""
    whole.remove(f"{paths.collection('v1', 'Secret', NAMESPACE)}/seatrial-s3")
    status, _, mend = look()["artifact store"]
    assert status == "missing"
    assert mend.startswith("kubectl -n seatrial create secret generic seatrial-s3")


def test_a_store_elsewhere_is_asked_for_its_bucket_with_the_clusters_keys(
    whole: Cluster, look: Callable[[], Rows]
) -> None:
    """It is reached from here as it is from there."""
    whole.remove(f"{paths.config_maps(NAMESPACE)}/{fetching.REPOSITORIES}")
    bucket = Bucket()
    try:
        announce(whole, bucket)
        status, meaning, _ = look()["artifact store"]
    finally:
        bucket.close()
    assert (status, meaning.rpartition(": ")[2]) == (
        "ok",
        "it answers, and its keys open the bucket",
    )
    assert look()["artifact store"][0] == "missing"

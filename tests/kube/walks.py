"""Walks of a rendered Workflow, inside of a sandbox: `python -m tests.kube.walks SCENARIO FOLDER`.

A scenario fails by an assertion; its traceback goes to standard error, which the test shows.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from typing import Any

import yaml
from hera.workflows import Workflow

from seatrial import targets
from seatrial.engine.argo import paths
from seatrial.engine.argo.run import RUN_LABEL
from seatrial.history.load import load_arrow
from seatrial.history.stream import HistoryWriter
from seatrial.op import Type
from seatrial.plan import Plan
from seatrial.runner.quorum import analyse
from seatrial.target import Placed
from seatrial.verdict import Json
from seatrial.workflows.campaign import Campaign, campaign
from seatrial.workflows.deployment import rights
from seatrial.workflows.documents import document
from seatrial.workflows.names import fault_node
from seatrial.workflows.parameters import TrialParameters
from seatrial.workflows.settings import Settings
from seatrial.workflows.trial import trial
from tests.kube import access
from tests.kube.argo import Argo
from tests.kube.bucket import Bucket, announce
from tests.kube.cluster import NAMESPACE, kubeconfig
from tests.kube.nodes import Kubelet
from tests.kube.server import Cluster, Object
from tests.steps.plans import short_plan

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
WORKFLOWS = paths.workflows(NAMESPACE)
NAME = "etcd-register-7-abcde"


def plan(*ids: str) -> Plan:
    """The short plan of the lab with these faults, and time for what is measured on a cluster."""
    found = short_plan(engine="argo")
    kill, cut = found.faults
    moments = {
        "fault-1": kill.model_copy(update={"start_s": 2.0, "duration_s": 2.0}),
        "fault-2": cut.model_copy(update={"start_s": 2.0, "duration_s": 8.0}),
    }
    if len(ids) > 1:
        moments["fault-2"] = moments["fault-2"].model_copy(update={"start_s": 12.0})
    length_s = {0: 2.0, 1: 12.0, 2: 22.0}[len(ids)]
    phases = found.phases.model_copy(update={"before_s": 2.0, "faults_s": length_s, "after_s": 2.0})
    faults = tuple(moments[one] for one in ids)
    quorum = analyse(faults, found.target.nodes)
    return found.model_copy(update={"phases": phases, "faults": faults, "quorum": quorum})


def image() -> dict[str, str]:
    """The variables of the image: those of its Dockerfile, and where the code is here.

    `SEATRIAL_WALK_BIN` names the folder of another `seatrial`, for instance one made of a wheel.
    """
    text = (DEPLOY / "image" / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    (line,) = re.findall(r"^ENV (.*)$", text, re.MULTILINE)
    said = dict(word.split("=", 1) for word in line.split())
    said.pop("SEATRIAL_COMPILED")  # what it was compiled to is the image's
    wheel = os.environ.get("SEATRIAL_WALK_BIN")
    here = f"{wheel or Path(sys.executable).parent}:{os.environ['PATH']}"
    return {**said, "PATH": here, "PYTHONPATH": "" if wheel else os.environ.get("PYTHONPATH", "")}


@dataclass
class Scene:
    """A cluster with a Workflow that has been submitted."""

    cluster: Cluster
    kubelet: Kubelet
    argo: Argo
    folder: Path
    #: The Workflow of the trial.
    name: str = NAME

    def walk(self) -> Object:
        """To its end."""
        return self.argo.run(self.name)

    def node(self, name: str) -> Object:
        """A node of the Workflow, as it ended."""
        nodes = self.cluster.objects[f"{WORKFLOWS}/{self.name}"]["status"]["nodes"]
        return next(one for one in reversed([*nodes.values()]) if one["displayName"] == name)

    def output(self, name: str, parameter: str) -> str:
        """An output parameter of a node."""
        listed = self.node(name)["outputs"]["parameters"]
        return str(next(one["value"] for one in listed if one["name"] == parameter))

    def tool(self, *words: str) -> tuple[int, str]:
        """The tool at somebody's terminal; its status and standard output."""
        home = kubeconfig(self.folder, self.cluster)
        run = subprocess.run(
            [sys.executable, "-m", "seatrial", *words],
            env={**os.environ, "KUBECONFIG": str(home), "SEATRIAL_NAMESPACE": NAMESPACE},
            stdout=subprocess.PIPE,
            text=True,
            timeout=120,
            check=False,
        )
        return run.returncode, run.stdout

    def left(self) -> list[str]:
        """Objects of the run that are still there, its board apart, which its Workflow owns."""
        return [
            path
            for path, body in self.cluster.objects.items()
            if (body["metadata"].get("labels") or {}).get(RUN_LABEL) == self.name
            and not path.endswith("-board")
            and not path.startswith(WORKFLOWS)
        ]


@contextmanager
def scene(
    folder: Path, wanted: Plan, namespace: str = NAMESPACE, more: Sequence[Object] = ()
) -> Iterator[Scene]:
    """A cluster with seatrial's own rights (and `more`), and a Workflow made of a plan.

    `namespace` is that of the target.
    """
    with staged(folder, trial(wanted, Settings()), namespace, more) as found:
        yield found


@contextmanager
def staged(
    folder: Path, wanted: Workflow, namespace: str = NAMESPACE, more: Sequence[Object] = ()
) -> Iterator[Scene]:
    """The same for any Workflow."""
    with Cluster() as cluster:
        own = yaml.load_all((DEPLOY / "base/rights.yaml").read_text(), yaml.CSafeLoader)
        cluster.rights = access.granted([*own, *more])
        cluster.groups["chaos-mesh.org"] = tuple(kind.lower() for kind in paths.CHAOS_KINDS)
        kubelet = Kubelet(cluster, folder, namespace)
        made = document(wanted)
        metadata: Any = made["metadata"]
        metadata |= {"name": NAME, "uid": "uid-of-the-workflow"}
        cluster.put(WORKFLOWS, made)
        shared = {"/tmp/numba": folder / "numba"}  # compiled once for all pods
        shared["/tmp/numba"].mkdir()
        argo = Argo(cluster, folder / "argo", image(), kubelet.hosts, shared=shared)
        found = Scene(cluster, kubelet, argo, folder)
        try:
            yield found
        finally:
            kubelet.stop()


def judged(document: Any) -> dict[str, Any]:
    """What of a verdict does not depend on where and how fast it was reached."""
    return {
        "verdict": document["verdict"],
        "cause": document["cause"],
        "checkers": {name: one["verdict"] for name, one in document["checkers"].items()},
    }


def fetched(found: Scene, status: int) -> Path:
    """Bring the trial home and judge it here: it must agree with the cluster's last leaf."""
    bucket = Bucket()
    try:
        announce(found.cluster, bucket)
        for path in (one for one in found.argo.store.rglob("*") if one.is_file()):
            bucket.objects[str(path.relative_to(found.argo.store))] = path.read_bytes()
        code, out = found.tool(
            "fetch", found.name, "--store", str(found.folder / "trials"), "--json"
        )
    finally:
        bucket.close()
    assert code == status, (code, found.argo.story())
    folder = Path(json.loads(out)["trial"])
    there = json.loads((folder / "steps/verdict/verdict.json").read_text(encoding="utf-8"))
    assert there["verdict"] == json.loads(out)["verdict"] == found.output("verdict", "verdict")
    code, out = found.tool("check", str(folder), "--json")
    assert (code, judged(json.loads(out))) == (status, judged(there))
    return folder


def nothing_left(found: Scene) -> None:
    """The target is gone with its pods, no fault is there, and no link was cut at the end."""
    found.kubelet.settle()
    assert found.left() == [], found.argo.story()
    assert found.kubelet.nodes is None
    assert found.kubelet.left == (), found.argo.story()


def phases(found: Scene) -> dict[str, str]:
    """Phase by node, those of the exit handler apart."""
    return {one.name: one.phase for one in found.argo.pods.values() if "exit-" not in one.name}


def green(folder: Path) -> None:
    """A kill and a partition; what is fetched is judged here as it was judged there."""
    with scene(folder, plan("fault-1", "fault-2")) as found:
        workflow = found.walk()
        assert workflow["status"]["phase"] == "Succeeded", found.argo.story()
        assert set(phases(found).values()) == {"Succeeded"}, found.argo.story()
        assert found.output("verdict", "message").startswith("valid: every checker is content")
        kept = fetched(found, 0)
        assert (kept / "report.html").is_file()
        assert len([*(kept / "evidence").iterdir()]) == 2
        assert (kept / "steps/collect/logs").is_dir()
        nothing_left(found)
        assert found.kubelet.images["probe"] == Settings().image
        print(json.dumps({a: sorted(map(astuple, u)) for a, u in found.cluster.used.items()}))


def red(folder: Path) -> None:
    """One read in the load's history says what was never written, before anybody judges it."""
    with scene(folder, plan()) as found:

        def plant(node: str, phase: str) -> None:
            if (node, phase) == ("workload", "Succeeded"):
                (path,) = found.argo.store.rglob("steps/workload/history.arrow")
                spoil(path)

        found.argo.when = plant
        workflow = found.walk()
        assert workflow["status"]["phase"] == "Failed", found.argo.story()
        ended = phases(found)
        bad = {name for name, phase in ended.items() if phase != "Succeeded"}
        assert bad == {"check-linearizable", "verdict"}, found.argo.story()
        assert found.node("verdict")["message"].startswith("Error (exit code 1): invalid: linear")
        fetched(found, 1)
        nothing_left(found)


def spoil(path: Path) -> None:
    """Change what the last read of a history saw."""
    ops = [*load_arrow(path).history.ops()]
    last = max(i for i, op in enumerate(ops) if op.f == "read" and op.type is Type.OK)
    ops[last] = replace(ops[last], value=987_654_321)
    path.unlink()
    with HistoryWriter(path) as writer:
        for op in ops:
            writer.append(op)


def unproven(folder: Path) -> None:
    """Chaos Mesh says that it cut the links, and nothing was cut."""
    with scene(folder, plan("fault-2")) as found:
        found.kubelet.refuses.add("NetworkChaos")
        workflow = found.walk()
        assert workflow["status"]["phase"] == "Failed", found.argo.story()
        bad = {name for name, phase in phases(found).items() if phase != "Succeeded"}
        assert bad == {"fault-2-partition-one", "verdict"}, found.argo.story()
        assert found.node("verdict")["message"].startswith("Error (exit code 2): unknown: fault-2")
        fetched(found, 2)
        nothing_left(found)


def stopped(folder: Path) -> None:
    """`argo stop` while links are cut: every pod is killed, and the exit handler mends it all."""
    with scene(folder, plan("fault-2")) as found:
        cut: list[bool] = []

        def told(kind: str, harm: bool) -> None:
            cut.append(harm)
            if harm:
                found.argo.stop()

        found.kubelet.told = told
        workflow = found.walk()
        assert workflow["status"]["phase"] == "Failed", found.argo.story()
        assert cut == [True, False], found.argo.story()
        assert phases(found)["fault-2-partition-one"] == phases(found)["workload"] == "Failed"
        assert "verdict" not in found.argo.pods
        for name in ("heal", "audit", "collect", "teardown"):
            assert found.argo.pods[f"exit-{name}"].phase == "Succeeded", found.argo.story()
        nothing_left(found)


def storeless(folder: Path) -> None:
    """The artifact store goes down in the middle: nothing is judged, and nothing is left."""
    with scene(folder, plan("fault-1")) as found:
        found.argo.more = {"workload": ("--wait", "20s")}

        def down(node: str, phase: str) -> None:
            found.argo.store_up = found.argo.store_up and node != "fault-1-kill-leader"

        found.argo.when = down
        workflow = found.walk()
        assert workflow["status"]["phase"] == "Failed", found.argo.story()
        ended = phases(found)
        assert "fault-1 (kill of" in found.argo.pods["fault-1-kill-leader"].said
        assert ended["verdict"] == ended["heal"] == ended["workload"] == "Error"
        said = {name: pod.said for name, pod in found.argo.pods.items()}
        assert "everything is healed" in said["exit-heal"]
        assert "nothing is left of any fault" in said["exit-audit"]
        assert "the cluster is gone" in said["exit-teardown"]
        nothing_left(found)


def running(folder: Path) -> None:
    """Somebody's etcd in another namespace: found by its labels, broken, healed, and left."""
    where, kinds = "production", ["kill"]
    theirs = targets.make("etcd")
    assert isinstance(theirs, Placed)
    place = theirs.place(("n1", "n2", "n3"), "theirs", where)
    selector = "app.kubernetes.io/instance=theirs-etcd"
    settings: dict[str, Json] = {
        "kubernetes": {"running": {"namespace": where, "selector": selector}}
    }
    wanted = plan("fault-1")
    target = wanted.target.model_copy(update={"settings": settings})
    more = rights.there(Settings(), where, kinds)
    with scene(folder, wanted.model_copy(update={"target": target}), where, more) as found:
        theirs_all: list[Object] = [dict(body) for body in place.objects]
        for body in theirs_all:
            found.cluster.put(paths.collection_of(body), body)
        found.kubelet.settle()
        workflow = found.walk()
        assert workflow["status"]["phase"] == "Succeeded", found.argo.story()
        said = found.argo.pods["exit-teardown"].said
        assert "it ran before, and is left as it is" in said, found.argo.story()
        assert found.kubelet.nodes is not None
        assert all(map(found.kubelet.nodes.ready, found.kubelet.nodes.names))
        assert found.left() == [], found.argo.story()
        for body in theirs_all:
            path = f"{paths.collection_of(body)}/{body['metadata']['name']}"
            assert path in found.cluster.objects
        used = {
            one.verb for one in found.cluster.used["seatrial-cluster"] if one.namespace == where
        }
        assert used <= {"get", "list", "watch"}, used


def night(folder: Path) -> None:
    """A campaign of one trial, from the installed templates: the trial draws its seed and plans
    itself, and the campaign says what it says."""
    change = TrialParameters(time_limit="15s", rate="300", nodes="3")
    wanted = Campaign(
        name="night", cases={"etcd-register": "etcd"}, faults=("kill",), change=change
    )
    settings = Settings(ticket="DB-17", schedule="nightly", labels={"team": "storage"})
    with staged(folder, campaign(wanted, settings)) as found:
        for body in yaml.load_all((DEPLOY / "base/templates.yaml").read_text(), yaml.CSafeLoader):
            found.cluster.put(paths.collection_of(body), body)
        whole = found.walk()
        assert whole["status"]["phase"] == "Succeeded", found.argo.story()
        assert set(phases(found)) == {"make-trial-1-etcd-register", "trial-1-etcd-register"}
        one = found.argo.trials[f"{NAME}-1"]
        told = found.output("trial-1-etcd-register", "message")
        code, out = found.tool("watch", NAME, "--json")
        assert (code, json.loads(out)["trials"]) == (0, {f"{NAME}-1": "valid"})
        there = replace(found, argo=one, name=f"{NAME}-1")
        made = found.cluster.objects[f"{WORKFLOWS}/{there.name}"]
        (planned,) = found.argo.store.rglob("*/plan.json")
        drawn = Plan.model_validate_json(planned.read_text(encoding="utf-8"))
        assert (
            made["metadata"]["labels"].items()
            >= {
                "team": "storage",
                "seatrial/case": "etcd-register",
                "seatrial/target": "etcd",
                "seatrial/seed": str(drawn.seed),
                "seatrial/ticket": "DB-17",
                "seatrial/schedule": "nightly",
                "seatrial/campaign": NAME,
                RUN_LABEL: there.name,
            }.items()
        )
        assert made["metadata"]["ownerReferences"][0]["name"] == NAME
        assert made["metadata"]["annotations"]["seatrial/repeat"] == drawn.repeat
        wanted_nodes = {*map(fault_node, drawn.faults), *(f"check-{one}" for one in drawn.checkers)}
        fanned = {name for name in phases(there) if name.startswith(("fault-", "check-"))}
        assert fanned == wanted_nodes, found.argo.story()
        assert set(phases(there).values()) == {"Succeeded"}, found.argo.story()
        assert told == there.output("verdict", "message").strip()
        fetched(there, 0)
        nothing_left(there)


SCENARIOS: dict[str, Callable[[Path], None]] = {
    "green": green,
    "red": red,
    "unproven": unproven,
    "stopped": stopped,
    "storeless": storeless,
    "running": running,
    "night": night,
}


if __name__ == "__main__":
    SCENARIOS[sys.argv[1]](Path(sys.argv[2]))

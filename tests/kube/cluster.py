"""A cluster for tests: the server, a target of three pods, and Chaos Mesh played beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from seatrial.engine.argo import paths
from seatrial.engine.argo.chaos import Bounds
from seatrial.engine.argo.run import Run
from seatrial.target import Command, Node, Placement
from tests.kube.server import Cluster, Object

NAMESPACE = "seatrial"
NODES = ("n1", "n2", "n3")
RUN = Run("etcd-register-abcde", NAMESPACE, "etcd-register-abcde", "uid-of-the-workflow")
#: Bounds that a test can wait for.
SHORT = Bounds(inject_s=0.3, recover_s=0.3, delete_s=0.3, force_s=0.3, down_s=0.3)
FINALIZER = "chaos-mesh/records"
PAUSE = "experiment.chaos-mesh.org/pause"
FORCE = "chaos-mesh.chaos-mesh.org/cleanFinalizer"

KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: test
clusters: [{{name: test, cluster: {{server: "{url}"}}}}]
users: [{{name: test, user: {{token: "{account}"}}}}]
contexts: [{{name: test, context: {{cluster: test, user: test, namespace: seatrial}}}}]
"""


def kubeconfig(folder: Path, cluster: Cluster, account: str = "somebody") -> Path:
    """A file that leads to the server, with the token of an account."""
    path = folder / "kubeconfig"
    path.write_text(KUBECONFIG.format(url=cluster.url, account=account), encoding="utf-8")
    return path


class ThreePods:
    """A target whose nodes are pods; who leads and who answers is what a test says."""

    name = "three-pods"
    node_counts = (3,)
    port_names = ("client",)
    roles = ("leader", "follower")

    def __init__(self) -> None:
        self.leaders: list[str] = ["n1"]
        self.silent: set[str] = set()

    def version(self) -> str:
        return "1"

    def command(self, node: Node, cluster: Sequence[Node], *, rejoin: bool) -> Command:
        return Command(("true",))

    async def ready(self, node: Node, timeout_s: float) -> bool:
        return node.name not in self.silent

    async def locate(self, cluster: Sequence[Node]) -> Mapping[str, tuple[str, ...]]:
        """The next of the leaders, the last one for ever."""
        leader = self.leaders.pop(0) if len(self.leaders) > 1 else self.leaders[0]
        return {"leader": (leader,), "follower": tuple(n for n in NODES if n != leader)}

    async def connect(self, node: Node, *, timeout_s: float) -> Any:
        raise NotImplementedError

    def place(self, nodes: Sequence[str], run: str, namespace: str) -> Placement:
        return Placement(
            namespace=namespace,
            pods={node: f"db-{node}" for node in nodes},
            addresses={node: f"db-{node}.db" for node in nodes},
            ports={"client": 2379},
            container="helm",
            process="etcd",
        )


def pod(node: str, **status: object) -> Object:
    """A pod that is ready."""
    ready = {"type": "Ready", "status": "True"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": f"db-{node}", "namespace": NAMESPACE},
        "spec": {"nodeName": "machine-1", "containers": [{"name": "db", "image": "db:1"}]},
        "status": {
            "phase": "Running",
            "podIP": f"10.0.0.{node[1:]}",
            "conditions": [ready],
            "containerStatuses": [{"name": "db", "restartCount": 0}],
            **status,
        },
    }


def pod_path(node: str) -> str:
    """Where it stands."""
    return f"{paths.pods(NAMESPACE)}/db-{node}"


class ChaosMesh:
    """Injects what is made, recovers what is paused or deleted; as far as a test lets it.

    `hurt` and `mend` are what it does to victims (names of pods).
    """

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.injects = self.recovers = self.lets_go = True
        self.obeys_force = True
        self.hurt: Callable[[list[str]], None] = lambda _: None
        self.mend: Callable[[list[str]], None] = lambda _: None
        self.gone: list[Object] = []
        self._busy: set[str] = set()
        cluster.when = self.heard

    def heard(self, kind: str, path: str, body: Object) -> None:
        """A change of any object."""
        if not body.get("apiVersion", "").startswith("chaos-mesh.org"):
            return
        metadata = body["metadata"]
        annotations = metadata.get("annotations") or {}
        if path in self._busy:
            return  # our own change
        if kind == "DELETED":
            self.gone.append(body)
        elif kind == "ADDED":
            self.cluster.change(path, self._begin)
        elif metadata.get("deletionTimestamp") and FINALIZER in metadata.get("finalizers", ()):
            forced = annotations.get(FORCE) == "forced" and self.obeys_force
            if forced or (self.lets_go and self.recovers):
                if not self._recovered(body):
                    self._recover(path, body)
                self.cluster.remove(path)
        elif annotations.get(PAUSE) == "true" and not self._recovered(body) and self.recovers:
            self._recover(path, body)

    def act(self, body: Object, harm: bool) -> None:
        """Do it to the victims, or undo it."""
        (self.hurt if harm else self.mend)(self._victims(body))

    def _begin(self, body: Object) -> None:
        body["metadata"]["finalizers"] = [FINALIZER]
        victims = self._victims(body)
        phase = "Injected" if self.injects else "Not Injected"
        told = {"operation": "Apply", "type": "Failed", "timestamp": "2026-11-21T00:00:00Z"}
        events = [] if self.injects else [{**told, "message": "unable to set tcs"}]
        if self.injects:
            self.act(body, True)
        yes = "True" if self.injects else "False"
        body["status"] = {
            "conditions": [
                {"type": "AllRecovered", "status": "True" if not self.injects else "False"},
                {"type": "Selected", "status": "True"},
                {"type": "AllInjected", "status": yes},
            ],
            "experiment": {
                "desiredPhase": "Run",
                "containerRecords": [
                    {
                        "id": f"{NAMESPACE}/{name}/db",
                        "selectorKey": ".",
                        "phase": phase,
                        "injectedCount": int(self.injects),
                        "recoveredCount": 0,
                        "events": events,
                    }
                    for name in victims
                ],
            },
        }

    def _recover(self, path: str, body: Object) -> None:
        self.act(body, False)
        self._busy.add(path)

        def change(body: Object) -> None:
            for one in body["status"]["experiment"]["containerRecords"]:
                one |= {"phase": "Not Injected", "recoveredCount": 1}
            for one in body["status"]["conditions"]:
                one["status"] = "False" if one["type"] == "AllInjected" else "True"
            body["status"]["experiment"]["desiredPhase"] = "Stop"

        self.cluster.change(path, change)
        self._busy.discard(path)

    @staticmethod
    def _recovered(body: Object) -> bool:
        return bool(body["status"]["experiment"]["desiredPhase"] == "Stop")

    @staticmethod
    def _victims(body: Object) -> list[str]:
        return [name for names in body["spec"]["selector"]["pods"].values() for name in names]

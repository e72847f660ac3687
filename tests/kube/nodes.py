"""The machines of the played cluster: pods of a StatefulSet are real etcd nodes in a sandbox.

`Nodes` runs a lab in a thread of its own: its namespaces, links and processes stand for those of
pods. `Kubelet` makes them when a StatefulSet comes, does to them what Chaos Mesh's objects say
(its `act`), and keeps the pods' objects as a kubelet would. Commands in pods are carried out in
the node's network namespace.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from itertools import product
from pathlib import Path
from typing import Any, TypeVar

from seatrial import targets
from seatrial.engine.argo import paths
from seatrial.engine.lab.network import Network
from seatrial.engine.lab.world import Lab
from seatrial.targets.etcd.target import PORTS
from tests.kube.cluster import NAMESPACE, ChaosMesh
from tests.kube.server import Cluster, Object, Process

T = TypeVar("T")
START_S = 60.0
PAUSE_IMAGE = "gcr.io/google-containers/pause:latest"


class Nodes:
    """A lab that other threads use."""

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self._lab = Lab(
            targets.make("etcd", {}),
            self.names,
            scratch=folder / "data",
            logs=folder / "logs",
            isolation="namespace",
        )
        network = self._lab._links
        assert isinstance(network, Network)
        network._ports = dict(PORTS)  # pods have the ports that the target asks for
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="nodes")
        self._thread.start()
        self.wait(self._lab.start())

    def wait(self, act: Coroutine[Any, Any, T], timeout_s: float = START_S) -> T:
        """Do it in the lab's thread."""
        return asyncio.run_coroutine_threadsafe(act, self._loop).result(timeout_s)

    def address(self, name: str) -> str:
        """Where it is reached."""
        return next(node.address for node in self._lab.nodes if node.name == name)

    def kill(self, name: str) -> None:
        """SIGKILL, and it stays down."""
        self.wait(_done(self._lab.world.kill(name)))

    def restart(self, name: str) -> None:
        """Start it again."""
        self.wait(_done(self._lab.world.restart(name)))

    def ready(self, name: str) -> bool:
        """Whether it answers soon."""
        return self.wait(_done(self._lab.world.ready(name, START_S / 2)))

    def part(self, one: str, other: str, cut: bool) -> None:
        """Cut, or mend, both directions of a link."""
        act = self._lab.world.cut if cut else self._lab.world.mend
        for link in ((one, other), (other, one)):
            self.wait(_done(act(*link)))

    def broken(self) -> tuple[str, ...]:
        """Links that the kernel's tables do not lead to their nodes."""
        return self._lab._links.broken()

    def spawn(self, name: str, argv: list[str]) -> Process:
        """Start a command in the node's network."""

        def popen(line: Sequence[str]) -> Process:
            pipe = subprocess.PIPE
            return subprocess.Popen([*line], stdin=pipe, stdout=pipe, stderr=pipe)

        words = [sys.executable if word == "python" else word for word in argv]
        return self.wait(_done(self._lab._links.launch(name, popen, words)))

    def stop(self) -> None:
        """End them all."""
        self.wait(self._lab.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(START_S)
        self._loop.close()


async def _done(act: Awaitable[T]) -> T:
    return await act


class Kubelet(ChaosMesh):
    """StatefulSets as nodes, and Chaos Mesh's kill and partition done to them.

    `hosts` gets the names of pods, as the cluster's DNS would know them. `refuses` names kinds of
    Chaos Mesh whose injection is said to be done and is not.
    """

    def __init__(self, cluster: Cluster, folder: Path, namespace: str = NAMESPACE) -> None:
        super().__init__(cluster)
        self.namespace = namespace
        self.folder, self.hosts = folder, folder / "hosts"
        self.hosts.write_text("127.0.0.1 localhost\n", encoding="ascii")
        self.nodes: Nodes | None = None
        self.refuses: set[str] = set()
        self.told: Callable[[str, bool], None] = lambda _kind, _harm: None
        self._node: dict[str, str] = {}
        self._threads: list[threading.Thread] = []
        cluster.spawn = self._spawn

    def heard(self, kind: str, path: str, body: Object) -> None:
        """A change of any object."""
        if "/statefulsets/" in path and kind in ("ADDED", "DELETED"):
            self._later(lambda: self._made(body) if kind == "ADDED" else self._gone(body))
        super().heard(kind, path, body)

    def act(self, body: Object, harm: bool) -> None:
        """Kill and cut; recovered is what was done."""
        kind, spec = body["kind"], body["spec"]
        if kind in self.refuses or self.nodes is None:
            return
        victims = self._victims(body)
        if kind == "PodChaos":
            assert spec["action"] == "pod-failure"
            for pod in victims:
                self._fail(pod) if harm else self._later(self._back, pod)
        else:
            assert (kind, spec["action"], spec["direction"]) == (
                "NetworkChaos",
                "partition",
                "both",
            )
            peers = self._victims({"spec": spec["target"]})
            for one, other in product(victims, peers):
                self.nodes.part(self._node[one], self._node[other], harm)
        self.told(kind, harm)

    def settle(self) -> None:
        """Wait until what was begun is done."""
        for thread in self._threads:
            thread.join(START_S)

    def stop(self) -> None:
        """The machines are switched off."""
        self.settle()
        if self.nodes is not None:
            self.nodes.stop()

    def _later(self, act: Callable[..., None], *words: Any) -> None:
        """A controller does not make anybody wait."""
        thread = threading.Thread(target=act, args=words)
        self._threads.append(thread)
        thread.start()

    # ── pods ─────────────────────────────────────────────────────────────────────────────────

    def _made(self, body: Object) -> None:
        name, replicas = body["metadata"]["name"], body["spec"]["replicas"]
        self._node = {f"{name}-{number}": f"n{number + 1}" for number in range(replicas)}
        self.nodes = Nodes(self.folder, [*self._node.values()])
        service, lines = body["spec"]["serviceName"], []
        for pod, node in self._node.items():
            address = self.nodes.address(node)
            lines.append(f"{address} {pod}.{service}.{self.namespace}.svc\n")
        with self.hosts.open("a", encoding="ascii") as file:
            file.writelines(lines)
        for pod in self._node:
            for claim in body["spec"].get("volumeClaimTemplates", []):
                name = f"{claim['metadata']['name']}-{pod}"
                metadata = {**claim["metadata"], "name": name, "namespace": self.namespace}
                made = {**claim, "metadata": metadata}
                where = paths.collection("v1", "PersistentVolumeClaim", self.namespace)
                self.cluster.put(where, made)
        spec = body["spec"]["template"]["spec"]
        self.images = {one["name"]: one["image"] for one in spec["containers"]}
        labels = body["spec"]["template"]["metadata"]["labels"]
        for pod, node in self._node.items():
            self.cluster.put(
                paths.pods(self.namespace),
                {
                    "apiVersion": "v1",
                    "kind": "Pod",
                    "metadata": {"name": pod, "namespace": self.namespace, "labels": labels},
                    "spec": {**spec, "nodeName": "machine-1"},
                    "status": _status(spec, self.nodes.address(node), True, 0),
                },
            )
            self.cluster.texts[f"{paths.pods(self.namespace)}/{pod}/log"] = b""

    def _gone(self, body: Object) -> None:
        """The garbage collector: pods go with their StatefulSet, and so do the processes."""
        for pod in self._node:
            self.cluster.remove(f"{paths.pods(self.namespace)}/{pod}")
        assert self.nodes is not None
        self.left = self.nodes.broken()
        self.nodes.stop()
        self.nodes = None

    def _fail(self, pod: str) -> None:
        """Its images become ones that do nothing: the containers are started again as these."""
        assert self.nodes is not None
        self.nodes.kill(self._node[pod])

        def change(body: Object) -> None:
            for one in body["spec"]["containers"]:
                one["was"], one["image"] = one["image"], PAUSE_IMAGE
            address, restarts = body["status"]["podIP"], _restarts(body) + 1
            body["status"] = _status(body["spec"], address, False, restarts)

        self.cluster.change(f"{paths.pods(self.namespace)}/{pod}", change)

    def _back(self, pod: str) -> None:
        nodes = self.nodes
        if nodes is None:
            return
        nodes.restart(self._node[pod])
        nodes.ready(self._node[pod])

        def change(body: Object) -> None:
            for one in body["spec"]["containers"]:
                one["image"] = one.pop("was")
            address, restarts = body["status"]["podIP"], _restarts(body) + 1
            body["status"] = _status(body["spec"], address, True, restarts)

        self.cluster.change(f"{paths.pods(self.namespace)}/{pod}", change)

    def _spawn(self, pod: str, container: str, argv: list[str]) -> Process | None:
        if self.nodes is None or pod not in self._node:
            return None
        return self.nodes.spawn(self._node[pod], argv)


def _restarts(body: Object) -> int:
    return int(body["status"]["containerStatuses"][0]["restartCount"])


def _status(spec: Object, address: str, ready: bool, restarts: int) -> Object:
    return {
        "phase": "Running",
        "podIP": address,
        "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
        "containerStatuses": [
            {"name": one["name"], "restartCount": restarts, "ready": ready}
            for one in spec["containers"]
        ],
    }

"""Members of a real etcd change where nodes are pods: etcd's processes behind the recording server.

A played controller runs one etcd process for each pod, under the pod's name, with the cluster's
state as the StatefulSet's command says it; a deleted claim is an emptied folder.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from seatrial import targets
from seatrial.engine.argo import paths
from seatrial.engine.argo.api import Api
from seatrial.engine.argo.site import ArgoSite, apply
from seatrial.engine.site import PlacedNode
from seatrial.fault import PlannedFault, Proof
from seatrial.targets.etcd import binary
from tests.kube.cluster import NAMESPACE, NODES, RUN, SHORT, pod
from tests.kube.server import Cluster, Object
from tests.kube.test_orderly import OWNER, PLACE, PODS, SET

CLAIMS = paths.collection("v1", "PersistentVolumeClaim", NAMESPACE)
READY_S = 30.0


class Kubelet:
    """Runs the pods' processes."""

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        self.cluster, self.folder = cluster, folder
        ports = iter(free_ports(2 * len(NODES)))
        self.ports = {n: {"client": next(ports), "peer": next(ports)} for n in NODES}
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        cluster.when = self.heard

    def heard(self, kind: str, path: str, body: Object) -> None:
        """A pod that goes is made anew, with an empty folder if its claim was deleted."""
        if kind == "MODIFIED" and path == SET:
            newest = {"observedGeneration": body["metadata"].get("generation", 0)}
            if body.get("status") != newest:
                self.cluster.change(path, lambda there: there.update(status=newest))
        if kind == "DELETED" and path.startswith(PODS):
            name = body["metadata"]["name"]
            self.end(name)
            if f"{CLAIMS}/data-{name}" not in self.cluster.objects:
                shutil.rmtree(self.folder / name)
            self.make(name)

    def make(self, name: str) -> None:
        """A pod and its process."""
        container = self.cluster.objects[SET]["spec"]["template"]["spec"]["containers"][0]
        state = next(w for w in container["command"] if w.startswith("--initial-cluster-state"))
        node = next(n for n, p in PLACE.pods.items() if p == name)
        claim = {"metadata": {"name": f"data-{name}", "namespace": NAMESPACE}}
        self.cluster.put(CLAIMS, claim)
        log = (self.folder / f"{name}.log").open("ab")
        environment = {k: v for k, v in os.environ.items() if not k.startswith("ETCD_")}
        self.running[name] = subprocess.Popen(
            [
                str(binary.find(None)),
                f"--name={name}",
                f"--data-dir={self.folder / name}",
                f"--listen-client-urls={self.url(node, 'client')}",
                f"--advertise-client-urls={self.url(node, 'client')}",
                f"--listen-peer-urls={self.url(node, 'peer')}",
                f"--initial-advertise-peer-urls={self.url(node, 'peer')}",
                "--initial-cluster="
                + ",".join(f"{PLACE.pods[n]}={self.url(n, 'peer')}" for n in NODES),
                state,
            ],
            stdout=log,
            stderr=log,
            env=environment,
        )
        log.close()
        body = pod("n1")
        body["metadata"] = {"name": name, "namespace": NAMESPACE, "ownerReferences": [OWNER]}
        self.cluster.put(PODS, body)

    def url(self, node: str, port: str) -> str:
        return f"http://127.0.0.1:{self.ports[node][port]}"

    def end(self, name: str) -> None:
        self.running[name].kill()
        self.running[name].wait()


def free_ports(count: int) -> list[int]:
    """Ports that nobody had a moment ago."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    found = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return found


@pytest.fixture
def kubelet(cluster: Cluster, api: Api, tmp_path: Path) -> Iterator[Kubelet]:
    for body in PLACE.objects:
        asyncio.run(apply(api, RUN.owned(body)))
    made = Kubelet(cluster, tmp_path)
    for name in PLACE.pods.values():
        made.make(name)
    yield made
    for name in made.running:
        made.end(name)


@pytest.mark.lab
def test_a_member_goes_and_comes_back_with_a_new_number_and_all_data(
    kubelet: Kubelet, api: Api
) -> None:
    """Members are called like pods and known as nodes; the new one has what was written."""
    nodes = [PlacedNode(name=n, address="127.0.0.1", ports=kubelet.ports[n]) for n in NODES]
    target = targets.make("etcd")
    site = ArgoSite(api, RUN, target, PLACE, nodes, SHORT)
    planned = PlannedFault(
        id="fault-1",
        kind="member-change",
        victims="one",
        nodes=("n2",),
        start_s=0,
        duration_s=1,
    )

    async def act() -> tuple[Proof, Proof, object]:
        for node in NODES:
            assert await site.world.ready(node, READY_S)
        kind = site.kind("member-change")
        client = await target.connect(site.nodes[0], timeout_s=5.0)
        await client.write("x", 1)  # type: ignore[attr-defined]
        await kind.inject(site.world, planned, ("n2",))
        effect = await kind.prove_injected(site.world, planned, ("n2",))
        await client.write("x", 2)  # type: ignore[attr-defined]
        await client.close()
        await kind.heal(site.world, planned, ("n2",))
        await kind.heal(site.world, planned, ("n2",))
        healed = await kind.prove_healed(site.world, planned, ("n2",))
        new = await target.connect(site.nodes[1], timeout_s=5.0)
        value = await new.read("x")  # type: ignore[attr-defined]
        await new.close()
        return effect, healed, value

    effect, healed, value = asyncio.run(act())

    assert effect.seen, effect
    assert effect.sentence == "n2: no member any more, 2 are left"
    assert healed.seen, healed
    assert healed.sentence == "n2: a new member, 3 in all"
    assert value == 2

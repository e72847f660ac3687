"""Proofs of a cluster on the lab's real nodes: `python -m tests.lab.pods SCENARIO …`, in a sandbox.

The API server is the tests' own, Chaos Mesh is played by the lab: what a NetworkChaos asks for is
done to the links between the nodes' namespaces. The probes are the real programs, carried out
over `exec` in the namespaces of the nodes, and know nothing of all this.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from seatrial.engine.argo import paths
from seatrial.engine.argo.api import connect
from seatrial.engine.argo.site import ArgoSite
from seatrial.engine.lab.network import Network
from seatrial.engine.lab.world import Lab
from seatrial.engine.site import PlacedNode
from seatrial.fault import PlannedFault, Shape
from seatrial.verdict import Json
from tests.kube.cluster import NAMESPACE, NODES, RUN, SHORT, ChaosMesh, ThreePods, kubeconfig, pod
from tests.kube.server import Cluster, Object, Process
from tests.lab.inner import make_lab

#: How long the lab may take for a link.
LINK_S = 10.0
#: Kinds with their options, and the number of directions that others must find whole.
KINDS: Mapping[str, Mapping[str, Json]] = {
    "delay": {"latency_ms": 40.0, "jitter_ms": 5.0},
    "loss": {"direction": "from"},
    "duplicate": {},
    "corrupt": {"direction": "both"},
    "reorder": {},
    "rate": {},
    "bandwidth": {},
    "partition": {"shape": "one-way-out"},
}


class OnLab(ChaosMesh):
    """Does to the lab's links what a NetworkChaos says; `asleep`: only says that it did."""

    def __init__(self, cluster: Cluster, lab: Lab, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(cluster)
        self.lab, self.loop, self.asleep = lab, loop, False

    def _begin(self, body: Object) -> None:
        if not self.asleep:
            self._do(body, begin=True)
        super()._begin(body)

    def _recover(self, path: str, body: Object) -> None:
        if not self.asleep:
            self._do(body, begin=False)
        super()._recover(path, body)

    def _do(self, body: Object, *, begin: bool) -> None:
        work = self._links(body["metadata"]["name"], body["spec"], begin)
        asyncio.run_coroutine_threadsafe(work, self.loop).result(LINK_S)

    async def _links(self, name: str, spec: Object, begin: bool) -> None:
        world = self.lab.world
        for source, destination in directions(spec):
            if spec["action"] == "partition":
                await (world.cut if begin else world.mend)(source, destination)
            elif begin:
                await world.shape(name, source, destination, shape_of(spec))
            else:
                await world.unshape(name, source, destination)


def directions(spec: Object) -> list[tuple[str, str]]:
    """(source, destination) of a NetworkChaos between pods."""
    one, other = ([n.removeprefix("db-") for n in side["selector"]["pods"][NAMESPACE]]
                  for side in (spec, spec["target"]))  # fmt: skip
    to = [(a, b) for a in one for b in other if a != b]
    back = [(b, a) for a, b in to]
    return {"to": to, "from": back, "both": [*to, *back]}[spec["direction"]]


def shape_of(spec: Object) -> Shape:
    """What netem or tbf would be told."""
    action = spec["action"]
    own = spec.get("rate" if action == "netem" else action, {})
    if "reorder" in own:
        again = own["reorder"]
        return Shape("reorder", latency_ms=ms(own["latency"]), percent=float(again["reorder"]),
                     gap=again["gap"])  # fmt: skip
    if action == "delay":
        return Shape("delay", latency_ms=ms(own["latency"]), jitter_ms=ms(own["jitter"]))
    if action == "netem":
        return Shape("rate", bits_per_s=bits(own["rate"]))
    if action == "bandwidth":
        return Shape("bandwidth", bits_per_s=bits(own["rate"]), limit_bytes=own["limit"],
                     buffer_bytes=own["buffer"])  # fmt: skip
    return Shape(action, percent=float(own[action]))


def ms(text: str) -> float:
    return float(text.removesuffix("ms"))


def bits(text: str) -> float:
    return 8 * float(text.removesuffix("bps"))


@contextlib.asynccontextmanager
async def cluster_on_lab(
    isolation: str, folder: Path
) -> AsyncIterator[tuple[ArgoSite, OnLab, Lab]]:
    """The lab's nodes as pods of a cluster."""
    async with make_lab(isolation, folder) as lab:
        with Cluster() as cluster:
            for node in NODES:
                address = lab.nodes[NODES.index(node)].address
                cluster.put(paths.pods(NAMESPACE), pod(node, podIP=address))
            cluster.spawn = spawner(lab)
            mesh = OnLab(cluster, lab, asyncio.get_running_loop())
            os.environ["KUBECONFIG"] = str(kubeconfig(folder, cluster))
            api = connect()
            try:
                target = ThreePods()
                placed = [
                    PlacedNode(name=one.name, address=one.address, ports=one.ports)
                    for one in lab.nodes
                ]
                place = target.place(NODES, RUN.name, NAMESPACE)
                yield ArgoSite(api, RUN, target, place, placed, SHORT), mesh, lab
            finally:
                api.close()


def spawner(lab: Lab) -> Callable[[str, str, list[str]], Process]:
    """Commands in a pod are processes in its node's network namespace."""
    links = lab._links
    assert isinstance(links, Network)

    def start(argv: Sequence[str]) -> Process:
        pipe = subprocess.PIPE
        return subprocess.Popen([*argv], stdin=pipe, stdout=pipe, stderr=pipe)

    def spawn(name: str, container: str, argv: list[str]) -> Process:
        assert container == "helm"
        room = links._rooms[name.removeprefix("db-")]
        words = [sys.executable, *argv[1:]] if argv[0] == "python" else argv
        return room.thread.submit(start, words).result(LINK_S)

    return spawn


def broken(lab: Lab) -> tuple[str, ...]:
    """Links that the kernel has cut or shaped."""
    return lab._links.broken()


def planned(kind: str, **options: Any) -> PlannedFault:
    return PlannedFault(
        id=f"fault-{kind}",
        kind=kind,
        victims="one",
        nodes=("n1",),
        start_s=0,
        duration_s=5,
        options=options,
    )


async def packets(isolation: str, folder: Path) -> None:
    """Each kind is seen while it acts, and not before or after; asleep it is not seen."""
    async with cluster_on_lab(isolation, folder) as (site, _, lab):
        for name, options in KINDS.items():
            fault, kind = planned(name, **options), site.kind(name)
            await kind.inject(site.world, fault, ["n1"])
            injected = await kind.prove_injected(site.world, fault, ["n1"])
            assert injected.seen, (name, injected)
            assert broken(lab) != ()
            early = await kind.prove_healed(site.world, fault, ["n1"])
            assert not early.seen, (name, early)
            await kind.heal(site.world, fault, ["n1"])
            assert broken(lab) == ()
            healed = await kind.prove_healed(site.world, fault, ["n1"])
            assert healed.seen, (name, healed)
            print(name, "|", injected.sentence)


async def asleep(isolation: str, folder: Path) -> None:
    """Chaos Mesh says that it acts, and nothing does: nothing is claimed."""
    async with cluster_on_lab(isolation, folder) as (site, mesh, _):
        mesh.asleep = True
        for name, options in KINDS.items():
            fault, kind = planned(name, **options), site.kind(name)
            await kind.inject(site.world, fault, ["n1"])
            injected = await kind.prove_injected(site.world, fault, ["n1"])
            assert not injected.seen, (name, injected)
            await kind.heal(site.world, fault, ["n1"])
            print(name, "|", injected.sentence)


SCENARIOS: dict[str, Callable[[str, Path], Awaitable[None]]] = {
    each.__name__: each for each in (packets, asleep)
}


async def main() -> None:
    name, isolation, folder = sys.argv[1:]
    await SCENARIOS[name](isolation, Path(folder))


if __name__ == "__main__":
    asyncio.run(main())

"""Proofs of a cluster on the lab's real nodes: `python -m tests.lab.pods SCENARIO …`, in a sandbox.

The API server is the tests' own, Chaos Mesh is played by the lab: what a NetworkChaos asks for is
done to the links between the nodes' namespaces. The probes are the real programs, carried out
over `exec` in the namespaces of the nodes, and know nothing of all this.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from seatrial.engine.argo import paths
from seatrial.engine.argo.api import connect
from seatrial.engine.argo.inpod import disk
from seatrial.engine.argo.site import ArgoSite
from seatrial.engine.lab.network import Network
from seatrial.engine.lab.world import PLAIN, Lab
from seatrial.engine.site import PlacedNode
from seatrial.fault import DiskRule, PlannedFault, Shape, VolumeNeed
from seatrial.faults.volume import CALLS
from seatrial.verdict import Json
from tests.kube.cluster import NAMESPACE, NODES, RUN, SHORT, ChaosMesh, ThreePods, kubeconfig, pod
from tests.kube.server import Cluster, Object, Process
from tests.lab.tiny import TinyTarget

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
ON_NODES: Mapping[str, Mapping[str, Json]] = {
    "io-latency": {"latency_ms": 60.0},
    "io-error": {"methods": ["fsync", "create"]},
    "stress-cpu": {"workers": 2},
    "stress-memory": {"size_bytes": 64 << 20},
}
#: What the placement calls each node's volume and process; the lab's have names of their own.
VOLUME, PROCESS = "/volume", "etcd"
BURN = """
import sys, time
open("/proc/self/comm", "w").write(sys.argv[1])
held = bytearray(int(sys.argv[2]))
held[::4096] = b"x" * len(held[::4096])
while True:
    time.sleep(60) if held else None
"""


class OnLab(ChaosMesh):
    """Does to the lab's links what a NetworkChaos says; `asleep`: only says that it did."""

    def __init__(self, cluster: Cluster, lab: Lab, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(cluster)
        self.lab, self.loop, self.asleep = lab, loop, False
        self.burning: list[subprocess.Popen[bytes]] = []

    def _begin(self, body: Object) -> None:
        if not self.asleep:
            self._do(body, begin=True)
        super()._begin(body)

    def _recover(self, path: str, body: Object) -> None:
        if not self.asleep:
            self._do(body, begin=False)
        super()._recover(path, body)

    def _do(self, body: Object, *, begin: bool) -> None:
        of_kind = {"NetworkChaos": self._links, "IOChaos": self._disks, "StressChaos": self._burn}
        work = of_kind[body["kind"]](body["metadata"]["name"], body["spec"], begin)
        asyncio.run_coroutine_threadsafe(work, self.loop).result(LINK_S)

    async def _disks(self, name: str, spec: Object, begin: bool) -> None:
        assert spec["volumePath"] == VOLUME
        ours = [own for own, theirs in CALLS.items() if theirs[0] in spec["methods"]]
        late_s = ms(spec["delay"]) / 1000 if "delay" in spec else 0.0
        rule = DiskRule(tuple(ours), late_s, errno=spec.get("errno", 0), percent=spec["percent"])
        for pod_name in spec["selector"]["pods"][NAMESPACE]:
            node = pod_name.removeprefix("db-")
            await self.lab.world.rule_disk(node, name, (rule,) if begin else ())

    async def _burn(self, name: str, spec: Object, begin: bool) -> None:
        """Processes of the names that Chaos Mesh's have."""
        if not begin:
            for one in self.burning:
                one.kill()
                one.wait()
            self.burning.clear()
            return
        for kind, told in spec["stressors"].items():
            size = int(told.get("size", "0B").removesuffix("B"))
            words = ["stress-ng-cpu" if kind == "cpu" else "memStress", str(size)]
            for _ in range(told["workers"]):
                argv = [sys.executable, "-I", "-S", "-c", BURN, *words]
                self.burning.append(subprocess.Popen(argv))

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
    isolation: str, folder: Path, volumes: VolumeNeed = PLAIN
) -> AsyncIterator[tuple[ArgoSite, OnLab, Lab]]:
    """The lab's nodes as pods of a cluster."""
    async with Lab(
        TinyTarget(),
        NODES,
        scratch=folder / "data",
        logs=folder / "logs",
        isolation=isolation,
        volumes=volumes,
    ) as lab:
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
                place = replace(place, volume=VOLUME, process=PROCESS)
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
        node = name.removeprefix("db-")
        room, data = links._rooms[node], str(lab.nodes[NODES.index(node)].data_dir)
        own = {VOLUME: data, PROCESS: node, "python": sys.executable}
        words = [own.get(word, word) for word in argv]
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
    """Faults on packets are seen while they act, and not before or after."""
    await _each_on_links(isolation, folder, ["delay", "loss", "duplicate", "rate"])


async def more_packets(isolation: str, folder: Path) -> None:
    """The same of the other kinds on links."""
    await _each_on_links(isolation, folder, ["corrupt", "reorder", "bandwidth", "partition"])


async def _each_on_links(isolation: str, folder: Path, names: Sequence[str]) -> None:
    async with cluster_on_lab(isolation, folder) as (site, _, lab):
        for name in names:
            options = KINDS[name]
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


async def nodes(isolation: str, folder: Path) -> None:
    """Disk, processor and memory of one pod: seen while it acts, and not before or after."""
    async with cluster_on_lab(isolation, folder, VolumeNeed("fuse")) as (site, _, _lab):
        for name, options in ON_NODES.items():
            fault, kind = planned(name, **options), site.kind(name)
            await kind.inject(site.world, fault, ["n1"])
            injected = await kind.prove_injected(site.world, fault, ["n1"])
            assert injected.seen, (name, injected)
            await kind.heal(site.world, fault, ["n1"])
            healed = await kind.prove_healed(site.world, fault, ["n1"])
            assert healed.seen, (name, healed)
            print(name, "|", injected.sentence)


async def asleep(isolation: str, folder: Path) -> None:
    """Chaos Mesh says that it acts, and nothing does: nothing is claimed."""
    async with cluster_on_lab(isolation, folder, VolumeNeed("fuse")) as (site, mesh, _):
        mesh.asleep = True
        for name, options in {**KINDS, **ON_NODES}.items():
            fault, kind = planned(name, **options), site.kind(name)
            await kind.inject(site.world, fault, ["n1"])
            injected = await kind.prove_injected(site.world, fault, ["n1"])
            assert not injected.seen, (name, injected)
            await kind.heal(site.world, fault, ["n1"])
            print(name, "|", injected.sentence)


CALLS_TRIED = ("write", "fsync", "rename", "verify", "attributes")
APART = """
import pathlib, sys, time
from seatrial.engine.lab import syscalls
syscalls.unshare(syscalls.CLONE_NEWNS)
syscalls.mount(sys.argv[2], sys.argv[1], "", 4096)  # MS_BIND
pathlib.Path("/proc/self/comm").write_text("apart")
(pathlib.Path(sys.argv[1]) / "own").touch()
print("ready", flush=True)
time.sleep(60)
"""


async def mounts(isolation: str, folder: Path) -> None:
    """A volume that is mounted in the node's own mount namespace only is the one that is tried."""
    volume, other = folder / "volume", folder / "other"
    volume.mkdir()
    other.mkdir()
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [sys.executable, "-c", APART, str(volume), str(other)], stdout=pipe
    ) as node:
        try:
            assert node.stdout is not None and node.stdout.readline() == b"ready\n"
            assert not (volume / "own").exists(), "here it is an empty folder"
            found = disk.folder_of("apart", str(volume))
            assert isinstance(found, Path) and (found / "own").exists()
            program = [sys.executable, "-m", "seatrial.engine.argo.inpod.disk"]
            told = subprocess.run(
                [*program, "apart", str(volume), "3", *CALLS_TRIED],
                capture_output=True,
                check=True,
            )
            calls = json.loads(told.stdout)
            assert [len(calls[name]) for name in ("write", "fsync", "rename")] == [3, 3, 3]
            timed = [call for name in CALLS_TRIED[:3] for call in calls[name]]
            assert not any(number for _, number in timed)
            assert calls["verify"] == [[0, 0]] * 3
            assert [one["size_bytes"] for one in calls["attributes"]] == [4] * 3
            assert calls["attributes"][0]["file_type"] == "regularFile"
            assert sorted(one.name for one in found.iterdir()) == ["own"], "nothing is left"
            assert "no process 'nobody'" in str(disk.folder_of("nobody", str(volume)))
        finally:
            node.kill()


SCENARIOS: dict[str, Callable[[str, Path], Awaitable[None]]] = {
    each.__name__: each for each in (packets, more_packets, nodes, asleep, mounts)
}


async def main() -> None:
    name, isolation, folder = sys.argv[1:]
    await SCENARIOS[name](isolation, Path(folder))


if __name__ == "__main__":
    asyncio.run(main())

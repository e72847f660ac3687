"""Links measured by programs in the pods: the real programs, spoken to over the API's exec."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Awaitable, Callable

import pytest

from seatrial.engine.argo.api import Api
from seatrial.engine.argo.links import Links
from seatrial.engine.argo.world import ClusterWorld
from seatrial.fault import Traffic
from seatrial.target import Node
from tests.kube.cluster import NAMESPACE, NODES, RUN, ThreePods, pod_path
from tests.kube.server import Cluster, Object, Process

SOME = Traffic(packets=40, packet_bytes=100, interval_s=0.002, patience_s=0.2)


def real(pod: str, container: str, argv: list[str]) -> Process:
    """The command as a process of this machine: pods are addresses of its loopback device."""
    assert (container, argv[0]) == ("helm", "python")
    pipe = subprocess.PIPE
    command = [sys.executable, *argv[1:]]
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe)


@pytest.fixture
def on_loopback(cluster: Cluster) -> Cluster:
    """The pods live on 127.0.0.1, .2, .3, and commands in them are carried out."""
    for node in NODES:
        cluster.change(pod_path(node), lambda body, n=node: at(body, f"127.0.0.{n[1:]}"))
    cluster.spawn = real
    return cluster


def at(body: Object, address: str, machine: str = "machine-1") -> None:
    body["status"]["podIP"] = address
    body["spec"]["nodeName"] = machine


def world_of(api: Api) -> ClusterWorld:
    target = ThreePods()
    nodes = [Node(n, "", {"client": 2379}, *_nowhere()) for n in NODES]
    return ClusterWorld(api, target, nodes, target.place(NODES, RUN.name, NAMESPACE), RUN)


def _nowhere():  # type: ignore[no-untyped-def]
    from pathlib import Path

    return Path(), Path()


def with_links(api: Api, act: Callable[[Links], Awaitable[None]]) -> None:
    asyncio.run(act(world_of(api).links))


def test_datagrams_go_between_pods_one_way(on_loopback: Cluster, api: Api) -> None:
    """All of them arrive, once and whole, in both directions; the programs end."""

    async def act(links: Links) -> None:
        both = (("n1", "n2"), ("n2", "n1"), ("n3", "n1"))
        seen = await links.measure(dict.fromkeys(both, SOME))
        assert set(seen) == set(both)
        for one in seen.values():
            assert (one.sent, one.arrived, one.duplicated, one.corrupted) == (40, 40, 0, 0)
            assert len(one.latencies_ms) == 40 and 0 < min(one.latencies_ms) < 100

    with_links(api, act)

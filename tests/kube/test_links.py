"""Links measured by programs in the pods: the real programs, spoken to over the API's exec."""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import sys
from collections.abc import Callable, Coroutine, Mapping
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from seatrial.engine.argo import netem
from seatrial.engine.argo.api import Api
from seatrial.engine.argo.links import BOOK, Books, Links, books_of, clocks, entry
from seatrial.engine.argo.world import ClusterWorld
from seatrial.errors import Unavailable
from seatrial.fault import Arrivals, PlannedFault, Shape, Traffic
from seatrial.target import Node
from tests.kube.cluster import NAMESPACE, NODES, RUN, ThreePods, pod_path
from tests.kube.server import Cluster, Object, Process

SOME = Traffic(packets=40, packet_bytes=100, interval_s=0.002, patience_s=0.2)
EVERY = tuple(permutations(NODES, 2))


def real(pod: str, container: str, argv: list[str]) -> Process:
    """The command as a process of this machine: pods are addresses of its loopback device."""
    assert (container, argv[0]) == ("helm", "python")
    pipe = subprocess.PIPE
    return subprocess.Popen([sys.executable, *argv[1:]], stdin=pipe, stdout=pipe, stderr=pipe)


def place(cluster: Cluster, node: str, address: str, machine: str = "machine-1") -> None:
    """Where a pod is."""

    def change(body: Object) -> None:
        body["status"]["podIP"] = address
        body["spec"]["nodeName"] = machine

    cluster.change(pod_path(node), change)


@pytest.fixture
def on_loopback(cluster: Cluster) -> Cluster:
    """The pods live on 127.0.0.1, .2, .3, and commands in them are carried out."""
    for node in NODES:
        place(cluster, node, f"127.0.0.{node[1:]}")
    cluster.spawn = real
    return cluster


def with_links(api: Api, act: Callable[[Links], Coroutine[Any, Any, None]]) -> None:
    target = ThreePods()
    nodes = [Node(n, "", {"client": 2379}, Path(), Path()) for n in NODES]
    world = ClusterWorld(api, target, nodes, target.place(NODES, RUN.name, NAMESPACE), RUN)
    asyncio.run(act(world.links))


def test_datagrams_go_between_pods_one_way(on_loopback: Cluster, api: Api) -> None:
    """All of them arrive, once and whole, and those who ask at once are served at once."""

    async def act(links: Links) -> None:
        both = (("n1", "n2"), ("n2", "n1"), ("n3", "n1"))
        seen = await links.measure(dict.fromkeys(both, SOME))
        assert set(seen) == set(both)
        for one in seen.values():
            assert (one.sent, one.arrived, one.duplicated, one.corrupted) == (40, 40, 0, 0)
            assert len(one.latencies_ms) == 40 and 0 < min(one.latencies_ms) < 1000
        assert on_loopback.asked("GET", "/exec") == 3
        answers = await asyncio.gather(*(links.reaches(*link) for link in EVERY))
        assert all(answers) and on_loopback.asked("GET", "/exec") == 6

    with_links(api, act)


def test_a_pod_that_is_not_there_is_told(on_loopback: Cluster, api: Api) -> None:
    """Neither silence of a link nor a hang: no pod, or an address that no datagram goes to."""

    async def act(links: Links) -> None:
        place(on_loopback, "n2", "fd00::2")
        with pytest.raises(Unavailable, match=r"n2 has address 'fd00::2'.*IPv4"):
            await links.measure({("n1", "n3"): SOME})
        on_loopback.remove(pod_path("n2"))
        links.patience_s = 0.2
        with pytest.raises(Unavailable, match="n2 has no pod"):
            await asyncio.gather(*(links.reaches(*link) for link in EVERY))

    with_links(api, act)


def test_a_program_that_fails_is_told_with_its_words(on_loopback: Cluster, api: Api) -> None:
    """One pod has another image: its last words are the error, and nothing is left open."""

    def spawn(pod: str, container: str, argv: list[str]) -> Process:
        return real(pod, container, ["python", "-c", "import nowhere"] if "n2" in pod else argv)

    on_loopback.spawn = spawn

    async def act(links: Links) -> None:
        with pytest.raises(Unavailable, match=r"db-n2/helm.*No module named 'nowhere'"):
            await links.measure(dict.fromkeys(EVERY, SOME))

    with_links(api, act)


def test_the_program_ends_when_nobody_speaks_to_it() -> None:
    """As when the API server is gone: it does not stay in the pod."""
    argv = [sys.executable, "-m", "seatrial.engine.argo.inpod.datagrams"]
    found = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=30)
    assert found.returncode == 1 and b"no word" in found.stderr


# ── clocks ───────────────────────────────────────────────────────────────────────────────────


def arrivals(fastest_ms: float) -> Arrivals:
    return Arrivals(3, 3, 0, 0, 0, (fastest_ms + 2, fastest_ms, fastest_ms + 1))


def seen_by(ahead: Mapping[str, float], took: Mapping[tuple[str, str], float]) -> Any:
    """What is measured with clocks that are `ahead` (ms) of the truth."""
    return {(a, b): arrivals(ms + ahead[b] - ahead[a]) for (a, b), ms in took.items()}


MACHINES = {"n1": "m1", "n2": "m2", "n3": "m3"}
AHEAD = {"n1": 5.0, "n2": -700.0, "n3": 80.0}


def test_clocks_are_compared_over_links_in_both_directions() -> None:
    """Machines' clocks far apart, links of 1 ms: latencies are right to a part of that."""
    raw = seen_by(AHEAD, dict.fromkeys(EVERY, 1.0))
    found = clocks(raw, Books(), MACHINES)
    assert found["m2"] - found["m1"] == pytest.approx(-705) and found["m1"] == 0
    assert found["m3"] - found["m2"] == pytest.approx(780)


def test_clocks_are_compared_around_links_that_have_faults() -> None:
    """A delay of another fault in one direction would look like a clock that is ahead."""
    took = dict.fromkeys(EVERY, 1.0) | {("n1", "n2"): 51.0}
    books = Books(shapes={("n1", "n2"): {"other": Shape("delay", latency_ms=50)}})
    found = clocks(seen_by(AHEAD, took), books, MACHINES)
    assert found["m2"] - found["m1"] == pytest.approx(-705)


def test_where_every_link_has_a_fault_what_it_does_is_taken_off() -> None:
    """Better than nothing: as exact as the other fault is what it says."""
    took = {("n1", "n2"): 51.0, ("n2", "n1"): 1.0}
    books = Books(shapes={("n1", "n2"): {"other": Shape("delay", latency_ms=60, jitter_ms=10)}})
    found = clocks(seen_by(AHEAD, took), books, {"n1": "m1", "n2": "m2"})
    assert found["m2"] - found["m1"] == pytest.approx(-705)


def test_clocks_of_machines_that_no_link_joins_stay_unknown() -> None:
    """A link that is cut compares nothing; pods of one machine share its clock."""
    took = {("n1", "n2"): 1.0, ("n2", "n1"): 1.0, ("n1", "n3"): 1.0}
    found = clocks(seen_by(AHEAD, took), Books(), MACHINES)
    assert set(found) == {"m1", "m2"}


# ── books ────────────────────────────────────────────────────────────────────────────────────


def planned(kind: str, fault: str = "f1", **options: Any) -> PlannedFault:
    return PlannedFault(
        id=fault, kind=kind, victims="one", nodes=("n1",), start_s=0, duration_s=5, options=options
    )


def acting(phase: str = "Run", injected: str = "True", **annotations: str) -> Object:
    """A NetworkChaos as it stands in the API."""
    return {
        "metadata": {"name": "x", "annotations": annotations},
        "status": {
            "conditions": [{"type": "AllInjected", "status": injected}],
            "experiment": {"desiredPhase": phase, "containerRecords": [{"phase": "Injected"}]},
        },
    }


def test_books_are_what_the_objects_of_the_run_say_while_they_act() -> None:
    """Cuts are counted, shapes are by fault; what ends or does not act yet is in no book."""
    cut = entry([planned("partition", shape="one-way-out")], ["n1"], NODES)
    slow = entry([planned("delay", "f2", latency_ms=30.0, peers=["n3"])], ["n1"], NODES)
    assert entry([planned("kill")], ["n1"], NODES) == {}
    books = books_of([acting(**cut), acting(**slow), acting(), acting("Stop", **cut)])
    assert books.cuts == {("n1", "n2"): 1, ("n1", "n3"): 1}
    assert books.shapes == {("n1", "n3"): {"f2": Shape("delay", latency_ms=30.0)}}
    assert not books.is_free("n3", "n1") and books.is_free("n2", "n3")
    assert books_of([acting(injected="False", **cut)]) == Books()
    assert json.loads(cut[BOOK])[0]["fault"] == "f1"


def test_netem_does_less_than_it_is_told_where_packets_follow_each_other() -> None:
    """The kernel's own mixture, played another way: 20 % with 50 % comes to 3 %."""
    done = netem.carried_out(Shape("loss", percent=20, correlation=50))
    fresh, last, met = random.Random(7), 0.5, 0
    for _ in range(100_000):
        last = 0.5 * fresh.random() + 0.5 * last
        met += last < 0.2
    assert done.percent == pytest.approx(met / 1000, rel=0.1) and 2.5 < done.percent < 3.5
    assert 0 < done.correlation < 50
    alone = Shape("loss", percent=20)
    assert netem.carried_out(alone) is alone
    assert netem.carried_out(Shape("loss", percent=10, correlation=90)).percent < 0.01

"""The options of faults on packets: what is refused before anything starts, and what is meant."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seatrial import faults
from seatrial.cases.etcd import REGISTER
from seatrial.errors import Unavailable, UsageError
from seatrial.fault import PlannedFault, Shape
from seatrial.faults import network, network_options
from seatrial.runner.planner import Overrides, make_plan
from seatrial.schedule import FaultChoice, Schedule
from seatrial.verdict import Json

NODES = ("n1", "n2", "n3", "n4", "n5")
KINDS = ("delay", "loss", "duplicate", "corrupt", "reorder", "rate", "bandwidth")


def planned(kind: str, pick: float = 0.0, **options: Any) -> PlannedFault:
    return PlannedFault(
        id="F1",
        kind=kind,
        victims="one",
        pick=pick,
        start_s=1,
        duration_s=2.5,
        options=options,
    )


def spec(kind: str, victims: list[str], **options: Any) -> dict[str, Any]:
    made = faults.kind(kind).manifest(planned(kind, **options), victims, NODES, "trials")
    assert made["kind"] == "NetworkChaos"
    found: Any = made["spec"]
    return dict(found)


@pytest.mark.parametrize(
    ("kind", "options", "words"),
    [
        ("delay", {"latency_ms": 0.5}, "option 'latency_ms': Input should be greater"),
        ("delay", {"latency_ms": 20_000}, "'latency_ms'.*less than or equal to 10000"),
        ("delay", {"latency_ms": "50ms"}, "'latency_ms'.*valid number.*was '50ms'"),
        ("delay", {"latency_ms": 5, "jitter_ms": 6}, "jitter_ms 6 is more than latency_ms 5"),
        ("delay", {"percent": 5}, "option 'percent': Extra inputs.*hint: options are.*latency_ms"),
        ("loss", {"percent": 0}, "'percent'"),
        ("loss", {"percent": 101}, "'percent'"),
        ("loss", {"percent": 5, "correlation": 96}, "'correlation'"),
        ("loss", {"percent": 5, "correlation": 90}, "changes too rarely.*0.5 %"),
        ("corrupt", {"percent": 0.1}, "changes too rarely.*at least 0.6 %"),
        ("reorder", {"percent": 100}, "lets every packet pass"),
        ("reorder", {"gap": 500}, "changes too rarely"),
        ("reorder", {"latency_ms": 1}, "'latency_ms'"),
        ("rate", {"bits_per_s": 1000}, "'bits_per_s'.*64000"),
        ("rate", {"bits_per_s": 10**9}, "'bits_per_s'.*50000000"),
        ("bandwidth", {"buffer_bytes": 1000}, "'buffer_bytes'.*1514"),
        ("bandwidth", {"buffer_bytes": 10**6}, "buffer_bytes 1000000 is more than 2 s of"),
        ("loss", {"direction": "up"}, "'direction'.*'to', 'from' or 'both'"),
        ("loss", {"peers": ["n9"]}, "loss: peers n9: no such node.*hint: nodes are n1"),
        ("loss", {"peers": []}, "peers"),
    ],
)
def test_what_cannot_be_is_refused_with_its_value(
    kind: str, options: dict[str, Json], words: str
) -> None:
    reason = faults.kind(kind).unavailable("namespace", NODES, options)
    assert re.search(words, reason, re.DOTALL), reason
    assert "hint:" in reason


@pytest.mark.parametrize("kind", KINDS)
def test_the_defaults_can_be_done_where_there_is_a_tun_device(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network, "TUN", "/dev/null")
    assert faults.kind(kind).unavailable("namespace", NODES, {}) == ""
    assert "no link with 1 node" in faults.kind(kind).unavailable("namespace", ["n1"], {})
    monkeypatch.setattr(network, "TUN", "/nowhere/tun")
    reason = faults.kind(kind).unavailable("namespace", NODES, {})
    assert "/nowhere/tun cannot be opened" in reason and "hint: sudo modprobe tun" in reason


def test_directions_are_seen_from_the_victims() -> None:
    links = network_options.links
    assert links("to", ["n1"], NODES[:3]) == {("n1", "n2"), ("n1", "n3")}
    assert links("from", ["n1"], NODES[:3]) == {("n2", "n1"), ("n3", "n1")}
    assert links("both", ["n1"], ["n1", "n2"]) == {("n1", "n2"), ("n2", "n1")}
    assert links("to", ["n1", "n2"], ["n1", "n2"]) == {("n1", "n2"), ("n2", "n1")}
    assert links("both", ["n1"], ["n1"]) == frozenset()


@given(
    pick=st.floats(0, 1, exclude_max=True),
    size=st.sampled_from(["one", "minority", "majority"]),
    victim=st.sampled_from(NODES),
)
def test_peers_of_a_size_are_others_and_the_same_for_the_same_plan(
    pick: float, size: str, victim: str
) -> None:
    options = network_options.read("loss", {"peers": size})
    fault = planned("loss", pick, peers=size)
    found = network_options.by_size(options, fault, NODES, [victim])
    assert found == network_options.by_size(options, fault, NODES, [victim])
    assert found is not None and victim not in found and len(set(found)) == len(found)
    assert len(found) == {"one": 1, "minority": 2, "majority": 3}[size]


def test_a_node_a_role_and_all_as_peers() -> None:
    def peers(word: str) -> tuple[str, ...] | None:
        options = network_options.read("loss", {"peers": word})
        return network_options.by_size(options, planned("loss"), NODES, ["n1"])

    assert peers("n4") == ("n4",)
    assert peers("leader") is None
    assert peers("all") == NODES


def test_shapes_carry_the_options() -> None:
    options = network_options.read("delay", {"latency_ms": 5, "jitter_ms": 2.5, "correlation": 9})
    assert network_options.shape("delay", options) == Shape(
        "delay", latency_ms=5, jitter_ms=2.5, correlation=9
    )


def test_the_chaos_mesh_objects_say_the_same() -> None:
    assert spec("delay", ["n1"], jitter_ms=10, direction="both") == {
        "action": "delay",
        "mode": "all",
        "selector": {"pods": {"trials": ["n1"]}},
        "duration": "2500ms",
        "direction": "both",
        "target": {"mode": "all", "selector": {"pods": {"trials": [*NODES]}}},
        "delay": {"latency": "50ms", "jitter": "10ms", "correlation": "0"},
    }
    peers = {"mode": "all", "selector": {"pods": {"trials": ["n2"]}}}
    lossy = spec("loss", ["n1"], percent=12.5, peers=["n2"])
    assert lossy["loss"] == {"loss": "12.5", "correlation": "0"} and lossy["target"] == peers
    assert spec("duplicate", ["n1"])["duplicate"]["duplicate"] == "20"
    assert spec("corrupt", ["n1"])["corrupt"]["corrupt"] == "20"
    reorder = spec("reorder", ["n1"], gap=5)
    assert reorder["delay"]["reorder"] == {"reorder": "25", "correlation": "0", "gap": 5}
    assert spec("rate", ["n1"])["rate"] == {"rate": "125000bps"}
    bandwidth = spec("bandwidth", ["n1"])["bandwidth"]
    assert bandwidth == {"rate": "125000bps", "limit": 100_000, "buffer": 10_000}


def test_a_role_as_peer_has_no_manifest() -> None:
    with pytest.raises(Unavailable, match="who is 'leader' is known at the moment only"):
        spec("loss", ["n1"], peers="leader")
    with pytest.raises(UsageError, match="percent"):
        spec("loss", ["n1"], percent=200)


def test_on_a_cluster_roles_are_refused_beforehand() -> None:
    assert faults.kind("loss").unavailable("cluster", NODES, {"peers": "minority"}) == ""
    assert "'leader'" in faults.kind("loss").unavailable("cluster", NODES, {"peers": "leader"})


def test_a_word_that_names_no_peer_is_refused_by_the_plan() -> None:
    choice = FaultChoice(kind="loss", options=({"peers": "laeder"},))
    case = REGISTER.model_copy(update={"schedule": Schedule(choices=(choice,))})
    with pytest.raises(
        UsageError, match=r"fault 'loss' towards 'laeder': etcd knows one, .*leader"
    ):
        make_plan(case, 1, Overrides())

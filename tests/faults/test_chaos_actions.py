"""Which field belongs to which action, and what would do nothing: said when the value is made."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from seatrial.errors import SeatrialError, UsageError
from seatrial.faults.chaos.action import Action
from seatrial.faults.chaos.catalogue import FAMILIES, actions
from seatrial.faults.chaos.examples import ACTIONS, examples
from seatrial.faults.chaos.http import Replace
from seatrial.faults.chaos.io import AttrOverride
from seatrial.faults.chaos.machine.stores import RedisCacheLimit
from seatrial.faults.chaos.stress import Memory
from seatrial.faults.chaos.time import ClockOffset
from seatrial.verdict import Json

VOLUME = {"volume_path": "/data"}
HTTP: Mapping[str, Json] = {"port": 80, "target": "Request"}
PACKETS = {"action": "network-loss", "device": "eth0"}
WRONG: list[tuple[str, Mapping[str, Json], str]] = [
    ("pod", {}, "option 'action' is missing\n\nhint: one of pod-kill, pod-failure"),
    ("pod", {"action": "podkill"}, "'podkill' .*\n\nhint: did you mean 'pod-kill'"),
    ("pod", {"action": 3}, "action of pod '3'"),
    ("pod", {"action": "pod-failure", "grace_period_s": 3}, "belongs to PodChaos pod-kill"),
    ("pod", {"action": "pod-kill", "grace_period_s": -1}, r"was -1\)"),
    ("pod", {"action": "container-kill"}, "'container_names' is missing"),
    ("pod", {"action": "container-kill", "container_names": []}, "'container_names'"),
    ("network", {"action": "slow"}, "did you mean|known: "),
    ("network", {"action": "netem"}, "NetworkChaos netem: nothing to do"),
    ("network", {"action": "netem", "jitter_ms": 3}, "jitter_ms .* needs latency_ms"),
    ("network", {"action": "reorder", "percent": 5}, "'latency_ms' is missing"),
    ("network", {"action": "reorder", "percent": 5, "latency_ms": 5, "gap": 0}, r"was 0\)"),
    ("io", {"action": "latency", **VOLUME}, "'latency_ms' is missing"),
    ("io", {"action": "latency", **VOLUME, "errno": 5}, "belongs to IOChaos fault"),
    ("io", {"action": "fault", **VOLUME, "errno": 0}, r"was 0\)"),
    ("io", {"action": "fault", **VOLUME, "errno": 5, "percent": 0}, r"was 0\)"),
    ("io", {"action": "fault", **VOLUME, "errno": 5, "methods": ["fsink"]}, "was 'fsink'"),
    ("io", {"action": "fault", "volume_path": "data", "errno": 5}, "was 'data'"),
    ("io", {"action": "fault", **VOLUME, "errno": 5, "path": "/date/*"}, "no file would match"),
    ("io", {"action": "attrOverride", **VOLUME}, "no attribute to override"),
    ("io", {"action": "mistake", **VOLUME, "methods": ["fsync"]}, "was 'fsync'"),
    ("stress", {"action": "cpu", "workers": 0}, r"was 0\)"),
    ("stress", {"action": "cpu", "workers": 8193}, r"was 8193\)"),
    ("stress", {"action": "cpu", "load_percent": 0}, r"was 0\)"),
    ("stress", {"action": "memory"}, "size_bytes .* or size_percent"),
    ("stress", {"action": "memory", "size_bytes": 1, "size_percent": 1}, "one of the two"),
    ("stress", {"action": "memory", "size_bytes": 1, "oom_score_adj": 1001}, r"was 1001\)"),
    ("stress", {"action": "stressng"}, "'stressors' is missing"),
    ("time", {"offset_ms": 0}, r"0 would do nothing.*was 0\)"),
    ("time", {"offset_ms": 5, "clock_ids": ["CLOCK_WALL"]}, "was 'CLOCK_WALL'"),
    ("time", {"offset_ms": 5, "clock_ids": []}, "'clock_ids'"),
    ("dns", {"action": "error", "patterns": ["chaos-*.org"]}, "only stand at the end"),
    ("dns", {"action": "errors"}, "did you mean 'error'"),
    ("http", {"action": "abort", "port": 0, "target": "Request"}, r"was 0\)"),
    ("http", {"action": "abort", "port": 80, "target": "request"}, "was 'request'"),
    ("http", {"action": "abort", **HTTP, "code": 200}, "code .* means nothing to target 'Request'"),
    ("http", {"action": "delay", **HTTP}, "'latency_ms' is missing"),
    ("http", {"action": "replace", **HTTP}, "nothing to replace"),
    ("http", {"action": "replace", **HTTP, "new_code": 500}, "means nothing to target 'Request'"),
    ("http", {"action": "patch", **HTTP}, "nothing to patch"),
    ("http", {"action": "patch", **HTTP, "merge_json": "{"}, "is no JSON"),
    (
        "http",
        {"action": "patch", "port": 80, "target": "Response", "more_queries": [["a", "b"]]},
        "more_queries .* means nothing to target 'Response'",
    ),
    ("http", {"action": "abort", **HTTP, "tls": {"secret_name": "s"}}, "tls: .* is missing"),
    ("jvm", {"action": "latency", "latency_ms": 5, "method": "put"}, "'class_name' is missing"),
    ("jvm", {"action": "stress"}, "cpu_count .* or memory"),
    ("jvm", {"action": "stress", "cpu_count": 1, "memory": "heap"}, "one of the two"),
    ("jvm", {"action": "gc", "latency_ms": 3}, "belongs to JVMChaos latency, JVMChaos mysql"),
    ("jvm", {"action": "mysql", "connector_version": "9", "exception": "no"}, "was '9'"),
    ("jvm", {"action": "mysql", "connector_version": "8"}, "exception .* or latency_ms"),
    ("kernel", {"fails": "disk"}, "was 'disk'"),
    ("kernel", {"fails": "bio", "percent": 101}, r"was 101\)"),
    ("kernel", {"fails": "bio", "call_chain": [{"functon": "f"}]}, "did you mean 'function'"),
    ("block", {"volume_name": "data"}, "'latency_ms' is missing"),
    ("machine", {"action": "http-abort"}, "action of machine 'http-abort'"),
    ("machine", {"action": "stress-mem", "size_mib": 0}, r"was 0\)"),
    ("machine", {"action": "disk-fill"}, "'size_mib' is missing"),
    ("machine", {"action": "disk-read-payload", "size_mib": 1, "processes": 256}, r"was 256\)"),
    ("machine", {"action": "file-create"}, "file .* or folder"),
    ("machine", {"action": "file-modify", "file": "/a", "permissions": 648}, "not octal"),
    ("machine", {**PACKETS, "percent": 0}, r"was 0\)"),
    ("machine", {**PACKETS, "percent": 5, "egress_port": "80"}, "must be 'tcp' or 'udp'"),
    ("machine", {"action": "network-partition", "device": "eth0"}, "no peer"),
    (
        "machine",
        {"action": "network-delay", "device": "e", "latency_ms": 5, "accept_tcp_flags": "SYN"},
        "must be 'tcp'",
    ),
    ("machine", {"action": "network-dns"}, "nothing to change"),
    ("machine", {"action": "network-dns", "ip": "10.0.0.1"}, "belong together"),
    (
        "machine",
        {"action": "network-bandwidth", "device": "e", "bits_per_s": 8, "peak_bytes_per_s": 8},
        "belong together",
    ),
    ("machine", {"action": "process", "process": "etcd", "signal": 0}, r"was 0\)"),
    ("machine", {"action": "clock", "pid": 0, "offset_ms": 5}, r"was 0\)"),
    ("machine", {"action": "jvm-gc"}, "'pid' is missing"),
    ("machine", {"action": "jvm-stress", "pid": 1}, "cpu_count .* or memory"),
    ("machine", {"action": "jvm-mysql", "pid": 1, "connector_version": "8"}, "one of the two"),
    ("machine", {"action": "redis-cacheLimit", "address": "r:1"}, "size_bytes .* or percent"),
    ("machine", {"action": "redis-restart", "address": "r:1"}, "'configuration' is missing"),
    ("machine", {"action": "kafka-io", "topic": "t", "configuration": "/c"}, "neither"),
    ("machine", {"action": "user_defined", "attack_command": "x"}, "'recover_command' is missing"),
    ("aws", {"action": "ec2-stop", "region": "r"}, "'instance_id' is missing"),
    (
        "aws",
        {"action": "ec2-stop", "region": "r", "instance_id": "i", "volume_id": "v"},
        "belongs to AWSChaos detach-volume",
    ),
    ("gcp", {"action": "disk-loss", "project": "p", "zone": "z", "instance": "i"}, "device_names"),
    ("azure", {"action": "vm-stopp"}, "did you mean 'vm-stop'"),
]


@pytest.mark.parametrize(("family", "options", "words"), WRONG)
def test_what_is_wrong_is_said(family: str, options: Mapping[str, Json], words: str) -> None:
    with pytest.raises(UsageError, match=words) as error:
        FAMILIES[family].read(options)
    assert "\n\nhint: " in str(error.value)
    assert error.value.exit_code >= 64


def test_no_action_takes_a_field_that_is_not_its_own() -> None:
    for action in actions():
        with pytest.raises(UsageError, match=r"there is no field 'no_such_thing' \(was 1\)"):
            action.model_validate({"no_such_thing": 1})


@pytest.mark.parametrize("example", ACTIONS, ids=lambda action: str(action.title()))
def test_an_example_can_be_written_as_options(example: Action) -> None:
    """What JSON can say in a case is the same value."""
    family = next(each for each in FAMILIES.values() if type(example) in each.actions)
    fields = example.model_dump(mode="json", exclude_unset=True)

    assert family.read({"action": example.short(), **fields}) == example


def test_times_sizes_and_bodies_are_written_as_chaos_mesh_reads_them() -> None:
    assert ClockOffset(offset_ms=-1.5).spec()["timeOffset"] == "-1500us"
    assert ClockOffset(offset_ms=-600_000).spec()["timeOffset"] == "-600000ms"
    assert Memory(size_bytes=2**20).spec()["stressors"]["memory"]["size"] == "1048576B"  # type: ignore[index,call-overload]
    assert Memory(size_percent=25).spec()["stressors"]["memory"]["size"] == "25%"  # type: ignore[index,call-overload]
    attr = AttrOverride(volume_path="/data", modified_ns=1_500_000_000, ino=0).spec()["attr"]
    assert attr == {"ino": 0, "mtime": {"sec": 1, "nsec": 500_000_000}}
    body = Replace(target="Response", port=80, new_body="ö").spec()["replace"]
    assert body == {"body": "w7Y="}
    limit = RedisCacheLimit(address="r:1", percent=50).spec()["redis-cacheLimit"]
    assert limit == {"addr": "r:1", "cacheSize": "0", "percent": "50%"}
    flood = next(each for each in examples() if each.action.action == "network-flood").spec()
    assert flood["network-flood"]["duration"] == "30"  # type: ignore[index,call-overload]


def test_an_object_can_be_meant_for_another_cluster() -> None:
    far = next(examples()).model_copy(update={"remote_cluster": "far"})
    assert far.spec()["remoteCluster"] == "far"


def test_an_error_is_the_projects_own() -> None:
    """Nothing of the validator's own shows through."""
    for family, options, _ in WRONG:
        try:
            FAMILIES[family].read(options)
        except SeatrialError as error:
            assert "pydantic" not in str(error)
            assert "validation error" not in str(error)

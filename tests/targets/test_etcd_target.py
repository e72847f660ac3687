"""How an etcd node is started and how its role is told, without a node running."""

from __future__ import annotations

from pathlib import Path

import pytest

from seatrial.errors import Unavailable, UsageError
from seatrial.target import Node
from seatrial.targets import make
from seatrial.targets.etcd import EtcdTarget
from seatrial.targets.etcd import make as make_etcd
from seatrial.targets.etcd.client import decode, encode
from seatrial.targets.etcd.status import NodeStatus
from seatrial.targets.etcd.target import roles
from seatrial.verdict import Json


def node(name: str, address: str = "10.0.0.1") -> Node:
    ports = {"client": 2379, "peer": 2380}
    return Node(name, address, ports, Path("/data") / name, Path("/logs") / name)


def said(name: str, member: int, leader: int, term: int) -> NodeStatus:
    return NodeStatus(name, "3.5.1", member, leader, term, 10, 10, 5, 4096, ())


def test_the_catalogue_makes_it() -> None:
    assert isinstance(make("etcd"), EtcdTarget)


def test_it_comes_in_the_sizes_that_have_a_majority() -> None:
    assert make_etcd({}).node_counts == (1, 3, 5)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"snapshot_counts": 10}, "no setting 'snapshot_counts' (did you mean 'snapshot_count'?)"),
        ({"snapshot_count": 0}, "'snapshot_count' is 0"),
        ({"heartbeat_ms": 500}, "election_ms 1000 must be at least 5 × heartbeat_ms 500"),
        ({"log_level": "loud"}, "'log_level' is 'loud'"),
    ],
)
def test_a_wrong_setting_is_named_and_the_known_ones_listed(
    given: dict[str, Json], expected: str
) -> None:
    with pytest.raises(UsageError) as caught:
        make_etcd(given)
    assert expected in str(caught.value)
    assert "known settings: binary, snapshot_count" in str(caught.value)


def test_all_wrong_settings_are_said_at_once() -> None:
    with pytest.raises(UsageError, match=r"(?s)'a'.*'b'"):
        make_etcd({"a": 1, "b": 2})


def test_the_command_names_the_whole_cluster_and_advertises_the_nodes_addresses() -> None:
    cluster = [node("n1", "10.0.0.1"), node("n2", "10.0.0.2"), node("n3", "fd00::3")]
    argv = make_etcd({"snapshot_count": 1000}).command(cluster[2], cluster, rejoin=False).argv
    assert argv[0].endswith("/etcd")
    assert "--name=n3" in argv
    assert "--data-dir=/data/n3" in argv
    assert "--advertise-client-urls=http://[fd00::3]:2379" in argv
    assert "--listen-peer-urls=http://[fd00::3]:2380" in argv
    assert (
        "--initial-cluster=n1=http://10.0.0.1:2380,n2=http://10.0.0.2:2380,n3=http://[fd00::3]:2380"
        in argv
    )
    assert "--snapshot-count=1000" in argv


def test_a_member_that_rejoins_is_started_as_it_was_before() -> None:
    """With `existing`, a member that lost its folder could vote twice in one term."""
    target, cluster = make_etcd({}), [node("n1")]
    first = target.command(cluster[0], cluster, rejoin=False)
    assert target.command(cluster[0], cluster, rejoin=True) == first
    assert "--initial-cluster-state=new" in first.argv


def test_no_setting_leads_to_an_unsafe_flag() -> None:
    settings: dict[str, Json] = {"quota_bytes": 1 << 30, "pre_vote": True, "log_level": "warn"}
    argv = make_etcd(settings).command(node("n1"), [node("n1")], rejoin=False).argv
    assert {"--quota-backend-bytes=1073741824", "--pre-vote=true"} <= set(argv)
    assert not [flag for flag in argv if "unsafe" in flag or "force" in flag]


def test_no_proxy_stands_between_the_nodes() -> None:
    environment = make_etcd({}).command(node("n1"), [node("n1")], rejoin=False).env
    assert environment["NO_PROXY"] == "*"


def test_the_wheel_says_its_version() -> None:
    assert make_etcd({}).version().startswith("3.")


def script(path: Path, text: str, mode: int = 0o755) -> str:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(mode)
    return str(path)


def test_a_missing_binary_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="does not exist"):
        make_etcd({"binary": str(tmp_path / "none")}).version()
    with pytest.raises(Unavailable, match="not on the PATH"):
        make_etcd({"binary": "no-such-etcd"}).version()


def test_a_binary_that_may_not_run_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"(?s)not executable.*hint: chmod"):
        make_etcd({"binary": script(tmp_path / "etcd", "exit 0", 0o644)}).version()


def test_a_binary_that_crashes_is_quoted(tmp_path: Path) -> None:
    crashing = script(tmp_path / "etcd", "echo no GLIBC >&2; exit 3")
    with pytest.raises(Unavailable, match=r"status 3; it said: no GLIBC"):
        make_etcd({"binary": crashing}).version()


def test_a_binary_that_is_no_program_is_unavailable(tmp_path: Path) -> None:
    path = tmp_path / "etcd"
    path.write_bytes(b"\x7fELF not really")
    path.chmod(0o755)
    with pytest.raises(Unavailable, match="does not start"):
        make_etcd({"binary": str(path)}).version()


def test_a_binary_that_is_something_else_is_quoted(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"does not name an etcd version; it said: hello"):
        make_etcd({"binary": script(tmp_path / "etcd", "echo hello")}).version()


def test_the_leader_is_who_says_so_in_the_highest_term() -> None:
    answers = [said("n1", 1, 1, 4), said("n2", 2, 3, 5), said("n3", 3, 3, 5)]
    assert roles(answers) == {"leader": ("n3",), "follower": ("n2",)}


def test_during_an_election_nobody_leads() -> None:
    assert roles([said("n1", 1, 0, 5), said("n2", 2, 0, 5)]) == {}
    assert roles([]) == {}


@pytest.mark.parametrize("value", [0, 7, -3, "7", "", "x y", True, None, 1.5, 2**70], ids=repr)
def test_a_value_comes_back_as_it_was(value: int | str | float | None) -> None:
    back = decode(encode(value))
    assert back == value
    assert type(back) is type(value)

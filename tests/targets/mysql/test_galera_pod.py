"""The script by which a pod of Galera starts its node, run here as the template has it.

With stand-ins for the server, it is seen what the server would be started with; the last tests
start three real nodes by it. Only paths, ports and hosts' names are others than in a pod.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from seatrial.targets.mysql import make_galera
from seatrial.targets.mysql.galera import PORTS
from tests.targets.mysql.server import BINARY, INSTALL, USER, folder

PODS = ("run-galera-0", "run-galera-1", "run-galera-2")
UUID = "5f0e1c2a-e5b4-11f1-a1fa-ca41982cca2d"
NOWHERE = "00000000-0000-0000-0000-000000000000"
#: What a stand-in says when it is asked for its position.
KNOWS = f"echo 'WSREP: Recovered position: {UUID}:42' >&2"
RUN_S = 30.0


def script(data: Path, hosts: Sequence[str], ports: dict[str, int]) -> str:
    """The template's script, for this machine."""
    placement = make_galera({}).place(("n1", "n2", "n3"), "run", "trials")
    (stateful,) = [one for one in placement.objects if one["kind"] == "StatefulSet"]
    containers = cast(Any, stateful)["spec"]["template"]["spec"]["containers"]
    (text,) = next(one["args"] for one in containers if one["name"] == "node")
    # A pod knows itself by its name: here it is in no host's name.
    text = text.replace('case "$peer" in "$POD_NAME".*)', 'case "$peer" in "$OWN_HOST")')
    for pod, host in zip(PODS, hosts, strict=True):
        text = text.replace(f"{pod}.run-galera.trials.svc", host)
    text = text.replace("run-galera-$(( number - 1 )).run-galera.trials.svc", "$FORMER_HOST")
    for name, number in ports.items():
        text = text.replace(f'" {PORTS[name]}', f'" {number}')
        text = text.replace(f"any_answers {PORTS[name]}", f"any_answers {number}")
    return str(text).replace("/var/lib/mysql", str(data))


def program(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/bash\n{text}\n", encoding="ascii")
    path.chmod(0o755)


class Pod:
    """The first pod unless told otherwise, with a server that only says what it was asked."""

    def __init__(self, root: Path, number: int = 0, recover: str = KNOWS) -> None:
        self.data, self._root, self._number = root / "data", root, number
        self.data.mkdir()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.free = probe.getsockname()[1]
        self.ports = {"galera": self.free, "sql": self.free}
        (root / "bin").mkdir()
        program(root / "bin" / "mariadbd", f'echo "$@" >> {root}/asked\n{recover}')
        program(root / "bin" / "docker-entrypoint.sh", 'printf "%s\\n" "$@"')

    def state(self, uuid: str = UUID, seqno: int = -1) -> None:
        """What Galera keeps beside the data of a node that was killed, or left in order."""
        text = f"version: 2.1\nuuid:    {uuid}\nseqno:   {seqno}\nsafe_to_bootstrap: 0\n"
        (self.data / "grastate.dat").write_text(text, encoding="ascii")

    def asked(self) -> str:
        """How the server was asked where it stands."""
        there = self._root / "asked"
        return there.read_text() if there.exists() else ""

    def start(self) -> subprocess.CompletedProcess[str]:
        """Run the script until it becomes the server, or ends."""
        hosts = [f"127.0.0.{number + 1}" for number in range(3)]
        return subprocess.run(
            ["bash", "-c", script(self.data, hosts, self.ports)],
            env={
                "PATH": f"{self._root / 'bin'}:{os.environ['PATH']}",
                "POD_NAME": PODS[self._number],
                "OWN_HOST": hosts[self._number],
                "FORMER_HOST": hosts[self._number - 1],
            },
            capture_output=True,
            text=True,
            timeout=RUN_S,
        )


@contextmanager
def listening(host: str, port: int) -> Iterator[None]:
    with socket.socket() as server:
        server.bind((host, port))
        server.listen()
        yield


def test_the_first_pod_makes_the_cluster_unless_another_has_one(tmp_path: Path) -> None:
    pod = Pod(tmp_path)

    alone = pod.start()
    assert alone.stdout.splitlines()[:2] == ["mariadbd", "--wsrep-new-cluster"]
    with listening("127.0.0.3", pod.free):
        assert "--wsrep-new-cluster" not in pod.start().stdout


def test_another_pod_waits_for_the_one_before_it_and_makes_no_cluster(tmp_path: Path) -> None:
    pod = Pod(tmp_path, number=1)

    with listening("127.0.0.1", pod.free):
        words = pod.start().stdout.splitlines()
    assert words[:2] == ["mariadbd", "--wsrep-on=ON"]
    assert pod.asked() == ""


def test_a_killed_node_asks_its_innodb_with_all_that_galera_needs_to_be_on(tmp_path: Path) -> None:
    """Without any of these the server says that it skips the recovery, or ends."""
    pod = Pod(tmp_path)
    pod.state()

    done = pod.start()
    assert f"--wsrep-start-position={UUID}:42" in done.stdout.splitlines()
    asked = pod.asked()
    for option in ("--wsrep-recover", "--wsrep-on=ON", "--binlog-format=ROW"):
        assert option in asked
    assert "--wsrep-provider=/usr/lib/galera/libgalera_smm.so" in asked
    assert "--wsrep-cluster-address=gcomm://127.0.0.1,127.0.0.2,127.0.0.3" in asked


@pytest.mark.parametrize("recover", ["echo 'skipping position recovery'", "echo disk full; exit 1"])
def test_a_node_with_data_and_no_position_is_not_started_and_says_why(
    tmp_path: Path, recover: str
) -> None:
    pod = Pod(tmp_path, recover=recover)
    pod.state()

    done = pod.start()
    assert done.returncode == 1
    assert "this node has data" in done.stdout
    assert recover.split("'")[1 if "'" in recover else 0].removeprefix("echo ")[:9] in done.stdout
    assert "--wsrep-on=ON" not in done.stdout, "no server was started"


def test_a_node_that_was_getting_its_state_takes_all_of_it_again(tmp_path: Path) -> None:
    """Half of a state is none: InnoDB might not even open it, and to end would be for ever."""
    pod = Pod(tmp_path, number=2, recover="exit 1")
    pod.state()
    (pod.data / "sst_in_progress").touch()
    assert "mariadbd" in pod.start().stdout.splitlines()

    (pod.data / "sst_in_progress").unlink()
    pod.state(uuid=NOWHERE)
    done = pod.start()
    assert "mariadbd" in done.stdout.splitlines()
    assert "--wsrep-start-position" not in done.stdout and pod.asked() == ""


def view_of(pod: Pod) -> dict[str, list[str]]:
    """What stands in the view that a node comes back to."""
    words = (line.split() for line in (pod.data / "gvwstate.dat").read_text().splitlines())
    found: dict[str, list[str]] = {}
    for word, *rest in words:
        found.setdefault(word, []).append(" ".join(rest))
    return found


def test_nodes_that_all_left_in_order_come_back_to_one_view_of_all(tmp_path: Path) -> None:
    views = []
    for number in range(3):
        root = tmp_path / str(number)
        root.mkdir()
        pod = Pod(root, number)
        pod.state(seqno=7)
        assert "mariadbd" in pod.start().stdout.splitlines()
        views.append(view_of(pod))

    assert all(view["member:"] == views[0]["member:"] for view in views)
    assert all(view["view_id:"] == views[0]["view_id:"] for view in views)
    own = [view["my_uuid:"][0] for view in views]
    assert views[0]["member:"] == [f"{one} 0" for one in own] and len({*own}) == 3


def test_a_node_that_left_in_order_joins_those_that_serve(tmp_path: Path) -> None:
    pod = Pod(tmp_path)
    pod.state(seqno=7)

    with listening("127.0.0.2", pod.free):
        assert f"--wsrep-start-position={UUID}:42" in pod.start().stdout.splitlines()
    assert not (pod.data / "gvwstate.dat").exists()


def test_a_view_that_galera_kept_is_left_as_it_is(tmp_path: Path) -> None:
    """A killed node's."""
    pod = Pod(tmp_path)
    pod.state()
    (pod.data / "gvwstate.dat").write_text("my_uuid: its-own")

    pod.start()
    assert (pod.data / "gvwstate.dat").read_text() == "my_uuid: its-own"


# ── three real nodes ─────────────────────────────────────────────────────────────────────────────

PROVIDER = Path("/usr/lib/galera/libgalera_smm.so")
CLIENT = shutil.which("mariadb")
SYNCED_S = 90.0
STOPPED_S = 30.0
real = [
    pytest.mark.full,
    pytest.mark.skipif(
        BINARY is None or INSTALL is None or CLIENT is None or not PROVIDER.exists(),
        reason="no mariadbd with Galera here: make test-full installs it",
    ),
]


class RealPod:
    """A node that the script starts at an address of its own; MariaDB's image is played by a
    program that makes the database and becomes the server."""

    def __init__(self, root: Path, number: int, net: str, port: int) -> None:
        self.host = f"{net}.{number + 1}"
        self._root, self._number, self._net, self._port = root, number, net, port
        self.data = root / "data"
        for place in (root, self.data, root / "bin"):
            place.mkdir()
        user = f"--user={USER}" if os.getuid() == 0 else ""
        if user:
            shutil.chown(root, USER)
            shutil.chown(self.data, USER)
        server = f"{BINARY} --no-defaults --datadir={self.data} --socket={root}/socket {user}"
        program(root / "bin" / "mariadbd", f'exec {server} "$@"')
        made = f"{INSTALL} --no-defaults --datadir={self.data} {user} --skip-test-db"
        here = (
            f"--pid-file={root}/pid --bind-address={self.host} "
            f"--wsrep-node-address={self.host} --wsrep-sst-method=rsync "
            f"--wsrep-sst-receive-address={self.host}:4444 --innodb-buffer-pool-size=16M "
            f"'--wsrep-provider-options=gmcast.listen_addr=tcp://{self.host}:4567;gcache.size=16M;"
            "evs.suspect_timeout=PT2S;evs.inactive_timeout=PT4S;evs.keepalive_period=PT0.5S'"
        )
        program(
            root / "bin" / "docker-entrypoint.sh",
            f"[ -d {self.data}/mysql ] || {made} --auth-root-authentication-method=normal "
            f'>/dev/null || exit 1\nshift\nexec {server} "$@" --port={port} {here}',
        )
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        hosts = [f"{self._net}.{number + 1}" for number in range(3)]
        with (self._root / "log").open("ab") as log:
            self._process = subprocess.Popen(
                ["bash", "-c", script(self.data, hosts, {"sql": self._port})],
                env={
                    "PATH": f"{self._root / 'bin'}:{os.environ['PATH']}",
                    "POD_NAME": PODS[self._number],
                    "OWN_HOST": self.host,
                    "FORMER_HOST": hosts[self._number - 1],
                },
                stdout=log,
                stderr=log,
            )

    def client(self, statement: str) -> list[str]:
        return [str(CLIENT), "--no-defaults", "-uroot", f"-S{self._root}/socket", "-Nse", statement]

    def sql(self, statement: str) -> str:
        done = subprocess.run(self.client(statement), capture_output=True, text=True, timeout=RUN_S)
        return done.stdout.strip() if done.returncode == 0 else ""

    def await_said(self, statement: str, word: str) -> None:
        deadline = time.monotonic() + SYNCED_S
        while word not in self.sql(statement):
            assert self._process is not None
            told = (self._root / "log").read_text(errors="replace")[-4000:]
            assert self._process.poll() is None and time.monotonic() < deadline, told
            time.sleep(0.1)

    def await_synced(self) -> None:
        self.await_said("SHOW STATUS LIKE 'wsrep_local_state_comment'", "Synced")

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def await_end(self) -> None:
        if self._process is not None:
            self._process.wait(STOPPED_S)

    def rows(self) -> str:
        return self.sql("SET SESSION wsrep_sync_wait = 0; SELECT GROUP_CONCAT(a) FROM t.t")


@contextmanager
def three_pods() -> Iterator[list[RealPod]]:
    """Three that have begun one after the other, with a table."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    net = f"127.{100 + port % 100}.{port // 256}"
    with folder() as root:
        pods = [RealPod(root / f"n{number + 1}", number, net, port) for number in range(3)]
        try:
            for pod in pods:
                pod.start()
            for pod in pods:
                pod.await_synced()
            pods[0].sql("CREATE DATABASE t; CREATE TABLE t.t (a INT PRIMARY KEY)")
            pods[0].sql("INSERT INTO t.t VALUES (1), (2)")
            yield pods
        finally:
            for pod in pods:
                pod.signal(signal.SIGKILL)
                pod.await_end()


def end_all(pods: list[RealPod], number: signal.Signals) -> None:
    for pod in pods:
        pod.signal(number)
    for pod in pods:
        pod.await_end()


def start_all(pods: list[RealPod]) -> None:
    for pod in pods:
        pod.start()
    for pod in pods:
        pod.await_synced()


class TestRealPods:
    pytestmark = real

    def test_after_a_crash_of_all_a_node_that_was_behind_gets_what_it_misses(self) -> None:
        """Where positions are not recovered all count as equal, and it misses rows for ever."""
        with three_pods() as pods:
            last = pods[2]
            last.await_said("SELECT COUNT(*) FROM t.t", "2")
            held = subprocess.Popen(last.client("FLUSH TABLES WITH READ LOCK; SELECT SLEEP(600)"))
            last.await_said("SHOW PROCESSLIST", "SLEEP(600)")
            pods[0].sql("INSERT INTO t.t VALUES (3), (4), (5)")
            pods[1].await_said("SELECT COUNT(*) FROM t.t", "5")
            assert last.rows() == "1,2"
            end_all(pods, signal.SIGKILL)
            held.wait(STOPPED_S)

            start_all(pods)
            assert [pod.rows() for pod in pods] == ["1,2,3,4,5"] * 3

    def test_after_all_left_in_order_the_cluster_comes_back_with_all_that_it_had(self) -> None:
        """Together, so that none may begin alone; then one after the other, so that the first
        misses what the others still took."""
        with three_pods() as pods:
            end_all(pods, signal.SIGTERM)
            start_all(pods)
            assert [pod.rows() for pod in pods] == ["1,2"] * 3

            for number, pod in enumerate(pods, 3):
                pod.sql(f"INSERT INTO t.t VALUES ({number})")
                end_all([pod], signal.SIGTERM)
            start_all(pods)
            assert [pod.rows() for pod in pods] == ["1,2,3,4,5"] * 3
            for pod in pods:
                assert "\t3" in pod.sql("SHOW STATUS LIKE 'wsrep_cluster_size'")

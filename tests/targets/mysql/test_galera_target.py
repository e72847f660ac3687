"""Galera's target without a Galera: roles, readiness, versions, and how a node is started."""

from __future__ import annotations

import asyncio
import json
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import pytest

from seatrial.errors import Unavailable, UsageError
from seatrial.target import EndsItself, Node, StartsSlowly, Versions
from seatrial.targets.mysql import GaleraTarget, make_galera, start_galera
from seatrial.targets.mysql.galera import STATUS, GaleraClient, synced
from seatrial.targets.mysql.schema import ROWS, TABLES
from tests.targets.mysql.scripted import Answer, Refusal, Rows, Script, scripted

COLUMNS = ("VARIABLE_NAME", "VARIABLE_VALUE")


def status(state: str, group: str = "Primary", committed: int = 7) -> Rows:
    said = {
        "WSREP_LOCAL_STATE_COMMENT": state,
        "WSREP_CLUSTER_STATUS": group,
        "WSREP_CLUSTER_CONF_ID": "3",
        "WSREP_LAST_COMMITTED": str(committed),
    }
    return Rows(COLUMNS, [*said.items()])


def node_in(state: str, group: str = "Primary") -> Script:
    """A node that says this of itself and has its tables."""

    def script(statement: str) -> Answer:
        if statement.endswith(STATUS):
            return status(state, group)
        if statement == "SHOW DATABASES":
            return Rows(("Database",), [("seatrial",)])
        if statement == "SHOW TABLES":
            return Rows(("Tables",), [(table,) for table in TABLES])
        return None

    return script


def role_of(state: str, group: str = "Primary") -> Mapping[str, tuple[str, ...]]:
    async def run() -> Mapping[str, tuple[str, ...]]:
        async with scripted(node_in(state, group)) as server:
            return await make_galera({}).locate([server.node])

    return asyncio.run(run())


# ── roles and readiness ──────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("state", "role"),
    [("Synced", "synced"), ("Donor/Desynced", "donor"), ("Joined", "joiner")],
)
def test_a_nodes_role_is_what_it_does_for_the_group(state: str, role: str) -> None:
    assert role_of(state) == {role: ("n1",)}


def test_a_node_outside_of_the_primary_component_plays_no_role() -> None:
    assert role_of("Synced", "non-Primary") == {}
    assert role_of("Initialized") == {}


@pytest.mark.parametrize(
    ("state", "group", "good"),
    [
        ("Synced", "Primary", True),
        ("Donor/Desynced", "Primary", False),
        ("Synced", "non-Primary", False),
        ("Initialized", "Disconnected", False),
    ],
)
def test_a_node_is_ready_when_it_is_in_sync_with_a_majority(
    state: str, group: str, good: bool
) -> None:
    async def run() -> bool:
        async with scripted(node_in(state, group)) as server:
            return await make_galera({}).ready(server.node, 0.5)

    assert asyncio.run(run()) is good


def test_a_server_without_galera_is_never_in_sync() -> None:
    async def run() -> bool:
        async with scripted(lambda text: Rows(COLUMNS) if text == STATUS else None) as server:
            client = await make_galera({}).connect(server.node, timeout_s=1.0)
            session = client.whole()
            try:
                return await session.plain(synced)
            finally:
                await session.close()
                await client.close()

    assert asyncio.run(run()) is False


# ── the own check ────────────────────────────────────────────────────────────────────────────────


def fingerprint(checked: str, committed: tuple[int, int] = (7, 7)) -> Mapping[str, object]:
    """What a node tells whose CHECK TABLE says so of its accounts."""
    left = [*committed]

    def script(statement: str) -> Answer:
        if statement == STATUS:
            return status("Synced", committed=left.pop(0))
        if statement.startswith("CHECK TABLE"):
            texts = {table: checked if table == "accounts" else "OK" for table in TABLES}
            rows = [(f"seatrial.{one}", "check", "status", text) for one, text in texts.items()]
            return Rows(("Table", "Op", "Msg_type", "Msg_text"), rows)
        if statement.startswith("CHECKSUM TABLE"):
            return Rows(("Table", "Checksum"), [(table, 5) for table in TABLES])
        return Rows(("k", "v"), [("1", "2")]) if statement in ROWS.values() else None

    async def run() -> Mapping[str, object]:
        async with scripted(script) as server:
            client: GaleraClient = await make_galera({}).connect(server.node, timeout_s=1.0)
            try:
                return await client.fingerprint()
            finally:
                await client.close()

    return asyncio.run(run())


def test_a_fingerprint_has_checksums_a_digest_and_what_check_table_found() -> None:
    good = fingerprint("OK")
    assert (good["index"], good["hash"], good["keys"], good["check"]) == (7, "5 5 5", 3, "")
    assert good["settled"] is True

    bad = fingerprint("Table rebuild required")
    assert bad["check"] == "seatrial.accounts: Table rebuild required"


def test_a_node_that_commits_while_it_is_read_is_not_settled() -> None:
    assert fingerprint("OK", (7, 8))["settled"] is False


# ── versions, and ends by design ─────────────────────────────────────────────────────────────────


def program(path: Path, text: str) -> str:
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="ascii")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def mariadb(folder: Path, version: str) -> str:
    return program(folder / f"mariadbd-{version}", f"echo 'mariadbd  Ver {version}-MariaDB for x'")


def test_a_newer_server_may_follow_and_an_older_one_may_not(tmp_path: Path) -> None:
    old, new = mariadb(tmp_path, "10.11.8"), mariadb(tmp_path, "11.4.2")
    target = make_galera({"binary": old})

    assert isinstance(target, Versions)
    assert target.version() == "10.11.8-MariaDB"
    assert target.may_follow(new) == ""
    assert "does not open the data" in make_galera({"binary": new}).may_follow(old)
    assert "both binaries" in target.may_follow(old)
    with pytest.raises(Unavailable, match="is no MariaDB"):
        target.with_binary(program(tmp_path / "cat", "echo meow"))
    with pytest.raises(Unavailable, match="there is no"):
        target.with_binary(str(tmp_path / "nothing"))


def test_without_a_binary_the_version_is_that_of_the_image() -> None:
    target = make_galera({"binary": "no-mariadbd", "kubernetes": {"image": "mariadb:11.8.1"}})
    assert target.version() == "11.8.1"


def test_a_joiner_whose_donor_is_gone_ends_by_design_and_nothing_else_does() -> None:
    target = make_galera({})
    log = "WSREP: Donor f261 is no longer in the group. State transfer cannot be completed, need "

    contracts: tuple[type, ...] = (EndsItself, StartsSlowly)
    assert all(isinstance(target, contract) for contract in contracts)
    assert target.why_it_ended(log + "to abort.\nTerminated.") == "its donor left the group"
    never = "gcs_group_handle_join_msg():1225: Will never receive state. Need to abort."
    assert target.why_it_ended(never) == "its donor could not give it the state"
    assert target.why_it_ended("mariadbd got signal 11") == ""


def test_settings_are_checked() -> None:
    with pytest.raises(UsageError, match="did you mean 'causal_reads'"):
        make_galera({"causal_read": True})


# ── how a node is started ────────────────────────────────────────────────────────────────────────


def start(folder: Path, **more: object) -> start_galera.Start:
    made: start_galera.Start = {
        "binary": "/bin/true",
        "install": program(folder.parent / "install", 'for a; do echo "$a"; done > "$0.said"'),
        "data": str(folder),
        "before": None,
        "peers": [],
        "serving": [],
        "number": 0,
        "nodes": 3,
        "options": [],
    }
    return cast(start_galera.Start, {**made, **more})


@pytest.fixture
def listener() -> tuple[socket.socket, tuple[str, int]]:
    server = socket.socket()
    server.bind(("127.0.0.1", 0))
    return server, server.getsockname()


def test_the_first_node_makes_the_cluster_and_its_account(tmp_path: Path) -> None:
    folder = tmp_path / "n1"
    folder.mkdir()

    assert start_galera._new(start(folder)) == ["--wsrep-new-cluster"]
    said = (tmp_path / "install.said").read_text().splitlines()
    assert f"--datadir={folder}" in said and "--no-defaults" in said
    assert [*folder.iterdir()] == [], "the account's file is gone"


def test_a_first_node_without_data_joins_the_others_where_they_have_a_cluster(
    tmp_path: Path, listener: tuple[socket.socket, tuple[str, int]]
) -> None:
    server, where = listener
    with server:
        server.listen()
        folder = tmp_path / "n1"
        folder.mkdir()
        assert start_galera._new(start(folder, peers=[where])) == []
    assert not (tmp_path / "install.said").exists()


def test_another_node_waits_until_the_one_before_it_serves(
    tmp_path: Path, listener: tuple[socket.socket, tuple[str, int]]
) -> None:
    server, where = listener
    opened: list[float] = []

    def open_late() -> None:
        opened.append(time.monotonic())
        server.listen()

    timer = threading.Timer(0.3, open_late)
    timer.start()
    with server:
        assert start_galera._new(start(tmp_path, before=where)) == []
        assert opened and time.monotonic() >= opened[0]
        timer.join()


def test_a_node_with_data_goes_on_from_where_its_innodb_stands(tmp_path: Path) -> None:
    (tmp_path / "n1" / "mysql").mkdir(parents=True)
    words = f"echo $@ > {tmp_path}/asked; echo 'WSREP: Recovered position: 5f0e-11f1:42' >&2"
    binary = program(tmp_path / "mariadbd", words)

    given = start(tmp_path / "n1", binary=binary)
    assert start_galera._has_data(given)
    assert start_galera._position([binary]) == ["--wsrep-start-position=5f0e-11f1:42"]
    assert (tmp_path / "asked").read_text() == "--skip-networking --wsrep-recover\n"


def test_a_node_with_data_that_does_not_know_where_it_stands_is_not_started(tmp_path: Path) -> None:
    binary = program(tmp_path / "mariadbd", "echo 'InnoDB: cannot open' >&2; exit 1")

    with pytest.raises(SystemExit, match="cannot open\n\nthere are data, and InnoDB does not say"):
        start_galera._position([binary])


def test_a_node_that_was_getting_its_state_is_known(tmp_path: Path) -> None:
    (tmp_path / "mysql").mkdir()
    given, state = start(tmp_path), tmp_path / "grastate.dat"

    assert not start_galera._is_half(given), "a database without Galera's own file"
    state.write_text("version: 2.1\nuuid:    9b13353c-e5b4-11f1-a1fa-ca41982cca2d\nseqno:   -1\n")
    assert not start_galera._is_half(given)
    state.write_text("version: 2.1\nuuid:    00000000-0000-0000-0000-000000000000\nseqno:   -1\n")
    assert start_galera._is_half(given)
    state.unlink()
    (tmp_path / "sst_in_progress").touch()
    assert start_galera._is_half(given)


def test_nodes_that_all_left_in_order_come_back_to_one_view_of_all(tmp_path: Path) -> None:
    views = []
    for number in range(3):
        folder = tmp_path / str(number)
        folder.mkdir()
        start_galera._remember(start(folder, number=number))
        views.append((folder / "gvwstate.dat").read_text().splitlines())

    own = [view[0].removeprefix("my_uuid: ") for view in views]
    members = [line for line in views[0] if line.startswith("member: ")]
    assert members == [f"member: {one} 0" for one in own] and len({*own}) == 3
    assert [view[1:] for view in views] == [views[0][1:]] * 3


def test_no_view_is_written_where_one_is_kept_or_somebody_serves(
    tmp_path: Path, listener: tuple[socket.socket, tuple[str, int]]
) -> None:
    server, where = listener
    with server:
        server.listen()
        start_galera._remember(start(tmp_path, serving=[where]))
        assert not (tmp_path / "gvwstate.dat").exists()
    (tmp_path / "gvwstate.dat").write_text("my_uuid: its-own")
    start_galera._remember(start(tmp_path))
    assert (tmp_path / "gvwstate.dat").read_text() == "my_uuid: its-own"


def test_an_installation_that_fails_says_why_in_one_line(tmp_path: Path) -> None:
    install = program(tmp_path / "bad", "echo nonsense; echo 'ERROR: no space' >&2; exit 3")

    with pytest.raises(SystemExit, match="ERROR: no space") as caught:
        start_galera._new(start(tmp_path, install=install))
    assert "\n" not in str(caught.value)


def test_the_program_needs_nothing_but_pythons_own_library(tmp_path: Path) -> None:
    """It runs with `-I -S`: no site-packages, no seatrial."""
    (tmp_path / "n1" / "mysql").mkdir(parents=True)
    recovered = 'echo "WSREP: Recovered position: 5f0e-11f1:42" >&2'
    words = f'case "$*" in *--wsrep-recover*) {recovered};; *) id -u; echo "$@";; esac'
    given = start(
        tmp_path / "n1", binary=program(tmp_path / "mariadbd", words), options=["--port=1"]
    )
    target = GaleraTarget(make_galera({}).settings)
    assert target.start_timeout_s > 60

    done = subprocess.run(
        [sys.executable, "-I", "-S", start_galera.__file__, json.dumps(given)],
        capture_output=True,
        text=True,
        timeout=30,
    )
    if "no user namespace" in done.stderr:
        pytest.skip("no user namespaces here")
    user, said = done.stdout.splitlines()
    assert user != "0"
    words = f"--no-defaults --datadir={tmp_path / 'n1'} --port=1"
    assert said == f"{words} --wsrep-start-position=5f0e-11f1:42"


def test_every_node_of_the_lab_knows_its_peers_and_the_one_before_it(tmp_path: Path) -> None:
    target = make_galera({})
    if reason := target.why_not_here():
        pytest.skip(reason)
    ports = {"sql": 1, "galera": 2, "ist": 3, "sst": 4}
    cluster = [
        Node(f"n{i}", f"10.0.0.{i}", ports, tmp_path / f"n{i}", tmp_path / "log") for i in (1, 2, 3)
    ]
    specs = [json.loads(target.command(n, cluster, rejoin=False).argv[-1]) for n in cluster]

    assert [one["before"] for one in specs] == [None, ["10.0.0.1", 1], ["10.0.0.2", 1]]
    assert specs[1]["peers"] == [["10.0.0.1", 2], ["10.0.0.3", 2]]
    assert specs[1]["serving"] == [["10.0.0.1", 1], ["10.0.0.3", 1]]
    assert [(one["number"], one["nodes"]) for one in specs] == [(0, 3), (1, 3), (2, 3)]
    assert all(
        "--wsrep-cluster-address=gcomm://10.0.0.1:2,10.0.0.2:2,10.0.0.3:2" in one["options"]
        for one in specs
    )


def test_a_node_that_is_refused_is_not_ready() -> None:
    async def run() -> bool:
        async with scripted(lambda text: Refusal(1047) if text == STATUS else None) as server:
            return await make_galera({}).ready(server.node, 0.5)

    assert asyncio.run(run()) is False

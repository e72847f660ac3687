"""TiDB's roles, readiness and own check, against servers that answer in the shape of real ones.

The answers of PD were recorded from three real `pd-server`s (with three stores put by gRPC); those
of TiDB from a real `tidb-server`. Names and addresses are those of a cluster of TiDB Operator.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TypeVar

import pytest

from seatrial.errors import Unavailable
from seatrial.target import Node, OpFailed
from seatrial.targets.mysql import TidbTarget, make_tidb
from seatrial.targets.mysql.pd import Pd
from seatrial.targets.mysql.schema import ROWS, TABLES
from seatrial.verdict import Json
from tests.targets.mysql.scripted import Answer, Refusal, Rows, Scripted, scripted

T = TypeVar("T")

RUN = "tidb-bank-7-tidb"
NODES = 3


def member(number: int) -> dict[str, Any]:
    pod = f"{RUN}-pd-{number}"
    host = f"{pod}.{RUN}-pd-peer.seatrial.svc"
    return {
        "name": pod,
        "member_id": 7991701852439577752 + number,
        "peer_urls": [f"http://{host}:2380"],
        "client_urls": [f"http://{host}:2379"],
        "deploy_path": "/",
        "binary_version": "v8.5.3",
        "git_hash": "6e1b6b4",
    }


def store(number: int, leaders: int, state: str = "Up") -> dict[str, Any]:
    host = f"{RUN}-tikv-{number}.{RUN}-tikv-peer.seatrial.svc"
    return {
        "store": {
            "id": number + 1,
            "address": f"{host}:20160",
            "version": "8.5.3",
            "status_address": f"{host}:20180",
            "last_heartbeat": 1795257983123347862,
            "state_name": state,
        },
        "status": {
            "capacity": "10GiB",
            "available": "9GiB",
            "leader_count": leaders,
            "leader_weight": 1,
            "region_count": 5,
            "start_ts": "2026-11-21T10:00:00Z",
        },
    }


def of_pd(
    leader: int | None = 1, healthy: tuple[int, ...] = (0, 1, 2), stores: object = None
) -> dict[str, Any]:
    """What a PD answers by path; a number is a status."""
    everybody = [member(number) for number in (2, 1, 0)]
    three = [store(0, 4), store(1, 9), store(2, 1)]
    chosen = three if stores is None else stores
    return {
        "leader": 500 if leader is None else member(leader),
        "members": {
            "header": {"cluster_id": 7710574178281171942},
            "members": everybody,
            "leader": None if leader is None else member(leader),
            "etcd_leader": None if leader is None else member(leader),
        },
        "health": [
            {
                "name": one["name"],
                "member_id": one["member_id"],
                "client_urls": one["client_urls"],
                "health": int(one["name"][-1]) in healthy,
            }
            for one in everybody
        ],
        "stores": {"count": 3, "stores": chosen},
    }


@contextmanager
def pd(answers: Mapping[str, Any]) -> Iterator[str]:
    """A real HTTP server that answers under `/pd/api/v1`; its URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = answers.get(self.path.removeprefix("/pd/api/v1/"), 404)
            status = found if isinstance(found, int) else 200
            text = '"no leader"' if status != 200 else json.dumps(found)
            if found == "cut":
                return
            self.send_response(status)
            self.end_headers()
            self.wfile.write((found if isinstance(found, str) else text).encode())

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def nodes(port: int = 1) -> tuple[Node, ...]:
    return tuple(
        Node(f"n{number + 1}", "127.0.0.1", {"sql": port}, Path(), Path())
        for number in range(NODES)
    )


def locate(answers: Mapping[str, Any], part: str, **more: Json) -> Mapping[str, tuple[str, ...]]:
    with pd(answers) as url:
        target = make_tidb({"part": part, "pd_urls": [url], **more})
        return asyncio.run(target.locate(nodes()))


# ── roles by PD ──────────────────────────────────────────────────────────────────────────────────


def test_pds_leader_and_its_healthy_followers_are_the_trials_nodes() -> None:
    assert locate(of_pd(1), "pd") == {"leader": ("n2",), "follower": ("n3", "n1")}
    assert locate(of_pd(0, healthy=(0, 2)), "pd") == {"leader": ("n1",), "follower": ("n3",)}


def test_during_an_election_of_pd_nobody_plays_a_role() -> None:
    assert locate(of_pd(None), "pd") == {}


def test_stores_are_told_by_how_many_regions_they_lead_and_those_that_are_down_are_nobody() -> None:
    assert locate(of_pd(), "tikv") == {"most-leaders": ("n2",), "fewest-leaders": ("n3",)}
    down = [store(0, 4), store(1, 9, "Disconnected"), store(2, 1, "Down")]
    assert locate(of_pd(stores=down), "tikv") == {"most-leaders": ("n1",)}
    assert locate(of_pd(stores=[]), "tikv") == {}


def test_pods_beyond_the_trials_nodes_are_nobody() -> None:
    five = [store(number, number) for number in range(5)]
    assert locate(of_pd(stores=five), "tikv")["most-leaders"] == ("n3",)


def test_a_cluster_that_runs_names_its_pods_itself() -> None:
    running: Json = {
        "namespace": "seatrial",
        "nodes": [{"pod": f"{RUN}-pd-{number}"} for number in (2, 0, 1)],
        "ports": {"sql": 4000},
    }
    found = locate(of_pd(1), "pd", kubernetes={"running": running})
    assert found == {"leader": ("n3",), "follower": ("n1", "n2")}


def test_the_roles_that_a_plan_may_name_are_those_of_the_part() -> None:
    assert make_tidb({"part": "pd"}).roles == ("leader", "follower")
    assert make_tidb({}).roles == ("most-leaders", "fewest-leaders")
    assert make_tidb({"part": "tidb"}).roles == ("ddl-owner", "other")


@pytest.mark.parametrize("bad", [404, 503, "cut", "not json", {"name": 7}, []], ids=str)
def test_whatever_pd_answers_instead_is_nobody_and_no_crash(bad: object) -> None:
    answers = {**of_pd(), "leader": bad}

    assert locate(answers, "pd") == {}
    with pd(answers) as url, pytest.raises(Unavailable, match="PD"):
        asyncio.run(Pd([url]).leader())


def test_the_first_member_that_answers_counts() -> None:
    async def ask(url: str) -> str:
        return (await Pd(["http://127.0.0.1:1", url]).members()).members[0].name

    with pd(of_pd()) as url:
        assert asyncio.run(ask(url)) == f"{RUN}-pd-2"


# ── what TiDB itself says ────────────────────────────────────────────────────────────────────────


def tidb(more: Callable[[str], Answer], *, there: bool = True) -> Callable[[str], Answer]:
    """A TiDB that is well; `more` answers first."""

    def script(statement: str) -> Answer:
        answer = more(statement)
        if answer is not None:
            return answer
        if statement.startswith("SELECT TABLE_NAME"):
            return Rows(("TABLE_NAME",), [(table,) for table in TABLES] if there else [])
        if statement == "SHOW DATABASES":
            return Rows(("Database",), [("seatrial",)])
        if statement == "SHOW TABLES":
            return Rows(("Tables",), [(table,) for table in TABLES])
        if statement.startswith("SELECT COUNT"):
            return Rows(("n",), [(8,)])
        if statement.startswith("SELECT VERSION"):
            return Rows(("v",), [("8.0.11-TiDB-v8.5.3",)])
        if statement.startswith("SELECT CAST"):
            return Rows(("a", "b"), [(1795257894, "2026-11-21 10:44:54")])
        if statement in ROWS.values():
            return Rows(("k", "v"), [("1", "2")])
        return None

    return script


def ask(
    script: Callable[[str], Answer], body: Callable[[Scripted], Awaitable[T]], name: str = "n1"
) -> T:
    async def run() -> T:
        async with scripted(script, name) as server:
            return await body(server)

    return asyncio.run(run())


def test_the_owner_of_schema_changes_is_found_by_its_address() -> None:
    owner = f"{RUN}-tidb-2.{RUN}-tidb-peer.seatrial.svc:4000"
    columns = ("SCHEMA_VER", "OWNER_ID", "OWNER_ADDRESS", "RUNNING_JOBS", "SELF_ID", "QUERY")
    rows = Rows(columns, [("54", "e5f2", owner, "", "e5f2", "")])

    async def found(server: Scripted) -> Mapping[str, tuple[str, ...]]:
        return await make_tidb({"part": "tidb"}).locate(nodes(server.node.ports["sql"]))

    known = ask(lambda text: rows if text == "ADMIN SHOW DDL" else None, found)
    assert known == {"ddl-owner": ("n3",), "other": ("n1", "n2")}
    assert ask(lambda text: Refusal(8031) if text == "ADMIN SHOW DDL" else None, found) == {}


def test_where_pd_is_tidb_says() -> None:
    with pd(of_pd()) as url:
        rows = Rows(("INSTANCE",), [(url.removeprefix("http://"),)])

        async def found(server: Scripted) -> Mapping[str, tuple[str, ...]]:
            return await make_tidb({"part": "pd"}).locate(nodes(server.node.ports["sql"]))

        assert ask(lambda text: rows if "CLUSTER_INFO" in text else None, found) == {
            "leader": ("n2",),
            "follower": ("n3", "n1"),
        }


async def is_ready(server: Scripted, target: TidbTarget) -> bool:
    return await target.ready(server.node, 0.6)


def test_a_node_is_ready_when_all_tables_can_be_read_and_pd_counts_its_pod() -> None:
    down = [store(0, 4), store(1, 9, "Disconnected"), store(2, 1)]
    with pd(of_pd(stores=down)) as url:
        target = make_tidb({"pd_urls": [url]})
        assert ask(tidb(lambda _: None), lambda s: is_ready(s, target), "n1")
        assert not ask(tidb(lambda _: None), lambda s: is_ready(s, target), "n2")
    # PD was there and is silent now.
    assert not ask(tidb(lambda _: None), lambda s: is_ready(s, target), "n1")
    # Nobody knows a PD: SQL decides.
    alone = make_tidb({})
    nothing = Rows(("INSTANCE",))
    assert ask(
        tidb(lambda t: nothing if "CLUSTER_INFO" in t else None), lambda s: is_ready(s, alone)
    )
    unreadable = tidb(lambda t: Refusal(9005) if t.startswith("SELECT COUNT") else None)
    assert not ask(unreadable, lambda s: is_ready(s, alone))


def test_the_first_node_that_is_ready_makes_the_tables_with_indexes_to_check() -> None:
    def script(statement: str) -> Answer:
        return Rows(("Tables",)) if statement == "SHOW TABLES" else None

    async def made(server: Scripted) -> list[str]:
        assert await make_tidb({"part": "tidb"}).ready(server.node, 2.0)
        return [text for text in server.heard if text.startswith("CREATE TABLE")]

    statements = ask(tidb(script, there=False), made)
    assert len(statements) == len(TABLES)
    assert all("KEY by_" in text for text in statements)


# ── the consistency check of its own ─────────────────────────────────────────────────────────────


async def fingerprint(server: Scripted) -> Mapping[str, Any]:
    client = await make_tidb({}).connect(server.node, timeout_s=1.0)
    try:
        return await client.fingerprint()
    finally:
        await client.close()


def test_a_fingerprint_is_of_a_moment_and_of_some_of_the_copies() -> None:
    heard: list[str] = []

    async def take(server: Scripted) -> Mapping[str, Any]:
        found = await fingerprint(server)
        heard[:] = server.heard
        return found

    seen = {name: ask(tidb(lambda _: None), take, name) for name in ("n1", "n2", "n3")}

    assert [one["copies"] for one in seen.values()] == ["leader", "follower", "leader-and-follower"]
    assert {one["index"] for one in seen.values()} == {1795257894}
    assert len({one["hash"] for one in seen.values()}) == 1
    assert {one["check"] for one in seen.values()} == {""}
    assert "SET SESSION tidb_replica_read = 'leader-and-follower'" in heard
    assert "SET SESSION tidb_snapshot = '2026-11-21 10:44:54'" in heard
    assert [f"ADMIN CHECK TABLE {table}" in heard for table in TABLES] == [True] * len(TABLES)


def test_other_rows_have_another_hash_also_where_two_values_changed_places() -> None:
    def rows(*pairs: tuple[str, str]) -> str:
        script = tidb(lambda t: Rows(("k", "v"), pairs) if t == ROWS["registers"] else None)
        return str(ask(script, fingerprint)["hash"])

    prints = {
        rows(("1", "a"), ("2", "b")),
        rows(("1", "b"), ("2", "a")),
        rows(("1", "a")),
        rows(("1", "a"), ("2", "")),
        rows(("1a", ""), ("2", "b")),
    }
    assert len(prints) == 5


@pytest.mark.parametrize("number", [8003, 8133, 8134, 8223])
def test_an_inconsistency_is_told_and_is_no_error_of_the_op(number: int) -> None:
    said = Refusal(number, "data inconsistency in table: accounts, index: by_balance")
    script = tidb(lambda text: said if text == "ADMIN CHECK TABLE accounts" else None)

    assert ask(script, fingerprint)["check"] == f"accounts: {number} {said.text}"


def test_a_check_that_could_not_be_made_has_found_nothing_and_says_so() -> None:
    script = tidb(lambda text: Refusal(9005) if text.startswith("ADMIN") else None)

    with pytest.raises(OpFailed, match="9005"):
        ask(script, fingerprint)

"""The cases' load on a real TiDB that is killed and restarted; and that weaker reads are caught.

One `tidb-server` with its embedded store (`-store unistore`): real transactions, locks and errors,
no raft. It is not in Debian; `SEATRIAL_TIDB_SERVER` names a binary.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pytest

from seatrial.cases import case
from seatrial.history import History, HistoryBuilder
from seatrial.op import Type
from seatrial.runner.judge import check_history, options_from
from seatrial.runner.load import Load
from seatrial.runner.planner import Overrides, make_plan
from seatrial.target import Node
from seatrial.targets.mysql.session import Session
from seatrial.targets.mysql.settings import Access
from seatrial.verdict import Json, Validity, Verdict

BINARY = shutil.which(os.environ.get("SEATRIAL_TIDB_SERVER", "tidb-server"))
pytestmark = [
    pytest.mark.full,
    pytest.mark.skipif(BINARY is None, reason="SEATRIAL_TIDB_SERVER names no tidb-server"),
]

NODES = 3
LOAD_S = 5.0
READY_S = 60.0
STOP_S = 20.0
CHECK_S = 120.0
#: What the garbage collector of a cluster keeps there; the embedded store has none.
SAFE_POINT = "REPLACE INTO mysql.tidb VALUES ('tikv_gc_safe_point', '20200101-00:00:00 +0000', '')"


class Server:
    """A TiDB on free ports; `start` may follow `kill`."""

    def __init__(self, folder: Path) -> None:
        probes = [socket.socket() for _ in range(2)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        self.port, self._status = (probe.getsockname()[1] for probe in probes)
        for probe in probes:
            probe.close()
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        assert BINARY is not None
        words = ["-store", "unistore", "-path", str(self._folder / "data"), "-L", "error"]
        ports = ["-host", "127.0.0.1", "-P", str(self.port), "-status", str(self._status)]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [BINARY, *words, *ports], stdout=log, stderr=log, cwd=self._folder
            )

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(STOP_S)
            self._process = None


async def carry_out(load: Load, server: Server, nodes: tuple[Node, ...], kills: int) -> None:
    """The load with kills under way, then the last reads."""
    assert await load.target.ready(nodes[0], READY_S)
    session = Session(nodes[0], Access(database="mysql"), (), 5.0)

    async def keep_history(one: Session) -> None:
        await one.execute(SAFE_POINT)

    await session.transaction(keep_history, read=False)
    await session.close()
    await load.connect(nodes)
    end = asyncio.Event()
    running = asyncio.create_task(load.run(end))
    for _ in range(kills):
        await asyncio.sleep(LOAD_S)
        server.kill()
        server.start()
    await asyncio.sleep(LOAD_S)
    end.set()
    await running
    assert await load.target.ready(nodes[0], READY_S)
    final = load.final_reads()
    assert final is not None
    async with asyncio.timeout(CHECK_S):
        await load.read_finally(final, asyncio.Event())
    await load.close()


def trial(
    name: str, settings: Mapping[str, Json] | None = None, kills: int = 1
) -> tuple[History, Mapping[str, Verdict]]:
    """The history of a case's load, and what its checkers say."""
    chosen = case(name)
    if settings is not None:
        chosen = chosen.model_copy(update={"target_settings": settings})
    plan = make_plan(chosen, 1, Overrides(engine="argo"))
    builder, began = HistoryBuilder(), time.monotonic_ns()
    load = Load(plan, record=builder.append, clock=lambda: time.monotonic_ns() - began)
    with tempfile.TemporaryDirectory(prefix="seatrial-tidb-") as folder:
        server = Server(Path(folder))
        nodes = tuple(
            Node(f"n{number + 1}", "127.0.0.1", {"sql": server.port}, Path(), Path())
            for number in range(NODES)
        )
        server.start()
        try:
            asyncio.run(carry_out(load, server, nodes, kills))
        finally:
            server.kill()
    history = builder.history()
    options = {n: options_from(one) for n, one in plan.checkers.items() if n != "stats"}
    return history, check_history(history, options, timeout_s=CHECK_S, memory=4 << 30)


@pytest.mark.parametrize(
    "name", ["tidb-bank", "tidb-append", "tidb-append-optimistic", "tidb-register"]
)
def test_what_tidb_promises_holds_across_a_kill(name: str) -> None:
    history, found = trial(name)

    said = {one: (verdict.verdict.value, verdict.cause) for one, verdict in found.items()}
    print(said, Counter(op.error[:5] for op in history.ops() if op.error))
    assert {verdict.verdict for verdict in found.values()} == {Validity.VALID}, said
    assert "own check found nothing on 3 nodes" in found["replicas"].cause
    assert sum(op.type == Type.OK for op in history.ops()) > 100
    assert any(op.error for op in history.ops()), "the kill was not noticed"


@pytest.mark.parametrize(
    ("name", "checker", "anomalies"),
    [
        ("tidb-bank", "bank", {"wrong-total"}),
        ("tidb-append", "list-append", {"lost-update", "G-single", "internal"}),
    ],
)
def test_reads_that_do_not_lock_lose_updates_in_pessimistic_mode_and_that_is_seen(
    name: str, checker: str, anomalies: set[str]
) -> None:
    """TiDB says so itself: a locking read is no repeatable read, and a plain one locks nothing."""
    _, found = trial(name, {"pessimistic": True, "lock_reads": False}, kills=0)

    assert found[checker].verdict is Validity.INVALID
    assert anomalies & {one.name for one in found[checker].anomalies}

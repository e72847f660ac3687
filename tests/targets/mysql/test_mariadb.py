"""The client against a real MariaDB that is killed, paused and restarted under load.

What is proved: no `fail` had an effect, no `ok` was lost, and something of each kind happened.
"""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import cast

import pytest

from seatrial.op import Value
from seatrial.target import OpFailed, OpRefused, OpUnknown
from seatrial.targets.mysql.client import ACCOUNTS, BALANCE, SqlClient
from tests.targets.mysql.server import ACCESS, BINARY, Server

pytestmark = [
    pytest.mark.full,
    pytest.mark.skipif(BINARY is None, reason="no mariadbd here: make test-full installs it"),
]

TIMEOUT_S = 0.5
CLIENTS = 12
#: Ops that end between two injuries, and how long they may take.
OPS = 150
OPS_S = 30.0
LISTS = 4

Body = Callable[[Server], Awaitable[None]]


def on_server(folder: Path, body: Body) -> None:
    async def run() -> None:
        server = Server(folder)
        try:
            await server.start()
            await body(server)
        finally:
            server.kill()

    asyncio.run(run())


def client(server: Server, timeout_s: float = 5.0) -> SqlClient:
    return SqlClient(server.node, ACCESS, "serializable", timeout_s=timeout_s)


def test_every_capability(tmp_path: Path) -> None:
    async def body(server: Server) -> None:
        one, two = client(server), client(server)
        try:
            assert await one.read("k") is None
            assert await one.cas("k", None, 1)
            assert not await two.cas("k", None, 2)
            await two.write("k", 2)
            assert not await one.cas("k", 1, 3)
            assert await one.cas("k", 2, 3)
            assert await two.read("k") == 3
            await one.write(1, "1")
            assert await two.read(1) == "1"
            assert await two.read("1") is None

            done = await one.transact((("append", 1, 5), ("r", 1, None), ("append", 2, 6)))
            assert done == (("append", 1, 5), ("r", 1, (5,)), ("append", 2, 6))
            done = await two.transact((("append", 1, 7), ("r", 1, None), ("r", 3, None)))
            assert done == (("append", 1, 7), ("r", 1, (5, 7)), ("r", 3, None))

            await one.transfer(0, 1, BALANCE)
            with pytest.raises(OpRefused):
                await two.transfer(0, 1, 1)
            found = await two.balances()
            assert found[0] == 0 and found[1] == 2 * BALANCE
            assert sum(found.values()) == ACCOUNTS * BALANCE
        finally:
            await one.close()
            await two.close()

    on_server(tmp_path, body)


class Load:
    """Clients that append to two lists at once, write registers and move money, until told."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.appended: dict[int, str] = {}
        self.written: dict[int, str] = {}
        self.moved: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()
        self.ended = 0
        self._next = 0
        self._stop = False

    async def run(self, worker: int) -> None:
        """One client; a new one after an op of unknown outcome, as processes are."""
        sql = client(self.server, TIMEOUT_S)
        while not self._stop:
            self._next += 1
            number = self._next
            first = number % LISTS
            # In both orders: some of them deadlock.
            micro_ops: tuple[tuple[str, int, Value], ...] = (
                ("append", first, number),
                ("append", (first + 1 + worker % (LISTS - 1)) % LISTS, number),
            )
            self.appended[number] = await self._one(sql.transact(micro_ops))
            self.written[number] = await self._one(sql.write(number, number))
            money = sql.transfer(number % ACCOUNTS, (number * 3 + 1) % ACCOUNTS, 1)
            self.moved[await self._one(money)] += 1
            if "info" in (self.appended[number], self.written[number]):
                await sql.close()
                sql = client(self.server, TIMEOUT_S)
        await sql.close()

    async def _one(self, op: Awaitable[object]) -> str:
        try:
            await op
            result = "ok"
        except OpFailed as error:
            self.errors[f"fail {str(error)[:40]}"] += 1
            result = "fail"
        except OpUnknown as error:
            self.errors[f"info {str(error)[:40]}"] += 1
            result = "info"
        self.ended += 1
        return result

    async def more(self, count: int = OPS) -> None:
        """Wait until so many more ops have ended."""
        wanted = self.ended + count
        async with asyncio.timeout(OPS_S):
            while self.ended < wanted:
                await asyncio.sleep(0.01)

    def stop(self) -> None:
        """Let the ops under way be the last."""
        self._stop = True


async def judge(load: Load, server: Server) -> None:
    """Read everything back and compare it with what the clients were told."""
    sql = client(server, 30.0)
    try:
        done = await sql.transact(tuple(("r", key, None) for key in range(LISTS)))
        seen: Counter[int] = Counter()
        for _, _, elements in cast(tuple[tuple[str, int, tuple[int, ...] | None], ...], done):
            seen.update(elements or ())
        for number, result in load.appended.items():
            allowed = {"ok": {2}, "fail": {0}, "info": {0, 2}}[result]
            assert seen[number] in allowed, (number, result, seen[number])
        for number, result in load.written.items():
            found = await sql.read(number)
            read_back = {"ok": (number,), "fail": (None,), "info": (None, number)}[result]
            assert found in read_back, (number, result, found)
        balances = await sql.balances()
        assert sum(balances.values()) == ACCOUNTS * BALANCE
        assert min(balances.values()) >= 0
    finally:
        await sql.close()


def test_no_fail_had_an_effect_and_no_ok_is_lost(tmp_path: Path) -> None:
    async def body(server: Server) -> None:
        load = Load(server)
        async with asyncio.TaskGroup() as group:
            for worker in range(CLIENTS):
                group.create_task(load.run(worker))
            for _ in range(3):
                await load.more()
                server.kill()
                await load.more(CLIENTS)
                await server.start()
            await load.more()
            server.signal(signal.SIGSTOP)
            await load.more(CLIENTS)
            server.signal(signal.SIGCONT)
            await load.more()
            load.stop()
        await judge(load, server)

        results = Counter(load.appended.values()) + Counter(load.written.values())
        print(dict(results), dict(load.moved), load.errors.most_common())
        assert results["ok"] > OPS
        assert results["fail"] > 0
        assert results["info"] > 0
        assert any("1213" in error for error in load.errors), "no deadlock was met"

    on_server(tmp_path, body)

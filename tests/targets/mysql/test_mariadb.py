"""The client against a real MariaDB that is killed, paused and restarted under load.

What is proved: no `fail` had an effect, no `ok` was lost, and something of each kind happened.
"""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from collections.abc import Awaitable, Callable

import pytest

from seatrial.errors import Unavailable
from seatrial.target import OpRefused
from seatrial.targets.mysql import schema
from seatrial.targets.mysql.client import SqlClient
from tests.targets.mysql.load import ACCOUNTS, BALANCE, OPENING, OPS, Load, judge
from tests.targets.mysql.server import ACCESS, BINARY, Server, folder

pytestmark = [
    pytest.mark.full,
    pytest.mark.skipif(BINARY is None, reason="no mariadbd here: make test-full installs it"),
]

TIMEOUT_S = 0.5
CLIENTS = 12

Body = Callable[[Server], Awaitable[None]]


def on_server(body: Body) -> None:
    async def run() -> None:
        with folder() as root:
            server = Server(root)
            try:
                await server.start()
                await body(server)
            finally:
                server.kill()

    asyncio.run(run())


def client(server: Server, timeout_s: float = 5.0) -> SqlClient:
    return SqlClient(server.node, ACCESS, "serializable", timeout_s=timeout_s)


def test_every_capability() -> None:
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

            await one.open_accounts(OPENING)
            await one.transfer(0, 1, BALANCE, may_overdraw=False)
            with pytest.raises(OpRefused):
                await two.transfer(0, 1, 1, may_overdraw=False)
            await two.open_accounts(OPENING)
            found = await two.balances()
            assert found[0] == 0 and found[1] == 2 * BALANCE
            assert sum(found.values()) == ACCOUNTS * BALANCE

            await one.put_many(3, "x" * 200)
        finally:
            await one.close()
            await two.close()

    on_server(body)


def test_no_fail_had_an_effect_and_no_ok_is_lost() -> None:
    async def body(server: Server) -> None:
        opener = client(server)
        await opener.open_accounts(OPENING)
        await opener.close()
        load = Load(lambda worker: client(server, TIMEOUT_S))
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
        await judge(load, client(server, 30.0), server.node, ACCESS)

        results = Counter(load.appended.values()) + Counter(load.written.values())
        print(dict(results), dict(load.moved), load.errors.most_common())
        assert results["ok"] > OPS
        assert results["fail"] > 0
        assert results["info"] > 0
        assert any("1213" in error for error in load.errors), "no deadlock was met"

    on_server(body)


def test_what_earlier_trials_wrote_is_cleared_and_what_may_be_somebodys_is_not() -> None:
    async def body(server: Server) -> None:
        one = client(server)
        await one.write("k", 1)
        await schema.clear(server.node, ACCESS, 20.0)
        await schema.make_schema(server.node, ACCESS, 20.0)
        assert await one.read("k") is None

        theirs = ACCESS.model_copy(update={"database": "shop"})
        await schema.make_schema(server.node, theirs, 20.0)
        await schema.clear(server.node, theirs, 20.0)
        other = SqlClient(server.node, theirs, "serializable", timeout_s=5.0)
        await other.write("k", 1)
        with pytest.raises(Unavailable, match=r"table shop\.registers is not empty"):
            await schema.clear(server.node, theirs, 20.0)
        assert await other.read("k") == 1
        await one.close()
        await other.close()

    on_server(body)

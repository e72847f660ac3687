"""A load whose every effect can be read back, and the judgement of what became of it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import cast

from seatrial.op import Value
from seatrial.target import Node, OpFailed, OpUnknown
from seatrial.targets.mysql.client import SqlClient
from seatrial.targets.mysql.session import Session
from seatrial.targets.mysql.settings import Access

#: Ops that end between two injuries, and how long they may take.
OPS = 150
OPS_S = 30.0
JUDGE_S = 30.0
LISTS = 4
#: Accounts of the bank, and what each holds at first.
ACCOUNTS = 8
BALANCE = 10
OPENING = dict.fromkeys(range(ACCOUNTS), BALANCE)


class Load:
    """Clients that append to two lists at once, write registers and move money, until told."""

    def __init__(self, connect: Callable[[int], SqlClient]) -> None:
        self._connect = connect
        self.appended: dict[int, str] = {}
        self.written: dict[int, str] = {}
        self.moved: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()
        self.ended = 0
        self._next = 0
        self._stop = False

    async def run(self, worker: int) -> None:
        """One client; a new one after an op of unknown outcome, as processes are."""
        sql = self._connect(worker)
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
            money = sql.transfer(
                number % ACCOUNTS, (number * 3 + 1) % ACCOUNTS, 1, may_overdraw=False
            )
            self.moved[await self._one(money)] += 1
            if "info" in (self.appended[number], self.written[number]):
                await sql.close()
                sql = self._connect(worker)
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


async def judge(load: Load, sql: SqlClient, node: Node, access: Access) -> None:
    """Read everything back from one node and compare it with what the clients were told."""

    async def registers(session: Session) -> dict[int, int]:
        rows = await session.fetch("SELECT k, v FROM registers")
        return {int(key): int(value) for key, value in rows}

    session = Session(node, access, (), JUDGE_S)
    try:
        # First what waits until the node has applied all that others took; the plain read does not.
        done = await sql.transact(tuple(("r", key, None) for key in range(LISTS)))
        written = await session.transaction(registers, read=True)
        balances = await sql.balances()
    finally:
        await session.close()
        await sql.close()
    seen: Counter[int] = Counter()
    for _, _, elements in cast(tuple[tuple[str, int, tuple[int, ...] | None], ...], done):
        seen.update(elements or ())
    for number, result in load.appended.items():
        allowed = {"ok": {2}, "fail": {0}, "info": {0, 2}}[result]
        assert seen[number] in allowed, (number, result, seen[number])
    for number, result in load.written.items():
        found = written.get(number)
        read_back = {"ok": (number,), "fail": (None,), "info": (None, number)}[result]
        assert found in read_back, (number, result, found)
    assert sum(balances.values()) == ACCOUNTS * BALANCE
    assert min(balances.values()) >= 0

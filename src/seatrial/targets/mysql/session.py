"""One session with one server: connects when it is needed, and never goes on after a doubt.

`asyncmy` speaks the protocol. Of the asyncio libraries it is the one with releases in 2026, types,
and wheels (no compiler); it closes a connection that was cancelled in the middle of an answer.
We close it as well after everything but an error that the server itself told.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import asyncmy
from asyncmy.errors import MySQLError

from seatrial.op import Atom
from seatrial.target import Node, OpFailed, OpUnknown
from seatrial.targets.mysql.errors import (
    NOT_PREPARED,
    TEXT_CHARS_MAX,
    UNCONFIRMED,
    failure,
    number_of,
    told_by_server,
)
from seatrial.targets.mysql.settings import Access

T = TypeVar("T")
Argument = Atom | bytes
Row = tuple[Any, ...]
Confirm = Callable[["Session"], Awaitable[bool]]

#: A client that finds nobody at home, or is refused at once, waits this long before it says so.
REFUSED_PAUSE_S = 0.05
#: How long it may take to look whether a refused COMMIT really had no effect.
CONFIRM_S = 5.0
#: How long a rollback after an error may take before the connection is given up.
ROLLBACK_S = 1.0


class Session:
    """Transactions on one node, one after the other; `timeout_s` bounds each.

    `confirm` is asked where COMMIT was refused with an error that certainly has no effect: it
    looks, in this session, whether that holds here, and says False where it may not.
    """

    def __init__(
        self,
        node: Node,
        access: Access,
        setup: Sequence[str],
        timeout_s: float,
        confirm: Confirm | None = None,
    ) -> None:
        self._node, self._access, self._setup = node, access, setup
        self._timeout_s, self._confirm = timeout_s, confirm
        self._connection: Any = None
        #: What `confirm` remembers of this connection; forgotten with it.
        self.noted: Any = None

    async def transaction(self, body: Callable[[Session], Awaitable[T]], *, read: bool) -> T:
        """Carry `body` out between BEGIN and COMMIT; `read`: it only reads.

        Raises `OpFailed` (the body may, too: it is rolled back) or `OpUnknown`.
        """
        committing = False
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._connect()
                await self.execute("START TRANSACTION")
                done = await body(self)
                committing = not read
                await self._connection.commit()
                return done
        except OpFailed:
            await self._roll_back()
            raise
        except (MySQLError, OSError, TimeoutError, asyncio.IncompleteReadError) as error:
            known = failure(error, committing=committing)
            await self._recover(error)
            if committing and isinstance(known, OpFailed) and not await self._confirmed():
                self._drop()
                known = OpUnknown(f"{known}{UNCONFIRMED}"[:TEXT_CHARS_MAX])
            raise known from None
        except BaseException:
            self._drop()
            raise

    async def plain(self, body: Callable[[Session], Awaitable[T]]) -> T:
        """Carry `body` out without a transaction around it; it only reads. Raises `OpFailed`."""
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._connect()
                return await body(self)
        except (MySQLError, OSError, TimeoutError, asyncio.IncompleteReadError) as error:
            self._drop()
            raise failure(error, committing=False) from None
        except BaseException:
            self._drop()
            raise

    def cursor(self) -> Any:
        """A cursor of the connection, inside of a transaction's body."""
        return self._connection.cursor()

    async def execute(self, sql: str, arguments: Sequence[Argument] = ()) -> int:
        """One statement; how many rows it changed."""
        async with self._connection.cursor() as cursor:
            await cursor.execute(sql, tuple(arguments) or None)
            return int(cursor.rowcount)

    async def fetch(self, sql: str, arguments: Sequence[Argument] = ()) -> list[Row]:
        """One query; its rows."""
        async with self._connection.cursor() as cursor:
            await cursor.execute(sql, tuple(arguments) or None)
            return list(await cursor.fetchall())

    async def close(self) -> None:
        """End the session; never raises."""
        self._drop()

    async def _connect(self) -> None:
        if self._connection is not None and self._connection.connected:
            return
        self._drop()
        access = self._access
        try:
            self._connection = await asyncmy.connect(
                host=self._node.address,
                port=self._node.ports["sql"],
                user=access.user,
                password=access.password,
                database=access.database,
                connect_timeout=max(1, round(self._timeout_s)),
                autocommit=False,
            )
        except (MySQLError, OSError):
            await asyncio.sleep(REFUSED_PAUSE_S)
            raise
        for statement in self._setup:
            await self.execute(statement)
        if self._confirm is not None:
            await self._confirm(self)

    async def _confirmed(self) -> bool:
        """Whether a refusal holds; a session that cannot say so does not confirm it."""
        if self._confirm is None:
            return True
        if self._connection is None:
            return False
        try:
            async with asyncio.timeout(CONFIRM_S):
                return await self._confirm(self)
        except (MySQLError, OSError, TimeoutError, asyncio.IncompleteReadError):
            return False

    async def _recover(self, error: BaseException) -> None:
        if number_of(error) == NOT_PREPARED:
            await asyncio.sleep(REFUSED_PAUSE_S)
        if told_by_server(error) and self._connection is not None:
            await self._roll_back()
        else:
            self._drop()

    async def _roll_back(self) -> None:
        try:
            async with asyncio.timeout(ROLLBACK_S):
                await self._connection.rollback()
        except (MySQLError, OSError, TimeoutError):
            self._drop()

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        self.noted = None
        if connection is not None:
            connection.close()

"""The client: registers, lists and a bank, each op one SQL transaction on one node.

Keys and values are JSON in binary columns, so that `1` and `"1"` stay apart and no collation
makes two of them equal.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import cast

from seatrial.op import Atom, Value
from seatrial.target import Node, OpFailed, OpRefused
from seatrial.targets.mysql.session import Session
from seatrial.targets.mysql.settings import Access, Isolation

#: Accounts of the bank, and what each holds at first.
ACCOUNTS = 8
BALANCE = 10

MicroOp = tuple[str, Atom, Value]

SCHEMA = (
    "CREATE TABLE IF NOT EXISTS registers (k VARBINARY(64) PRIMARY KEY, v VARBINARY(255) NOT NULL)",
    "CREATE TABLE IF NOT EXISTS lists (k VARBINARY(64) PRIMARY KEY, v LONGBLOB NOT NULL)",
    "CREATE TABLE IF NOT EXISTS accounts (id INT PRIMARY KEY, balance BIGINT NOT NULL)",
    "INSERT IGNORE INTO accounts VALUES "
    + ", ".join(f"({number}, {BALANCE})" for number in range(ACCOUNTS)),
)
TABLES = ("registers", "lists", "accounts")


class SqlClient:
    """Registers, transactions and a bank on one node; `timeout_s` bounds each method.

    `setup` are statements for each new session.
    """

    def __init__(
        self,
        node: Node,
        access: Access,
        isolation: Isolation,
        *,
        timeout_s: float,
        setup: Sequence[str] = (),
    ) -> None:
        self.node = node
        level = isolation.replace("-", " ").upper()
        statements = (f"SET SESSION TRANSACTION ISOLATION LEVEL {level}", *setup)
        self._session = Session(node, access, statements, timeout_s)

    async def close(self) -> None:
        """Free the connection; never raises."""
        await self._session.close()

    # ── registers ────────────────────────────────────────────────────────────────────────────

    async def read(self, key: Atom) -> Atom:
        """The value of `key`, None if absent."""

        async def body(session: Session) -> Atom:
            rows = await session.fetch("SELECT v FROM registers WHERE k = %s", (_json(key),))
            return cast(Atom, json.loads(rows[0][0])) if rows else None

        return await self._session.transaction(body, read=True)

    async def write(self, key: Atom, value: Atom) -> None:
        """Set `key` to `value`."""

        async def body(session: Session) -> None:
            await session.execute(
                "INSERT INTO registers (k, v) VALUES (%s, %s) ON DUPLICATE KEY UPDATE v = %s",
                (_json(key), _json(value), _json(value)),
            )

        await self._session.transaction(body, read=False)

    async def cas(self, key: Atom, old: Atom, new: Atom) -> bool:
        """Set `key` to `new` if it is `old` (None: absent); False if it certainly was not."""

        async def body(session: Session) -> bool:
            name = _json(key)
            rows = await session.fetch("SELECT v FROM registers WHERE k = %s FOR UPDATE", (name,))
            seen = json.loads(rows[0][0]) if rows else None
            if seen != old:
                return False
            if rows:
                await session.execute(
                    "UPDATE registers SET v = %s WHERE k = %s", (_json(new), name)
                )
            else:
                await session.execute(
                    "INSERT INTO registers (k, v) VALUES (%s, %s)", (name, _json(new))
                )
            return True

        return await self._session.transaction(body, read=False)

    # ── transactions ─────────────────────────────────────────────────────────────────────────

    async def transact(self, micro_ops: Sequence[MicroOp]) -> tuple[Value, ...]:
        """Carry out all micro-ops (`append` and `r`) as one transaction; reads filled in."""

        async def body(session: Session) -> tuple[Value, ...]:
            return tuple([await _micro_op(session, op) for op in micro_ops])

        reads = all(f == "r" for f, _, _ in micro_ops)
        return await self._session.transaction(body, read=reads)

    # ── a bank ───────────────────────────────────────────────────────────────────────────────

    async def transfer(self, source: int, destination: int, amount: int) -> None:
        """Move `amount`; raises `OpRefused` where `source` has less."""

        async def body(session: Session) -> None:
            rows = await session.fetch(
                "SELECT balance FROM accounts WHERE id = %s FOR UPDATE", (source,)
            )
            if not rows or rows[0][0] < amount:
                raise OpRefused(f"account {source} has less than {amount}")
            change = "UPDATE accounts SET balance = balance + %s WHERE id = %s"
            await session.execute(change, (-amount, source))
            await session.execute(change, (amount, destination))

        await self._session.transaction(body, read=False)

    async def balances(self) -> Mapping[int, int]:
        """All accounts in one read."""

        async def body(session: Session) -> Mapping[int, int]:
            rows = await session.fetch("SELECT id, balance FROM accounts ORDER BY id")
            return {int(number): int(balance) for number, balance in rows}

        return await self._session.transaction(body, read=True)

    # ── replicas ─────────────────────────────────────────────────────────────────────────────

    async def put_many(self, key: int, value: str) -> None:
        """Put `value` at `key`."""

        async def body(session: Session) -> None:
            await session.execute(
                "INSERT INTO lists (k, v) VALUES (%s, %s) ON DUPLICATE KEY UPDATE v = %s",
                (_json(f"p/{key}"), _json(value), _json(value)),
            )

        await self._session.transaction(body, read=False)

    async def fingerprint(self) -> Mapping[str, Value]:
        """What this node of Galera itself holds. O(size of its data).

        `index` and `revision` are the last write set that it committed, `hash` is MariaDB's own
        `CHECKSUM TABLE … EXTENDED` of all tables, `settled` whether nothing was committed between.
        Raises `OpFailed` on a server that is no node of Galera.
        """

        async def body(session: Session) -> Mapping[str, Value]:
            before = await _last_committed(session)
            rows = await session.fetch(f"CHECKSUM TABLE {', '.join(TABLES)} EXTENDED")
            after = await _last_committed(session)
            return {
                "node": self.node.name,
                "index": after,
                "revision": after,
                "hash": " ".join(str(checksum) for _, checksum in rows),
                "settled": before == after,
            }

        return await self._session.transaction(body, read=True)


async def _last_committed(session: Session) -> int:
    rows = await session.fetch("SHOW GLOBAL STATUS LIKE 'wsrep_last_committed'")
    if not rows:
        raise OpFailed("no node of Galera: it has no wsrep_last_committed")
    return int(rows[0][1])


async def make_schema(node: Node, access: Access, timeout_s: float) -> None:
    """Make database and tables where they are missing; raises `OpFailed` or `OpUnknown`.

    On a replicated server a second CREATE is replicated as well, so what is there is left alone.
    """

    async def database(session: Session) -> None:
        if (access.database,) not in await session.fetch("SHOW DATABASES"):
            await session.execute(f"CREATE DATABASE IF NOT EXISTS {access.database}")

    async def tables(session: Session) -> None:
        there = {row[0] for row in await session.fetch("SHOW TABLES")}
        if not there.issuperset(TABLES):
            for statement in SCHEMA:
                await session.execute(statement)

    anywhere = access.model_copy(update={"database": "information_schema"})
    for where, body in ((anywhere, database), (access, tables)):
        session = Session(node, where, (), timeout_s)
        try:
            await session.transaction(body, read=False)
        finally:
            await session.close()


async def _micro_op(session: Session, op: MicroOp) -> Value:
    f, key, argument = op
    name = _json(key)
    if f == "r":
        rows = await session.fetch("SELECT v FROM lists WHERE k = %s", (name,))
        return (f, key, tuple(json.loads(b"[%b]" % rows[0][0])) if rows else None)
    if f != "append":
        raise ValueError(f"micro-op {f!r} is none of append, r")
    element = _json(cast(Atom, argument))
    await session.execute(
        "INSERT INTO lists (k, v) VALUES (%s, %s) ON DUPLICATE KEY UPDATE v = CONCAT(v, ',', %s)",
        (name, element, element),
    )
    return (f, key, argument)


def _json(value: Atom) -> bytes:
    return json.dumps(value).encode()

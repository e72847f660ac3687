"""The tables that the ops need, made once a trial.

Keys and values are JSON in binary columns, so that `1` and `"1"` stay apart and no collation
makes two of them equal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from seatrial.errors import Unavailable
from seatrial.target import Node, OpFailed, OpUnknown
from seatrial.targets.mysql.session import Session
from seatrial.targets.mysql.settings import Access

#: Table → its columns, and the order in which its rows are compared.
TABLES: Mapping[str, str] = {
    "registers": "k VARBINARY(64) PRIMARY KEY, v VARBINARY(255) NOT NULL",
    "lists": "k VARBINARY(64) PRIMARY KEY, v LONGBLOB NOT NULL",
    "accounts": "id INT PRIMARY KEY, balance BIGINT NOT NULL",
}
#: Dropping all tables.
CLEAR_TIMEOUT_S = 60.0
#: How a database is called that is ours.
OWN = "seatrial"
#: Secondary indexes: what a check of indexes against rows has to compare.
INDEXES: Mapping[str, str] = {
    "registers": "KEY by_value (v)",
    "lists": "KEY by_value (v(64))",
    "accounts": "KEY by_balance (balance)",
}
#: Rows of a table, in an order that is the same everywhere.
ROWS: Mapping[str, str] = {
    "registers": "SELECT k, v FROM registers ORDER BY k",
    "lists": "SELECT k, v FROM lists ORDER BY k",
    "accounts": "SELECT id, balance FROM accounts ORDER BY id",
}


def statements(*, indexed: bool) -> tuple[str, ...]:
    """What makes all tables that are missing."""
    return tuple(
        f"CREATE TABLE IF NOT EXISTS {table} "
        f"({', '.join([columns, INDEXES[table]] if indexed else [columns])})"
        for table, columns in TABLES.items()
    )


async def make_schema(
    node: Node, access: Access, timeout_s: float, *, indexed: bool = False
) -> None:
    """Make database and tables where they are missing; raises `OpFailed` or `OpUnknown`.

    On a replicated server a second CREATE is replicated as well, so what is there is left alone.
    """

    async def database(session: Session) -> None:
        if (access.database,) not in await session.fetch("SHOW DATABASES"):
            await session.execute(f"CREATE DATABASE IF NOT EXISTS {access.database}")

    async def tables(session: Session) -> None:
        there = {row[0] for row in await session.fetch("SHOW TABLES")}
        if not there.issuperset(TABLES):
            for statement in statements(indexed=indexed):
                await session.execute(statement)

    anywhere = access.model_copy(update={"database": "information_schema"})
    for where, body in ((anywhere, database), (access, tables)):
        session = Session(node, where, (), timeout_s)
        try:
            await session.transaction(body, read=False)
        finally:
            await session.close()


async def clear(node: Node, access: Access, timeout_s: float) -> None:
    """Drop the tables of earlier trials; they are made anew with the next look at the node.

    Only in a database that is called after us: elsewhere a table of that name may be somebody's.
    Raises `Unavailable` there, unless all are empty, and for what the server refuses.
    """

    async def body(session: Session) -> None:
        there = {str(row[0]) for row in await session.fetch("SHOW TABLES")}
        for table in there & set(TABLES):
            if access.database.startswith(OWN):
                await session.execute(f"DROP TABLE IF EXISTS {table}")
            elif await session.fetch(f"SELECT 1 FROM {table} LIMIT 1"):
                raise Unavailable(
                    f"table {access.database}.{table} is not empty, and may be somebody's\n\n"
                    f"hint: --target-option access.database={OWN}"
                )

    session = Session(node, access, (), timeout_s)
    try:
        await session.transaction(body, read=False)
    except (OpFailed, OpUnknown) as error:
        raise Unavailable(f"{node.name}: earlier trials' tables are not cleared: {error}") from None
    finally:
        await session.close()


def names() -> Sequence[str]:
    """All tables."""
    return tuple(TABLES)

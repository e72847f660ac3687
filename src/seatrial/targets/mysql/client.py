"""The client: registers, lists and a bank, each op one SQL transaction on one node."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import cast

from seatrial.op import Atom, Value
from seatrial.target import Node, OpFailed, OpRefused
from seatrial.targets.mysql.session import Confirm, Session
from seatrial.targets.mysql.settings import Access, Isolation

MicroOp = tuple[str, Atom, Value]

#: A session for a fingerprint reads whole tables: an op's own time may be too short for it.
FINGERPRINT_S = 20.0


class SqlClient:
    """Registers, transactions and a bank on one node; `timeout_s` bounds each method.

    `setup` are statements for each new session. `lock_reads`: what a transaction reads before it
    writes is read with `FOR UPDATE`. `confirm` is asked where COMMIT was refused (`Session`).
    """

    def __init__(
        self,
        node: Node,
        access: Access,
        isolation: Isolation,
        *,
        timeout_s: float,
        setup: Sequence[str] = (),
        lock_reads: bool = True,
        confirm: Confirm | None = None,
    ) -> None:
        self.node = node
        level = isolation.replace("-", " ").upper()
        statements = (f"SET SESSION TRANSACTION ISOLATION LEVEL {level}", *setup)
        self._access, self._setup = access, statements
        self._lock = " FOR UPDATE" if lock_reads else ""
        self._session = Session(node, access, statements, timeout_s, confirm)

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
            rows = await session.fetch(f"SELECT v FROM registers WHERE k = %s{self._lock}", (name,))
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
        reads = all(f == "r" for f, _, _ in micro_ops)
        lock = "" if reads else self._lock

        async def body(session: Session) -> tuple[Value, ...]:
            return tuple([await _micro_op(session, op, lock) for op in micro_ops])

        return await self._session.transaction(body, read=reads)

    # ── a bank ───────────────────────────────────────────────────────────────────────────────

    async def open_accounts(self, balances: Mapping[int, int]) -> None:
        """Make the accounts that are missing, in one transaction."""

        async def body(session: Session) -> None:
            there = {int(row[0]) for row in await session.fetch("SELECT id FROM accounts")}
            missing = [pair for pair in balances.items() if pair[0] not in there]
            if missing:
                rows = ", ".join(["(%s, %s)"] * len(missing))
                flat = [number for pair in missing for number in pair]
                await session.execute(f"INSERT INTO accounts (id, balance) VALUES {rows}", flat)

        await self._session.transaction(body, read=False)

    async def transfer(
        self, source: int, destination: int, amount: int, *, may_overdraw: bool
    ) -> None:
        """Move `amount`: read both balances, then write both as they must be.

        What is written are numbers, no differences, so that a lost update shows in the total.
        """

        async def body(session: Session) -> None:
            left = await self._balance(session, source) - amount
            grown = await self._balance(session, destination) + amount
            if left < 0 and not may_overdraw:
                raise OpRefused(f"account {source} has less than {amount}")
            change = "UPDATE accounts SET balance = %s WHERE id = %s"
            await session.execute(change, (left, source))
            await session.execute(change, (grown, destination))

        await self._session.transaction(body, read=False)

    async def _balance(self, session: Session, account: int) -> int:
        rows = await session.fetch(
            f"SELECT balance FROM accounts WHERE id = %s{self._lock}", (account,)
        )
        if not rows:
            raise OpFailed(f"there is no account {account}")
        return int(rows[0][0])

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

    def whole(self, setup: Sequence[str] = ()) -> Session:
        """A session of its own that has time for whole tables; `setup` comes after the client's."""
        return Session(self.node, self._access, (*self._setup, *setup), FINGERPRINT_S)


async def _micro_op(session: Session, op: MicroOp, lock: str) -> Value:
    f, key, argument = op
    name = _json(key)
    if f == "r":
        rows = await session.fetch(f"SELECT v FROM lists WHERE k = %s{lock}", (name,))
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

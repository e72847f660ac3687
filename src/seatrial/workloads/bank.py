"""A bank: transfers between accounts, and reads of all of them.

Each read shows one moment, so all reads must show the same total (Jepsen's bank test, which goes
back to the invariant of Berenson et al., "A Critique of ANSI SQL Isolation Levels", SIGMOD 1995,
section 3: H1 and H2). Snapshot isolation is enough for it; read skew, lost updates and writes of
one half of a transfer break it. The accounts are opened once, before the first op of a process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import cast

from pydantic import Field, model_validator

from seatrial.generator import (
    Body,
    Context,
    Generator,
    again,
    below,
    derive,
    each_of,
    each_thread,
    unfold,
)
from seatrial.op import Op, Value
from seatrial.settings import Settings, parse
from seatrial.target import BankClient, Client
from seatrial.verdict import Json

FS = ("transfer", "read")
#: Each client reads so often once everything is healed.
LAST_READS = 2

_READ: Body = ("read", None, None)


class BankSettings(Settings):
    """`balance`: what each account holds at first. `transfer_max`: the most that one op moves.

    `negative_balances`: accounts may be overdrawn; else such a transfer is refused.
    """

    accounts: int = Field(default=8, ge=2, le=1000)
    balance: int = Field(default=10, ge=1, le=10**9)
    transfer_max: int = Field(default=5, ge=1, le=10**9)
    negative_balances: bool = False
    read_weight: int = Field(default=1, ge=1)
    transfer_weight: int = Field(default=1, ge=1)

    @model_validator(mode="after")
    def _something_moves(self) -> BankSettings:
        if self.transfer_max > self.accounts * self.balance and not self.negative_balances:
            raise ValueError(
                f"transfer_max {self.transfer_max} is more than the bank holds: "
                f"{self.accounts * self.balance}"
            )
        return self


class BankWorkload:
    """The workload `bank`."""

    name = "bank"
    fs = FS

    def __init__(self, settings: BankSettings) -> None:
        self._settings = settings
        self._opening = asyncio.Lock()
        self._is_open = False

    @property
    def settings(self) -> Mapping[str, Json]:
        """All settings with their values."""
        return self._settings.model_dump()

    def generator(self, seed: int, concurrency: int, nodes: int) -> Generator:
        """Transfers `(from, to, amount)` and reads without end; no transfer to its own account."""
        settings = self._settings

        def step(number: int, drawn: int, context: Context) -> tuple[Body, int]:
            return _body(settings, drawn), number + 1

        return unfold(step, 0, derive(seed, "bank"))

    def final_generator(self, seed: int, concurrency: int, nodes: int) -> Generator | None:
        """Each thread reads all accounts."""
        return each_thread(each_of([_READ] * LAST_READS))

    async def invoke(self, client: Client, op: Op) -> Value:
        """Do `op` on a `BankClient`; a read's value is a map from account to balance."""
        bank = cast(BankClient, client)
        await self._open(bank)
        if op.f == "read":
            balances = await bank.balances()
            return {str(account): balance for account, balance in balances.items()}
        source, destination, amount = cast(tuple[int, int, int], op.value)
        may_overdraw = self._settings.negative_balances
        await bank.transfer(source, destination, amount, may_overdraw=may_overdraw)
        return op.value

    async def _open(self, bank: BankClient) -> None:
        """Open the accounts once; an op that comes before they are open fails or waits with it."""
        async with self._opening:
            if not self._is_open:
                settings = self._settings
                await bank.open_accounts(dict.fromkeys(range(settings.accounts), settings.balance))
                self._is_open = True

    def checkers(self) -> Mapping[str, Mapping[str, Json]]:
        """The total never changes, and no balance is negative unless it may be."""
        settings = self._settings
        options: dict[str, Json] = {
            "accounts": list(range(settings.accounts)),
            "total": settings.accounts * settings.balance,
            "negative_balances": settings.negative_balances,
        }
        return {"bank": options}


def _body(settings: BankSettings, drawn: int) -> Body:
    """A read or a transfer, by the weights."""
    total = settings.read_weight + settings.transfer_weight
    if below(drawn, total) < settings.read_weight:
        return _READ
    drawn = again(drawn)
    source = below(drawn, settings.accounts)
    drawn = again(drawn)
    destination = (source + 1 + below(drawn, settings.accounts - 1)) % settings.accounts
    amount = 1 + below(again(drawn), settings.transfer_max)
    return ("transfer", (source, destination, amount), None)


def make(settings: Mapping[str, Json]) -> BankWorkload:
    """The workload with these settings; raises `UsageError` that lists the known ones."""
    return BankWorkload(parse("workload 'bank'", BankSettings, settings))

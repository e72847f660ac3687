"""The bank workload: what it generates, how an op is done, and that a broken bank is seen."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest

from seatrial.checker import Budget
from seatrial.checkers import make as make_checker
from seatrial.errors import UsageError
from seatrial.generator import imperfect, simulate
from seatrial.history import HistoryBuilder
from seatrial.op import Op, Type, Value
from seatrial.runner.judge import options_from
from seatrial.target import OpFailed, OpRefused
from seatrial.verdict import Json, Validity
from seatrial.workload import Workload
from seatrial.workloads import make

THREADS = 6


class OneBank:
    """A bank in this process; `torn`: the destination of a transfer gets nothing."""

    def __init__(self, *, torn: bool = False, fails: int = 0) -> None:
        self.held: dict[int, int] = {}
        self.opened = 0
        self._torn, self._fails = torn, fails

    async def close(self) -> None: ...

    async def open_accounts(self, balances: Mapping[int, int]) -> None:
        await asyncio.sleep(0)
        self.opened += 1
        if self.opened <= self._fails:
            raise OpFailed("not yet")
        self.held = {**balances, **self.held}

    async def transfer(
        self, source: int, destination: int, amount: int, *, may_overdraw: bool
    ) -> None:
        if self.held[source] < amount and not may_overdraw:
            raise OpRefused
        self.held[source] -= amount
        self.held[destination] += 0 if self._torn else amount

    async def balances(self) -> Mapping[int, int]:
        return dict(self.held)


def invocations(seed: int, count: int, settings: dict[str, Json] | None = None) -> list[Op]:
    generator = make("bank", settings).generator(seed, THREADS, 3)
    history = simulate(generator, concurrency=THREADS, completion=imperfect, ops_max=2 * count)
    return [op for op in history if op.type == Type.INVOKE]


def carry_out(workload: Workload, bank: OneBank, ops: list[Op]) -> list[Op]:
    """What becomes of each op, one after the other."""

    async def one(op: Op) -> Op:
        kind, value = Type.OK, op.value
        try:
            value = await workload.invoke(bank, op)
        except OpFailed:
            kind = Type.FAIL
        return Op(kind, op.process, op.f, value, None, op.time_ns)

    async def all_of_them() -> list[Op]:
        return [await one(op) for op in ops]

    return asyncio.run(all_of_them())


def judge(workload: Workload, ops: list[Op]) -> Validity:
    builder = HistoryBuilder()
    for op in ops:
        builder.append(Op(Type.INVOKE, op.process, op.f, None, None, op.time_ns))
        builder.append(op)
    checker = make_checker("bank", options_from(workload.checkers()["bank"]))
    return checker.check(builder.history(), Budget.start()).verdict


def test_the_same_seed_gives_the_same_ops_and_another_seed_others() -> None:
    assert invocations(7, 300) == invocations(7, 300)
    assert invocations(7, 300) != invocations(8, 300)


def test_transfers_go_to_another_account_with_an_amount_within_bounds() -> None:
    settings: dict[str, Json] = {"accounts": 5, "transfer_max": 3}
    moved = [op.value for op in invocations(1, 2000, settings) if op.f == "transfer"]
    seen: set[tuple[int, int, int]] = set()
    for value in moved:
        assert isinstance(value, tuple)
        source, destination, amount = value
        assert isinstance(source, int) and isinstance(destination, int) and isinstance(amount, int)
        assert source != destination
        seen.add((source, destination, amount))
    assert seen == {(s, d, a) for s in range(5) for d in range(5) if s != d for a in (1, 2, 3)}


def test_a_bank_that_keeps_its_total_is_valid_and_one_that_loses_half_of_a_transfer_is_not() -> (
    None
):
    ops = invocations(1, 400)
    workload = make("bank")
    assert judge(workload, carry_out(workload, OneBank(), ops)) is Validity.VALID

    workload = make("bank")
    assert judge(workload, carry_out(workload, OneBank(torn=True), ops)) is Validity.INVALID


def test_overdrawn_accounts_are_wrong_unless_they_may_be() -> None:
    ops = invocations(3, 400)
    allowed = make("bank", {"negative_balances": True})
    done = carry_out(allowed, OneBank(), ops)
    lowest = [
        min(v for v in op.value.values() if isinstance(v, int))
        for op in done
        if isinstance(op.value, Mapping)
    ]
    assert min(lowest) < 0
    assert judge(allowed, done) is Validity.VALID
    assert judge(make("bank"), done) is Validity.INVALID


def test_accounts_are_opened_once_and_again_only_where_that_failed() -> None:
    bank = OneBank(fails=2)
    done = carry_out(make("bank"), bank, invocations(1, 50))

    assert [op.type for op in done[:2]] == [Type.FAIL, Type.FAIL]
    assert bank.opened == 3
    assert all(op.value != {} for op in done if op.f == "read" and op.type == Type.OK)


def test_each_thread_reads_at_the_end() -> None:
    final = make("bank").final_generator(1, THREADS, 3)
    assert final is not None
    ops = [op for op in simulate(final, concurrency=THREADS) if op.type == Type.INVOKE]
    assert {op.process for op in ops} == set(range(THREADS))
    assert {op.f for op in ops} == {"read"}


@pytest.mark.parametrize(
    "settings", [{"accounts": 1}, {"transfer_max": 81}, {"balance": 0}, {"overdraft": True}]
)
def test_settings_that_make_no_bank_are_refused(settings: dict[str, Json]) -> None:
    with pytest.raises(UsageError, match="workload 'bank'"):
        make("bank", settings)


def test_a_reads_value_has_accounts_as_text() -> None:
    async def read() -> Value:
        return await make("bank").invoke(OneBank(), Op(Type.INVOKE, 0, "read"))

    assert asyncio.run(read()) == {str(number): 10 for number in range(8)}

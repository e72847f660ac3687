"""The append workload: what its transactions look like."""

from __future__ import annotations

from collections import defaultdict

import pytest

from seatrial.errors import UsageError
from seatrial.generator import simulate
from seatrial.op import Op, Type
from seatrial.verdict import Json
from seatrial.workloads import make


def transactions(seed: int, count: int, settings: dict[str, Json] | None = None) -> list[Op]:
    generator = make("append", settings).generator(seed, 10, 3)
    history = simulate(generator, concurrency=10, ops_max=2 * count)
    return [op for op in history if op.type == Type.INVOKE]


def micro_ops(ops: list[Op]) -> list[tuple[object, object, object]]:
    out: list[tuple[object, object, object]] = []
    for op in ops:
        assert op.f == "txn"
        assert op.key is None
        assert isinstance(op.value, tuple)
        for micro_op in op.value:
            assert isinstance(micro_op, tuple)
            f, key, argument = micro_op
            out.append((f, key, argument))
    return out


def test_the_same_seed_gives_the_same_transactions_and_another_seed_others() -> None:
    assert transactions(7, 300) == transactions(7, 300)
    assert transactions(7, 300) != transactions(8, 300)


def test_no_element_is_appended_twice_to_a_list_and_lists_give_way() -> None:
    appended = defaultdict(list)
    for f, key, element in micro_ops(transactions(1, 2000, {"appends_per_key": 20})):
        if f == "append":
            appended[key].append(element)
    finished = [elements for elements in appended.values() if len(elements) == 20]
    assert len(finished) > 50
    assert all(elements == list(range(1, 21)) for elements in finished)
    assert sum(len(elements) != 20 for elements in appended.values()) <= 5


def test_transactions_have_one_to_four_micro_ops_half_of_them_reads() -> None:
    ops = transactions(2, 4000)
    lengths = {len(op.value) for op in ops if isinstance(op.value, tuple)}
    assert lengths == {1, 2, 3, 4}
    all_of_them = micro_ops(ops)
    reads = sum(f == "r" for f, _, _ in all_of_them)
    assert reads / len(all_of_them) == pytest.approx(0.5, abs=0.03)
    assert all(argument is None for f, _, argument in all_of_them if f == "r")


def test_transactions_meet_on_the_same_few_lists() -> None:
    keys = {key for _, key, _ in micro_ops(transactions(3, 30, {"keys": 3}))}
    assert keys == {0, 1, 2}


def test_at_the_end_every_thread_reads_the_living_lists() -> None:
    generator = make("append", {"keys": 2}).final_generator(1, 4, 3)
    assert generator is not None
    invoked = [op for op in simulate(generator, concurrency=4) if op.type == Type.INVOKE]
    assert {(op.process, op.value) for op in invoked} == {
        (process, (("r", key, None),)) for process in range(4) for key in (0, 1)
    }


def test_wrong_settings_are_named() -> None:
    with pytest.raises(UsageError, match="micro_ops_min 5 is above micro_ops_max 4"):
        make("append", {"micro_ops_min": 5})
    with pytest.raises(UsageError, match=r"known settings: keys, appends_per_key"):
        make("append", {"lists": 5})

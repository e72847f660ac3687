"""Evidence: planted bugs are found, witnesses prove them, and what must not matter does not."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from seatrial.checker import Budget, CheckOptions
from seatrial.checkers.linearizable import make
from seatrial.history import History, HistoryBuilder
from seatrial.op import Op, Type, Value
from seatrial.verdict import Validity, Verdict
from tests.checkers.linearizable.tiny import brute_force, calls, history, register_step

_ONLY_READS = frozenset({"read"})


def made_by_a_register(seed: int, count: int, values: int = 0) -> list[Op]:
    """A linearizable history of 5 processes; `values` 0: every write its own value."""
    rng = random.Random(seed)
    state, written, out = 0, 0, list[Op]()
    waiting: dict[int, Op] = {}
    free, fresh = list(range(5)), 100
    done: dict[int, Op] = {}
    while len(out) < 2 * count or waiting or done:
        process = rng.choice(free)
        if process in done:
            op = done.pop(process)
            out.append(op)
            if op.type == Type.INFO:
                free.remove(process)
                fresh += 1
                free.append(fresh)
        elif process in waiting:
            call = waiting.pop(process)
            answer: Value = state if call.f == "read" else call.value
            kind = Type.OK
            if call.f == "write":
                unknown = rng.random() < 0.03
                kind = Type.INFO if unknown else Type.OK
                if not unknown or rng.random() < 0.5:
                    assert isinstance(call.value, int)
                    state = call.value
            done[process] = Op(kind, process, call.f, answer)
        elif len(out) < 2 * count:
            f = rng.choice(("read", "write"))
            written += 1
            value: Value = None
            if f == "write":
                value = rng.randrange(1, values) if values else written
            waiting[process] = Op(Type.INVOKE, process, f, value)
            out.append(waiting[process])
    return out


def build(ops: Sequence[Op]) -> History:
    """The ops as a history."""
    return HistoryBuilder().extend(ops).history()


def judge(ops: Sequence[Op]) -> Verdict:
    """The verdict of a register that starts with 0."""
    return make(CheckOptions(model="cas-register", initial=0)).check(build(ops), Budget.start())


def plant(ops: list[Op], seed: int) -> list[Op]:
    """One late read returns a value that was overwritten long before."""
    rng = random.Random(seed)
    late = [at for at, op in enumerate(ops) if op.f == "read" and op.type == Type.OK]
    at = rng.choice(late[len(late) // 2 :])
    older = [op.value for op in ops[: at // 4] if op.f == "write" and op.type == Type.OK]
    return [*ops[:at], replace(ops[at], value=rng.choice(older)), *ops[at + 1 :]]


def part(ops: list[Op], verdict: Verdict) -> list[Op]:
    """The ops of the first anomaly's calls: what it names, and their other halves."""
    whole = build(ops)
    rows = {whole.row_of(index) for index in verdict.anomalies[0].ops}
    both = rows | {int(whole.pair[row]) for row in rows if whole.pair[row] >= 0}
    return [ops[row] for row in sorted(both)]


def linearizable(ops: list[Op]) -> bool:
    """What brute force says."""
    return brute_force(calls(ops, _ONLY_READS), (0,), register_step)


@pytest.mark.parametrize("seed", range(6))
def test_a_planted_stale_read_is_found_and_proved(seed: int) -> None:
    """A valid history with one read made older is invalid; the witness is small, wrong, minimal."""
    good = made_by_a_register(seed, 3000)
    assert judge(good).verdict == "valid"
    bad = plant(good, seed)
    verdict = judge(bad)
    assert (verdict.verdict, verdict.anomalies[0].name) == ("invalid", "stale-read")
    witness = part(bad, verdict)
    assert len(witness) <= 12
    assert not linearizable(witness)
    processes = {(op.f, op.value) for op in witness if op.f == "read" and op.type == Type.OK}
    for read in processes:
        without, gone = [], set[int]()
        for op in reversed(witness):
            if (op.f, op.value) == read and op.type == Type.OK and not gone:
                gone.add(op.process)
                continue
            if op.process in gone and op.type == Type.INVOKE and op.f == "read":
                gone.discard(op.process)
                gone.add(-1)
                continue
            without.append(op)
        assert linearizable(without[::-1]), read


def test_the_longest_good_prefix_ends_before_the_planted_read() -> None:
    """The prefix that is said to be good is good, and one event more is not."""
    bad = plant(made_by_a_register(3, 400), 3)
    explained = judge(bad).details["keys-explained"]
    assert isinstance(explained, list)
    told = explained[0]
    assert isinstance(told, dict)
    events = told["longest-linearizable-prefix"]
    assert isinstance(events, int)
    pure = [op for op in bad if op.type != Type.INFO or op.f != "read"]
    ends = sorted(at for at, op in enumerate(pure) if op.type in (Type.INVOKE, Type.OK))
    cut = ends[events]
    assert judge(pure[:cut]).verdict == "valid"
    assert judge(pure[: cut + 1]).verdict == "invalid"


@pytest.mark.parametrize("values", [0, 4])
@pytest.mark.parametrize("seed", range(4))
def test_what_must_not_matter(seed: int, values: int) -> None:
    """Renaming values, an idle process, leaving reads out, and a second key change no verdict."""
    good = made_by_a_register(seed, 200, values)
    bad = plant(good, seed)
    for ops in (good, bad):
        expected = judge(ops).verdict
        renamed = [replace(op, value=op.value and f"v{op.value}") for op in ops]
        assert judge(renamed).verdict == expected
        idle = [Op(Type.INVOKE, 999, "read"), *ops, Op(Type.OK, 999, "read", ops_first(ops))]
        if expected == Validity.INVALID:
            assert judge(idle).verdict == expected
        keyed = [replace(op, key="a") for op in ops] + [replace(op, key="b") for op in good]
        assert judge(keyed).verdict == expected
    fewer = [op for op in good if op.f != "read" or op.process % 2]
    assert judge(fewer).verdict == "valid"


def ops_first(ops: Sequence[Op]) -> Value:
    """Some value that was written."""
    return next(op.value for op in ops if op.f == "write")


def test_many_keys_with_one_cause_are_grouped() -> None:
    """A thousand wrong keys are a few findings, one of which counts the others."""
    words = " ".join(f"0:w1@k{k} 0. 1:r@k{k} 1=0" for k in range(1000))
    verdict = judge_text(words)
    assert verdict.verdict == "invalid"
    assert len(verdict.anomalies) <= 3
    assert sum(anomaly.count for anomaly in verdict.anomalies) == 1000
    assert verdict.details["keys-invalid"] == 1000


def judge_text(text: str) -> Verdict:
    """The verdict on a history in the tiny language."""
    return make(CheckOptions(initial=0)).check(history(text), Budget.start())


def test_the_picture_is_whole_and_harmless() -> None:
    """The SVG parses, shows the op in red, and refers to nothing outside."""
    picture = judge_text("0:w1 0. 1:r 1=0").anomalies[0].picture
    root = ElementTree.fromstring(picture)
    assert root.tag.endswith("svg")
    assert "#d33" in picture and "<script" not in picture and "href" not in picture
    assert "process 1" in "".join(root.itertext())


def hard() -> History:
    """Sixteen writes of 0 … 3, half open for ever so long, and reads that need one write more."""
    writes = [Op(Type.INVOKE, p, "write", p % 4) for p in range(24)]
    reads = [
        Op(kind, 99, "read", None if kind == Type.INVOKE else n % 2)
        for n in range(13)
        for kind in (Type.INVOKE, Type.OK)
    ]
    ends = [Op(Type.OK, p, "write", p % 4) for p in range(24)]
    return build([*writes, *reads, *ends])


def test_a_budget_that_is_used_up_is_unknown_and_says_how_far() -> None:
    """A search that may not go on does not guess; with a budget it has the answer."""
    checker = make(CheckOptions(initial=9))
    memory = checker.check(hard(), Budget.start(60, 1 << 10))
    assert memory.verdict == "unknown"
    assert "memory" in memory.cause and "events" in memory.cause
    assert checker.check(hard(), Budget.start()).verdict == "invalid"

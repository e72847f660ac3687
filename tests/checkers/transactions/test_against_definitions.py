"""The transactional checkers against definitions by brute force, and under changes that mean
nothing."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from seatrial.checker import Budget, CheckOptions
from seatrial.checkers import make
from seatrial.history import History, HistoryBuilder
from seatrial.op import Op, Type, Value
from seatrial.verdict import Validity, Verdict
from tests.checkers.transactions.oracle import Case, execution, serializable, snapshot_isolated

SEEDS = st.integers(0, 2**32)
BOTH = ("serializable", "strict-serializable", "snapshot-isolation", "strong-snapshot-isolation")


def ops_of(
    case: Case, *, shift: int = 0, keys: str = "xy", at: float = 0.0
) -> list[tuple[float, Op]]:
    """The ops of an execution with their times; keys renamed, values and processes shifted."""
    rename = dict(zip("xy", keys, strict=True))
    out: list[tuple[float, Op]] = []

    def moved(value: Value) -> Value:
        if isinstance(value, tuple):
            return tuple(moved(item) for item in value)
        return value + shift if isinstance(value, int) else value

    for span, mops in zip(case.spans, case.mops, strict=True):
        done = tuple((f, rename[k], moved(v)) for f, k, v in mops)
        blank = tuple((f, k, None if f == "r" else v) for f, k, v in done)
        value = done if span.type is Type.OK else blank
        out.append((at + span.begin, Op(Type.INVOKE, span.process + shift, "txn", blank)))
        assert span.end is not None
        out.append((at + span.end + 1e-3, Op(span.type, span.process + shift, "txn", value)))
    return out


def history_of(ops: list[tuple[float, Op]]) -> History:
    """The ops in order of time."""
    return HistoryBuilder().extend(op for _, op in sorted(ops, key=lambda o: o[0])).history()


def check(
    history: History, model: str, checker: str = "list-append", sources: tuple[str, ...] = ()
) -> Verdict:
    """One verdict."""
    options = CheckOptions(consistency_model=model, version_order=sources)
    return make(checker, options).check(history, Budget.start())


def by_definition(case: Case, model: str, *, registers: bool = False) -> bool:
    """Whether the execution satisfies the model, by its definition."""
    if "snapshot" in model:
        return snapshot_isolated(case, strong=model.startswith("strong"), registers=registers)
    return serializable(case, strict=model.startswith("strict"), registers=registers)


@settings(max_examples=100, deadline=None)
@given(SEEDS)
def test_lists_are_judged_exactly_as_defined(seed: int) -> None:
    """With all elements read at the end, `invalid` means what the model's definition says."""
    case = execution(seed)
    told = history_of(ops_of(case))
    for model in BOTH:
        wrong = check(told, model).verdict is Validity.INVALID
        assert wrong is not by_definition(case, model), model


@settings(max_examples=60, deadline=None)
@given(SEEDS)
def test_lists_not_read_to_the_end_raise_no_false_alarm(seed: int) -> None:
    """Whatever is left unread, `invalid` is only said where the definition is broken."""
    case = execution(seed, final=False)
    told = history_of(ops_of(case))
    for model in BOTH:
        if check(told, model).verdict is Validity.INVALID:
            assert not by_definition(case, model), model


@settings(max_examples=60, deadline=None)
@given(SEEDS)
def test_registers_raise_no_false_alarm(seed: int) -> None:
    """With each source of version orders that the model grants, `invalid` is never said wrongly."""
    case = execution(seed, registers=True, final=seed % 2 == 0)
    told = history_of(ops_of(case))
    for model, sources in (
        ("serializable", ("wfr",)),
        ("snapshot-isolation", ("wfr",)),
        ("strict-serializable", ("wfr", "sequential", "linearizable")),
    ):
        if check(told, model, "rw-register", sources).verdict is Validity.INVALID:
            assert not by_definition(case, model, registers=True), model


@settings(max_examples=20, deadline=None)
@given(SEEDS, SEEDS)
def test_changes_that_mean_nothing_change_nothing(seed: int, other: int) -> None:
    """Renamed keys, an idle process, and a valid history beside it leave the verdict as it is."""
    case = execution(seed)
    plain = check(history_of(ops_of(case)), "strict-serializable")
    renamed = check(history_of(ops_of(case, keys="yx", shift=100)), "strict-serializable")
    assert renamed.verdict is plain.verdict
    assert {a.name for a in renamed.anomalies} == {a.name for a in plain.anomalies}
    idle = [(50.0, Op(Type.INVOKE, 900, "txn", ())), (51.0, Op(Type.OK, 900, "txn", ()))]
    more = check(history_of([*ops_of(case), *idle]), "strict-serializable")
    assert more.verdict is plain.verdict
    beside = execution(other)
    merged = history_of([*ops_of(case), *ops_of(beside, keys="ab", shift=1000)])
    both = [check(history_of(ops_of(c)), "serializable").verdict for c in (case, beside)]
    wrong = check(merged, "serializable").verdict is Validity.INVALID
    assert wrong is (Validity.INVALID in both)


def test_random_executions_hold_both_kinds() -> None:
    """The executions above are not all valid and not all broken."""
    rng = random.Random(1)
    cases = [execution(rng.randrange(2**32)) for _ in range(200)]
    for model in BOTH:
        broken = sum(not by_definition(case, model) for case in cases)
        assert 20 < broken < 180, model

"""The reference database: repeatable, right without a bug, wrong in the planted way with one."""

from __future__ import annotations

import json

import numpy as np
import pytest

from seatrial.checker import Budget
from seatrial.checkers import make
from seatrial.engine.simulated import BUGS, canary, simulate, to_json, to_text
from seatrial.engine.simulated.workloads import WORKLOADS, checkers_of
from seatrial.errors import UnknownName
from seatrial.history import History
from seatrial.op import Type
from seatrial.verdict import Validity

#: Read committed on lists makes dense graphs, whose search takes longer than a unit test may.
_FAST = [
    (workload, isolation)
    for workload, spec in WORKLOADS.items()
    for isolation in spec.isolations
    if isolation != "read-committed" and workload != "queue"
]


def text(history: History) -> str:
    """The whole history."""
    return "\n".join(map(repr, history.ops()))


@pytest.mark.parametrize("workload", WORKLOADS)
def test_one_seed_one_history(workload: str) -> None:
    """Byte for byte, with a bug or without; another seed gives another."""
    bug = next(name for name in BUGS if BUGS[name].workload == workload)
    for planted in (None, bug):
        first = text(simulate(workload, seed=7, ops=80, bug=planted))
        assert first == text(simulate(workload, seed=7, ops=80, bug=planted))
        assert first != text(simulate(workload, seed=8, ops=80, bug=planted))


@pytest.mark.parametrize(("workload", "isolation"), _FAST)
def test_no_alarm_without_a_bug(workload: str, isolation: str) -> None:
    """Crashes, partitions, power failures and skewed clocks, and yet all is in order."""
    history = simulate(workload, seed=3, ops=250, isolation=isolation)
    for name, options in checkers_of(workload, isolation).items():
        verdict = make(name, options).check(history, Budget.start(20))
        assert verdict.verdict is Validity.VALID, (name, verdict.cause)


def test_histories_are_whole() -> None:
    """Each invocation completes once, time never goes back, all three endings occur."""
    history = simulate("register", seed=5, ops=1500)
    assert (np.diff(history.time_ns) >= 0).all()
    assert (history.pair >= 0).all()
    kinds = set(history.type.tolist())
    assert kinds == {Type.INVOKE, Type.OK, Type.FAIL, Type.INFO}
    ok = int((history.type == Type.OK).sum())
    assert ok > 600, "most requests succeed in spite of the faults"


@pytest.mark.parametrize(
    "bug",
    [
        "stale-read",
        "double-applied-retry",
        "lost-append",
        "reordered-append",
        "lost-element",
        "wrong-total",
        "lost-increment",
        "lock-given-twice",
    ],
)
def test_planted_bugs_are_caught(bug: str) -> None:
    """Each by the checkers that its entry names, within 400 ops."""
    matrix = canary(1, bugs=[bug], sizes=(400,), clean=False)
    assert not matrix.missed
    assert bug in to_text(matrix)


@pytest.mark.parametrize(
    ("bug", "anomaly"),
    [
        ("dirty-write", "G0"),
        ("dirty-read", "G1a"),
        ("intermediate-read", "G1b"),
        ("circular-information-flow", "G1c"),
        ("read-skew", "G-single"),
        ("write-skew", "G2-item"),
        ("duplicated-append", "duplicate-elements"),
        ("phantom-element", "incompatible-order"),
        ("internal-inconsistency", "internal"),
    ],
)
def test_planted_bugs_have_their_own_names(bug: str, anomaly: str) -> None:
    """What is found is what was planted, in the literature's words."""
    (catch,) = canary(1, bugs=[bug], sizes=(250,), clean=False).catches
    assert anomaly in catch.anomalies


def test_releases_are_answered() -> None:
    """A release that nobody saw end would excuse any later holder."""
    history = simulate("lock", seed=2, ops=400)
    released = history.client & history.is_f("release")
    assert int((released & (history.type == Type.OK)).sum()) > 10
    assert not (released & (history.type == Type.INFO)).any()


def test_the_matrix_says_what_it_missed() -> None:
    """Too few ops to see anything: missed, and not trusted."""
    matrix = canary(1, bugs=["lost-element"], sizes=(2,), clean=False)
    assert matrix.missed == ("lost-element", "lost-element")
    assert not matrix.trusted
    document = to_json(matrix)
    assert json.loads(json.dumps(document))["trusted"] is False
    assert "missed: lost-element" in to_text(matrix)


def test_clean_rows_count_alarms() -> None:
    """No bug, no alarm, for each checker of the workload."""
    matrix = canary(2, bugs=["lost-element"], sizes=(250,))
    assert {row.checker for row in matrix.clean} == {"set", "set-full"}
    assert matrix.alarms == 0
    assert "no bug" in to_text(matrix)


def test_every_bug_names_a_workload_and_its_checkers() -> None:
    """The table holds together."""
    assert len(BUGS) >= 25
    for name, bug in BUGS.items():
        assert set(bug.checkers) <= set(WORKLOADS[bug.workload].checkers), name


def test_unknown_names_get_suggestions() -> None:
    """Workload, bug and isolation."""
    with pytest.raises(UnknownName, match="did you mean 'register'"):
        simulate("registr", seed=1, ops=1)
    with pytest.raises(UnknownName, match="did you mean 'lost-fsync'"):
        simulate("register", seed=1, ops=1, bug="lost-fsnc")
    with pytest.raises(UnknownName, match="did you mean 'serializable'"):
        simulate("append", seed=1, ops=1, isolation="serialisable")
    with pytest.raises(UnknownName, match="did you mean 'dirty-read'"):
        canary(1, bugs=["dirty-reed"])

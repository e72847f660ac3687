"""weak-isolation: histories by hand, and the axioms of Biswas and Enea by brute force."""

from __future__ import annotations

import random
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seatrial.checker import Budget, CheckOptions
from seatrial.checkers import make
from seatrial.errors import UnknownName
from seatrial.history import HistoryBuilder
from seatrial.op import Op, Type, Value
from seatrial.verdict import Validity, Verdict
from tests.checkers.transactions.notation import T, concurrent, history, names, serial

RC = "read-committed"
LATE = concurrent("wx1", "rx1 wx2", "rx2 wy1", "ry1 rx1")
LEVELS = ("read-committed", "read-atomic", "causal")
Txn = tuple[tuple[str, str, int | None], ...]


def told(txns: list[T], level: str = "causal") -> Verdict:
    """The verdict on registers."""
    checker = make("weak-isolation", CheckOptions(consistency_model=level))
    return checker.check(history(txns, registers=True), Budget.start())


@pytest.mark.parametrize(
    ("level", "name", "bad", "mended"),
    [
        (RC, "non-monotonic-read", concurrent("wx1", "rx1 wx2 wy2", "ry2 rx1"), "rx1 ry2"),
        ("read-atomic", "fractured-read", concurrent("wx1", "rx1 wx2 wy2", "rx1 ry2"), "rx2 ry2"),
        ("causal", "causality-violation", LATE, "ry1 rx2"),
        ("read-committed", "G1a", concurrent("wx1", "!wx2", "rx2"), "rx1"),
        ("read-committed", "G1b", concurrent("wx1 wx2", "rx1"), "rx2"),
        ("read-atomic", "internal", concurrent("wx1", "wx2", "rx1 rx2"), "rx1 rx1"),
        ("read-committed", "G1c-process", concurrent("wx1 ry1", "wy1 rx1"), "wy1 rx"),
    ],
)
def test_each_violation_is_named_and_its_near_miss_is_not(
    level: str, name: str, bad: list[T], mended: str
) -> None:
    """The weakest level that is broken is told; with the last transaction mended all hold."""
    verdict = told(bad)
    assert name in names(verdict)
    levels = verdict.details["levels"]
    assert isinstance(levels, dict)
    weaker = LEVELS[: LEVELS.index(level)]
    assert all(levels[w] == "valid" for w in weaker) and levels[level] == "invalid"
    assert all(a.ops and a.steps for a in verdict.anomalies)
    last = bad[-1]
    near = [*bad[:-1], T(mended, last.process, last.begin, last.end)]
    assert told(near, level).verdict is Validity.VALID


def test_a_session_must_see_its_own_writes() -> None:
    """A later transaction of the same process that misses them is not read atomic."""
    verdict = told(serial("wx1", "wx2", "rx1"))
    assert "fractured-read" in names(verdict)


def test_nothing_judged_is_unknown_and_levels_are_known() -> None:
    """No committed transaction is never green; a wrong level gets a suggestion."""
    assert told([]).verdict is Validity.UNKNOWN
    with pytest.raises(UnknownName, match="did you mean 'causal'"):
        make("weak-isolation", CheckOptions(consistency_model="casual"))


def random_sessions(seed: int) -> list[list[Txn]]:
    """Two or three sessions of transactions over x, y and z, whose reads saw any writes at all."""
    rng = random.Random(seed)
    count = 0
    written: dict[str, list[int]] = {"x": [], "y": [], "z": []}
    shape: list[list[list[tuple[str, str, int | None]]]] = []
    for _ in range(rng.randint(2, 3)):
        session = []
        for _ in range(rng.randint(1, 2)):
            txn: list[tuple[str, str, int | None]] = []
            for key in rng.sample("xyz", rng.randint(1, 3)):
                if rng.random() < 0.5:
                    count += 1
                    written[key].append(count)
                    txn.append(("w", key, count))
                else:
                    txn.append(("r", key, None))
            session.append(txn)
        shape.append(session)
    out: list[list[Txn]] = []
    for session in shape:
        out.append([])
        for txn in session:
            mine = tuple(
                (f, k, rng.choice([*written[k], None]) if f == "r" else value)
                for f, k, value in txn
            )
            out[-1].append(mine)
    return out


def satisfied(sessions: list[list[Txn]], level: str) -> bool:
    """Whether some commit order satisfies the level's axiom (Biswas and Enea 2019, figure 2)."""
    txns = [t for session in sessions for t in session]
    where = {id(t): i for i, t in enumerate(txns)}
    writer = {(k, v): i for i, t in enumerate(txns) for f, k, v in t if f == "w"}
    writes = [{k for f, k, _ in t if f == "w"} for t in txns]
    so = {
        (where[id(a)], where[id(b)]) for s in sessions for i, a in enumerate(s) for b in s[i + 1 :]
    }
    reads = [[(k, -1 if v is None else writer[k, v]) for f, k, v in t if f == "r"] for t in txns]
    wr = {(w, i) for i, rs in enumerate(reads) for _, w in rs if w >= 0}
    before = so | wr
    n = len(txns)
    past: list[set[int]] = [set() for _ in range(n)]
    for _ in range(n):
        for a, b in before:
            past[b] |= {a} | past[a]
    for order in permutations(range(n)):
        place = {t: i for i, t in enumerate(order)} | {-1: -1}
        if any(place[a] > place[b] for a, b in before):
            continue
        if all(
            place[t2] < place[t1]
            for t3 in range(n)
            for at, (x, t1) in enumerate(reads[t3])
            for t2 in range(n)
            if t2 not in (t1, t3) and x in writes[t2]
            if (level == "read-committed" and t2 in [w for _, w in reads[t3][:at]])
            or (level == "read-atomic" and (t2, t3) in before)
            or (level == "causal" and t2 in past[t3])
        ):
            return True
    return False


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 2**32))
def test_levels_are_judged_exactly_as_their_axioms_say(seed: int) -> None:
    """Every level's answer is that of some commit order or none."""
    sessions = random_sessions(seed)
    builder = HistoryBuilder()
    for process, session in enumerate(sessions):
        for txn in session:
            value: tuple[Value, ...] = txn
            builder.append(Op(Type.INVOKE, process, "txn", value))
            builder.append(Op(Type.OK, process, "txn", value))
    verdict = make("weak-isolation").check(builder.history(), Budget.start())
    levels = verdict.details["levels"]
    assert isinstance(levels, dict)
    for level in LEVELS:
        assert (levels[level] == "valid") is satisfied(sessions, level), level

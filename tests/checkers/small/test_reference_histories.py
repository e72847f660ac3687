"""The histories of Jepsen's and elle-cli's own suites get the verdicts that those suites state.

They are read from the folder that SEATRIAL_HISTORIES names, laid out as in its MANIFEST.tsv;
without it these tests are skipped. Three histories hold nothing to judge: there Jepsen answers
`true` or `false`, and so do we if asked for that (`empty` = `jepsen`); else it is `unknown`.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from seatrial.checker import Budget, CheckOptions
from seatrial.checkers import make
from seatrial.history.detect import load
from seatrial.verdict import Verdict

FOLDER = Path(os.environ.get("SEATRIAL_HISTORIES", Path(__file__).parent / "histories"))

#: path, checker, group size, verdict, anomalies (None: not stated)
STATED: list[tuple[str, str, int | None, str, set[str] | None]] = [
    ("elle-cli/jepsen/bank.json", "bank", None, "valid", set()),
    (
        "elle-cli/jepsen/bank-negative-balances.json", "bank", None, "invalid",
        {"negative-value"},
    ),
    ("elle-cli/jepsen/long-fork.edn", "long-fork", 3, "invalid", {"long-fork"}),
    ("elle-cli/jepsen/set_full.json", "set-full", None, "invalid", {"lost"}),
    ("jepsen-tests/0004-*", "set-full", None, "valid", set()),
    ("jepsen-tests/0009-*", "set-full", None, "invalid", {"lost"}),
    ("jepsen-tests/0019-*", "queue", None, "valid", set()),
    ("jepsen-tests/0033-*", "unique-ids", None, "valid", set()),
    ("jepsen-tests/0038-*", "counter", None, "valid", set()),
    ("jepsen-tests/0044-*", "total-queue", None, "valid", set()),
    ("jepsen-tests/0051-*", "kafka", None, "valid", set()),
    (
        "jepsen-tests/0061-*", "kafka", None, "invalid",
        {"inconsistent-offsets", "lost-write", "unseen"},
    ),
    ("jepsen-tests/0070-*", "kafka", None, "invalid", {"empty-transaction-graph"}),
    ("jepsen-tests/0079-*", "kafka", None, "invalid", {"nonmonotonic-send", "unseen"}),
    (
        "jepsen-tests/0088-*", "kafka", None, "invalid",
        {"precommitted-read", "empty-transaction-graph"},
    ),
    (
        "jepsen-tests/0097-*", "kafka", None, "invalid",
        {"int-send-skip", "lost-write", "poll-skip", "unseen", "G1c-realtime",
         "strong-PL-2-cycle-exists"},
    ),
    ("jepsen-tests/0107-*", "kafka", None, "invalid", {"poll-skip", "unseen"}),
    ("jepsen-tests/0117-*", "kafka", None, "invalid", {"int-poll-skip", "nonmonotonic-poll"}),
    ("jepsen-tests/0123-*", "causal-reverse", None, "valid", set()),
]  # fmt: skip


#: What is said of a history with nothing to judge.
EMPTY = {"unique-ids", "total-queue", "queue", "kafka"}


def check(pattern: str, name: str, group_size: int | None, empty: str = "jepsen") -> Verdict:
    """The verdict of a checker on the one file that matches."""
    found = sorted(FOLDER.glob(pattern + ("" if "." in pattern else ".edn")))
    found = [path for path in found if not path.name.endswith(".verdict.edn")]
    if not found:
        pytest.skip(f"no history {pattern} in SEATRIAL_HISTORIES")
    extra = {"empty": empty} if name in EMPTY else {}
    checker = make(name, CheckOptions(group_size=group_size, extra=extra))
    return checker.check(load(found[0]), Budget.start())


@pytest.mark.parametrize("case", STATED, ids=lambda case: case[0])
def test_the_stated_verdict(
    case: tuple[str, str, int | None, str, set[str] | None],
) -> None:
    """Verdict and anomalies as Jepsen or elle-cli state them."""
    pattern, name, group_size, verdict, anomalies = case
    found = check(pattern, name, group_size)
    assert found.verdict.value == verdict, found.cause
    if anomalies is not None and verdict != "valid":
        names = {anomaly.name for anomaly in found.anomalies}
        assert anomalies <= names


def test_set_full_counts_the_lost_elements() -> None:
    """elle-cli's set_full.json loses 293 elements."""
    found = check("elle-cli/jepsen/set_full.json", "set-full", None)
    assert found.details["lost"] == 293


@pytest.mark.parametrize("case", [c for c in STATED if c[0][13:17] in ("0033", "0044", "0070")])
def test_no_evidence_is_unknown_unless_jepsens_answer_is_asked_for(
    case: tuple[str, str, int | None, str, set[str] | None],
) -> None:
    """The three histories that hold nothing to judge."""
    found = check(case[0], case[1], None, empty="unknown")
    assert (found.verdict.value, found.judged) == ("unknown", 0)

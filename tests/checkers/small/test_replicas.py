"""Replica agreement: divergence is named with nodes and numbers; doubt is unknown."""

from __future__ import annotations

import json

import pytest

from seatrial.verdict import Json, Validity, Verdict
from tests.checkers.small.tiny import anomalies, judge


def view(node: str, at: tuple[int, int] = (90, 50), **more: Json) -> str:
    """One node's fingerprint as two ops; `at` is its raft index and revision."""
    value: dict[str, Json] = {
        "node": node, "index": at[0], "revision": at[1], "hash": 7, "compact_revision": 1,
    }  # fmt: skip
    return f"i0 fingerprint; o0 fingerprint {json.dumps(value | more)}"


def check(*views: str, nodes: tuple[str, ...] = ("n1", "n2", "n3")) -> Verdict:
    """The verdict on some fingerprints."""
    return judge("replicas", "; ".join(views), nodes=nodes)


def test_equal_replicas_agree() -> None:
    """All nodes heard, at one index, one revision, one hash."""
    verdict = check(view("n1"), view("n2"), view("n3"))
    assert (verdict.verdict, verdict.judged) == (Validity.VALID, 3)


def test_only_the_last_reading_of_a_node_counts() -> None:
    """A node read while it caught up is in order once it has."""
    assert check(view("n1", (80, 40)), view("n2"), view("n3"), view("n1")).verdict.value == "valid"


def test_another_revision_at_the_same_index_is_divergence() -> None:
    """The find of etcd issue 13766: the same log, one member lacks a write."""
    verdict = check(view("n1"), view("n2", (90, 49)), view("n3"))
    assert anomalies(verdict) == ["replica-divergence"]
    assert "at the same raft index 90" in verdict.cause
    assert "n2 is at revision 49 with hash 7" in verdict.cause
    assert verdict.anomalies[0].ops == (1, 3, 5)


@pytest.mark.parametrize("more", [{"hash": 8}, {"data": "ab"}])
def test_other_data_at_the_same_revision_is_divergence(more: dict[str, Json]) -> None:
    """Hash or digest differ although the revision is the same."""
    same: dict[str, Json] = {"data": "aa"}
    verdict = check(view("n1", (90, 50), **same), view("n2", (90, 50), **(same | more)), view("n3"))
    assert anomalies(verdict) == ["replica-divergence"]
    assert "at the same revision 50" in verdict.cause


def test_the_same_divergence_is_told_once() -> None:
    """Hash and digest that both differ between the same nodes are one anomaly."""
    views = (view("n1", data="aa"), view("n2", hash=8, data="ab"), view("n3", data="aa"))
    assert anomalies(check(*views)) == ["replica-divergence"]


def test_raft_applied_is_understood_as_index() -> None:
    """Targets may name the log index `raft_applied`."""
    one = 'i0 fingerprint; o0 fingerprint {"node":"n1","raft_applied":9,"revision":5,"hash":7}'
    verdict = judge("replicas", f"{one}; {one.replace('n1', 'n2').replace('5', '4')}")
    assert verdict.verdict is Validity.INVALID


@pytest.mark.parametrize(
    ("views", "why"),
    [
        ((view("n1"), view("n2")), "no fingerprint of n3"),
        ((), "no fingerprint of n1, n2 and n3"),
        ((view("n1"), view("n2", (80, 49)), view("n3")), "still catching up"),
        ((view("n1"), view("n2", settled=False), view("n3")), "not at rest: n2"),
        ((view("n1"), view("n2", compact_revision=3, hash=8), view("n3")), "compaction"),
        ((view("n1"), view("n2"), 'i0 fingerprint; o0 fingerprint {"node":"n3"}'), "op 5"),
        ((view("n1"), view("n2"), "i0 fingerprint; o0 fingerprint 3"), "not a map"),
    ],
)
def test_doubt_is_unknown_and_says_why(views: tuple[str, ...], why: str) -> None:
    """Fewer than all nodes, nodes behind, moving or not comparable prove nothing."""
    verdict = check(*views)
    assert verdict.verdict is Validity.UNKNOWN
    assert why in verdict.cause


def test_one_node_alone_cannot_agree() -> None:
    """Without names, two nodes at least must be heard."""
    verdict = judge("replicas", view("n1"))
    assert verdict.verdict is Validity.UNKNOWN
    assert "2 are needed" in verdict.cause


def test_what_a_databases_own_check_found_is_an_anomaly_even_if_all_agree() -> None:
    """ADMIN CHECK TABLE and CHECK TABLE look at one node; a defect on it needs no other node."""
    bad = view("n2", check="accounts: 8223 data inconsistency")
    verdict = check(view("n1", check=""), bad, view("n3", check=""))
    assert anomalies(verdict) == ["failed-check"]
    assert "own check on n2 (op 3) says: accounts: 8223" in verdict.cause
    assert verdict.anomalies[0].ops == (3,)


def test_a_check_that_found_nothing_is_said() -> None:
    """The verdict counts the nodes whose own check was made."""
    verdict = check(view("n1", check=""), view("n2", check=""), view("n3"))
    assert verdict.verdict is Validity.VALID
    assert "own check found nothing on 2 nodes" in verdict.cause
    assert "own check" not in check(view("n1"), view("n2"), view("n3")).cause

"""A fault that takes one victim at a time leaves a majority that all at once would not."""

from __future__ import annotations

import pytest

from seatrial.fault import PlannedFault
from seatrial.runner.quorum import ROLLING, analyse

NODES = ("n1", "n2", "n3")


def planned(kind: str, nodes: tuple[str, ...], fault: str = "f1") -> PlannedFault:
    return PlannedFault(
        id=fault, kind=kind, victims="all", nodes=nodes, start_s=1.0, duration_s=4.0
    )


@pytest.mark.parametrize("kind", ROLLING)
def test_a_roll_over_all_nodes_keeps_a_majority(kind: str) -> None:
    (one,) = analyse([planned(kind, NODES)], NODES)

    assert (one.majority, one.impaired) == ("survives", 1)
    assert "one of n1, n2 and n3 at a time impaired: 2 of 3 remain" in one.sentence


def test_with_another_node_down_it_may_not() -> None:
    (one,) = analyse([planned("rolling-restart", NODES), planned("kill", ("n3",), "f2")], NODES)

    assert (one.majority, one.impaired) == ("may be lost", 2)

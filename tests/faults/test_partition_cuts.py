"""Which directions each shape of partition cuts: properties, and the small cases by hand."""

from __future__ import annotations

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seatrial.errors import UsageError
from seatrial.faults.partition import NODES_MIN, PARTITION, Link, Shape, cuts

SHAPES = tuple(NODES_MIN)
SYMMETRIC: tuple[Shape, ...] = ("isolate", "halves", "majorities-ring", "bridge")


def names(count: int) -> list[str]:
    return [f"n{number}" for number in range(1, count + 1)]


@st.composite
def situations(draw: st.DrawFn, fewest: int = 2) -> tuple[list[str], list[str]]:
    """Nodes, and victims among them that leave at least one node over."""
    nodes = names(draw(st.integers(fewest, 9)))
    count = draw(st.integers(1, len(nodes) - 1))
    return nodes, draw(st.permutations(nodes))[:count]


def sees(found: frozenset[Link], nodes: list[str], node: str) -> set[str]:
    """The nodes that `node` exchanges packets with both ways, itself included."""
    return {other for other in nodes if not {(node, other), (other, node)} & found}


@given(situations(fewest=4), st.sampled_from(SHAPES))
def test_every_cut_is_a_link_between_two_nodes(
    situation: tuple[list[str], list[str]], shape: Shape
) -> None:
    nodes, victims = situation
    found = cuts(shape, nodes, victims)
    assert found and found <= set(permutations(nodes, 2))


@given(situations(fewest=4), st.sampled_from(SYMMETRIC))
def test_shapes_that_cut_both_ways_are_symmetric(
    situation: tuple[list[str], list[str]], shape: Shape
) -> None:
    found = cuts(shape, *situation)
    assert {(b, a) for a, b in found} == found


@given(situations())
def test_an_isolated_victim_sees_itself_only(situation: tuple[list[str], list[str]]) -> None:
    nodes, victims = situation
    found = cuts("isolate", nodes, victims)
    rest = set(nodes) - set(victims)
    for node in nodes:
        assert sees(found, nodes, node) == ({node} if node in victims else rest)


@given(situations())
def test_halves_see_their_own_side_only(situation: tuple[list[str], list[str]]) -> None:
    nodes, victims = situation
    found = cuts("halves", nodes, victims)
    for node in nodes:
        side = set(victims) if node in victims else set(nodes) - set(victims)
        assert sees(found, nodes, node) == side


@given(st.integers(4, 15))
def test_in_a_ring_every_node_sees_another_majority(count: int) -> None:
    nodes = names(count)
    found = cuts("majorities-ring", nodes, [])
    views = [frozenset(sees(found, nodes, node)) for node in nodes]
    assert len(set(views)) == count
    assert all(count / 2 < len(view) < count for view in views)


@given(situations(fewest=3))
def test_a_bridge_joins_two_halves_that_do_not_meet(
    situation: tuple[list[str], list[str]],
) -> None:
    nodes, victims = situation
    found = cuts("bridge", nodes, victims)
    (bridge,) = [node for node in nodes if sees(found, nodes, node) == set(nodes)]
    assert bridge in victims
    sides = {frozenset(sees(found, nodes, node) - {bridge}) for node in nodes if node != bridge}
    assert len(sides) == 2
    assert abs(len(max(sides, key=len)) - len(min(sides, key=len))) <= 1


@given(situations())
def test_one_way_shapes_are_the_two_directions_of_halves(
    situation: tuple[list[str], list[str]],
) -> None:
    nodes, victims = situation
    into, out = cuts("one-way-in", nodes, victims), cuts("one-way-out", nodes, victims)
    assert into | out == cuts("halves", nodes, victims)
    assert into == {(b, a) for a, b in out}
    assert {b for _, b in into} == set(victims)


def test_small_cases_by_hand() -> None:
    assert cuts("isolate", names(2), ["n1"]) == {("n1", "n2"), ("n2", "n1")}
    assert cuts("one-way-in", names(3), ["n1"]) == {("n2", "n1"), ("n3", "n1")}
    assert cuts("bridge", names(3), ["n2"]) == {("n1", "n3"), ("n3", "n1")}
    assert cuts("majorities-ring", names(4), []) == {
        ("n1", "n3"),
        ("n3", "n1"),
        ("n2", "n4"),
        ("n4", "n2"),
    }


@pytest.mark.parametrize("shape", SHAPES)
def test_a_shape_that_would_cut_nothing_is_an_error(shape: Shape) -> None:
    with pytest.raises(UsageError, match=f"needs at least {NODES_MIN[shape]} nodes, there are 1"):
        cuts(shape, ["n1"], ["n1"])
    if shape not in ("majorities-ring",):
        with pytest.raises(UsageError, match="victims none cuts no link"):
            cuts(shape, names(5), [])
    if shape in ("halves", "one-way-in", "one-way-out"):
        with pytest.raises(UsageError, match="cuts no link"):
            cuts(shape, names(3), names(3))


def test_unavailable_says_why_and_what_to_do() -> None:
    three = names(3)
    assert PARTITION.unavailable("namespace", three, {"shape": "bridge"}) == ""
    assert "isolation namespace" in PARTITION.unavailable("none", three, {})
    assert "needs at least 4 nodes, there are 3" in PARTITION.unavailable(
        "namespace", three, {"shape": "majorities-ring"}
    )
    assert "option 'shape'" in PARTITION.unavailable("namespace", three, {"shape": "star"})
    assert "option 'form'" in PARTITION.unavailable("namespace", three, {"form": "bridge"})

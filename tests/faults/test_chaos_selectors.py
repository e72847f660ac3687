"""Selectors and modes: what is written, and what would match nothing, or everything."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args

import pytest
from pydantic import ValidationError

from seatrial.errors import UsageError
from seatrial.faults.chaos import (
    Experiment,
    Expression,
    MachineSelector,
    MachineVictims,
    Selector,
    Victims,
    machines,
    pod,
    pods,
)
from seatrial.faults.chaos.machine.process import Process
from seatrial.faults.chaos.selector import Mode

NODES = Selector(nodes=("worker-1",))
LABELS = {"app": "etcd"}


def test_every_criterion_is_written() -> None:
    whole = Selector(
        namespaces=("trial",),
        label_selectors=LABELS,
        expression_selectors=(
            Expression(key="tier", operator="In", values=("db", "cache")),
            Expression(key="drain", operator="DoesNotExist"),
        ),
        annotation_selectors={"chaos": "yes"},
        field_selectors={"spec.nodeName": "worker-1"},
        pod_phase_selectors=("Running",),
        nodes=("worker-1",),
        node_selectors={"zone": "a"},
    )
    assert whole.to_json() == {
        "namespaces": ["trial"],
        "labelSelectors": {"app": "etcd"},
        "expressionSelectors": [
            {"key": "tier", "operator": "In", "values": ["db", "cache"]},
            {"key": "drain", "operator": "DoesNotExist"},
        ],
        "annotationSelectors": {"chaos": "yes"},
        "fieldSelectors": {"spec.nodeName": "worker-1"},
        "podPhaseSelectors": ["Running"],
        "nodes": ["worker-1"],
        "nodeSelectors": {"zone": "a"},
    }
    assert pods("trial", ["b", "a"]).to_json() == {
        "mode": "all",
        "selector": {"pods": {"trial": ["a", "b"]}},
    }


def test_machines_are_selected_or_addressed() -> None:
    assert machines("trial", ["m2", "m1"]).to_json() == {
        "mode": "all",
        "selector": {"physicalMachines": {"trial": ["m1", "m2"]}},
    }
    assert MachineVictims(addresses=("http://10.0.0.1:31767",), mode="one").to_json() == {
        "mode": "one",
        "address": ["http://10.0.0.1:31767"],
    }
    described = MachineSelector(
        namespaces=("trial",),
        label_selectors=LABELS,
        annotation_selectors={"a": "b"},
        field_selectors={"metadata.name": "m1"},
        expression_selectors=(Expression(key="tier", operator="Exists"),),
    )
    assert set(described.to_json()) == {
        "namespaces",
        "labelSelectors",
        "annotationSelectors",
        "fieldSelectors",
        "expressionSelectors",
    }


@pytest.mark.parametrize(
    ("mode", "value", "written"),
    [
        ("one", None, None),
        ("all", None, None),
        ("fixed", 2, "2"),
        ("fixed-percent", 50, "50"),
        ("random-max-percent", 100, "100"),
    ],
)
def test_the_value_of_a_mode_is_text(mode: Any, value: int | None, written: str | None) -> None:
    assert Victims(selector=NODES, mode=mode, value=value).to_json().get("value") == written


def test_there_are_five_modes() -> None:
    assert len(get_args(Mode)) == 5


@pytest.mark.parametrize("mode", ["one", "all"])
def test_a_value_means_nothing_to_one_and_all(mode: Any) -> None:
    with pytest.raises(UsageError, match=rf"mode '{mode}' takes no value \(was 1"):
        Victims(selector=NODES, mode=mode, value=1)


@pytest.mark.parametrize("mode", ["fixed", "fixed-percent", "random-max-percent"])
@pytest.mark.parametrize("value", [None, 0, -1])
def test_nobody_is_no_choice(mode: Any, value: int | None) -> None:
    """A minority of one node is none: nothing would happen, and the trial would look green."""
    with pytest.raises(UsageError, match=f"mode '{mode}' needs a"):
        Victims(selector=NODES, mode=mode, value=value)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (
            lambda: Victims.model_validate(
                {"selector": {"nodes": ["a"]}, "mode": "fixed-percent", "value": 33.3}
            ),
            r"valid integer \(was 33.3\)",
        ),
        (lambda: Victims(selector=NODES, mode="fixed-percent", value=101), "1 to 100"),
        (
            lambda: Victims.model_validate({"selector": {"nodes": ["a"]}, "mode": "fixd"}),
            "'mode': .*was 'fixd'",
        ),
        (
            lambda: Victims.model_validate({"selector": {"node": ["a"]}}),
            "selector: there is no field 'node' .*\n\nhint: did you mean 'nodes'",
        ),
        (lambda: Victims.model_validate({"selector": {"nodes": ["a"]}, "value": "2"}), "was '2'"),
        (Selector, "no criterion would take every pod"),
        (lambda: Selector(namespaces=("trial",)), "namespaces would take every pod"),
        (lambda: Selector(namespaces=("t",), pod_phase_selectors=("Running",)), "every pod"),
        (
            lambda: Selector(pods={"t": ("a",)}, label_selectors=LABELS, nodes=("w",)),
            "'pods' stands alone, Chaos Mesh would ignore label_selectors, nodes",
        ),
        (lambda: pods("trial", []), "'pods.trial'"),
        (lambda: Selector(pods={}), "no criterion"),
        (lambda: Selector.model_validate({"pod_phase_selectors": ["Up"]}), "was 'Up'"),
        (lambda: Expression(key="a", operator="In"), "operator 'In' needs values"),
        (
            lambda: Expression(key="a", operator="Exists", values=("b",)),
            "operator 'Exists' takes no values",
        ),
        (lambda: MachineSelector(namespaces=("t",)), "namespaces would take every machine"),
        (
            lambda: MachineSelector(physical_machines={"t": ("m",)}, label_selectors=LABELS),
            "'physical_machines' stands alone, Chaos Mesh would ignore label_selectors",
        ),
        (MachineVictims, "both missing"),
        (
            lambda: MachineVictims(
                addresses=("http://m",), selector=MachineSelector(label_selectors=LABELS)
            ),
            "both given",
        ),
        (
            lambda: Experiment(
                name="x", namespace="t", action=pod.PodKill(), on=machines("t", ["m"]), duration_s=1
            ),
            "PodChaos pod-kill acts on pods",
        ),
        (
            lambda: Experiment(
                name="x",
                namespace="t",
                action=Process(process="etcd", signal=9),
                on=pods("t", ["n1"]),
                duration_s=1,
            ),
            "PhysicalMachineChaos process acts on machines",
        ),
        (
            lambda: Experiment(
                name="x", namespace="t", action=pod.PodKill(), on=pods("t", ["a"]), duration_s=0
            ),
            "'duration_s'",
        ),
    ],
)
def test_what_matches_nothing_or_everything_is_refused(
    make: Callable[[], object], words: str
) -> None:
    with pytest.raises(UsageError, match=words) as error:
        make()
    assert "\n\nhint: " in str(error.value)


def test_values_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        NODES.nodes = ("other",)

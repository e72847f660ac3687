"""NetworkChaos as values: what is written, and what is refused before anything starts."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from seatrial.errors import UsageError
from seatrial.fault import PlannedFault
from seatrial.faults.chaos import Experiment, experiment, network, pods

FAULT = PlannedFault(id="F1_Net", kind="delay", victims="one", start_s=1, duration_s=3.25)


def test_a_delay_is_written_with_units() -> None:
    peers = pods("trials", ["n3", "n2"])
    action = network.Delay(latency_ms=50, jitter_ms=1.5, direction="both", target=peers)
    made = experiment(FAULT, "trials", action, pods("trials", ["n1"])).manifest()

    assert made == {
        "apiVersion": "chaos-mesh.org/v1alpha1",
        "kind": "NetworkChaos",
        "metadata": {
            "name": "f1-net",
            "namespace": "trials",
            "labels": {
                "app.kubernetes.io/managed-by": "seatrial",
                "seatrial/fault": "f1-net",
                "seatrial/kind": "delay",
            },
        },
        "spec": {
            "action": "delay",
            "direction": "both",
            "target": {"mode": "all", "selector": {"pods": {"trials": ["n2", "n3"]}}},
            "delay": {"latency": "50ms", "jitter": "1500us", "correlation": "0"},
            "duration": "3250ms",
            "mode": "all",
            "selector": {"pods": {"trials": ["n1"]}},
        },
    }


def test_rate_and_reorder_are_written_as_the_actions_that_the_crd_knows() -> None:
    """The CRD's list of actions has neither."""
    assert network.Rate(bits_per_s=1_000_000).spec() == {
        "action": "netem",
        "direction": "to",
        "rate": {"rate": "125000bps"},
    }
    assert network.Reorder(latency_ms=10, percent=12.5, gap=3).spec() == {
        "action": "delay",
        "direction": "to",
        "delay": {
            "latency": "10ms",
            "reorder": {"reorder": "12.5", "correlation": "0", "gap": 3},
        },
    }


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: network.Delay.model_validate({"latncy_ms": 3}), "did you mean 'latency_ms'"),
        (lambda: network.Delay.model_validate({"latency_ms": "50ms"}), r"was '50ms'"),
        (lambda: network.Delay(latency_ms=float("nan")), "finite"),
        (
            lambda: network.Loss.model_validate({"percent": 5, "latency_ms": 3}),
            "'latency_ms' .* belongs to NetworkChaos delay, NetworkChaos netem, NetworkChaos r",
        ),
        (lambda: network.Loss(percent=0), "greater than or equal to 0.001"),
        (lambda: network.Loss(percent=101), r"less than or equal to 100 \(was 101\)"),
        (lambda: network.Rate(bits_per_s=12), "multiple of 8"),
        (lambda: network.Partition(direction="from"), "direction 'from' needs a target"),
        (
            lambda: network.Loss(percent=5, direction="both", external_targets=("db.example",)),
            "external_targets are no such",
        ),
        (
            lambda: network.Loss(
                percent=5,
                direction="from",
                external_targets=("db.example",),
                target=pods("trials", ["n2"]),
            ),
            "external_targets cannot be used with direction 'from'",
        ),
        (lambda: network.Delay(latency_ms=5, target_device="eth1"), "needs a target"),
        (lambda: network.Bandwidth(bits_per_s=8, peak_burst_bytes=1500), "belong together"),
        (
            lambda: Experiment(name="x", namespace="t", action=network.Loss(percent=5)),  # type: ignore[call-arg]
            "'duration_s' is missing",
        ),
        (
            lambda: Experiment(
                name="x", namespace="t", action=network.Loss(percent=5), duration_s=1
            ),
            "acts on pods, 'on' was None",
        ),
    ],
)
def test_what_is_wrong_is_said_before_anything_starts(
    make: Callable[[], object], words: str
) -> None:
    with pytest.raises(UsageError, match=words) as error:
        make()
    assert "\n\nhint: " in str(error.value)
    assert error.value.exit_code >= 64


def test_a_partition_reaches_the_outside_in_every_direction() -> None:
    spec = network.Partition(direction="both", external_targets=("10.0.0.0/8",)).spec()
    assert spec["externalTargets"] == ["10.0.0.0/8"]

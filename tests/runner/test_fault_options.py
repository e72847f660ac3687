"""Options of single kinds of faults from the command line."""

from __future__ import annotations

import pytest

from seatrial.cases import case
from seatrial.errors import SeatrialError
from seatrial.runner.planner import Overrides, make_plan
from seatrial.schedule import Flapping, Schedule


def planned(*texts: str, faults: tuple[str, ...] = ("delay", "kill")) -> Overrides:
    return Overrides(faults=faults, fault_options=texts, time_limit_s=120.0)


def test_an_option_reaches_every_fault_of_its_kind_and_no_other() -> None:
    plan = make_plan(
        case("etcd-register"), 1, planned("delay.latency_ms=200", "delay.victims=leader")
    )

    kinds = {fault.kind for fault in plan.faults}
    assert kinds == {"delay", "kill"}
    for fault in plan.faults:
        if fault.kind == "delay":
            assert (fault.options["latency_ms"], fault.victims) == (200, "leader")
        else:
            assert fault.options == {}
    assert "--fault-option delay.latency_ms=200" in plan.repeat


def test_option_sets_of_the_case_keep_what_is_not_named() -> None:
    plan = make_plan(
        case("etcd-register"), 1, planned("partition.duration_s=2,3", faults=("partition",))
    )

    assert all(2 <= fault.duration_s <= 3 for fault in plan.faults)
    assert {str(fault.options["shape"]) for fault in plan.faults} >= {"isolate"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("delay", "is no KIND.NAME=VALUE"),
        ("delay.latency_ms=", "is no KIND.NAME=VALUE"),
        ("dealy.latency_ms=2", "did you mean 'delay'"),
        ("loss.percent=2", "not among the faults"),
        ("delay.latncy=2", "latncy"),
        ("delay.latency_ms=fast", "latency_ms"),
        ("kill.victims=laeder", "matches no node"),
        ("kill.duration_s=soon", "seconds, or the least and the most"),
        ("kill.duration_s=-1", "0 < low"),
    ],
)
def test_what_cannot_be_is_said_before_anything_starts(text: str, words: str) -> None:
    with pytest.raises(SeatrialError, match=words):
        make_plan(case("etcd-register"), 1, planned(text))


def test_a_pattern_that_sets_its_options_itself_is_not_changed_silently() -> None:
    flapping = Flapping(kind="kill", victims="one")
    found = case("etcd-register").model_copy(update={"schedule": Schedule(pattern=flapping)})

    with pytest.raises(SeatrialError, match="the case's pattern sets what 'kill' does itself"):
        make_plan(found, 1, Overrides(fault_options=("kill.victims=leader",)))

"""Every name in a catalogue leads to something that keeps its contract."""

from __future__ import annotations

import pytest

from seatrial.case import Case
from seatrial.cases import CASES, case
from seatrial.catalogue import Catalogue
from seatrial.checkers import CHECKERS, make
from seatrial.errors import UnknownName
from seatrial.faults import FAULTS, kind
from seatrial.targets import TARGETS
from seatrial.workloads import WORKLOADS
from seatrial.workloads import make as make_workload

ALL = {
    "case": CASES,
    "checker": CHECKERS,
    "fault": FAULTS,
    "target": TARGETS,
    "workload": WORKLOADS,
}


@pytest.mark.parametrize("name", CASES)
def test_each_case_is_whole(name: str) -> None:
    found: Case = case(name)

    assert found.name == name
    assert found.workload in WORKLOADS
    assert found.target in TARGETS
    assert all(choice.kind in FAULTS for choice in found.schedule.choices)
    assert all(checker in CHECKERS for checker in found.checkers)


@pytest.mark.parametrize("name", CHECKERS)
def test_each_checker_goes_by_its_name(name: str) -> None:
    assert make(name).name == name


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_goes_by_its_name(name: str) -> None:
    assert kind(name).name == name
    assert kind(name).touches in {
        "process",
        "network",
        "disk",
        "cpu",
        "memory",
        "clock",
        "data",
    }


@pytest.mark.parametrize("name", WORKLOADS)
def test_each_workload_names_checkers_that_exist(name: str) -> None:
    workload = make_workload(name)

    assert workload.name == name
    assert workload.fs
    assert all(checker in CHECKERS for checker in workload.checkers())


@pytest.mark.parametrize("what", ALL)
def test_a_misspelt_name_gets_a_suggestion(what: str) -> None:
    shelf: Catalogue = ALL[what]
    name = next(iter(shelf))

    with pytest.raises(UnknownName, match=f"{what} '{name}x' .*\n\nhint: did you mean") as caught:
        _ = shelf[f"{name}x"]

    assert caught.value.exit_code == 64

"""Figures for metrics: the longest recovery that was measured, and plain values in files."""

from __future__ import annotations

import pytest

from seatrial.runner.judge import Judgement
from seatrial.runner.part import Part
from seatrial.runner.steps.figures import NOT_KNOWN, recovery_s
from seatrial.verdict import Json, Validity


def judged(*parts: dict[str, Json]) -> Judgement:
    return Judgement(
        Validity.VALID,
        "all in order",
        {},
        steady_states=tuple(
            Part(f"s{number}", Validity.VALID, "", document)
            for number, document in enumerate(parts)
        ),
    )


@pytest.mark.parametrize(
    ("stretches", "expected"),
    [
        ({"during": {"value": 2.5}, "after": {"value": 1}}, 2.5),
        ({"during": {"value": None}}, NOT_KNOWN),
        ({"during": {"value": float("inf")}}, NOT_KNOWN),
        (None, NOT_KNOWN),
    ],
)
def test_the_longest_recovery_counts(stretches: Json, expected: float) -> None:
    other: dict[str, Json] = {"metric": "latency_ms", "stretches": {"during": {"value": 99.0}}}

    found = recovery_s(judged(other, {"metric": "recovery_s", "stretches": stretches}))

    assert found == expected

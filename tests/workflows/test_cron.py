"""Schedules are read as Argo reads them: what passes here passes its CRD as well."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from seatrial.workflows.cron import problem
from tests.workflows.sample import made
from tests.workflows.validator import VALIDATOR, refused

GOOD = (
    "0 2 * * *",
    "*/10 * * * *",
    "0,30 2-4 1-7/2 jan-MAR,12 Mon,fri",
    "59 23 31 12 6",
    "5/15 ? * * ?",
    "@daily",
    "@every 1h30m",
    " 0 2 * * * ",
)
BAD = (
    ("", "0 fields"),
    ("0 2 * *", "4 fields"),
    ("0 2 * * * *", "6 fields"),
    ("99 99 99 99 99", "minute '99'"),
    ("60 * * * *", "minute '60'"),
    ("0 24 * * *", "hour '24'"),
    ("0 0 0 * *", "day '0'"),
    ("0 0 * 13 *", "month '13'"),
    ("0 0 * * 7", "weekday '7'"),
    ("a b c d e", "minute 'a'"),
    ("0 0 * * mon-sun", "weekday 'mon-sun'"),
    ("5-1 * * * *", "minute '5-1'"),
    ("*/0 * * * *", "minute '*/0'"),
    ("1,,2 * * * *", "minute ''"),
    ("@every foo", "@every 30m"),
    ("@fortnightly", "@every 30m"),
)


@pytest.mark.parametrize("schedule", GOOD)
def test_a_schedule_is_taken(schedule: str) -> None:
    assert problem(schedule) == ""


@pytest.mark.parametrize(("schedule", "wrong"), BAD)
def test_what_is_no_schedule_is_told_by_its_field(schedule: str, wrong: str) -> None:
    assert re.search(re.escape(wrong), problem(schedule))


@pytest.mark.skipif(not VALIDATOR, reason="SEATRIAL_CRD_VALIDATOR names no CRD validator")
def test_the_crd_takes_what_is_taken_here(tmp_path: Path) -> None:
    document = made("any-trial-cron")
    schedules = [schedule.strip() for schedule in GOOD]

    assert (
        refused(tmp_path, {**document, "spec": {**document["spec"], "schedules": schedules}}) == ""
    )

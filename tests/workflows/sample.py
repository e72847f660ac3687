"""Plans and settings that the tests of this folder render."""

from __future__ import annotations

from functools import cache

from seatrial import cases
from seatrial.plan import Plan
from seatrial.runner.planner import Overrides, make_plan
from seatrial.workflows.settings import Settings

SETTINGS = Settings(ticket="DB-17", labels={"team": "storage"})


@cache
def plan(case: str = "etcd-register", seed: int = 7, *faults: str) -> Plan:
    """The plan of a case on the cluster; without `faults` those of the case."""
    return make_plan(cases.case(case), seed, Overrides(engine="argo", faults=faults or None))

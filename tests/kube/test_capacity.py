"""A plan that no Workflow can carry is refused before anything is made, and says what would do."""

from __future__ import annotations

import asyncio
import re

import pytest
from click.testing import CliRunner

from seatrial.cases import CASES, case
from seatrial.cli.main import cli
from seatrial.engine.argo import capacity
from seatrial.engine.argo.site import ENGINE
from seatrial.errors import Unavailable
from seatrial.plan import Plan
from seatrial.runner.planner import Overrides, make_plan

CROWDED = "etcd-replicas-kill"


def plan(name: str, limit_s: float | None = None) -> Plan:
    return make_plan(case(name), 5, Overrides(engine="argo", time_limit_s=limit_s))


@pytest.mark.parametrize("name", [one for one in CASES if one != CROWDED])
def test_every_other_case_fits(name: str) -> None:
    assert capacity.too_much(plan(name)) == ""


def test_seventy_pods_of_faults_at_once_are_refused_and_the_hint_helps() -> None:
    crowded = plan(CROWDED)
    with pytest.raises(Unavailable, match="77 faults are 77 pods at once, and 25 are") as caught:
        capacity.refuse(crowded)

    found = re.search(r"--time-limit (\d+)s", str(caught.value))
    assert found is not None
    assert capacity.too_much(plan(CROWDED, float(found[1]))) == ""


def test_preflight_refuses_it_before_it_speaks_to_the_cluster() -> None:
    with pytest.raises(Unavailable, match="too much for one Workflow"):
        asyncio.run(ENGINE.preflight(plan(CROWDED)))


def test_render_and_submit_refuse_it() -> None:
    for command in ("render", "submit"):
        done = CliRunner().invoke(cli, [command, CROWDED, "--seed", "5"], standalone_mode=False)
        assert isinstance(done.exception, Unavailable) and done.output == ""


def test_a_status_grows_with_copies_that_are_farther_back_than_gzip_looks() -> None:
    """105 nodes with a plan of 52 KB were 0.98 MB packed; a small plan's copies cost nothing."""
    crowded, small = plan(CROWDED), plan("etcd-register")

    assert 800_000 < capacity.status_bytes(crowded) < 1_400_000
    assert capacity.status_bytes(small) < 50_000


def test_a_plan_that_is_long_for_other_reasons_is_refused_too() -> None:
    long = plan("etcd-register").model_copy(update={"title": "x" * capacity.PLAN_BYTES_MAX})

    assert "its plan has" in capacity.too_much(long)

"""Coverage counts what proved something, and names what nothing covers."""

from __future__ import annotations

import datetime
import json
from pathlib import Path

import pytest

from seatrial.cases import case
from seatrial.cli import main
from seatrial.runner import store
from seatrial.runner.covering import Cell, cover
from seatrial.runner.planner import Overrides, make_plan
from seatrial.verdict import Json

HEALED: dict[str, Json] = {"kind": "kill", "role": "leader", "verdict": "valid", "skipped": ""}


def stored(
    tmp_path: Path, faults: list[dict[str, Json]], *, stats: str = "valid", status: str = "finished"
) -> None:
    """A stored trial of `etcd-register` with these faults in its verdict."""
    plan = make_plan(case("etcd-register"), 7, Overrides(faults=()))
    now = datetime.datetime(2026, 11, 21, tzinfo=datetime.UTC)
    folder = store.create(tmp_path, plan.case, plan.seed, now)
    folder.plan.write_text(plan.to_text())
    store.write_record(folder, status, now)
    verdict = {"checkers": {"stats": {"verdict": stats}}, "faults": faults}
    folder.verdict.write_text(json.dumps(verdict))


def test_faults_that_acted_and_healed_are_counted_by_role(tmp_path: Path) -> None:
    stored(tmp_path, [HEALED, HEALED, {**HEALED, "kind": "pause", "role": "one"}])
    stored(tmp_path, [HEALED])

    found = cover(tmp_path)

    assert found.trials == 2
    assert found.faults == {
        Cell("etcd", "register", "kill", "leader"): 3,
        Cell("etcd", "register", "pause", "one"): 1,
    }


@pytest.mark.parametrize(
    ("faults", "how"),
    [
        ([{**HEALED, "verdict": "unknown"}], {}),
        ([{**HEALED, "skipped": "the ramp had its answer"}], {}),
        ([HEALED], {"stats": "unknown"}),
        ([HEALED], {"status": "interrupted"}),
    ],
)
def test_what_proves_nothing_covers_nothing(
    tmp_path: Path, faults: list[dict[str, Json]], how: dict[str, str]
) -> None:
    stored(tmp_path, faults, **how)

    assert not cover(tmp_path).faults


def test_the_holes_are_all_that_is_not_covered(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stored(tmp_path, [HEALED])

    assert main(["coverage", "--store", str(tmp_path), "--json"]) == 0

    document = json.loads(capsys.readouterr().out)
    holes = {tuple(hole.values()) for hole in document["holes"]}
    assert ("etcd", "register", "kill", "leader") not in holes
    assert {
        ("etcd", "register", "kill", "follower"),
        ("etcd", "append", "kill", "leader"),
        ("etcd", "register", "partition", "minority"),
    } <= holes
    assert document["covered"] == [
        {"target": "etcd", "workload": "register", "kind": "kill", "role": "leader", "faults": 1}
    ]


def test_the_table_names_what_was_never_tried(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stored(tmp_path, [HEALED])
    stored(tmp_path, [HEALED], stats="unknown")

    assert main(["coverage", "--store", str(tmp_path)]) == 0

    said = capsys.readouterr().out
    assert said.startswith("1 trial counts (left out: 1 vacuous)\n")
    (row,) = [line.split() for line in said.splitlines() if line.startswith("  kill ")]
    assert row == ["kill", "·", "·", "·", "·", "1", "·"]
    assert "etcd, never tried with faults: append, set, replicas" in said


def test_an_empty_store_is_all_holes(tmp_path: Path) -> None:
    found = cover(tmp_path / "nothing")

    assert found.trials == 0
    assert len(found.holes()) > 100

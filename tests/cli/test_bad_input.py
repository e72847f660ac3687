"""Bad input gets a clear error, a hint, and an exit status of 64 and up; it loses nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from seatrial.cli import main

PLAN = ["plan", "etcd-register"]


@pytest.mark.parametrize(
    ("arguments", "wrong", "hint"),
    [
        (["pln"], "there is no command 'pln'", "did you mean 'plan'?"),
        (["plan", "etcd-regster"], "case 'etcd-regster'", "did you mean 'etcd-register'?"),
        ([*PLAN, "--faults", "kil"], "fault 'kil'", "did you mean 'kill'?"),
        ([*PLAN, "--faults", "kill,partitoin"], "'partitoin'", "did you mean 'partition'?"),
        ([*PLAN, "--faults", ""], "names no fault", "--faults none"),
        ([*PLAN, "--fault", "kill"], "--fault", "did you mean '--faults'?"),
        ([*PLAN, "--target", "etdc"], "target 'etdc'", "did you mean 'etcd'?"),
        ([*PLAN, "--engine", "lap"], "'lap'", "did you mean 'lab'?"),
        ([*PLAN, "--nodes", "2"], "2 nodes", "--nodes"),
        ([*PLAN, "--nodes", "0"], "0 nodes", "--nodes"),
        ([*PLAN, "--time-limit", "0"], "time limit of 0 s", "--time-limit 60s"),
        ([*PLAN, "--time-limit", "3s"], "no fault fits", "--faults none"),
        ([*PLAN, "--time-limit", "60x"], "'60x' is not a duration", "60s, 1.5m"),
        ([*PLAN, "--time-limit", "-5s"], "'-5s' is not a duration", "60s"),
        ([*PLAN, "--concurrency", "0"], "concurrency 0", "--concurrency"),
        ([*PLAN, "--rate", "-1"], "rate -1", "0 for flat out"),
        ([*PLAN, "--rate", "nan"], "rate nan", "0 for flat out"),
        ([*PLAN, "--rate", "inf"], "rate inf", "0 for flat out"),
        ([*PLAN, "--seed", "-1"], "seed -1", ""),
        ([*PLAN, "--seed", "seven"], "'seven'", ""),
        ([*PLAN, "--isolation", "none"], "fault 'partition' cannot be done", ""),
        (["plan"], "CASE", "--help"),
        (["list", "case"], "'case'", "did you mean 'cases'?"),
        (["canary", "--seeds", "0"], "0 seeds", ""),
        (["canary", "--bugs", "lost-updat"], "'lost-updat'", "did you mean 'lost-update'?"),
        (["check"], "PATHS", "--help"),
        (["stop"], "a workflow, --campaign, --all or --lift", "seatrial stop NAME"),
        (["stop", "--all", "--lift"], "--all or --lift: one of them", "seatrial stop NAME"),
        (["check", "x.edn", "--checker", "linearisable"], "'linearisable'", "'linearizable'?"),
        (["check", "x.edn", "--memory", "much"], "'much' is not a size", "4GiB"),
    ],
)
def test_what_is_typed_wrong_is_named_with_a_hint(
    arguments: list[str], wrong: str, hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status = main(arguments)

    out, err = capsys.readouterr()
    assert status == 64
    assert out == ""
    assert err.startswith("seatrial: ")
    assert wrong in err
    assert hint in err
    assert "Traceback" not in err


def test_a_file_that_is_not_there_is_no_input(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = main(["check", str(tmp_path / "nothing.edn"), "--checker", "stats"])

    assert status == 66
    assert "nothing.edn" in capsys.readouterr().err


def test_a_store_that_cannot_be_written_says_so_before_anything_starts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "file"
    file.write_text("in the way")

    status = main(["run", "etcd-register", "--faults", "none", "--store", str(file)])

    err = capsys.readouterr().err
    assert status == 73
    assert "cannot make a trial folder" in err
    assert "hint: another --store" in err


def test_an_etcd_that_does_not_start_says_so_before_anything_starts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    binary = tmp_path / "etcd"
    binary.write_text("#!/bin/sh\necho not today >&2\nexit 3\n")
    binary.chmod(0o755)
    store = tmp_path / "trials"

    status = main(["run", "etcd-register", "--etcd", str(binary), "--store", str(store)])

    err = capsys.readouterr().err
    assert status == 69
    assert "not today" in err
    assert not store.exists()


def test_errors_with_json_are_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    status = main([*PLAN, "--nodes", "2", "--json"])

    document = json.loads(capsys.readouterr().out)
    assert document["exit_status"] == status == 64
    assert "2 nodes" in document["error"]


def test_the_same_seed_prints_the_same_bytes(capsys: pytest.CaptureFixture[str]) -> None:
    printed = []
    for _ in range(2):
        assert main([*PLAN, "--seed", "7", "--json"]) == 0
        printed.append(capsys.readouterr().out)

    assert printed[0] == printed[1]
    assert json.loads(printed[0])["seed"] == 7


def test_another_seed_prints_another_plan(capsys: pytest.CaptureFixture[str]) -> None:
    main([*PLAN, "--seed", "7"])
    first = capsys.readouterr().out
    main([*PLAN, "--seed", "8"])

    assert capsys.readouterr().out != first


@pytest.mark.parametrize("case", ["etcd-register", "etcd-append", "etcd-set", "etcd-replicas-kill"])
def test_a_plan_fits_a_terminal_of_80_columns(
    case: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["plan", case, "--seed", "3"]) == 0

    assert max(map(len, capsys.readouterr().out.splitlines())) <= 80


@pytest.mark.parametrize(
    "command",
    [
        "run",
        "plan",
        "check",
        "report",
        "export",
        "list",
        "canary",
        "stop",
        "reap",
        "coverage",
        "doctor",
    ],
)
def test_every_command_has_help_with_an_example_and_json(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([command, "--help"]) == 0

    out = capsys.readouterr().out
    assert f"Example: seatrial {command}" in " ".join(out.split())
    assert "--json" in out


def test_a_defect_of_the_tool_never_exits_as_invalid(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("no locator available")

    monkeypatch.setattr("seatrial.cli.planning.make_plan", fail)

    assert main([*PLAN, "--json"]) == 70
    said = json.loads(capsys.readouterr().out)
    assert said["exit_status"] == 70
    assert "RuntimeError: no locator available" in said["error"]

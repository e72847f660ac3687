"""Settings of single checkers on the command line: `--option CHECKER.NAME=VALUE`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from seatrial.checker import CheckOptions
from seatrial.checkers import CHECKERS, make
from seatrial.checkers.linearizable import FAMILIES
from seatrial.checkers.options import OPTIONS, read
from seatrial.cli.main import main
from seatrial.errors import SeatrialError, UsageError
from seatrial.verdict import Json

BANK = (
    '{"process": 0, "type": "invoke", "f": "read", "value": null, "time": 0}\n'
    '{"process": 0, "type": "ok", "f": "read", "value": {"0": 60, "1": 40}, "time": 5000000000}\n'
)


@pytest.fixture
def bank(tmp_path: Path) -> str:
    """A history of one read of 100 in two accounts, which took five seconds."""
    path = tmp_path / "bank.jsonl"
    path.write_text(BANK)
    return str(path)


@pytest.mark.parametrize(
    ("said", "status"),
    [
        (["bank.total=100"], 0),
        (["bank.total=99.5"], 1),
        (["bank.accounts=0,1"], 0),
        (['bank.accounts=["0", 1]', "bank.total=100"], 0),
        (["bank.accounts=0,1,2"], 0),
        (["bank.accounts=0"], 1),
        (["availability.min-fraction=0.5"], 0),
        (["availability.max_gap_s=6"], 0),
        (["availability.max_gap_s=4"], 1),
        (["unique-ids.empty=jepsen"], 0),
        (["unique-ids.empty=unknown"], 2),
    ],
)
def test_settings_reach_their_checker(bank: str, said: list[str], status: int) -> None:
    """The exit status is the verdict's."""
    arguments = [part for option in said for part in ("--option", option)]
    assert main(["check", bank, *arguments]) == status


@pytest.mark.parametrize(
    ("said", "hint"),
    [
        (["--option", "availabilty.min_fraction=1"], "did you mean 'availability'"),
        (["--option", "availability.min_fracton=1"], "did you mean 'min_fraction'"),
        (["--option", "availability.min_fraction=a"], "of all ops that must be answered"),
        (["--option", "availability.min_fraction=NaN"], "of all ops that must be answered"),
        (["--option", "availability.min_fraction=99"], "from 0 to 1"),
        (["--option", "availability=1"], "--option availability.min_fraction=0.99"),
        (["--option", "kafka.sub_via=subscription"], "'assign' or 'subscribe'"),
        (["--option", "kafka.ww_deps=1"], "offsets order transactions"),
        (["--option", "stats.min_ok=-1"], "`ok` ops of each kind"),
        (["--option", "monotonic.total=1"], "seatrial check --help"),
        (["--option", "lock.ttl_s=1", "--checker", "bank"], "--checker bank,lock"),
        (["--option", "bank.total=1", "--option", "bank.total=2"], "once"),
        (["--model", "cas-registre"], "did you mean 'cas-register'"),
        (["--checker", "list-append", "--consistency-model", "serialisable"], "'serializable'"),
        (["--option", "list-append.anomalies=G1,G-singel"], "'G-single'"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_a_hint(
    bank: str, said: list[str], hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Status 64, and nothing on standard output."""
    assert main(["check", bank, *said]) == 64
    told = capsys.readouterr()
    assert not told.out
    assert hint in told.err


def test_jepsens_answer_says_that_nothing_was_judged(
    bank: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A verdict without evidence does not look like one with it."""
    main(["check", bank, "--json", "--option", "total-queue.empty=jepsen"])
    document = json.loads(capsys.readouterr().out)
    assert "nothing was judged" in document["cause"]
    assert document["checkers"]["total-queue"]["judged"] == 0


class Asked(Mapping[str, Json]):
    """No setting at all; remembers which were asked for."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    def __getitem__(self, name: str) -> Json:
        self.names.add(name)
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


@pytest.mark.parametrize("name", CHECKERS)
def test_the_table_names_what_a_checker_asks_for(name: str) -> None:
    """All of it and nothing else, whatever the model."""
    asked = Asked()
    for model in FAMILIES if name == "linearizable" else (None,):
        make(name, CheckOptions(model=model, extra=asked))
    assert asked.names - {"nil-reads"} == set(OPTIONS.get(name, {})) - {"nil-reads"}


def test_a_program_s_settings_are_held_against_the_table_too() -> None:
    """Spelt exactly: a checker would not find it under another name."""
    with pytest.raises(UsageError, match="nil-reads"):
        make("linearizable", CheckOptions(extra={"nil_reads": "any"}))
    with pytest.raises(SeatrialError, match="has none"):
        make("counter", CheckOptions(extra={"total": 1}))


def test_values_are_read_by_what_the_setting_takes() -> None:
    """Lists with commas or as JSON; hyphens and underscores are the same."""
    assert read("linearizable", "nil_reads", "any") == ("nil-reads", "any")
    assert read("bank", "accounts", "0, -1,a") == ("accounts", [0, -1, "a"])
    assert read("stats", "fs", '["r,w"]') == ("fs", ["r,w"])
    assert read("kafka", "ww-deps", "true") == ("ww_deps", True)
    with pytest.raises(UsageError, match="a list of texts"):
        read("stats", "fs", "read,,write")

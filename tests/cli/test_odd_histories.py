"""Odd but legal histories from anywhere: the right verdict, or the line that is wrong."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from seatrial.checker import Budget, CheckOptions
from seatrial.checkers import make
from seatrial.cli.main import main
from seatrial.history.detect import load
from seatrial.runner.guess import guess_checkers

WRITE = (
    "{:type :invoke, :process 0, :f :write, :value 1, :time 1}\n"
    "{:type :ok, :process 0, :f :write, :value 1, :time 2}\n"
)
READ = (
    "{:type :invoke, :process 0, :f :read, :value nil, :time 3}\n"
    "{:type :ok, :process 0, :f :read, :value 1, :time 4}\n"
)
PLAIN = WRITE + READ


def steps(*ops: tuple[str, str, str]) -> str:
    """Calls of one process after another: f, the value asked, the value answered."""
    lines = []
    for process, (f, asked, answered) in enumerate(ops):
        lines.append(f"{{:type :invoke :process {process} :f :{f} :value {asked}}}")
        lines.append(f"{{:type :ok :process {process} :f :{f} :value {answered}}}")
    return "\n".join(lines) + "\n"


def judged(tmp_path: Path, data: str | bytes, checker: str = "", model: str = "") -> int:
    """The exit status of `seatrial check`, as it goes about it."""
    path = tmp_path / "history.edn"
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    history = load(path)
    (name,) = (checker,) if checker else guess_checkers(history)
    options = CheckOptions(consistency_model=model or None)
    return make(name, options).check(history, Budget.start()).verdict.exit_code


@pytest.mark.parametrize(
    "text",
    [
        "\ufeff" + PLAIN.replace("\n", "\r\n"),
        f"; said\n\n  \n[{PLAIN}] ; done\n",
        f"{WRITE}#_ {{:type :oops}}\n{READ.rstrip()}",
        PLAIN.replace("{:type", "#jepsen.history.Op{:exception #error{:via [{:at nil}]}, :type"),
        PLAIN.replace(", :time", ', :at #inst "2020-01-01T00:00:00Z", :t'),
        WRITE
        + '{:type :info, :process :nemesis, :f :cut, :value {"n1" #{"n2"}}}\n'
        + "{:type :info, :process :nemesis, :f :kill, :value nil}\n"
        + READ,
        WRITE
        + "{:type :invoke :process 1 :f :write :value 2}\n"
        + '{:type :info :process 1 :f :write :error [:timeout {:a 1} "x"]}\n'
        + READ,
        gzip.compress(PLAIN.encode()).decode("latin-1"),
    ],
    ids=["bom-crlf", "vector", "discard", "record", "tag", "nemesis", "info", "gzip"],
)
def test_what_stands_around_the_values_does_not_matter(tmp_path: Path, text: str) -> None:
    """Each is the same small history."""
    packed = text.startswith("\x1f")
    data = text.encode("latin-1" if packed else "utf-8")
    assert judged(tmp_path, data) == 0
    wrong = READ.replace(":value 1,", ":value 7,")
    if not packed:
        assert judged(tmp_path, data.replace(READ.encode(), wrong.encode())) == (READ in text)


@pytest.mark.parametrize(
    "value",
    [
        "-1", "9223372036854775807", "9223372036854775808N", "-9223372036854775808", "1/3",
        "1.5e3", "1.50M", "##NaN", "##-Inf", '"a\\"b}{"', "\\{", ":a/b", "sym", "true",
        "[1 [2 nil]]", "{:x 1}", "#{3 1 2}", '#uuid "f81d4fae-7dec-11d0-a765-00a0c91e6bf6"',
    ],
)  # fmt: skip
def test_a_register_may_hold_anything(tmp_path: Path, value: str) -> None:
    """What was written is read back, and is not the value before it."""
    text = PLAIN.replace(":value 1", f":value {value}")
    assert judged(tmp_path, text) == 0
    assert judged(tmp_path, text + READ.replace(":value 1", ":value 5")) == 1


def test_a_set_read_back_in_another_order_is_the_same(tmp_path: Path) -> None:
    """A hash table's order is no part of a value."""
    text = steps(("write", "#{3 1 2}", "#{3 1 2}"), ("read", "nil", "#{1 2 3}"))
    assert judged(tmp_path, text) == 0


@pytest.mark.parametrize(
    ("text", "status"),
    [
        (steps(("txn", "[[:append 1 [3 4]]]", "[[:append 1 [3 4]]]"),
               ("txn", "[[:r 1 nil]]", "[[:r 1 [[3 4]]]]")), 0),
        (steps(("txn", "[[:append [1 2] [3 4]]]", "[[:append [1 2] [3 4]]]"),
               ("txn", "[[:r [1 2] nil]]", "[[:r [1 2] []]]")), 1),
        (steps(("txn", '[["append" "k" "v"]]', '[["append" "k" "v"]]'),
               ("txn", '[["r" "k" nil]]', '[["r" "k" ["v"]]]')), 0),
    ],
)  # fmt: skip
def test_elements_of_lists_may_be_lists(tmp_path: Path, text: str, status: int) -> None:
    """Keys and elements are values like others."""
    assert judged(tmp_path, text, "list-append") == status


@pytest.mark.parametrize(("seen", "status"), [("[1 2]", 0), ("nil", 1)])
def test_registers_in_transactions_may_hold_lists(tmp_path: Path, seen: str, status: int) -> None:
    """A list is one value there."""
    text = steps(("txn", "[[:w 1 [1 2]]]", "[[:w 1 [1 2]]]"), ("txn", "[[:r 1 nil]]",
                 f"[[:r 1 {seen}]]"))  # fmt: skip
    for checker in ("rw-register", "serializable"):
        assert judged(tmp_path, text, checker, "strict-serializable") == status


def test_an_unknown_add_may_come_back_without_its_value(tmp_path: Path) -> None:
    """A counter's add that timed out counts with what was asked."""
    text = (
        "{:type :invoke :process 0 :f :add :value 5}\n{:type :info :process 0 :f :add}\n"
        + steps(("read", "nil", "5")).replace(":process 0", ":process 1")
    )
    assert judged(tmp_path, text, "counter") == 0


@pytest.mark.parametrize(
    ("text", "status"),
    [
        (steps(("send", "[[:send 0 1]]", "[[:send 0 [0 1]]]"),
               ("poll", "[[:poll]]", "[[:poll {0 [[0 1]]}]]")), 0),
        (steps(("acquire", "nil", "nil"), ("acquire", "nil", "nil")), 1),
    ],
    ids=["kafka", "lock"],
)  # fmt: skip
def test_the_checker_is_guessed(tmp_path: Path, text: str, status: int) -> None:
    """Told from the ops."""
    assert judged(tmp_path, text) == status


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (PLAIN + "{:type :inv", 5),
        (PLAIN + "\n\nwhat is this\n", 7),
        (WRITE + "{:type :ok :process 0 :f :read :value [1 2}\n" + READ, 3),
        (WRITE + "{:process 0 :f :read}\n" + READ, 3),
        (WRITE + "{:type :oops :process 0 :f :read}\n" + READ, 3),
        (WRITE + "{:type :ok :process :client-a :f :read}\n" + READ, 3),
    ],
)
def test_what_is_wrong_is_named_with_its_line(
    tmp_path: Path, text: str, line: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """Status 65."""
    path = tmp_path / "history.edn"
    path.write_text(text)
    assert main(["check", str(path)]) == 65
    assert f"history.edn: line {line}: " in capsys.readouterr().err

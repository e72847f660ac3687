"""Finding out what a file is, and saying plainly what is wrong with it."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import re
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from seatrial.errors import BadData, NoInput, SeatrialError, UsageError
from seatrial.history import HistoryBuilder
from seatrial.history.detect import load, load_reported
from seatrial.history.edn import write_edn
from seatrial.history.jsonl import write_jsonl
from seatrial.history.stream import write_arrow
from seatrial.op import NEMESIS, Op, Type

OPS = [
    Op(Type.INVOKE, 3, "cas", (1, 2), time_ns=5, index=0),
    Op(Type.INFO, NEMESIS, "inject", {"fault": "kill-1", "victims": "n1,n2"}, time_ns=6, index=1),
    Op(Type.INFO, 3, "cas", (1, 2), time_ns=7, error="timeout", index=2),
]


@pytest.mark.parametrize("name", ["h.arrow", "h.jsonl", "h.edn", "h.log", "h"])
@pytest.mark.parametrize("write", [write_arrow, write_jsonl, write_edn])
def test_the_content_decides(tmp_path: Path, name: str, write: object) -> None:
    """Each format loads under any name."""
    assert callable(write)
    write(HistoryBuilder().extend(OPS).history(), tmp_path / name)
    assert list(load(tmp_path / name).ops()) == OPS


def test_a_trials_folder_loads(tmp_path: Path) -> None:
    """A folder stands for the history in it."""
    write_arrow(HistoryBuilder().extend(OPS).history(), tmp_path / "history.arrow")
    assert list(load(tmp_path).ops()) == OPS
    assert load_reported(tmp_path).format == "arrow"


def test_a_json_array_loads_with_gaps(tmp_path: Path) -> None:
    """elle-cli's JSON: one array, some fields missing, keys of maps that were numbers."""
    path = tmp_path / "bank.json"
    path.write_text(
        '[{"type":"invoke","f":"read","process":0},\n'
        '{"type":"ok","f":"read","process":0,"value":{"0":100,"7":-1}},\n'
        '{"type":"ok","process":1,"value":[["append",3,4],["r",3,[4]]]}]'
    )
    history = load(path)
    assert history.index.tolist() == [0, 1, 2]
    assert history.time_ns.tolist() == [-1, -1, -1]
    assert history.elements.tolist() == [0, 100, 7, -1]
    assert history.op(2).f == "txn"


BAD: list[tuple[str, bytes, type[SeatrialError], str]] = [
    ("a.gz", gzip.compress(b"{:type :ok}")[:-4], BadData, "gzip, and damaged"),
    ("a.bin", b"\x7fELF\x00\x01", BadData, "binary"),
    ("a.arrow", b"", BadData, "empty"),
    ("a.txt", b"INFO jepsen - 0 :invoke", BadData, "begins with 'INFO jepsen"),
    ("a.arrow", b"ARROW1\x00\x00", BadData, "Feather"),
    ("a.jsonl", b'{"type": "ok"}\n\n{"type": "ok", "process"', BadData, "line 3 is not JSON"),
    ("a.jsonl", b'{"type": "ok"}\n[1]\n', BadData, "line 2: an op is an object"),
    ("a.jsonl", b'{"type": "ok", "process": -7}\n', BadData, "line 1: .*not '-7'"),
    ("a.json", b'[{"type": "ok"},\n{"type": "oh"}]', BadData, "op 1 of the array"),
    ("a.json", b'[{"type": "ok"},\n{"type": }]', BadData, "line 2 is not JSON"),
    ("a.jsonl", b'{"type": "ok", "value": ' + b"[" * 99999, BadData, "line 1"),
]


@pytest.mark.parametrize(("name", "data", "error", "why"), BAD)
def test_what_is_wrong_is_said(
    tmp_path: Path, name: str, data: bytes, error: type[SeatrialError], why: str
) -> None:
    """Every bad file is refused with its own reason, and a short message."""
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(error, match=why) as caught:
        load(path)
    assert len(str(caught.value)) < 500 + len(str(path))


def test_nothing_there_is_no_input(tmp_path: Path) -> None:
    """A missing file and a folder without a history are told apart; so is a wrong format."""
    with pytest.raises(NoInput, match="No such file"):
        load(tmp_path / "none")
    with pytest.raises(NoInput, match=r"holds no history\.arrow"):
        load(tmp_path)
    with pytest.raises(UsageError, match="format 'xml'"):
        load(tmp_path, "xml")


def test_an_empty_text_history_has_no_ops(tmp_path: Path) -> None:
    """Jepsen's suites have them: no line, no op, no error."""
    for name in ("a.edn", "a.jsonl"):
        (tmp_path / name).write_bytes(b"")
        assert len(load(tmp_path / name)) == 0


def test_every_history_of_a_collection_loads() -> None:
    """All EDN and JSON files below the folder that `SEATRIAL_HISTORIES` names, if it does."""
    folder = os.environ.get("SEATRIAL_HISTORIES")
    if not folder:
        pytest.skip("SEATRIAL_HISTORIES names no folder of reference histories")
    files = [path for path in Path(folder).rglob("*") if path.suffix in {".edn", ".json"}]
    assert files
    for path in files:
        assert len(load(path)) == path.read_text().count(":type") or path.suffix == ".json"


_OP = b"{:type :ok, :process 0, :f :read, :value 3}\n"


@pytest.mark.parametrize(
    ("name", "pack"),
    [
        ("a.edn.gz", gzip.compress),
        ("a.edn.xz", lzma.compress),
        ("a.edn.bz2", bz2.compress),
        ("a.edn.zst", lambda data: pa.Codec("zstd").compress(data, asbytes=True)),
        ("a.edn", gzip.compress),
    ],
)
def test_packed_files_are_unpacked(
    tmp_path: Path, name: str, pack: Callable[[bytes], bytes]
) -> None:
    """Told by content; what is wrong inside is named by the packed file and the line inside."""
    path = tmp_path / name
    path.write_bytes(pack(3 * _OP))
    assert [op.value for op in load(path).ops()] == [3, 3, 3]
    path.write_bytes(pack(2 * _OP + b"{:type :oops}\n"))
    with pytest.raises(BadData, match=re.escape(f"{path}: line 3:")):
        load(path)
    path.write_bytes(pack(b""))
    assert len(load(path)) == 0


def test_what_is_packed_twice_is_refused(tmp_path: Path) -> None:
    """One layer is unpacked."""
    path = tmp_path / "a.edn.gz"
    path.write_bytes(gzip.compress(gzip.compress(_OP)))
    with pytest.raises(BadData, match="packed twice"):
        load(path)

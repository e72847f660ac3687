"""Recording to disk and loading back, also after a kill, a cut and a full disk."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seatrial.errors import BadData, CannotCreate, NoInput
from seatrial.history import History, HistoryBuilder
from seatrial.history.jsonl import read_jsonl, write_jsonl
from seatrial.history.load import load_arrow, read_arrow
from seatrial.history.stream import HistoryWriter, write_arrow
from seatrial.op import NEMESIS, Op, Type

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
ATOM = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False),
    TEXT,
)
MICRO = st.tuples(TEXT, ATOM, st.one_of(ATOM, st.lists(ATOM, max_size=3).map(tuple)))
TREE = st.recursive(ATOM, lambda inner: st.lists(inner, max_size=3).map(tuple), max_leaves=6)
VALUE = st.one_of(
    ATOM,
    st.lists(ATOM, max_size=4).map(tuple),
    st.lists(MICRO, max_size=3).map(tuple),
    st.dictionaries(TEXT, ATOM, max_size=3),
    TREE,
)
OP = st.builds(
    Op,
    type=st.sampled_from(Type),
    process=st.integers(NEMESIS, 50),
    f=TEXT.filter(bool),
    value=VALUE,
    time_ns=st.integers(-1, 2**62),
    error=st.none() | TEXT,
)
OPS = st.lists(OP, max_size=12)


def same(left: History, right: History) -> None:
    """Both hold the same ops, laid out the same way."""
    assert list(left.ops()) == list(right.ops())
    assert left.kind.tolist() == right.kind.tolist()
    assert left.micro.kind.tolist() == right.micro.kind.tolist()
    for name in ("index", "process", "type", "f", "time_ns", "error", "key", "atom", "elements"):
        assert getattr(left, name).dtype == getattr(right, name).dtype


def built(ops: list[Op]) -> History:
    return HistoryBuilder().extend(ops).history()


@settings(max_examples=30, deadline=None)
@given(ops=OPS, every=st.integers(1, 5))
def test_a_recorded_history_loads_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, ops: list[Op], every: int
) -> None:
    """Whatever the batches, the file holds the same ops with the same layout."""
    path = tmp_path_factory.mktemp("h") / "history.arrow"
    with HistoryWriter(path) as writer:
        for place, op in enumerate(ops):
            assert writer.append(op) == place
            if place % every == 0:
                writer.flush()
    loaded = load_arrow(path)
    assert not loaded.truncated
    same(loaded.history, built(ops))


@settings(max_examples=20, deadline=None)
@given(ops=OPS, batch_ops=st.integers(1, 4))
def test_a_whole_history_is_written_and_read(
    tmp_path_factory: pytest.TempPathFactory, ops: list[Op], batch_ops: int
) -> None:
    """`write_arrow` keeps ops, layout and indexes, also after rows were taken out."""
    history = built(ops)
    history = history.take(np.arange(len(history)) % 3 != 1)
    path = tmp_path_factory.mktemp("h") / "history.arrow"
    write_arrow(history, path, batch_ops=batch_ops)
    same(read_arrow(path), history)


@settings(max_examples=30, deadline=None)
@given(ops=OPS)
def test_json_lines_keep_every_op(tmp_path_factory: pytest.TempPathFactory, ops: list[Op]) -> None:
    """A history written as JSON Lines reads back the same."""
    path = tmp_path_factory.mktemp("h") / "history.jsonl"
    history = built(ops)
    write_jsonl(history, path)
    same(read_jsonl(path), history)


def _some(count: int) -> list[Op]:
    return [
        Op(Type(i % 2), i % 5, "txn", (("append", "k", i), ("r", i % 3, (1, i))), time_ns=i)
        for i in range(count)
    ]


def test_a_file_cut_anywhere_loads_a_prefix_or_says_so(tmp_path: Path) -> None:
    """A file cut at any kind of place loads whole batches only and says so, or is `BadData`."""
    path, cut = tmp_path / "history.arrow", tmp_path / "cut.arrow"
    ops = _some(9)
    with HistoryWriter(path) as writer:
        for place, op in enumerate(ops):
            writer.append(op)
            if place % 3 == 2:
                writer.flush()
    data = path.read_bytes()
    seen = set()
    for length in {*range(0, len(data), 41), *range(len(data) - 9, len(data))}:
        cut.write_bytes(data[:length])
        try:
            loaded = load_arrow(cut)
        except BadData:
            seen.add(-1)
            continue
        assert loaded.truncated
        assert "not ended" in loaded.note
        assert list(loaded.history.ops()) == list(built(ops).ops())[: len(loaded.history)]
        seen.add(len(loaded.history))
    assert seen == {-1, 0, 3, 6, 9}


def test_the_clock_decides_when_a_batch_is_written(tmp_path: Path) -> None:
    """Half a second after a batch's first op, an append or a tick writes it."""
    now = [0.0]
    path = tmp_path / "history.arrow"
    writer = HistoryWriter(path, clock=lambda: now[0])
    ops = _some(4)
    writer.append(ops[0])
    now[0] = 0.4
    writer.append(ops[1])
    assert len(read_arrow(path)) == 0
    now[0] = 0.5
    writer.append(ops[2])
    assert len(read_arrow(path)) == 3
    writer.append(ops[3])
    now[0] = 0.9
    writer.tick()
    assert len(read_arrow(path)) == 3
    now[0] = 1.0
    writer.tick()
    assert len(read_arrow(path)) == 4
    writer.close()


def test_what_is_no_history_is_said_to_be_none(tmp_path: Path) -> None:
    """Missing, empty, foreign and newer files each get their own message."""
    path = tmp_path / "history.arrow"
    with pytest.raises(NoInput, match="cannot read"):
        read_arrow(path)
    path.write_bytes(b"")
    with pytest.raises(BadData, match="empty"):
        read_arrow(path)
    path.write_bytes(b"{:type :invoke}, and more of it")
    with pytest.raises(BadData, match="not an Arrow stream"):
        read_arrow(path)


def test_a_file_in_the_way_is_not_written_over(tmp_path: Path) -> None:
    """A second writer refuses, and so does a folder that is not there."""
    path = tmp_path / "history.arrow"
    HistoryWriter(path).close()
    with pytest.raises(CannotCreate, match="already there"):
        HistoryWriter(path)
    with pytest.raises(CannotCreate, match="cannot create"):
        HistoryWriter(tmp_path / "no" / "history.arrow")


KILLED = """
import sys, time
from seatrial.history.stream import HistoryWriter
from seatrial.op import Op, Type

writer = HistoryWriter(sys.argv[1])
begin = time.monotonic_ns()
print("ready", flush=True)
while True:
    writer.append(Op(Type.OK, 1, "write", ("v", 1), time_ns=time.monotonic_ns() - begin))
    time.sleep(0.0002)
"""


@pytest.mark.parametrize("alive_s", [0.8, 1.37])
def test_a_kill_loses_less_than_a_second(tmp_path: Path, alive_s: float) -> None:
    """SIGKILL in the middle of writing: what loads ends less than a second before the kill."""
    path = tmp_path / "history.arrow"
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, str(path)], stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        begin = time.monotonic()
        while time.monotonic() - begin < alive_s:
            time.sleep(0.01)
        child.kill()
        # Counted from "ready", which comes after the child's own zero: never too long.
        lived_ns = int((time.monotonic() - begin) * 1e9)
    loaded = load_arrow(path)
    assert loaded.truncated
    # The bound is on the writer's clock; a child that was not scheduled adds nothing to lose.
    assert len(loaded.history) > 0
    assert lived_ns - int(loaded.history.time_ns[-1]) < 1_000_000_000
    assert loaded.history.value(0) == ("v", 1)


def test_a_full_disk_is_said_and_the_rest_loads(tmp_path: Path) -> None:
    """At a limit on the file's size, writing fails with a hint; what was whole loads."""
    path = tmp_path / "history.arrow"
    code = (
        "import resource, signal, sys\n"
        "from seatrial.errors import CannotCreate\n"
        "from seatrial.history.stream import HistoryWriter\n"
        "from seatrial.op import Op, Type\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))\n"
        "writer = HistoryWriter(sys.argv[1])\n"
        "said = []\n"
        "for i in range(100_000):\n"
        "    try:\n"
        "        writer.append(Op(Type.OK, 1, 'write', i))\n"
        "        if i % 50 == 0: writer.flush()\n"
        "    except CannotCreate as error:\n"
        "        said.append(str(error))\n"
        "        if len(said) == 2: break\n"
        "assert said[0] == said[1], said\n"
        "writer.close()\n"
        "print(said[0])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True
    )
    assert "File too large" in done.stdout and "hint: make room" in done.stdout
    loaded = load_arrow(path)
    assert loaded.truncated
    assert loaded.history.atom.tolist() == list(range(len(loaded.history)))
    assert len(loaded.history) > 100


def test_damage_in_the_middle_is_not_taken_for_a_cut(tmp_path: Path) -> None:
    """Bytes changed inside a whole file are `BadData`, or leave a history that is in order."""
    path = tmp_path / "history.arrow"
    with HistoryWriter(path) as writer:
        for op in _some(5):
            writer.append(op)
    data = path.read_bytes()
    refused = 0
    for place in range(0, len(data), 97):
        path.write_bytes(data[:place] + b"\x7e\xff\x03" + data[place + 3 :])
        try:
            history = read_arrow(path)
        except BadData:
            refused += 1
            continue
        assert len(list(history.ops())) == len(history)
    assert refused > 5


def test_a_newer_format_and_a_foreign_stream_are_refused(tmp_path: Path) -> None:
    """The schema's metadata says what a stream is and which version."""
    path = tmp_path / "history.arrow"
    for metadata, why in (({b"seatrial.history": b"2"}, "format '2'"), ({}, "not of a history")):
        schema = pa.schema([pa.field("a", pa.int64())], metadata=metadata)
        with pa.ipc.new_stream(str(path), schema) as stream:
            stream.write_batch(pa.record_batch([pa.array([1])], schema=schema))
        with pytest.raises(BadData, match=why):
            read_arrow(path)

"""Loading `history.arrow` back as columns, also when the writer was killed.

A stream that was cut ends in the middle of a message. The messages are walked first, by their
lengths; what lies after the last whole one is left out and said to be missing. Everything before
it must be in order: a batch that does not parse, or points outside its tables, is `BadData`, never
a history that is silently shorter.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from seatrial.errors import BadData, NoInput
from seatrial.history.arrow import FORMAT, FORMAT_KEY, atoms_from_text
from seatrial.history.columns import ATOM_BASE, I32, I64, U8, Atoms, History, Kind, MicroOps
from seatrial.op import Type

_CONTINUATION = 0xFFFFFFFF
_BODY_LENGTH_SLOT = 3  # Message.bodyLength in Arrow's Message.fbs
_HINT = (
    "\n\nhint: a history is written by `seatrial run`; text formats end in .jsonl, .json or .edn"
)


@dataclass(frozen=True, slots=True)
class Loaded:
    """A history and how its file was. `truncated`: its writer did not end it; `note` says more."""

    history: History
    format: str
    truncated: bool = False
    note: str = ""


def read_arrow(path: Path | str) -> History:
    """The history in an Arrow file, whole or cut. O(n), no Python object per op.

    Raises `NoInput` if it cannot be read and `BadData` if it is not a history.
    """
    return load_arrow(path).history


def load_arrow(path: Path | str) -> Loaded:
    """As `read_arrow`, and whether the end of the file is missing."""
    data = _mapped(Path(path))
    whole, closed = _walk(data)
    if whole == 0:
        raise BadData(f"{str(path)!r} ends inside its header: no op of it can be loaded{_HINT}")
    try:
        reader = pa.ipc.open_stream(pa.BufferReader(data.slice(0, whole)))
        _check_format(reader.schema, path)
        batches = list(reader)
        for batch in batches:
            batch.validate(full=True)
    except (pa.ArrowInvalid, OSError, pa.ArrowNotImplementedError) as error:
        raise BadData(f"{str(path)!r} is damaged: {error}{_HINT}") from error
    try:
        history = _history(batches)
    except (ValueError, KeyError) as error:
        raise BadData(f"{str(path)!r} is damaged: {error}{_HINT}") from error
    note = ""
    if not closed:
        lost = data.size - whole
        note = (
            f"the file was not ended by its writer: {len(history):,} ops are whole, "
            f"{lost:,} bytes after them are left out"
        )
    return Loaded(history, "arrow", not closed, note)


def _mapped(path: Path) -> pa.Buffer:
    try:
        if path.stat().st_size == 0:
            raise BadData(f"{str(path)!r} is empty: not even a header was written{_HINT}")
        with pa.memory_map(str(path)) as file:
            return file.read_buffer()
    except OSError as error:
        raise NoInput(
            f"cannot read {str(path)!r}: {error.strerror or error}\n\n"
            "hint: give the path of a trial folder or of a history file"
        ) from error


def _walk(data: pa.Buffer) -> tuple[int, bool]:
    """Where the last whole message ends (0: not even the schema), and whether the stream ended."""
    view = memoryview(data)
    place, size = 0, len(view)
    while place + 8 <= size:  # bounded: each message has at least eight bytes
        mark, length = struct.unpack_from("<Ii", view, place)
        if mark != _CONTINUATION or length < 0:
            raise BadData(f"not an Arrow stream at byte {place:,}{_HINT}")
        if length == 0:
            return place, True
        if place + 8 + length > size:
            break
        end = place + 8 + length + _body_length(view[place + 8 : place + 8 + length], place)
        if end > size:
            break
        place = end
    return place, False


def _body_length(message: memoryview, place: int) -> int:
    """`Message.bodyLength`, read straight from the flatbuffer."""
    try:
        (root,) = struct.unpack_from("<I", message, 0)
        (back,) = struct.unpack_from("<i", message, root)
        (table_size,) = struct.unpack_from("<H", message, root - back)
        slot = 4 + 2 * _BODY_LENGTH_SLOT
        if slot >= table_size:
            return 0
        (offset,) = struct.unpack_from("<H", message, root - back + slot)
        length = struct.unpack_from("<q", message, root + offset)[0] if offset else 0
    except struct.error as error:
        raise BadData(f"damaged Arrow message at byte {place:,}{_HINT}") from error
    if length < 0:
        raise BadData(f"damaged Arrow message at byte {place:,}{_HINT}")
    return int(length)


def _check_format(found: pa.Schema, path: Path | str) -> None:
    version = (found.metadata or {}).get(FORMAT_KEY)
    if version is None:
        raise BadData(f"{str(path)!r} is an Arrow file, but not of a history{_HINT}")
    if version != FORMAT:
        raise BadData(
            f"{str(path)!r} has history format {version.decode(errors='replace')!r}; this seatrial "
            f"reads {FORMAT.decode()!r}\n\nhint: read it with the seatrial that wrote it and "
            "export it as jsonl"
        )


class _Names:
    """The names of all batches under one numbering."""

    def __init__(self) -> None:
        self.codes: dict[str, int] = {}

    def translate(self, names: pa.Array) -> I32:
        """Codes of a batch's names, and −1 behind them: for index −1, no name."""
        codes = [self.codes.setdefault(name, len(self.codes)) for name in names.to_pylist()]
        return np.array([*codes, -1], np.int32)


def _history(batches: list[pa.RecordBatch]) -> History:
    names = _Names()
    f, error, micro_f = [], [], []
    texts: list[str] = []
    for batch in batches:
        f.append(_coded(batch["f"], names))
        error.append(_coded(batch["error"], names))
        own = names.translate(batch["micro_names"].flatten())
        raw = _numpy(batch["micro"].flatten().field("f"))
        if len(raw) and (raw.min() < 0 or raw.max() >= len(own) - 1):
            raise ValueError("a micro-op's f points outside its names")
        micro_f.append(own[raw])
        texts.extend(batch["atoms"].flatten().to_pylist())
    micro = [batch["micro"].flatten() for batch in batches]
    rows = sum(len(batch) for batch in batches)
    history = History(
        index=_index(batches, rows),
        process=_column(batches, "process", np.int32),
        type=_column(batches, "type", np.uint8),
        f=_joined(f, np.int32),
        time_ns=_column(batches, "time_ns", np.int64),
        error=_joined(error, np.int32),
        key=_column(batches, "key", np.int64),
        kind=_column(batches, "kind", np.uint8),
        atom=_column(batches, "atom", np.int64),
        element_start=_starts([batch["elements"] for batch in batches]),
        elements=_joined([_numpy(batch["elements"].flatten()) for batch in batches], np.int64),
        micro=MicroOps(
            start=_starts([batch["micro"] for batch in batches]),
            f=_joined(micro_f, np.int32),
            key=_joined([_numpy(part.field("key")) for part in micro], np.int64),
            kind=_joined([_numpy(part.field("kind")) for part in micro], np.uint8),
            arg=_joined([_numpy(part.field("arg")) for part in micro], np.int64),
            element_start=_starts([part.field("elements") for part in micro]),
            elements=_joined(
                [_numpy(part.field("elements").flatten()) for part in micro], np.int64
            ),
        ),
        names=tuple(names.codes),
        atoms=Atoms.stored(atoms_from_text(texts)),
    )
    _check_codes(history)
    return history


def _check_codes(history: History) -> None:
    """Everything a compiled checker would follow blindly points inside its table."""
    micro = history.micro
    top = ATOM_BASE + len(history.atoms)
    for codes in (
        history.key,
        history.atom,
        history.elements,
        micro.key,
        micro.arg,
        micro.elements,
    ):
        if len(codes) and int(codes.max()) >= top:
            raise ValueError("a value points outside the atoms")
    for kinds, highest in (
        (history.kind, Kind.TREE),
        (history.type, Type.INFO),
        (micro.kind, Kind.LIST),
    ):
        if len(kinds) and int(kinds.max()) > highest:
            raise ValueError("an op has a type or a value of no known kind")
    if len(history) and int(history.f.min()) < 0:
        raise ValueError("an op has no f")


def _coded(column: pa.DictionaryArray, names: _Names) -> I32:
    own = names.translate(column.dictionary)
    indices = column.indices
    if indices.null_count:
        indices = indices.fill_null(len(own) - 1)
    codes: I32 = own[_numpy(indices)]
    return codes


def _numpy(column: pa.Array) -> np.ndarray:
    if column.null_count:
        raise ValueError("a value that must be there is null")
    out: np.ndarray = column.to_numpy(zero_copy_only=False)
    return out


def _column(batches: list[pa.RecordBatch], name: str, kind: type) -> np.ndarray:
    return _joined([_numpy(batch[name]) for batch in batches], kind)


def _joined(parts: list[np.ndarray] | list[I64] | list[U8], kind: type) -> np.ndarray:
    return np.concatenate(parts).astype(kind, copy=False) if parts else np.zeros(0, kind)


def _starts(columns: list[pa.ListArray]) -> I64:
    """The offsets of lists that lie in many batches, as one ascending 64-bit column."""
    out = np.zeros(sum(len(column) for column in columns) + 1, np.int64)
    row = 0
    for column in columns:
        offsets = column.offsets.to_numpy()
        to = out[row + 1 : row + 1 + len(column)]
        before, first = int(out[row]), int(offsets[0])
        if int(offsets[-1]) != first:
            np.subtract(offsets[1:], first - before, out=to, dtype=np.int64)
        elif before:  # nothing in any of these lists; zeros need not be written again
            to[:] = before
        row += len(column)
    return out


def _index(batches: list[pa.RecordBatch], rows: int) -> I64:
    if not batches or "index" not in batches[0].schema.names:
        return np.arange(rows, dtype=np.int64)
    index: I64 = _column(batches, "index", np.int64)
    if len(index) > 1 and not bool(np.all(index[1:] > index[:-1])):
        raise ValueError("indexes do not ascend")
    return index

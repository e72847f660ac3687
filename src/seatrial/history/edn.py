"""Histories in EDN, as Jepsen and Elle write and read them.

A file holds a vector or list of ops, or ops one after another; an op is a map, perhaps tagged
(`#jepsen.history.Op{…}`). Fields other than index, time, type, process, f, key, value and error are
left out. The scanner in `edn_scan` reads nearly all ops; the rest go through `edn_text`, with the
same result.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from seatrial.errors import BadData, CannotCreate, NoInput
from seatrial.history import edn_scan as scanner
from seatrial.history.builder import HistoryBuilder
from seatrial.history.columns import ATOM_BASE, I32, I64, Atoms, History, MicroOps
from seatrial.history.edn_ops import scan
from seatrial.history.edn_scan import Out, Spans
from seatrial.history.edn_text import Unclosed, keyword, parse, written
from seatrial.history.fields import error_text, keyed_value, op_from_fields, quoted, settled
from seatrial.history.merge import joined
from seatrial.op import NEMESIS, Op, Value

#: Ops, micro-ops and elements that one call of the scanner may give, before they are put away.
_PIECE_ROWS, _PIECE_ITEMS = 1 << 16, 1 << 19
_SPANS = 1 << 12
_L, _I, _B = np.int64, np.int32, np.uint8
_ROW_KINDS = (_L, _I, _B, _I, _L, _I, _L, _B, _L, _L, _L)
_MICRO_KINDS = (_I, _L, _B, _L, _L)
#: Files up to this size are read without the compiled scanner.
SMALL_BYTES = 1 << 20
_BLANK = re.compile(rb"(?:[\s,]+|;[^\n]*)*")
_BOM = b"\xef\xbb\xbf"


def read_edn(path: Path | str) -> History:
    """The history in an EDN file. O(n).

    Raises `NoInput` if it cannot be read and `BadData`, with the line, if it is malformed.
    """
    try:
        if Path(path).stat().st_size == 0:
            return HistoryBuilder().history()
        buf = np.memmap(path, np.uint8, "r")
    except OSError as error:
        raise NoInput(f"cannot read {str(path)!r}: {error.strerror or error}") from error
    small = _read_small(path) if len(buf) <= SMALL_BYTES else None
    return _Reading(buf, str(path)).history() if small is None else small


def _read_small(path: Path | str) -> History | None:
    """A small file through the general reader; None where it is malformed.

    The scanner has to be compiled once a machine, which takes longer than to read such a file. It
    is asked all the same where something is wrong, because it knows the line.
    """
    builder, named, counted = HistoryBuilder(), True, False
    try:
        for op in slow_ops(path):
            builder.append(op)
            named, counted = named and bool(op.f), counted or op.index < 0
    except (BadData, ValueError, RecursionError):
        return None
    return settled(builder.history(), named, counted)


def write_edn(history: History, path: Path | str) -> None:
    """Write a history as EDN, one op a line, over a file that is there already. O(n).

    Types, `f`s and the `f`s of micro-ops are keywords, other text is quoted, and an op with an
    independent key has the value `[key value]`. Raises `CannotCreate`.
    """
    try:
        with Path(path).open("w", encoding="utf-8", errors="replace", newline="\n") as file:
            file.writelines(f"{line_of(op)}\n" for op in history.ops())
    except OSError as error:
        raise CannotCreate(f"cannot write {str(path)!r}: {error.strerror or error}") from error


def line_of(op: Op) -> str:
    """One op as a map of EDN on one line, without the line's end."""
    process = ":nemesis" if op.process == NEMESIS else str(op.process)
    f = keyword(op.f) if op.f else "nil"
    error = "" if op.error is None else f", :error {written(op.error)}"
    return (
        f"{{:index {op.index}, :time {op.time_ns}, :type :{op.type.label}, :process {process}, "
        f":f {f}, :value {written(keyed_value(op))}{error}}}"
    )


def op_of(text: str) -> Op:
    """The op that a map of EDN describes, by the general reader alone; raises `ValueError`."""
    form, _ = parse(text)
    if not isinstance(form, dict):
        raise ValueError("an op is a map")
    # A record's fields may carry a namespace; a plain field of the same name comes first.
    local = {name.rpartition("/")[2]: item for name, item in form.items()}
    return op_from_fields({**local, **form})


@dataclass(frozen=True, slots=True)
class _Piece:
    """What one call of the scanner gave, as narrow columns."""

    rows: list[np.ndarray]
    micros: list[np.ndarray]
    elements: I64
    micro_elements: I64
    slow: I64


class _Reading:
    """One file being read: the scanner's pieces, put together at the end."""

    def __init__(self, buf: np.memmap, path: str) -> None:
        self._buf = buf
        self._path = path
        self._out = _out(_PIECE_ROWS, _PIECE_ITEMS, 0)
        self._spans = _spans(_SPANS)
        self._pieces: list[_Piece] = []
        self._rows = 0

    def history(self) -> History:
        at, closer = self._opening()
        why = scanner.FULL
        while why != scanner.DONE:  # bounded: each turn reads an op, or doubles what was too small
            why, at = scan(self._buf, at, closer, self._spans, self._out)
            if why == scanner.STRAY:
                raise self._bad(at, "no op (a map) stands here")
            if why == scanner.UNCLOSED:
                raise self._bad(min(at, len(self._buf) - 1), "a form is never closed")
            if why == scanner.GROW:
                self._grow_spans()
            else:
                self._put_away()
        return self._assembled()

    def _opening(self) -> tuple[int, int]:
        head = self._buf[: 1 << 20].tobytes()
        start = len(_BOM) if head.startswith(_BOM) else 0
        match = _BLANK.match(head, start)
        at = match.end() if match else start
        opener = head[at : at + 1]
        if opener in (b"[", b"("):
            return at + 1, ord("]" if opener == b"[" else ")")
        return start, 0

    def _put_away(self) -> None:
        count = self._out.filled
        rows, spans = int(count[scanner.ROWS]), int(count[scanner.SPANS])
        row_room, item_room = len(self._out.rows), len(self._out.elements)
        if rows:
            self._pieces.append(_trimmed(self._out, self._rows))
            self._rows += rows
        else:  # one op alone is too big
            item_room *= 2
        self._out = _out(row_room, item_room, spans)

    def _grow_spans(self) -> None:
        count = int(self._out.filled[scanner.SPANS])
        old, new = self._spans, _spans(4 * len(self._spans.table))
        new.table[:count] = old.table[:count]
        scanner.rehash(self._buf, new, count)
        self._spans = new

    def _assembled(self) -> History:
        atoms, names, values, codes = self._decoded()
        history = _joined_pieces(self._pieces, atoms, tuple(names), values, codes)
        slow = np.concatenate([np.zeros(0, np.int64), *(p.slow for p in self._pieces)])
        self._pieces.clear()
        unnamed = bool(len(history)) and int(history.f.min()) < 0
        builder = HistoryBuilder(atoms, names if not unnamed else _with(names, ""))
        if unnamed:
            f = np.where(history.f < 0, np.int32(names.index("") if "" in names else len(names)),
                         history.f)  # fmt: skip
            history = history.with_columns(index=history.index, f=f, names=_with(names, ""))
        if len(slow):
            for start, end in zip(slow[1::3].tolist(), slow[2::3].tolist(), strict=True):
                self._append_slow(builder, start, end)
            order = np.arange(len(history), dtype=np.int64)
            order[slow[::3]] = len(history) + np.arange(len(builder))
            # An op without an index keeps −1 until `settled` counts.
            history = joined(history, builder.history()).take(order)
        counted = self._counted or (bool(len(history)) and int(history.index.min()) < 0)
        return settled(history, not unnamed and "" not in history.names, counted)

    _counted = False

    def _append_slow(self, builder: HistoryBuilder, start: int, end: int) -> None:
        text = self._buf[start:end].tobytes().decode("utf-8", "replace")
        try:
            op = op_of(text)
            builder.append(op)
        except (ValueError, RecursionError) as error:
            raise self._bad(start, str(error)) from error
        self._counted = self._counted or op.index < 0

    def _decoded(self) -> tuple[Atoms, list[str], I64, I32]:
        """All spans: the atoms, the names, and the code of each span as value and as name."""
        count = int(self._out.filled[scanner.SPANS])
        atoms, names = Atoms(), dict[str, int]()
        values, codes = np.zeros(count, np.int64), np.zeros(count, np.int32)
        data = memoryview(np.asarray(self._buf).data)
        for i, (start, length, form, use) in enumerate(self._spans.table[:count].tolist()):
            text = str(data[start : start + length], "utf-8", "replace")
            value: Value = text
            if form == scanner.RAW:
                try:
                    value, _ = parse(text)
                except ValueError as error:
                    raise self._bad(start, str(error)) from error
            if use & scanner.AS_VALUE:
                values[i] = atoms.encode(value)
            if use & scanner.AS_NAME:
                codes[i] = names.setdefault(error_text(value) or "", len(names))
        return atoms, list(names), values, codes

    def _bad(self, at: int, why: str) -> BadData:
        line = int(np.count_nonzero(self._buf[:at] == 10)) + 1
        text = self._buf[at : at + 200].tobytes().decode("utf-8", "replace").partition("\n")[0]
        return BadData(f"{self._path}: line {line}: {why}: {quoted(text)}")


def _with(names: list[str], name: str) -> tuple[str, ...]:
    return tuple(names) if name in names else (*names, name)


def _spans(room: int) -> Spans:
    return Spans(np.full(2 * room, -1, np.int32), np.zeros((room, 4), np.int64))


def _out(rows: int, items: int, spans: int) -> Out:
    filled = np.zeros(8, np.int64)
    filled[scanner.SPANS] = spans
    return Out(
        filled=filled,
        rows=np.empty((rows, 11), np.int64),
        micros=np.empty((items, 5), np.int64),
        elements=np.empty(items, np.int64),
        micro_elements=np.empty(items, np.int64),
        slow=np.empty(3 * rows, np.int64),
    )


def _trimmed(out: Out, rows_before: int) -> _Piece:
    """A copy of what `scan` filled; the places of slow ops count from the history's start."""
    rows, micros, elements, parts, slow = out.filled[:5].tolist()
    wide = [out.rows[:rows, i].astype(kind) for i, kind in enumerate(_ROW_KINDS)]
    many = [out.micros[:micros, i].astype(kind) for i, kind in enumerate(_MICRO_KINDS)]
    places = out.slow[:slow].copy()
    places[::3] += rows_before
    return _Piece(
        wide, many, out.elements[:elements].copy(), out.micro_elements[:parts].copy(), places
    )


def _joined_pieces(
    pieces: list[_Piece], atoms: Atoms, names: tuple[str, ...], values: I64, codes: I32
) -> History:
    def row(i: int) -> np.ndarray:
        return np.concatenate([np.zeros(0, _ROW_KINDS[i]), *(piece.rows[i] for piece in pieces)])

    def micro(i: int) -> np.ndarray:
        return np.concatenate(
            [np.zeros(0, _MICRO_KINDS[i]), *(piece.micros[i] for piece in pieces)]
        )

    def coded(found: I64) -> I64:
        return _translated(found, values)

    def named(found: I32) -> I32:
        translated: I32 = np.where(found < 0, np.int32(-1), np.append(codes, np.int32(0))[found])
        return translated

    none = np.zeros(0, np.int64)
    return History(
        index=row(scanner.NUMBER),
        process=row(scanner.PROCESS),
        type=row(scanner.TYPE),
        f=named(row(scanner.F)),
        time_ns=row(scanner.TIME),
        error=named(row(scanner.ERROR)),
        key=coded(row(scanner.KEY)),
        kind=row(scanner.KIND),
        atom=coded(row(scanner.CODE)),
        element_start=_starts((p.rows[scanner.ELEMENT_END], len(p.elements)) for p in pieces),
        elements=coded(np.concatenate([none, *(piece.elements for piece in pieces)])),
        micro=MicroOps(
            start=_starts((p.rows[scanner.MICRO_END], len(p.micros[0])) for p in pieces),
            f=named(micro(scanner.MICRO_F)),
            key=coded(micro(scanner.MICRO_KEY)),
            kind=micro(scanner.MICRO_KIND),
            arg=coded(micro(scanner.MICRO_ARG)),
            element_start=_starts(
                (p.micros[scanner.MICRO_ELEMENT_END], len(p.micro_elements)) for p in pieces
            ),
            elements=coded(np.concatenate([none, *(piece.micro_elements for piece in pieces)])),
        ),
        names=names,
        atoms=atoms,
    )


def _translated(column: I64, values: I64) -> I64:
    """Spans' codes replaced, in place, by what the spans mean."""
    texts = column >= ATOM_BASE
    if bool(texts.any()):
        column[texts] = values[column[texts] - ATOM_BASE]
    return column


def _starts(pieces: Iterable[tuple[I64, int]]) -> I64:
    """Ends within pieces (and how much each holds), as starts within the whole."""
    base = 0
    parts = [np.zeros(1, np.int64)]
    for ends, size in pieces:
        parts.append(ends + base)
        base += size
    return np.concatenate(parts)


def slow_ops(path: Path | str) -> Iterator[Op]:
    """Every op of a file through the general reader alone; raises `BadData` or `ValueError`."""
    text = Path(path).read_text(encoding="utf-8", errors="replace")
    try:
        forms, _ = parse(f"[{text}\n]")
    except Unclosed:
        raise BadData(f"{path}: a form is never closed") from None
    forms = forms if isinstance(forms, tuple) else ()
    if len(forms) == 1 and isinstance(forms[0], tuple):
        forms = forms[0]
    for form in forms:
        if not isinstance(form, dict):
            raise BadData(f"{path}: an op is a map, not {quoted(str(form))}")
        yield op_from_fields(form)

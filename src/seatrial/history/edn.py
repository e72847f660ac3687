"""Histories in EDN, as Jepsen and Elle write and read them.

A file holds a vector or list of ops, or ops one after another; an op is a map, perhaps tagged
(`#jepsen.history.Op{…}`). Fields other than index, time, type, process, f, key, value and error are
left out. The scanner in `edn_scan` reads nearly all ops; the rest go through `edn_text`, with the
same result.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from seatrial.errors import BadData, CannotCreate, NoInput
from seatrial.history import edn_scan as scanner
from seatrial.history.builder import HistoryBuilder
from seatrial.history.columns import ATOM_BASE, I32, I64, U8, Atoms, History, MicroOps
from seatrial.history.edn_ops import scan
from seatrial.history.edn_scan import Out, Spans
from seatrial.history.edn_text import Unclosed, keyword, parse, written
from seatrial.history.fields import error_text, keyed_value, op_from_fields, quoted, settled
from seatrial.history.merge import joined
from seatrial.op import NEMESIS, Op, Value

#: Ops, micro-ops and elements that one call of the scanner may give, before they are put away.
_PIECE_ROWS, _PIECE_ITEMS = 1 << 16, 1 << 19
_SPANS = 1 << 12
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
    return _Reading(buf, str(path)).history()


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


class _Reading:
    """One file being read: the scanner's pieces, put together at the end."""

    def __init__(self, buf: np.memmap, path: str) -> None:
        self._buf = buf
        self._path = path
        self._out = _out(_PIECE_ROWS, _PIECE_ITEMS, 0)
        self._spans = _spans(_SPANS)
        self._pieces: list[Out] = []
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
        row_room, item_room = len(self._out.kind), len(self._out.elements)
        if rows:
            self._pieces.append(_trimmed(self._out, self._rows))
            self._rows += rows
        else:  # one op alone is too big
            item_room *= 2
        self._out = _out(row_room, item_room, spans)

    def _grow_spans(self) -> None:
        count = int(self._out.filled[scanner.SPANS])
        old, new = self._spans, _spans(4 * len(self._spans.start))
        for name in ("start", "length", "form", "use"):
            getattr(new, name)[:count] = getattr(old, name)[:count]
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
        spans = self._spans
        atoms, names = Atoms(), dict[str, int]()
        values, codes = np.zeros(count, np.int64), np.zeros(count, np.int32)
        starts, uses = spans.start[:count].tolist(), spans.use[:count].tolist()
        lengths, forms = spans.length[:count].tolist(), spans.form[:count].tolist()
        data = memoryview(np.asarray(self._buf).data)
        for i, (start, length, form) in enumerate(zip(starts, lengths, forms, strict=True)):
            text = str(data[start : start + length], "utf-8", "replace")
            value: Value = text
            if form == scanner.RAW:
                try:
                    value, _ = parse(text)
                except ValueError as error:
                    raise self._bad(start, str(error)) from error
            if uses[i] & scanner.AS_VALUE:
                values[i] = atoms.encode(value)
            if uses[i] & scanner.AS_NAME:
                codes[i] = names.setdefault(error_text(value) or "", len(names))
        return atoms, list(names), values, codes

    def _bad(self, at: int, why: str) -> BadData:
        line = int(np.count_nonzero(self._buf[:at] == 10)) + 1
        text = self._buf[at : at + 200].tobytes().decode("utf-8", "replace").partition("\n")[0]
        return BadData(f"{self._path}: line {line}: {why}: {quoted(text)}")


def _with(names: list[str], name: str) -> tuple[str, ...]:
    return tuple(names) if name in names else (*names, name)


def _spans(room: int) -> Spans:
    return Spans(
        slots=np.full(2 * room, -1, np.int32),
        start=np.zeros(room, np.int64),
        length=np.zeros(room, np.int64),
        form=np.zeros(room, np.uint8),
        use=np.zeros(room, np.uint8),
    )


def _out(rows: int, items: int, spans: int) -> Out:
    def longs(size: int) -> I64:
        return np.empty(size, np.int64)

    def ints(size: int) -> I32:
        return np.empty(size, np.int32)

    def small(size: int) -> U8:
        return np.empty(size, np.uint8)

    count = np.zeros(8, np.int64)
    count[scanner.SPANS] = spans
    return Out(
        count,
        longs(rows),
        ints(rows),
        small(rows),
        ints(rows),
        longs(rows),
        ints(rows),
        longs(rows),
        small(rows),
        longs(rows),
        longs(rows),
        longs(rows),
        longs(items),
        ints(items),
        longs(items),
        small(items),
        longs(items),
        longs(items),
        longs(items),
        longs(3 * rows),
    )


def _trimmed(out: Out, rows_before: int) -> Out:
    """A copy of what `scan` filled; the places of slow ops count from the history's start."""
    rows, micros, elements, parts, slow = out.filled[:5].tolist()
    ends = [rows] * 11 + [elements] + [micros] * 5 + [parts, slow]
    copies = {
        name: getattr(out, name)[:end].copy()
        for name, end in zip(Out._fields[1:], ends, strict=True)
    }
    copies["slow"][::3] += rows_before
    return Out(filled=out.filled.copy(), **copies)


def _joined_pieces(
    pieces: list[Out], atoms: Atoms, names: tuple[str, ...], values: I64, codes: I32
) -> History:
    def column(name: str, kind: type) -> np.ndarray:
        return np.concatenate([np.zeros(0, kind), *(getattr(piece, name) for piece in pieces)])

    def coded(name: str) -> I64:
        return _translated(column(name, np.int64), values)

    def named(name: str) -> I32:
        found = column(name, np.int32)
        translated: I32 = np.where(found < 0, np.int32(-1), np.append(codes, 0)[found])
        return translated.astype(np.int32)

    return History(
        index=column("number", np.int64),
        process=column("process", np.int32),
        type=column("type", np.uint8),
        f=named("f"),
        time_ns=column("time_ns", np.int64),
        error=named("error"),
        key=coded("key"),
        kind=column("kind", np.uint8),
        atom=coded("atom"),
        element_start=_starts(pieces, "element_end", scanner.ELEMENTS),
        elements=coded("elements"),
        micro=MicroOps(
            start=_starts(pieces, "micro_end", scanner.MICROS),
            f=named("micro_f"),
            key=coded("micro_key"),
            kind=column("micro_kind", np.uint8),
            arg=coded("micro_arg"),
            element_start=_starts(pieces, "micro_element_end", scanner.MICRO_ELEMENTS),
            elements=coded("micro_elements"),
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


def _starts(pieces: list[Out], name: str, slot: int) -> I64:
    """Ends within pieces, as starts within the whole."""
    base = 0
    parts = [np.zeros(1, np.int64)]
    for piece in pieces:
        parts.append(getattr(piece, name) + base)
        base += int(piece.filled[slot])
    return np.concatenate(parts)


def slow_ops(path: Path | str) -> Iterator[Op]:
    """Every op of a file through the general reader alone: the scanner's oracle in tests."""
    text = Path(path).read_text(encoding="utf-8", errors="replace")
    try:
        forms, _ = parse(f"[{text}\n]")
    except Unclosed:
        raise BadData(f"{path}: a form is never closed") from None
    assert isinstance(forms, tuple)
    if len(forms) == 1 and isinstance(forms[0], tuple):
        forms = forms[0]
    for form in forms:
        assert isinstance(form, dict)
        yield op_from_fields(form)

"""The scanner's loop over ops: the fields of each, one row each; values are `edn_scan`'s."""

from __future__ import annotations

import numpy as np
from numba import njit

from seatrial.history.columns import ATOM_BASE, NIL
from seatrial.history.edn_scan import (
    AS_NAME,
    AS_VALUE,
    CODE,
    DONE,
    ELEMENT_END,
    ELEMENTS,
    ERROR,
    FULL,
    KEY,
    KIND,
    MICRO_ELEMENTS,
    MICRO_END,
    MICROS,
    NUMBER,
    PROCESS,
    RAW,
    ROWS,
    SLOW,
    STOP,
    STRAY,
    TIME,
    TYPE,
    UNCLOSED,
    UNSURE,
    F,
    atom,
    form_end,
    intern,
    same,
    skip,
    token_end,
    value,
)

_INTEGER, _TEXT = 0, 1
_MAX_PROCESS = 2**31 - 1


def _bytes(text: str) -> np.ndarray:
    return np.frombuffer(text.encode(), np.uint8)


_W_INDEX, _W_TIME, _W_TYPE, _W_PROCESS = map(_bytes, ("index", "time", "type", "process"))
_W_F, _W_VALUE, _W_KEY, _W_ERROR, _NEMESIS = map(_bytes, ("f", "value", "key", "error", "nemesis"))
_INVOKE, _OK, _FAIL, _INFO = map(_bytes, ("invoke", "ok", "fail", "info"))


@njit(cache=True, nogil=True)
def _field(buf, start, end):  # type: ignore[no-untyped-def]
    """Which field a keyword names: 0 none that counts, −1 one with a namespace."""
    for i in range(start, end):
        if buf[i] == 47:
            return -1
    if same(buf, start, end, _W_TIME):
        return 1
    if same(buf, start, end, _W_INDEX):
        return 2
    if same(buf, start, end, _W_TYPE):
        return 3
    if same(buf, start, end, _W_PROCESS):
        return 4
    if same(buf, start, end, _W_F):
        return 5
    if same(buf, start, end, _W_VALUE):
        return 6
    if same(buf, start, end, _W_KEY):
        return 7
    if same(buf, start, end, _W_ERROR):
        return 8
    return 0


@njit(cache=True, nogil=True)
def _type(buf, at, row, out):  # type: ignore[no-untyped-def]
    if buf[at] != 58:
        return -1
    end = token_end(buf, at)
    if same(buf, at + 1, end, _INVOKE):
        out.rows[row, TYPE] = 0
    elif same(buf, at + 1, end, _OK):
        out.rows[row, TYPE] = 1
    elif same(buf, at + 1, end, _FAIL):
        out.rows[row, TYPE] = 2
    elif same(buf, at + 1, end, _INFO):
        out.rows[row, TYPE] = 3
    else:
        return -1
    return end


@njit(cache=True, nogil=True)
def _scalar_field(buf, at, field, row, spans, out):  # type: ignore[no-untyped-def]
    use = AS_VALUE if field == 7 else AS_NAME
    code, kind, end = atom(buf, at, use, spans, out)
    if end < 0:
        return -1
    if field == 7:
        out.rows[row, KEY] = code
        return end
    if field == 5 or field == 8:
        if code != NIL:
            if kind != _TEXT:
                return -1
            if field == 5:
                out.rows[row, F] = code - ATOM_BASE
            else:
                out.rows[row, ERROR] = code - ATOM_BASE
        return end
    if field == 4:
        if code == NIL:
            return end
        if kind == _INTEGER and 0 <= code <= _MAX_PROCESS:
            out.rows[row, PROCESS] = code
            return end
        if buf[at] == 58 and same(buf, at + 1, end, _NEMESIS):
            out.rows[row, PROCESS] = -1
            return end
        return -1
    if kind != _INTEGER:
        return -1
    if field == 1:
        out.rows[row, TIME] = -1 if code == NIL else code
    else:
        out.rows[row, NUMBER] = -1 if code == NIL or code < 0 else code
    return end


@njit(cache=True, nogil=True)
def _one_field(buf, at, field, row, spans, out):  # type: ignore[no-untyped-def]
    """The value of one field into its columns; behind it, or −1."""
    c = buf[at]
    if field == 6:
        return value(buf, at, row, spans, out)
    if field == 3:
        return _type(buf, at, row, out)
    if field == 0:
        end, _ = form_end(buf, at)
        # A prefix may take more than one form, and a discard none: only tags are simple.
        if end > len(buf) or c == 94 or (c == 35 and at + 1 < len(buf) and buf[at + 1] == 95):
            return -1
        return end
    if field == 8 and (c == 40 or c == 91 or c == 123):
        end, plain = form_end(buf, at)
        if not plain or end > len(buf):
            return -1
        out.rows[row, ERROR] = intern(buf, at, end - at, RAW, AS_NAME, spans, out.filled)
        return end
    return _scalar_field(buf, at, field, row, spans, out)


@njit(cache=True, nogil=True)
def _blank(row, out):  # type: ignore[no-untyped-def]
    out.rows[row, NUMBER] = -1
    out.rows[row, PROCESS] = 0
    out.rows[row, TYPE] = 0
    out.rows[row, F] = -1
    out.rows[row, TIME] = -1
    out.rows[row, ERROR] = -1
    out.rows[row, KEY] = NIL
    out.rows[row, KIND] = 0
    out.rows[row, CODE] = NIL


@njit(cache=True, nogil=True)
def _op(buf, at, row, spans, out):  # type: ignore[no-untyped-def]
    """One op from its first brace on; behind it, or −1."""
    size = len(buf)
    seen = 0
    while True:  # bounded: each turn consumes a field
        at = skip(buf, at)
        if at >= size:
            return -1
        if buf[at] == 125:
            return at + 1 if seen & 8 else -1
        if buf[at] != 58:
            return -1
        end = token_end(buf, at)
        field = _field(buf, at + 1, end)
        at = skip(buf, end)
        if field < 0 or at >= size or (field > 0 and seen & (1 << field)):
            return -1
        seen |= 1 << field
        if field > 0 and field != 6 and field != 8 and buf[at] == 125:
            return -1
        at = _one_field(buf, at, field, row, spans, out)
        if at < 0:
            return -1


@njit(cache=True, nogil=True)
def _op_start(buf, at):  # type: ignore[no-untyped-def]
    """Behind the brace of the op (perhaps tagged) at `at`, or −1 if there is none."""
    if buf[at] == 35 and at + 1 < len(buf) and buf[at + 1] != 123 and buf[at + 1] != 95:
        at = skip(buf, token_end(buf, at))
    if at < len(buf) and buf[at] == 123:
        return at + 1
    return -1


@njit(cache=True, nogil=True)
def scan(buf, at, closer, spans, out):  # type: ignore[no-untyped-def]
    """Ops from `at` on into `out`, until it is full or the buffer ends: (why, where).

    `closer` is the bracket that ends the history, 0 if none was opened. DONE: all read. FULL,
    GROW: empty `out` (grow `spans`) and call again from there. STRAY: no op stands there.
    UNCLOSED: the op there never ends.
    """
    size = len(buf)
    count = out.filled
    while True:  # bounded: each turn consumes an op
        at = skip(buf, at)
        if at >= size:
            return (UNCLOSED if closer else DONE), at
        if buf[at] == closer:
            at = skip(buf, at + 1)
            return (DONE if at >= size else STRAY), at
        if buf[at] == 35 and at + 1 < size and buf[at + 1] == 95:
            end, _ = form_end(buf, at)
            if end > size:
                return UNCLOSED, at
            at = end
            continue
        row = count[ROWS]
        if row >= len(out.rows) or count[SLOW] + 2 >= len(out.slow):
            return FULL, at
        inside = _op_start(buf, at)
        if inside < 0 and buf[at] != 94:
            return STRAY, at
        elements, micros, parts = count[ELEMENTS], count[MICROS], count[MICRO_ELEMENTS]
        _blank(row, out)
        count[UNSURE] = 0
        end = _op(buf, inside, row, spans, out) if inside >= 0 else -1
        if end < 0 or count[STOP] != DONE:
            count[ELEMENTS], count[MICROS], count[MICRO_ELEMENTS] = elements, micros, parts
            if count[STOP] != DONE:
                why = count[STOP]
                count[STOP] = DONE
                return why, at
            _blank(row, out)
            end, _ = form_end(buf, at)
            if end > size:
                return UNCLOSED, at
            slow = count[SLOW]
            out.slow[slow], out.slow[slow + 1], out.slow[slow + 2] = row, at, end
            count[SLOW] = slow + 3
        out.rows[row, ELEMENT_END] = count[ELEMENTS]
        out.rows[row, MICRO_END] = count[MICROS]
        count[ROWS] = row + 1
        at = end

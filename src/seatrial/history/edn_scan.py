"""The byte-level scanner of EDN histories: ops straight into columns, compiled with Numba.

It knows the shapes that nearly all ops have and gives up on an op at the first thing it does not
know (a character, `#_`, metadata, a duplicated field, a number too big, …); such an op becomes an
empty row that `edn` fills with the general reader. Text, floats and nested values are interned by
their bytes: the scanner hands out `ATOM_BASE + i` for the i-th distinct span, and `edn` decodes
each span once.

A function here returns a place in the buffer, or `-1` for "give this op up".
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from seatrial.history.columns import ATOM_BASE, I32, I64, NIL

# What ends a call of `scan`.
DONE, FULL, GROW, STRAY, UNCLOSED = range(5)
# Places in `Out.filled`.
ROWS, MICROS, ELEMENTS, MICRO_ELEMENTS, SLOW, SPANS, STOP, UNSURE = range(8)
# Columns of `Out.rows`, `Out.micros` and `Spans.table`.
NUMBER, PROCESS, TYPE, F, TIME, ERROR, KEY, KIND, CODE, ELEMENT_END, MICRO_END = range(11)
MICRO_F, MICRO_KEY, MICRO_KIND, MICRO_ARG, MICRO_ELEMENT_END = range(5)
SPAN_START, SPAN_LENGTH, SPAN_FORM, SPAN_USE = range(4)
# How a span is to be decoded, and for what.
TEXT, RAW = 0, 1
AS_VALUE, AS_NAME = 1, 2
_INTEGER, _TEXT, _OTHER = 0, 1, 2
_INT_DIGITS = 18
_NIL, _ATOM, _LIST, _MAP, _TXN, _TREE = range(6)
#: Maps with more entries go to the general reader: finding a repeated key costs their square.
_MAP_ENTRIES = 128

# What a byte is: 1 white space (and comma), 2 a delimiter, 4 begins what the scanner gives up on.
_CLASS = np.zeros(256, np.uint8)
_CLASS[[9, 10, 11, 12, 13, 32, 44]] = 1
for _char in b'()[]{}";':
    _CLASS[_char] = 2
for _char in b"#^\\'@`~":
    _CLASS[_char] = 4

_TRUE = np.frombuffer(b"true", np.uint8)
_FALSE = np.frombuffer(b"false", np.uint8)


class Out(NamedTuple):
    """Where a call of `scan` writes. `filled` says how far each array is filled.

    Few wide arrays and not many narrow ones: each array costs seven machine words at every call.
    """

    filled: I64
    rows: I64
    micros: I64
    elements: I64
    micro_elements: I64
    slow: I64


class Spans(NamedTuple):
    """The distinct spans of the file: a hash table with open addressing, and what it points to."""

    slots: I32
    table: I64


@njit(cache=True, nogil=True)
def skip(buf, at):  # type: ignore[no-untyped-def]  # buf: uint8[:]
    size = len(buf)
    while at < size:
        c = buf[at]
        if _CLASS[c] == 1:
            at += 1
        elif c == 59:  # ;
            while at < size and buf[at] != 10:
                at += 1
        else:
            break
    return at


@njit(cache=True, nogil=True)
def token_end(buf, at):  # type: ignore[no-untyped-def]
    size = len(buf)
    while at < size and _CLASS[buf[at]] != 1 and _CLASS[buf[at]] != 2:
        at += 1
    return at


@njit(cache=True, nogil=True)
def _string_end(buf, at):  # type: ignore[no-untyped-def]
    """Behind the closing quote of the string that opens at `at`; the size if it has none."""
    size = len(buf)
    at += 1
    while at < size and buf[at] != 34:
        at += 2 if buf[at] == 92 else 1
    return min(at + 1, size + 1)


@njit(cache=True, nogil=True)
def form_end(buf, at):  # type: ignore[no-untyped-def]
    """Behind the form at `at`, and whether it holds only what the scanner knows.

    Counts brackets only; the end is size + 1 where the form is never closed.
    """
    size = len(buf)
    depth = 0
    plain = True
    while at < size:
        c = buf[at]
        if _CLASS[c] == 1 or c == 59:
            at = skip(buf, at)
            continue
        if c == 34:
            at = _string_end(buf, at)
        elif c == 92:  # a character: the next byte is never a delimiter
            plain = False
            at = token_end(buf, at + 2)
        elif c == 40 or c == 91 or c == 123:
            depth += 1
            at += 1
        elif c == 41 or c == 93 or c == 125:
            depth -= 1
            at += 1
            if depth < 0:
                return at, False
        elif c == 35 and at + 1 < size and buf[at + 1] == 123:  # #{
            depth += 1
            at += 2
        elif _CLASS[c] == 4:  # a prefix: what it stands before belongs to the form
            plain = False
            if c == 35 and at + 1 < size and buf[at + 1] == 95:
                at += 2
            elif c == 94:
                at += 1
            else:
                special = c == 35 and at + 1 < size and buf[at + 1] == 35
                at = token_end(buf, at + 1)
                if special and depth == 0:
                    return at, False
            continue
        else:
            at = token_end(buf, at)
        if depth == 0:
            return at, plain
    return size + 1, False


@njit(cache=True, nogil=True)
def _hash(buf, start, length, form):  # type: ignore[no-untyped-def]
    h = np.uint64(14695981039346656037) ^ np.uint64(form)
    for i in range(start, start + length):
        h = (h ^ np.uint64(buf[i])) * np.uint64(1099511628211)
    return h ^ (h >> np.uint64(29))


@njit(cache=True, nogil=True)
def intern(buf, start, length, form, use, spans, filled):  # type: ignore[no-untyped-def]
    mask = np.uint64(len(spans.slots) - 1)
    place = _hash(buf, start, length, form) & mask
    while True:  # bounded: at most half of the slots are taken
        known = spans.slots[place]
        if known < 0:
            break
        if spans.table[known, SPAN_LENGTH] == length and spans.table[known, SPAN_FORM] == form:
            other = spans.table[known, SPAN_START]
            i = 0
            while i < length and buf[other + i] == buf[start + i]:
                i += 1
            if i == length:
                spans.table[known, SPAN_USE] |= use
                return known
        place = (place + np.uint64(1)) & mask
    new = filled[SPANS]
    if new >= len(spans.table):
        filled[STOP] = GROW
        return 0
    spans.slots[place] = new
    spans.table[new, SPAN_START] = start
    spans.table[new, SPAN_LENGTH] = length
    spans.table[new, SPAN_FORM] = form
    spans.table[new, SPAN_USE] = use
    filled[SPANS] = new + 1
    return new


@njit(cache=True, nogil=True)
def rehash(buf, spans, count):  # type: ignore[no-untyped-def]
    """Fill the empty slots of a table that has grown."""
    mask = np.uint64(len(spans.slots) - 1)
    for i in range(count):
        place = (
            _hash(
                buf,
                spans.table[i, SPAN_START],
                spans.table[i, SPAN_LENGTH],
                spans.table[i, SPAN_FORM],
            )
            & mask
        )
        while spans.slots[place] >= 0:
            place = (place + np.uint64(1)) & mask
        spans.slots[place] = i


@njit(cache=True, nogil=True)
def same(buf, at, end, word):  # type: ignore[no-untyped-def]  # word: uint8[:]
    if end - at != len(word):
        return False
    for i in range(len(word)):  # noqa: SIM110  # Numba compiles no generator
        if buf[at + i] != word[i]:
            return False
    return True


@njit(cache=True, nogil=True)
def atom(buf, at, use, spans, out):  # type: ignore[no-untyped-def]
    """The scalar at `at`: its code, its class and where it ends (−1: give up)."""
    c = buf[at]
    if c == 34:
        end = _string_end(buf, at)
        if end > len(buf):
            return 0, _OTHER, -1
        form = TEXT
        for i in range(at, end):
            if buf[i] == 92:
                form = RAW
                break
        start, length = (at + 1, end - at - 2) if form == TEXT else (at, end - at)
        return ATOM_BASE + intern(buf, start, length, form, use, spans, out.filled), _TEXT, end
    if _CLASS[c] != 0:
        return 0, _OTHER, -1
    end = token_end(buf, at)
    if c == 58:
        return (
            ATOM_BASE + intern(buf, at + 1, end - at - 1, TEXT, use, spans, out.filled),
            _TEXT,
            end,
        )
    first = at + 1 if (c == 45 or c == 43) else at
    if first < end and 48 <= buf[first] <= 57:
        number = np.int64(0)
        i = first
        while i < end and 48 <= buf[i] <= 57 and i - first < _INT_DIGITS:
            number = number * 10 + (np.int64(buf[i]) - 48)
            i += 1
        if i == end:
            return (-number if c == 45 else number), _INTEGER, end
        return ATOM_BASE + intern(buf, at, end - at, RAW, use, spans, out.filled), _OTHER, end
    if end - at == 3 and c == 110 and buf[at + 1] == 105 and buf[at + 2] == 108:
        return NIL, _INTEGER, end
    if same(buf, at, end, _TRUE) or same(buf, at, end, _FALSE):
        return ATOM_BASE + intern(buf, at, end - at, RAW, use, spans, out.filled), _OTHER, end
    return ATOM_BASE + intern(buf, at, end - at, TEXT, use, spans, out.filled), _TEXT, end


@njit(cache=True, nogil=True)
def _digits(buf, at):  # type: ignore[no-untyped-def]
    """The plain integer at `at` and where it ends, −1 if it is anything else.

    Nearly every scalar is one, and handing `spans` and `out` to `atom` costs more than reading it.
    """
    size = len(buf)
    negative = buf[at] == 45
    if negative:
        at += 1
    number = np.int64(0)
    first = at
    while at < size and 48 <= buf[at] <= 57:
        number = number * 10 + (np.int64(buf[at]) - 48)
        at += 1
    if at == first or at - first > _INT_DIGITS:
        return number, -1
    if at < size and _CLASS[buf[at]] != 1 and _CLASS[buf[at]] != 2:
        return number, -1
    return (-number if negative else number), at


@njit(cache=True, nogil=True)
def _open_sequence(buf, at):  # type: ignore[no-untyped-def]
    """Behind the opening bracket of a vector, list or set, else −1, and its closing bracket."""
    c = buf[at]
    if c == 91:
        return at + 1, 93
    if c == 40:
        return at + 1, 41
    if c == 35 and at + 1 < len(buf) and buf[at + 1] == 123:
        return at + 2, 125
    return -1, 0


@njit(cache=True, nogil=True)
def _push(items, count, slot, code):  # type: ignore[no-untyped-def]
    place = count[slot]
    if place >= len(items):
        count[STOP] = FULL
        return
    items[place] = code
    count[slot] = place + 1


@njit(cache=True, nogil=True)
def _atoms(buf, at, close, items, slot, spans, out):  # type: ignore[no-untyped-def]
    """Scalars up to the closing bracket, onto `items`; behind it, or −1."""
    size = len(buf)
    place = out.filled[slot]
    while True:  # bounded: each turn consumes a scalar
        at = skip(buf, at)
        if at >= size:
            return -1
        if buf[at] == close:
            if close == 125:  # a set is written in any order: equal ones must look alike
                items[out.filled[slot] : place].sort()
            out.filled[slot] = place
            return at + 1
        code, end = _digits(buf, at)
        if end < 0:
            code, _, end = atom(buf, at, AS_VALUE, spans, out)
            if end < 0:
                return -1
        at = end
        if place >= len(items):
            out.filled[STOP] = FULL
        if out.filled[STOP] != DONE:
            return -1
        items[place] = code
        place += 1


@njit(cache=True, nogil=True)
def _micro(buf, at, spans, out):  # type: ignore[no-untyped-def]
    """One micro-op `[f key argument]`; behind it, or −1 if this is none."""
    size = len(buf)
    at, close = _open_sequence(buf, at)
    if at < 0:
        return -1
    at = skip(buf, at)
    if at >= size:
        return -1
    f, kind, at = atom(buf, at, AS_NAME, spans, out)
    if at < 0 or kind != _TEXT:
        out.filled[UNSURE] = 1  # `1/2` is text to the general reader
        return -1
    at = skip(buf, at)
    if at >= size:
        return -1
    key, end = _digits(buf, at)
    if end < 0:
        key, _, end = atom(buf, at, AS_VALUE, spans, out)
        if end < 0:
            return -1
    at = end
    at = skip(buf, at)
    if at >= size:
        return -1
    inner, inner_close = _open_sequence(buf, at)
    arg, layout = np.int64(NIL), _LIST
    if inner >= 0:
        at = _atoms(buf, inner, inner_close, out.micro_elements, MICRO_ELEMENTS, spans, out)
    else:
        arg, end = _digits(buf, at)
        if end < 0:
            arg, _, end = atom(buf, at, AS_VALUE, spans, out)
        at = end
        layout = _NIL if arg == NIL else _ATOM
    if at < 0:
        return -1
    at = skip(buf, at)
    if at >= size or buf[at] != close:
        return -1
    j = out.filled[MICROS]
    if j >= len(out.micros):
        out.filled[STOP] = FULL
        return -1
    out.micros[j, MICRO_F] = f - ATOM_BASE
    out.micros[j, MICRO_KEY] = key
    out.micros[j, MICRO_KIND] = layout
    out.micros[j, MICRO_ARG] = arg
    out.micros[j, MICRO_ELEMENT_END] = out.filled[MICRO_ELEMENTS]
    out.filled[MICROS] = j + 1
    return at + 1


@njit(cache=True, nogil=True)
def _txn(buf, at, close, spans, out):  # type: ignore[no-untyped-def]
    """Micro-ops up to the closing bracket; behind it, or −1."""
    while True:  # bounded: each turn consumes a micro-op
        at = skip(buf, at)
        if at >= len(buf):
            return -1
        if buf[at] == close:
            return at + 1
        at = _micro(buf, at, spans, out)
        if at < 0:
            return -1


@njit(cache=True, nogil=True)
def _map(buf, at, spans, out):  # type: ignore[no-untyped-def]
    """A flat map's keys and values onto the elements; behind it, or −1."""
    size = len(buf)
    begin = out.filled[ELEMENTS]
    while True:  # bounded: each turn consumes a key and a value
        at = skip(buf, at)
        if at >= size:
            return -1
        if buf[at] == 125:
            return at + 1
        start = at
        key, kind, at = atom(buf, at, AS_VALUE, spans, out)
        if at < 0 or kind == _OTHER or key == NIL:
            return -1
        if kind == _TEXT:
            # Text that looks like a number, or has escapes, is for the general reader.
            first = start + (0 if _CLASS[buf[start]] == 0 and buf[start] != 58 else 1)
            if first < size and (buf[first] == 45 or 48 <= buf[first] <= 57):
                return -1
            for i in range(start, at):
                if buf[i] == 92:
                    return -1
        here = out.filled[ELEMENTS]
        if here - begin >= 2 * _MAP_ENTRIES:
            return -1
        for i in range(begin, here, 2):
            if out.elements[i] == key:
                return -1
        at = skip(buf, at)
        if at >= size:
            return -1
        item, _, at = atom(buf, at, AS_VALUE, spans, out)
        if at < 0:
            return -1
        _push(out.elements, out.filled, ELEMENTS, key)
        _push(out.elements, out.filled, ELEMENTS, item)
        if out.filled[STOP] != DONE:
            return -1


@njit(cache=True, nogil=True)
def _tree(buf, at, row, spans, out):  # type: ignore[no-untyped-def]
    """A nested value, kept as one span; behind it, or −1 if the scanner does not know all of it."""
    end, plain = form_end(buf, at)
    if not plain or out.filled[UNSURE] != 0 or end > len(buf):
        return -1
    out.rows[row, KIND] = _TREE
    out.rows[row, CODE] = ATOM_BASE + intern(buf, at, end - at, RAW, AS_VALUE, spans, out.filled)
    return end


@njit(cache=True, nogil=True)
def value(buf, at, row, spans, out):  # type: ignore[no-untyped-def]
    count = out.filled
    elements, micros, micro_elements = count[ELEMENTS], count[MICROS], count[MICRO_ELEMENTS]
    inner, close = _open_sequence(buf, at)
    if inner < 0 and buf[at] != 123:
        code, _, end = atom(buf, at, AS_VALUE, spans, out)
        out.rows[row, KIND] = _NIL if code == NIL else _ATOM
        out.rows[row, CODE] = code
        return end
    if inner < 0:
        end = _map(buf, at + 1, spans, out)
        out.rows[row, KIND] = _MAP
    else:
        first = skip(buf, inner)
        if first < len(buf) and _open_sequence(buf, first)[0] >= 0:
            end = _txn(buf, first, close, spans, out)
            out.rows[row, KIND] = _TXN
        else:
            end = _atoms(buf, inner, close, out.elements, ELEMENTS, spans, out)
            out.rows[row, KIND] = _LIST
    if end >= 0 or count[STOP] != DONE:
        return end
    count[ELEMENTS], count[MICROS], count[MICRO_ELEMENTS] = elements, micros, micro_elements
    if inner < 0:
        return -1  # a map of scalars may still be one for the general reader
    return _tree(buf, at, row, spans, out)

"""One 64-bit code for any value, so that values of any shape compare as integers.

A history encodes scalars already (`seatrial.history.columns`). What is laid out as a list, a map
or a transaction gets the code that its decoded value would have as an atom. Scalars, the common
case, cost nothing; each structured value costs one decoding.
"""

from __future__ import annotations

import numpy as np

from seatrial.history import History, Kind
from seatrial.history.columns import I64


def distinct(values: I64) -> I64:
    """The different values, ascending. O(n log n), by sorting: faster here than by hashing."""
    ordered = np.sort(values)
    new = np.ones(len(ordered), np.bool_)
    new[1:] = ordered[1:] != ordered[:-1]
    return ordered[new]


def labels(*columns: I64) -> I64:
    """A number for each row such that equal rows have equal numbers, from 0 on. O(n log n)."""
    order = np.lexsort(columns)
    changed = np.zeros(len(order), np.int64)
    for column in columns:
        changed[1:] |= column[order][1:] != column[order][:-1]
    out = np.empty(len(order), np.int64)
    out[order] = np.cumsum(changed)
    return out


def codes(history: History, rows: I64) -> I64:
    """The code of each row's value. O(rows), and one object for each value that is no scalar."""
    out = history.atom[rows].copy()
    kind = history.kind[rows]
    structured = np.flatnonzero((kind == Kind.LIST) | (kind == Kind.MAP) | (kind == Kind.TXN))
    for at in structured.tolist():
        out[at] = history.atoms.encode(history.value(int(rows[at])))
    return out


def members(history: History, rows: I64) -> tuple[I64, I64, I64]:
    """The elements of the rows that hold collections.

    Returns `(start, elements, wrong)`: those of the i-th row are `elements[start[i]:start[i+1]]`
    as codes; `wrong` lists the rows (of the history) whose value is no collection, and which
    count as empty. Null is the empty collection. O(total size); one object for each row whose
    elements are themselves structured.
    """
    kind = history.kind[rows]
    if bool(np.all((kind == Kind.LIST) | (kind == Kind.NIL))):
        return _flat(history, rows)
    parts: list[I64] = []
    wrong: list[int] = []
    for row in rows.tolist():
        found = _one(history, row)
        if found is None:
            wrong.append(row)
        parts.append(np.zeros(0, np.int64) if found is None else found)
    start = np.zeros(len(rows) + 1, np.int64)
    np.cumsum([len(part) for part in parts], out=start[1:])
    return start, np.concatenate([*parts, np.zeros(0, np.int64)]), np.array(wrong, np.int64)


def _flat(history: History, rows: I64) -> tuple[I64, I64, I64]:
    begin, end = history.element_start[rows], history.element_start[rows + 1]
    start = np.zeros(len(rows) + 1, np.int64)
    np.cumsum(end - begin, out=start[1:])
    flat = np.arange(int(start[-1]), dtype=np.int64) + np.repeat(begin - start[:-1], end - begin)
    return start, history.elements[flat], np.zeros(0, np.int64)


def _one(history: History, row: int) -> I64 | None:
    kind = history.kind[row]
    if kind in (Kind.NIL, Kind.LIST):
        return history.elements[history.element_start[row] : history.element_start[row + 1]]
    value = history.value(row)
    if not isinstance(value, tuple):
        return None
    return np.array([history.atoms.encode(item) for item in value], np.int64)

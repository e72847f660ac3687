"""The columns of a history.

Every scalar (value, key, element) is one 64-bit *atom code*:

- an integer below 2**62 in size is its own code;
- anything else (text, booleans, floats, bigger integers, nested documents) is `ATOM_BASE + i`,
  the i-th entry of the history's `Atoms`;
- null is `NIL`.

So a register history is plain integer arrays, and comparing two codes compares two values.
An op's value is laid out by its `Kind`: nothing, one atom, a flat list of atoms (a
compare-and-set's `[old new]`, a set's elements), a flat map (key, value, key, value …), a
transaction of micro-ops, or a tree (anything nested otherwise, kept as an atom).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from functools import cached_property
from typing import cast

import numpy as np
from numpy.typing import NDArray

from seatrial.op import NEMESIS, Atom, Op, Type, Value

I64 = NDArray[np.int64]
I32 = NDArray[np.int32]
U8 = NDArray[np.uint8]
Bool = NDArray[np.bool_]

#: The code of null, and of "this op has no key".
NIL = -(2**63)
#: Codes from here on are entries of `Atoms`.
ATOM_BASE = 2**62


class Kind(IntEnum):
    """How a value is laid out."""

    NIL = 0
    ATOM = 1
    LIST = 2
    MAP = 3
    TXN = 4
    TREE = 5


#: As plain integers: comparing an array's scalar with an enumeration costs microseconds.
_NIL_KIND, _ATOM, _LIST, _MAP, _TXN, _TREE = map(int, Kind)


class Atoms:
    """The table of scalars that are not plain integers (and of nested documents).

    Append only; equal values have equal codes, whatever the order of a map's keys. `True`, `1`
    and `1.0` are three values; `nan` equals itself here, so that reads of it can be compared.
    """

    __slots__ = ("_codes", "_known", "_texts", "_values")

    def __init__(self, values: Iterable[Value] = ()) -> None:
        self._values: list[Value] = []
        self._texts: dict[str, int] = {}
        self._codes: dict[str, int] = {}
        self._known = 0
        for value in values:
            self.encode(value)

    @classmethod
    def stored(cls, values: list[Value]) -> Atoms:
        """A table as it was stored: entries already distinct and not plain integers.

        O(1): the entries are indexed when something is first encoded.
        """
        table = cls()
        table._values = values
        return table

    def __len__(self) -> int:
        return len(self._values)

    @property
    def values(self) -> Sequence[Value]:
        """The entries in order of their codes."""
        return self._values

    def encode(self, value: Value) -> int:
        """The code of `value`, making an entry if it is new. O(1) for scalars."""
        if value is None:
            return NIL
        if isinstance(value, int) and not isinstance(value, bool) and abs(value) < ATOM_BASE:
            return int(value)
        if self._known != len(self._values):
            self._index_stored()
        index, key = self._slot(value)
        code = index.get(key)
        if code is None:
            code = index[key] = ATOM_BASE + len(self._values)
            self._values.append(value)
            self._known += 1
        return code

    def decode(self, code: int) -> Value:
        """The value behind `code`."""
        if code == NIL:
            return None
        if code >= ATOM_BASE:
            return self._values[code - ATOM_BASE]
        return int(code)

    def _slot(self, value: Value) -> tuple[dict[str, int], str]:
        if isinstance(value, str):
            return self._texts, value
        return self._codes, canonical(value)

    def _index_stored(self) -> None:
        for place in range(self._known, len(self._values)):
            index, key = self._slot(self._values[place])
            index.setdefault(key, ATOM_BASE + place)
        self._known = len(self._values)


def canonical(value: Value) -> str:
    """The JSON text that equal values share: maps sorted by key, no spaces, ASCII only."""
    return json.dumps(value, separators=(",", ":"), sort_keys=True, default=_plain)


def _plain(value: object) -> object:
    """For `json`: maps that are no `dict`."""
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"a history cannot hold a {type(value).__name__}: {value!r}")


@dataclass(frozen=True, slots=True, eq=False)
class MicroOps:
    """The micro-ops of all transactions: one table.

    Those of row r are `start[r]:start[r+1]`. `f` indexes `History.names`. `kind` is NIL, ATOM or
    LIST: `arg` is the atom (or NIL), and a LIST's elements are
    `elements[element_start[j]:element_start[j+1]]`.
    """

    start: I64
    f: I32
    key: I64
    kind: U8
    arg: I64
    element_start: I64
    elements: I64


@dataclass(frozen=True, eq=False)
class History:
    """The ops of a trial in order, as columns of equal length n. Do not change the arrays.

    `index` (int64) is each op's index, ascending, not always 0 … n−1 (imports keep their own).
    `process` (int32): `NEMESIS` is −1. `type` (uint8): `Type`. `f` (int32) indexes `names`.
    `time_ns` (int64) counts from the start; −1 where unknown. `error` (int32) indexes `names`,
    −1 for none. `key` (int64): atom code of the independent key, `NIL` for none.
    `kind` (uint8): `Kind`. `atom` (int64): the code of an ATOM or TREE, else NIL.
    A LIST's or MAP's atoms are `elements[element_start[r]:element_start[r+1]]`.
    """

    index: I64
    process: I32
    type: U8
    f: I32
    time_ns: I64
    error: I32
    key: I64
    kind: U8
    atom: I64
    element_start: I64
    elements: I64
    micro: MicroOps
    names: tuple[str, ...]
    atoms: Atoms

    def __len__(self) -> int:
        return len(self.index)

    # ── looking at it ────────────────────────────────────────────────────────────────────────

    def name_code(self, name: str) -> int:
        """The code of an `f` or error name, −2 if the history has no such name."""
        try:
            return self.names.index(name)
        except ValueError:
            return -2

    def is_f(self, *names: str) -> Bool:
        """Mask of the rows whose `f` is one of `names`."""
        codes = [self.name_code(name) for name in names]
        return np.isin(self.f, codes)

    @cached_property
    def client(self) -> Bool:
        """Mask of the rows that are clients' ops (not the nemesis')."""
        mask: Bool = self.process != NEMESIS
        return mask

    @cached_property
    def pair(self) -> I64:
        """Row of each client op's other half: invocation ↔ completion; −1 if it has none.

        O(n log n). A completion with no invocation before it is −1; so is an invocation that is
        followed by another invocation of the same process.
        """
        out = np.full(len(self), -1, dtype=np.int64)
        rows = np.flatnonzero(self.client)
        order = rows[np.argsort(self.process[rows], kind="stable")]
        first, second = order[:-1], order[1:]
        match = (
            (self.process[first] == self.process[second])
            & (self.type[first] == Type.INVOKE)
            & (self.type[second] != Type.INVOKE)
        )
        out[first[match]] = second[match]
        out[second[match]] = first[match]
        return out

    def value(self, row: int) -> Value:
        """The value of one row, decoded (for people; not for hot loops)."""
        return next(self.values(np.array([row], np.int64)))

    def values(self, rows: I64) -> Iterator[Value]:
        """The values of many rows, decoded, one after another. O(their size)."""
        decode, elements = self.atoms.decode, self.elements
        starts, micro_ops = self._micro_ops_of(rows)
        columns = (
            self.kind[rows], self.atom[rows], self.element_start[rows],
            self.element_start[rows + 1], starts[:-1], starts[1:],
        )  # fmt: skip
        for kind, code, low, high, first, last in zip(
            *(column.tolist() for column in columns), strict=True
        ):
            if kind == _NIL_KIND:
                yield None
            elif kind in (_ATOM, _TREE):
                yield decode(code)
            elif kind == _TXN:
                yield tuple(micro_ops[first:last])
            else:
                atoms = [decode(each) for each in elements[low:high].tolist()]
                if kind == _MAP:
                    yield {_key_text(k): v for k, v in zip(atoms[::2], atoms[1::2], strict=True)}
                else:
                    yield tuple(atoms)

    def op(self, row: int) -> Op:
        """One row as an `Op` (for people; not for hot loops)."""
        error = int(self.error[row])
        return Op(
            type=Type(int(self.type[row])),
            process=int(self.process[row]),
            f=self.names[int(self.f[row])] if self.f[row] >= 0 else "",
            value=self.value(row),
            key=cast(Atom, self.atoms.decode(int(self.key[row]))),
            time_ns=int(self.time_ns[row]),
            error=self.names[error] if error >= 0 else None,
            index=int(self.index[row]),
        )

    def ops(self) -> Iterator[Op]:
        """All rows, one `Op` after another (slow: one object an op)."""
        return (self.op(row) for row in range(len(self)))

    def row_of(self, index: int) -> int:
        """The row of the op with this index; raises `KeyError`."""
        row = int(np.searchsorted(self.index, index))
        if row == len(self) or self.index[row] != index:
            raise KeyError(index)
        return row

    # ── making another ───────────────────────────────────────────────────────────────────────

    def rows(self, start: int, stop: int) -> History:
        """The history of the rows `start` … `stop` − 1. O(stop − start). Indexes stay."""
        return self.take(np.arange(start, stop, dtype=np.int64))

    def take(self, rows: I64 | Bool) -> History:
        """The history of some rows only, in order. Indexes stay."""
        picked = np.flatnonzero(rows) if rows.dtype == np.bool_ else rows.astype(np.int64)
        starts, elements = _take_ragged(self.element_start, picked, self.elements)
        micro_start, j = _ragged_rows(self.micro.start, picked)
        m_starts, m_elements = _take_ragged(self.micro.element_start, j, self.micro.elements)
        micro = MicroOps(
            micro_start,
            self.micro.f[j],
            self.micro.key[j],
            self.micro.kind[j],
            self.micro.arg[j],
            m_starts,
            m_elements,
        )
        return replace(
            self,
            index=self.index[picked],
            process=self.process[picked],
            type=self.type[picked],
            f=self.f[picked],
            time_ns=self.time_ns[picked],
            error=self.error[picked],
            key=self.key[picked],
            kind=self.kind[picked],
            atom=self.atom[picked],
            element_start=starts,
            elements=elements,
            micro=micro,
        )

    def with_columns(
        self, *, index: I64, f: I32 | None = None, names: tuple[str, ...] | None = None
    ) -> History:
        """The same ops with other indexes or names. O(1)."""
        return replace(
            self,
            index=index,
            f=self.f if f is None else f,
            names=self.names if names is None else names,
        )

    # ── inside ───────────────────────────────────────────────────────────────────────────────

    def _micro_ops_of(self, rows: I64) -> tuple[I64, list[Value]]:
        """The micro-ops of rows, decoded: those of the i-th are `start[i]:start[i+1]`."""
        micro, decode, names = self.micro, self.atoms.decode, self.names
        start, flat = _ragged_rows(micro.start, rows)
        if not len(flat):
            return start, []
        columns = (
            micro.f[flat], micro.key[flat], micro.kind[flat], micro.arg[flat],
            micro.element_start[flat], micro.element_start[flat + 1],
        )  # fmt: skip
        out: list[Value] = []
        for f, key, kind, arg, low, high in zip(
            *(column.tolist() for column in columns), strict=True
        ):
            argument: Value
            if kind == _LIST:
                argument = tuple([decode(code) for code in micro.elements[low:high].tolist()])
            else:
                argument = decode(arg)
            out.append((names[f], decode(key), argument))
        return start, out


def _key_text(key: Value) -> str:
    return key if isinstance(key, str) else json.dumps(key)


def _ragged_rows(start: I64, rows: I64) -> tuple[I64, I64]:
    """New offsets and the flat positions of `rows`' spans in a ragged column."""
    lengths = start[rows + 1] - start[rows]
    out = np.zeros(len(rows) + 1, dtype=np.int64)
    np.cumsum(lengths, out=out[1:])
    flat = np.arange(int(out[-1]), dtype=np.int64) + np.repeat(start[rows] - out[:-1], lengths)
    return out, flat


def _take_ragged(start: I64, rows: I64, data: I64) -> tuple[I64, I64]:
    out, flat = _ragged_rows(start, rows)
    return out, data[flat]


def is_map(value: Value) -> bool:
    """Whether a value is a map (and not text or a tuple)."""
    return isinstance(value, Mapping)

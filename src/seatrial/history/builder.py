"""Building a history op by op: for recording, importing and tests."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping

import numpy as np

from seatrial.history.columns import NIL, Atoms, History, Kind, MicroOps
from seatrial.op import Op, Value


def _is_atom(value: Value) -> bool:
    return value is None or isinstance(value, (bool, int, float, str))


def _is_micro(value: Value) -> bool:
    """`[f key argument]` with a text `f`, an atom key, and an atom or flat list argument."""
    if not (isinstance(value, tuple) and len(value) == 3 and isinstance(value[0], str)):
        return False
    argument = value[2]
    return _is_atom(value[1]) and (
        _is_atom(argument) or (isinstance(argument, tuple) and all(map(_is_atom, argument)))
    )


class HistoryBuilder:
    """Appends ops to growing columns; `history()` freezes what is there so far.

    Appending costs a few microseconds and keeps no object of the op.
    """

    def __init__(self) -> None:
        self.atoms = Atoms()
        self._names: dict[str, int] = {}
        self._index, self._time = array("q"), array("q")
        self._process, self._f, self._error = array("i"), array("i"), array("i")
        self._type, self._kind = array("B"), array("B")
        self._key, self._atom = array("q"), array("q")
        self._element_start, self._elements = array("q", [0]), array("q")
        self._m_start, self._m_f = array("q", [0]), array("i")
        self._m_key, self._m_arg, self._m_kind = array("q"), array("q"), array("B")
        self._m_element_start, self._m_elements = array("q", [0]), array("q")

    def __len__(self) -> int:
        return len(self._index)

    def append(self, op: Op) -> int:
        """Append one op and return its index (its place, unless the op brings its own)."""
        index = op.index if op.index >= 0 else len(self._index)
        self._index.append(index)
        self._process.append(op.process)
        self._type.append(op.type)
        self._f.append(self._name(op.f))
        self._time.append(op.time_ns)
        self._error.append(-1 if op.error is None else self._name(op.error))
        self._key.append(self.atoms.encode(op.key))
        self._append_value(op.value)
        return index

    def extend(self, ops: Iterable[Op]) -> HistoryBuilder:
        """Append many; returns itself."""
        for op in ops:
            self.append(op)
        return self

    def history(self) -> History:
        """What has been appended, as a history (copies the columns)."""
        micro = MicroOps(
            np.array(self._m_start, np.int64),
            np.array(self._m_f, np.int32),
            np.array(self._m_key, np.int64),
            np.array(self._m_kind, np.uint8),
            np.array(self._m_arg, np.int64),
            np.array(self._m_element_start, np.int64),
            np.array(self._m_elements, np.int64),
        )
        return History(
            index=np.array(self._index, np.int64),
            process=np.array(self._process, np.int32),
            type=np.array(self._type, np.uint8),
            f=np.array(self._f, np.int32),
            time_ns=np.array(self._time, np.int64),
            error=np.array(self._error, np.int32),
            key=np.array(self._key, np.int64),
            kind=np.array(self._kind, np.uint8),
            atom=np.array(self._atom, np.int64),
            element_start=np.array(self._element_start, np.int64),
            elements=np.array(self._elements, np.int64),
            micro=micro,
            names=tuple(self._names),
            atoms=self.atoms,
        )

    def _name(self, name: str) -> int:
        code = self._names.get(name)
        if code is None:
            code = self._names[name] = len(self._names)
        return code

    def _append_value(self, value: Value) -> None:
        kind, atom = Kind.NIL, NIL
        if value is None:
            pass
        elif isinstance(value, (bool, int, float, str)):
            kind, atom = Kind.ATOM, self.atoms.encode(value)
        elif isinstance(value, Mapping):
            kind, atom = self._append_map(value)
        elif all(map(_is_atom, value)):
            kind = Kind.LIST
            self._elements.extend(map(self.atoms.encode, value))
        elif all(map(_is_micro, value)):
            kind = Kind.TXN
            for micro_op in value:
                self._append_micro(micro_op)  # type: ignore[arg-type]  # _is_micro saw to it
        else:
            kind, atom = Kind.TREE, self.atoms.encode(value)
        self._kind.append(kind)
        self._atom.append(atom)
        self._element_start.append(len(self._elements))
        self._m_start.append(len(self._m_f))

    def _append_map(self, value: Mapping[str, Value]) -> tuple[Kind, int]:
        if not all(map(_is_atom, value.values())):
            return Kind.TREE, self.atoms.encode(value)
        for key, item in value.items():
            self._elements.append(self.atoms.encode(_number(key)))
            self._elements.append(self.atoms.encode(item))
        return Kind.MAP, NIL

    def _append_micro(self, micro_op: tuple[str, Value, Value]) -> None:
        f, key, argument = micro_op
        self._m_f.append(self._name(f))
        self._m_key.append(self.atoms.encode(key))
        if isinstance(argument, tuple):
            self._m_kind.append(Kind.LIST)
            self._m_arg.append(NIL)
            self._m_elements.extend(map(self.atoms.encode, argument))
        else:
            self._m_kind.append(Kind.NIL if argument is None else Kind.ATOM)
            self._m_arg.append(self.atoms.encode(argument))
        self._m_element_start.append(len(self._m_elements))


def _number(key: str) -> Value:
    """A map's key as JSON had to write it: `"7"` was 7."""
    if key.lstrip("-").isdigit() and str(int(key)) == key:
        return int(key)
    return key

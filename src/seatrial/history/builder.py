"""Building a history op by op: for recording, importing and tests."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence

import numpy as np

from seatrial.history.columns import ATOM_BASE, NIL, Atoms, History, Kind, MicroOps
from seatrial.op import Op, Value

_SCALARS = (int, str, float)  # bool is an int
_INTEGER_DIGITS = 19  # enough for any integer that is its own code
_NIL, _ATOM, _LIST, _MAP, _TXN, _TREE = (int(kind) for kind in Kind)


#: Ops go into columns so many at a time: one by one, between calls to a server that empty the
#: processor's caches, each costs several times as much.
TURN_OPS = 256

_PLAIN = frozenset({int, str, float, bool, type(None)})


def is_atom(value: Value) -> bool:
    """Whether a value is one scalar or null."""
    return type(value) in _PLAIN or isinstance(value, _SCALARS)


def is_micro(value: Value) -> bool:
    """`[f key argument]` with a text `f`, an atom key, and an atom or flat list argument."""
    if not (isinstance(value, (tuple, list)) and len(value) == 3):
        return False
    f, key, argument = value
    if not (isinstance(f, str) and (type(key) in _PLAIN or is_atom(key))):
        return False
    if type(argument) in _PLAIN or is_atom(argument):
        return True
    return isinstance(argument, (tuple, list)) and all(map(is_atom, argument))


class HistoryBuilder:
    """Appends ops to growing columns; `history()` freezes what is there so far.

    Appending costs about a microsecond and keeps `TURN_OPS` ops at most as objects. `atoms`
    continues the table of an earlier part of the same history; `names` likewise.
    """

    __slots__ = (
        "_atom", "_element_start", "_elements", "_error", "_f", "_index", "_key", "_kind",
        "_m_arg", "_m_element_start", "_m_elements", "_m_f", "_m_key", "_m_kind", "_m_start",
        "_names", "_process", "_time", "_type", "_waiting", "atoms",
    )  # fmt: skip

    def __init__(self, atoms: Atoms | None = None, names: Iterable[str] = ()) -> None:
        self.atoms = Atoms() if atoms is None else atoms
        self._names: dict[str, int] = {name: code for code, name in enumerate(names)}
        self._waiting: list[Op] = []
        self._index, self._time = array("q"), array("q")
        self._process, self._f, self._error = array("i"), array("i"), array("i")
        self._type, self._kind = array("B"), array("B")
        self._key, self._atom = array("q"), array("q")
        self._element_start, self._elements = array("q", [0]), array("q")
        self._m_start, self._m_f = array("q", [0]), array("i")
        self._m_key, self._m_arg, self._m_kind = array("q"), array("q"), array("B")
        self._m_element_start, self._m_elements = array("q", [0]), array("q")

    def __len__(self) -> int:
        return len(self._kind) + len(self._waiting)

    @property
    def items(self) -> int:
        """How many elements and micro-ops there are, in all values together."""
        self.settle()
        return len(self._elements) + len(self._m_f) + len(self._m_elements)

    def append(self, op: Op) -> int:
        """Append one op and return its index (its place, unless the op brings its own)."""
        waiting = self._waiting
        place = len(self._kind) + len(waiting)
        waiting.append(op)
        if len(waiting) >= TURN_OPS:
            self.settle()
        return place if op.index < 0 else op.index

    def extend(self, ops: Iterable[Op]) -> HistoryBuilder:
        """Append many; returns itself."""
        for op in ops:
            self.append(op)
        return self

    def settle(self) -> None:
        """Bring what was appended into the columns; the rest of the class does so by itself.

        A value that no history can hold raises: its op is dropped and leaves no trace.
        """
        ops, self._waiting = self._waiting, []
        taken = 0
        try:
            for op in ops:  # The value goes first: it is what may be refused.
                kind, atom = self._put_value(op.value)
                self._kind.append(kind)
                self._atom.append(atom)
                self._element_start.append(len(self._elements))
                self._m_start.append(len(self._m_f))
                taken += 1
        except BaseException:
            self._waiting = ops[taken + 1 :]
            raise
        finally:
            self._put_rest(ops if taken == len(ops) else ops[:taken])

    def _put_rest(self, ops: Sequence[Op]) -> None:
        """All columns but those of values."""
        name, code, first = self._name, self._code, len(self._index)
        self._index.extend(
            [place if op.index < 0 else op.index for place, op in enumerate(ops, first)]
        )
        self._process.extend([op.process for op in ops])
        self._type.extend([op.type for op in ops])
        self._time.extend([op.time_ns for op in ops])
        self._key.extend([NIL if op.key is None else code(op.key) for op in ops])
        for op in ops:  # Names get their codes in the order in which they were first met.
            self._f.append(name(op.f))
            self._error.append(-1 if op.error is None else name(op.error))

    def history(self) -> History:
        """What has been appended, as a history (copies the columns)."""
        self.settle()
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

    def _code(self, value: Value) -> int:
        # Small integers are nearly all values there are; asking the table for them costs a call.
        if type(value) is int and -ATOM_BASE < value < ATOM_BASE:
            return value
        return self.atoms.encode(value)

    def _put_value(self, value: Value) -> tuple[int, int]:
        if value is None:
            return _NIL, NIL
        if isinstance(value, _SCALARS):
            return _ATOM, self._code(value)
        if isinstance(value, (tuple, list)):
            if all(map(is_atom, value)):
                self._elements.extend([self._code(item) for item in value])
                return _LIST, NIL
            if all(map(is_micro, value)):
                for micro_op in value:
                    self._put_micro(micro_op)  # type: ignore[arg-type]  # is_micro saw to it
                return _TXN, NIL
        elif all(map(is_atom, value.values())):
            for key, item in value.items():
                self._elements.append(self._code(map_key(key)))
                self._elements.append(self._code(item))
            return _MAP, NIL
        return _TREE, self.atoms.encode(value)

    def _put_micro(self, micro_op: tuple[str, Value, Value]) -> None:
        f, key, argument = micro_op
        self._m_f.append(self._name(f))
        self._m_key.append(self._code(key))
        if isinstance(argument, (tuple, list)):
            self._m_kind.append(_LIST)
            self._m_arg.append(NIL)
            self._m_elements.extend([self._code(item) for item in argument])
        else:
            self._m_kind.append(_NIL if argument is None else _ATOM)
            self._m_arg.append(self._code(argument))
        self._m_element_start.append(len(self._m_elements))


def map_key(key: str) -> Value:
    """A map's key as JSON had to write it: `"7"` was 7."""
    digits = key[1:] if key.startswith("-") else key
    if len(digits) > _INTEGER_DIGITS or not (digits.isascii() and digits.isdecimal()):
        return key
    number = int(key)
    return number if str(number) == key else key

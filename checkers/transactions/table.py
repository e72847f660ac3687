"""The transactions of a history as columns: one row a transaction, micro-ops left where they are.

A transaction is its completion: `ok` (committed), `fail` (certainly had no effect) or `info`
(nobody knows). An invocation that never completed is `info`. A completion without an invocation
is taken to have begun before everything else, which claims nothing about its real-time order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from seatrial.history import NIL, History, Kind, MicroOps
from seatrial.op import NEMESIS, Type, Value

I64 = NDArray[np.int64]
I32 = NDArray[np.int32]
U8 = NDArray[np.uint8]
Bool = NDArray[np.bool_]

OK, FAIL, INFO = int(Type.OK), int(Type.FAIL), int(Type.INFO)


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """n transactions in order of completion.

    `row` is the row of the completion (of the invocation, if it never completed) in `history`;
    its micro-ops are `first[t]:last[t]` of `history.micro`. `status` is OK, FAIL or INFO. `rank`
    numbers the committed ones in order of completion, −1 for others; `after` says how many
    committed ones had completed when this one was invoked, so t precedes u in real time exactly
    when 0 <= rank[t] < after[u]. `unreadable` counts `ok` ops whose value is no transaction.
    """

    history: History
    row: I64
    first: I64
    last: I64
    status: U8
    process: I32
    rank: I32
    after: I32
    committed: int
    unreadable: int

    def __len__(self) -> int:
        return len(self.row)

    def index(self, txn: int) -> int:
        """The op index of a transaction's completion."""
        return int(self.history.index[self.row[txn]])


def table(history: History, *, lists: bool = False) -> Table:
    """The transactions of `history`. O(n log n).

    `lists`: reads show lists of elements. What else is a list (an element, a register's value) is
    one value, whatever it holds.
    """
    history = _whole_values(_with_micro_ops(history), lists)
    kind, type_ = history.kind, history.type
    pair = history.pair
    transaction = (kind == Kind.TXN) | (
        (kind == Kind.LIST) & (history.element_start[1:] == history.element_start[:-1])
    )
    invoked = type_ == Type.INVOKE
    rows = np.flatnonzero(history.client & (~invoked | (pair < 0)))
    status = np.where(type_[rows] == Type.INVOKE, INFO, type_[rows]).astype(np.uint8)
    partner = pair[rows]
    # A failed or lost op often comes back without its value: the invocation has it.
    borrow = (kind[rows] != Kind.TXN) & (status != OK) & (partner >= 0)
    source = np.where(borrow, np.maximum(partner, 0), rows)
    keep = transaction[source]
    unreadable = int(np.count_nonzero(~keep & (status == OK)))
    rows, status, partner, source = rows[keep], status[keep], partner[keep], source[keep]
    ok = status == OK
    rank = np.where(ok, np.cumsum(ok) - 1, -1).astype(np.int32)
    begun = np.where(type_[rows] == Type.INVOKE, rows, partner)
    done_before = np.zeros(len(history) + 1, np.int32)
    done_before[rows[ok] + 1] = 1
    np.cumsum(done_before, out=done_before)
    after = np.where(begun >= 0, done_before[np.maximum(begun, 0)], 0).astype(np.int32)
    return Table(
        history,
        rows,
        history.micro.start[source],
        history.micro.start[source + 1],
        status,
        history.process[rows],
        rank,
        after,
        int(ok.sum()),
        unreadable,
    )


def _whole_values(history: History, lists: bool) -> History:
    """The history with lists that are values, not collections of elements, as single atoms."""
    micro = history.micro
    whole = micro.kind == Kind.LIST
    if lists:
        whole &= micro.f != history.name_code("r")
    if not whole.any():
        return history
    kind, arg, encode = micro.kind.copy(), micro.arg.copy(), history.atoms.encode
    for j in np.flatnonzero(whole).tolist():
        span = micro.elements[micro.element_start[j] : micro.element_start[j + 1]].tolist()
        kind[j], arg[j] = Kind.ATOM, encode(tuple(map(history.atoms.decode, span)))
    return replace(history, micro=replace(micro, kind=kind, arg=arg))


def _with_micro_ops(history: History) -> History:
    """The history with odd transactions (short micro-ops, keys that are lists) made regular.

    They are kept as trees by the importer; histories without any are returned as they are.
    """
    rows = np.flatnonzero(history.client & (history.kind == Kind.TREE))
    odd: dict[int, list[tuple[str, Value, Value]]] = {}
    for row in rows.tolist():
        micro_ops = _micro_ops(history.value(row))
        if micro_ops is not None:
            odd[row] = micro_ops
    return _splice(history, odd) if odd else history


def _micro_ops(value: Value) -> list[tuple[str, Value, Value]] | None:
    """`[[f k v] …]`, where v may be missing; None if the value is something else."""
    if not isinstance(value, (tuple, list)):
        return None
    out: list[tuple[str, Value, Value]] = []
    for item in value:
        if not (isinstance(item, (tuple, list)) and len(item) in (2, 3)):
            return None
        if not isinstance(item[0], str):
            return None
        out.append((item[0], item[1], item[2] if len(item) == 3 else None))
    return out


def _splice(history: History, odd: dict[int, list[tuple[str, Value, Value]]]) -> History:
    """The history with the transactions of some rows put in as micro-ops."""
    names = {name: i for i, name in enumerate(history.names)}
    encode = history.atoms.encode
    old = history.micro
    parts: dict[str, list[NDArray[np.generic]]] = {
        name: [] for name in ("f", "key", "kind", "arg", "lengths", "elements")
    }

    def add(f: object, key: object, kind: object, arg: object, lengths: object, el: object) -> None:
        for name, data in zip(parts, (f, key, kind, arg, lengths, el), strict=True):
            parts[name].append(np.asarray(data))

    def add_old(lo: int, hi: int) -> None:
        start = old.element_start
        span = slice(lo, hi)
        lengths = start[lo + 1 : hi + 1] - start[lo:hi]
        elements = old.elements[start[lo] : start[hi]]
        add(old.f[span], old.key[span], old.kind[span], old.arg[span], lengths, elements)

    counts = old.start[1:] - old.start[:-1]
    at = 0
    for row in sorted(odd):
        add_old(at, int(old.start[row]))
        at = int(old.start[row + 1])
        counts[row] = len(odd[row])
        for f, key, value in odd[row]:
            is_list = isinstance(value, (tuple, list))
            elements: Sequence[Value] = value if isinstance(value, (tuple, list)) else ()
            kind = Kind.LIST if is_list else Kind.NIL if value is None else Kind.ATOM
            code = names.setdefault(f, len(names))
            codes = np.array([encode(e) for e in elements], np.int64)
            arg = NIL if is_list else encode(value)
            add([code], [encode(key)], [kind], [arg], [len(elements)], codes)
    add_old(at, len(old.f))
    lengths = np.concatenate(parts["lengths"])
    micro = MicroOps(
        np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        np.concatenate(parts["f"]).astype(np.int32),
        np.concatenate(parts["key"]).astype(np.int64),
        np.concatenate(parts["kind"]).astype(np.uint8),
        np.concatenate(parts["arg"]).astype(np.int64),
        np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        np.concatenate(parts["elements"]).astype(np.int64),
    )
    kinds = history.kind.copy()
    kinds[list(odd)] = Kind.TXN
    return replace(history, micro=micro, kind=kinds, names=tuple(names))


def micro_text(history: History, j: int) -> str:
    """Micro-op j as people write it: `append x 1`, `r x [1 2]`."""
    micro = history.micro
    parts = [history.names[int(micro.f[j])], plain(history.atoms.decode(int(micro.key[j])))]
    if micro.kind[j] == Kind.LIST:
        codes = micro.elements[micro.element_start[j] : micro.element_start[j + 1]].tolist()
        parts.append(list_text([history.atoms.decode(code) for code in codes]))
    else:
        parts.append(plain(history.atoms.decode(int(micro.arg[j]))))
    return " ".join(parts)


#: Longer lists are shown by their ends.
LIST_SHOWN = 12


def list_text(values: Sequence[Value]) -> str:
    """A list as people write it; long ones show both ends and their length."""
    if len(values) <= LIST_SHOWN:
        return "[" + " ".join(map(plain, values)) + "]"
    head = " ".join(map(plain, values[:4]))
    tail = " ".join(map(plain, values[-6:]))
    return f"[{head} … {tail}]"


def plain(value: Value) -> str:
    """A scalar as people write it."""
    if value is None:
        return "nil"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (tuple, list)):
        return list_text(value)
    return str(value)


#: Micro-ops of one transaction that a sentence shows.
MICRO_SHOWN = 8


def txn_text(txns: Table, txn: int) -> str:
    """A transaction quoted: `op 12: [append x 1] [r y []]`."""
    first, last = int(txns.first[txn]), int(txns.last[txn])
    shown = [
        f"[{micro_text(txns.history, j)}]" for j in range(first, min(last, first + MICRO_SHOWN))
    ]
    if last - first > MICRO_SHOWN:
        shown.append(f"… ({last - first} micro-ops)")
    label = {FAIL: " (failed)", INFO: " (outcome unknown)"}.get(int(txns.status[txn]), "")
    who = f" by process {int(txns.process[txn])}" if txns.process[txn] != NEMESIS else ""
    return f"op {txns.index(txn)}{who}{label}: {' '.join(shown) or '(empty)'}"

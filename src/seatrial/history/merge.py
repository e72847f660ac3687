"""Putting histories together, and lifting independent keys out of values."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from seatrial.history.builder import HistoryBuilder
from seatrial.history.columns import I64, NIL, History, Kind, MicroOps
from seatrial.op import Op, Type


def joined(first: History, second: History) -> History:
    """The rows of both, one after the other. O(n).

    `second` shares the atoms of `first`, and its names begin with those of `first`.
    """
    a, b = first.micro, second.micro
    micro = MicroOps(
        start=_ends(a.start, b.start),
        f=np.concatenate([a.f, b.f]),
        key=np.concatenate([a.key, b.key]),
        kind=np.concatenate([a.kind, b.kind]),
        arg=np.concatenate([a.arg, b.arg]),
        element_start=_ends(a.element_start, b.element_start),
        elements=np.concatenate([a.elements, b.elements]),
    )
    return History(
        index=np.concatenate([first.index, second.index]),
        process=np.concatenate([first.process, second.process]),
        type=np.concatenate([first.type, second.type]),
        f=np.concatenate([first.f, second.f]),
        time_ns=np.concatenate([first.time_ns, second.time_ns]),
        error=np.concatenate([first.error, second.error]),
        key=np.concatenate([first.key, second.key]),
        kind=np.concatenate([first.kind, second.kind]),
        atom=np.concatenate([first.atom, second.atom]),
        element_start=_ends(first.element_start, second.element_start),
        elements=np.concatenate([first.elements, second.elements]),
        micro=micro,
        names=second.names,
        atoms=second.atoms,
    )


def lift_keys(history: History) -> History:
    """Clients' values `[key value]` taken apart, as Jepsen's `independent` writes them. O(n).

    An op of the nemesis, one that has a key already, and one whose value is no such pair stay as
    they are.
    """
    client = history.client & (history.key == NIL)
    lengths = np.diff(history.element_start)
    pairs = client & (history.kind == Kind.LIST) & (lengths == 2)
    places = history.element_start[:-1][pairs]
    # A null key is no key: such a pair stays a list of two.
    full = history.elements[places] != NIL
    pairs[np.flatnonzero(pairs)[~full]] = False
    places = places[full]
    key, atom, kind = history.key.copy(), history.atom.copy(), history.kind.copy()
    key[pairs] = history.elements[places]
    atom[pairs] = history.elements[places + 1]
    kind[pairs] = np.where(atom[pairs] == NIL, Kind.NIL, Kind.ATOM)
    elements = history.elements[np.repeat(~pairs, lengths)]
    lengths[pairs] = 0
    starts = np.zeros(len(history) + 1, np.int64)
    np.cumsum(lengths, out=starts[1:])
    flat = replace(history, key=key, atom=atom, kind=kind, element_start=starts, elements=elements)
    return _lift_trees(flat, np.flatnonzero(client & (history.kind == Kind.TREE)))


def _lift_trees(history: History, rows: I64) -> History:
    """Nested pairs: each distinct one is decoded once, laid out anew and copied to its rows."""
    codes, which = np.unique(history.atom[rows], return_inverse=True)
    builder = HistoryBuilder(history.atoms, history.names)
    place = np.full(len(codes), -1, np.int64)
    for i, code in enumerate(codes.tolist()):
        pair = history.atoms.decode(code)
        if isinstance(pair, tuple) and len(pair) == 2 and isinstance(pair[0], (int, float, str)):
            place[i] = len(builder)
            builder.append(Op(Type.INVOKE, 0, "", pair[1], pair[0]))
    if not len(builder):
        return history
    lifted = place[which] >= 0
    rows, source = rows[lifted], place[which][lifted]
    order = np.arange(len(history), dtype=np.int64)
    order[rows] = len(history) + source
    mixed = joined(history, builder.history()).take(order)
    return replace(
        mixed,
        index=history.index,
        process=history.process,
        type=history.type,
        f=history.f,
        time_ns=history.time_ns,
        error=history.error,
    )


def _ends(first: I64, second: I64) -> I64:
    return np.concatenate([first, second[1:] + first[-1]])

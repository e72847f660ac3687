"""Which checkers fit a history, told from its ops alone (for `seatrial check FILE`)."""

from __future__ import annotations

import numpy as np

from seatrial.history import History, Kind
from seatrial.op import Type

#: Sets of `f` names, the first that covers a history's own wins.
BY_F: tuple[tuple[frozenset[str], tuple[str, ...]], ...] = (
    (frozenset({"read", "write", "cas"}), ("linearizable",)),
    (frozenset({"add", "read"}), ("set-full",)),
    (frozenset({"transfer", "read"}), ("bank",)),
    (frozenset({"enqueue", "dequeue", "drain"}), ("total-queue",)),
    (frozenset({"generate"}), ("unique-ids",)),
    (frozenset({"fingerprint", "put"}), ("replicas",)),
    (frozenset({"acquire", "release"}), ("lock",)),
)


def guess_checkers(history: History) -> tuple[str, ...]:
    """Names of the checkers that fit; empty if none does."""
    client = history.client
    if not client.any():
        return ()
    if history.is_f("send", "poll").any():
        return ("kafka",)
    transactions = client & (history.kind == Kind.TXN)
    if transactions.any():
        return _by_micro_ops(history)
    codes = np.unique(history.f[client])
    fs = frozenset(history.names[code] for code in codes.tolist() if code >= 0)
    for known, checkers in BY_F:
        if fs and fs <= known:
            return checkers
    return ()


def _by_micro_ops(history: History) -> tuple[str, ...]:
    fs = {history.names[code] for code in np.unique(history.micro.f).tolist()}
    if fs & {"send", "poll"}:
        return ("kafka",)
    if "append" in fs:
        return ("list-append",)
    if "w" in fs:
        return ("rw-register",)
    if fs == {"r"}:
        reads_lists = bool((history.micro.kind == Kind.LIST).any())
        return ("list-append",) if reads_lists else ("rw-register",)
    return ()


def judged_ops(history: History) -> int:
    """How many client ops completed `ok`."""
    return int(np.count_nonzero(history.client & (history.type == Type.OK)))

"""The catalogue of checkers: histories in, verdicts out, nothing else.

As a library:

    from seatrial.checkers import make
    verdict = make("list-append").check(history, Budget.start())
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from seatrial.catalogue import Catalogue, Entry
from seatrial.checker import Checker, CheckOptions

#: Each entry is a factory: `CheckOptions` → `Checker`.
CHECKERS = Catalogue(
    "checker",
    {
        "linearizable": Entry(
            "linearizability against a model (register, cas-register, queue, …), per key",
            "seatrial.checkers.linearizable:make",
        ),
        "list-append": Entry(
            "isolation of transactions that append to and read lists",
            "seatrial.checkers.list_append:make",
        ),
        "rw-register": Entry(
            "isolation of transactions that write and read registers",
            "seatrial.checkers.rw_register:make",
        ),
        "weak-isolation": Entry(
            "read committed, read atomic and causal consistency of registers, by session",
            "seatrial.checkers.weak_isolation:make",
        ),
        "serializable": Entry(
            "serializability of registers: looks for an order of writes (SAT, bounded)",
            "seatrial.checkers.key_value:make_serializable",
        ),
        "snapshot-isolation": Entry(
            "snapshot isolation of registers: looks for an order of writes (SAT, bounded)",
            "seatrial.checkers.key_value:make_snapshot",
        ),
        "set": Entry(
            "a grow-only set: nothing lost, nothing unexpected", "seatrial.checkers.sets:make_set"
        ),
        "set-full": Entry(
            "a grow-only set, element by element: lost, stale, never read, time to stable",
            "seatrial.checkers.sets:make_set_full",
        ),
        "replicas": Entry(
            "after healing, all replicas hold the same data", "seatrial.checkers.replicas:make"
        ),
        "stats": Entry(
            "enough ok ops of each kind, in the whole and inside each fault window",
            "seatrial.checkers.stats:make",
        ),
    },
)


def make(name: str, options: CheckOptions | None = None) -> Checker:
    """The checker called `name`; raises `UnknownName` with a suggestion."""
    factory = cast(Callable[[CheckOptions], Checker], CHECKERS[name].load())
    return factory(options or CheckOptions())

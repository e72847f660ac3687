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
from seatrial.checkers.options import known

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
        "bank": Entry(
            "transfers keep the total, in each read by itself", "seatrial.checkers.bank:make"
        ),
        "long-fork": Entry(
            "no two reads saw two writes in opposite orders", "seatrial.checkers.long_fork:make"
        ),
        "counter": Entry(
            "a growing counter: each read within what was surely and possibly added",
            "seatrial.checkers.counter:make",
        ),
        "queue": Entry(
            "every dequeue came from an enqueue before it", "seatrial.checkers.queues:make_queue"
        ),
        "total-queue": Entry(
            "all that was enqueued came out of the drained queue",
            "seatrial.checkers.queues:make_total_queue",
        ),
        "unique-ids": Entry("no id was given twice", "seatrial.checkers.unique_ids:make"),
        "sequential": Entry(
            "one client's inserts become visible in their order",
            "seatrial.checkers.sequential:make",
        ),
        "causal": Entry(
            "a fixed causal order of ops on each key appears in that order",
            "seatrial.checkers.causal:make",
        ),
        "causal-reverse": Entry(
            "no write is visible without those acknowledged before it began",
            "seatrial.checkers.causal_reverse:make",
        ),
        "comments": Entry(
            "no comment is visible without those acknowledged before it began",
            "seatrial.checkers.causal_reverse:make_comments",
        ),
        "g2": Entry(
            "of two inserts guarded by a predicate, at most one succeeds",
            "seatrial.checkers.g2:make",
        ),
        "kafka": Entry(
            "logs: sends and polls lose, repeat, skip and reorder nothing",
            "seatrial.checkers.kafka:make",
        ),
        "monotonic": Entry(
            "a value that only grows is never seen to go back", "seatrial.checkers.monotonic:make"
        ),
        "sessions": Entry(
            "read your writes, monotonic reads and writes, writes follow reads",
            "seatrial.checkers.sessions:make",
        ),
        "watch": Entry(
            "watches are ordered, unique, atomic, reliable, resumable and bookmarkable",
            "seatrial.checkers.watch:make",
        ),
        "lock": Entry(
            "never two holders of one lock at once, leases included",
            "seatrial.checkers.lock:make",
        ),
        "ttl": Entry(
            "a value is there for its time to live, and then gone", "seatrial.checkers.ttl:make"
        ),
        "availability": Entry(
            "enough ops succeed, and none of the times without any is too long",
            "seatrial.checkers.availability:make",
        ),
        "log-pattern": Entry(
            "no panic and no failed assertion in the logs", "seatrial.checkers.log_pattern:make"
        ),
    },
)


def make(name: str, options: CheckOptions | None = None) -> Checker:
    """The checker called `name`; raises `UnknownName` with a suggestion, also for an option."""
    factory = cast(Callable[[CheckOptions], Checker], CHECKERS[name].load())
    chosen = options or CheckOptions()
    known(name, chosen.extra)
    return factory(chosen)

"""The bugs that can be planted in the reference database, and who must find them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Bug:
    """One bug: what it breaks, under which workload it shows, which checkers must catch it.

    `fault`: the fault that wakes it, which then is three of four.
    """

    summary: str
    workload: str
    checkers: tuple[str, ...]
    fault: str | None = None


_LIN = ("linearizable",)
_LIST = ("list-append",)
_RW = ("rw-register",)
_LOCK = ("linearizable", "lock")

#: Name → bug. Where each acts is said at the places that ask for its name.
BUGS: Final[Mapping[str, Bug]] = {
    # ── registers ──
    "stale-read": Bug("a follower answers reads from its own copy", "register", _LIN),
    "stale-read-after-failover": Bug(
        "a deposed leader goes on answering reads", "register", _LIN, "cut"
    ),
    "non-monotonic-read": Bug("each read asks any replica at random", "register", _LIN),
    "lost-acknowledged-write": Bug(
        "the leader acknowledges before anybody else has the write", "register", _LIN, "crash"
    ),
    "split-brain": Bug("a leader cut off from the majority goes on alone", "register", _LIN, "cut"),
    "lost-fsync": Bug("nodes acknowledge before their disk has it", "register", _LIN, "power"),
    "double-applied-retry": Bug("a request that came twice is done twice", "register", _LIN),
    "torn-compare-and-set": Bug("a compare-and-set compares early and sets late", "register", _LIN),
    "dirty-read-register": Bug(
        "a write is visible before it is rolled back and refused", "register", _LIN
    ),
    "resurrected-delete": Bug("a deleted value comes back after a while", "register", _LIN),
    "crossed-keys": Bug("a read now and then answers for another key", "register", _LIN),
    "last-write-wins": Bug(
        "writes are ordered by the clocks of nodes that disagree", "register", _LIN, "skew"
    ),
    # ── transactions on lists ──
    "dirty-read": Bug("G1a: an aborted transaction was visible", "append", _LIST),
    "intermediate-read": Bug("G1b: a transaction half done is visible", "append", _LIST),
    "dirty-write": Bug("G0: writes of two transactions interleave", "append", _LIST),
    "circular-information-flow": Bug(
        "G1c: what a transaction wrote is read before it has read", "append", _LIST
    ),
    "read-skew": Bug("G-single: reads of one transaction at different times", "append", _LIST),
    "write-skew": Bug("G2-item: two snapshots, two writes, no conflict seen", "append", _LIST),
    "stale-snapshot": Bug(
        "read-only transactions see a past that others had seen end", "append", _LIST
    ),
    "lost-update": Bug("an append overwrites what came since its snapshot", "append", _LIST),
    "lost-append": Bug("an acknowledged append is dropped", "append", _LIST),
    "torn-transaction": Bug("the second half of a transaction is lost", "append", _LIST),
    "duplicated-append": Bug("a request that came twice appends twice", "append", _LIST),
    "reordered-append": Bug("a follower shows the last two elements swapped", "append", _LIST),
    "phantom-element": Bug("an element vanishes and comes back", "append", _LIST),
    "internal-inconsistency": Bug("a transaction does not see its own append", "append", _LIST),
    # ── transactions on registers ──
    "lost-update-register": Bug(
        "a write overwrites what came since its snapshot", "rw-register", _RW
    ),
    "aborted-read-register": Bug("G1a: an aborted transaction was visible", "rw-register", _RW),
    "intermediate-read-register": Bug(
        "G1b: a transaction half done is visible", "rw-register", _RW
    ),
    "long-fork": Bug("replicas show two writes in opposite orders", "long-fork", ("long-fork",)),
    # ── the rest ──
    "lost-element": Bug("an acknowledged add is dropped", "set", ("set", "set-full")),
    "forgotten-element": Bug("an element vanishes after a while", "set", ("set", "set-full")),
    "replica-divergence": Bug("a follower skips an entry of the log", "replicas", ("replicas",)),
    "wrong-total": Bug("a transfer is seen between debit and credit", "bank", ("bank",)),
    "negative-balance": Bug("the balance is checked in an old snapshot", "bank", ("bank",)),
    "lost-message": Bug("an acknowledged enqueue is dropped", "queue", ("total-queue",)),
    "duplicate-dequeue": Bug("a message is given to two consumers", "queue", ("queue",)),
    "reordered-queue": Bug("a dequeue takes the last message", "queue", _LIN),
    "lost-increment": Bug("an acknowledged increment is dropped", "counter", ("counter",)),
    "double-increment": Bug("a retried increment counts twice", "counter", ("counter",)),
    "lock-given-twice": Bug("a lock is granted while it is held", "lock", _LOCK),
    "skewed-lease": Bug("a lease ends early by a clock that runs ahead", "lock", _LOCK, "skew"),
    "repeated-id": Bug("a new leader hands out ids again", "unique-ids", ("unique-ids",), "crash"),
}

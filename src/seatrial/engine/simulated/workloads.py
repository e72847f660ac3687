"""What is asked of the reference database, and which checkers judge it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from seatrial.checker import CheckOptions
from seatrial.engine.simulated.machine import ACCOUNTS, ISOLATIONS, LEASE_NS
from seatrial.generator import (
    Body,
    Context,
    Generator,
    again,
    below,
    constant,
    cycle,
    each_thread,
    limit,
    mix,
    one,
    ops,
    sequence,
    sleep,
    unfold,
    weighted_mix,
)
from seatrial.op import Value

KEYS: Final = 4
ACTIVE: Final = 5
APPENDS_PER_KEY: Final = 24
GROUP: Final = 2
#: How long a lock is held, or not having got it is put up with.
HOLD_S: Final = 0.005
#: Dequeues after the load: more than can be left.
DRAIN_MAX: Final = 400


@dataclass(frozen=True, slots=True)
class SimulatedWorkload:
    """`main` and `final` make generators from the seed; `checkers` with their options.

    `isolations`, the strongest first, are those it can ask for; `weaker` replaces the options
    under all but the strongest.
    """

    main: Callable[[int], Generator]
    checkers: Mapping[str, CheckOptions]
    final: Callable[[int], Generator] | None = None
    weaker: CheckOptions | None = None
    isolations: tuple[str, ...] = field(default=("strict-serializable",))


def _register(seed: int) -> Generator:
    def change(state: int, draw: int, context: Context) -> tuple[Body, int]:
        key, lot = below(draw, KEYS), below(again(draw), 10)
        if lot < 5:
            return ("write", state, key), state + 1
        if lot < 6:
            return ("write", None, key), state
        return ("cas", (max(0, state - 1 - below(again(again(draw)), 12)), state), key), state + 1

    def read(draw: int, context: Context) -> Body:
        return "read", None, below(draw, KEYS)

    return mix(unfold(change, 1, seed), ops(read, seed), seed=seed)


def _transactions(write: str) -> Callable[[int], Generator]:
    def make(state: int, draw: int, context: Context) -> tuple[Body, int]:
        micro: list[Value] = []
        lot = draw
        for _ in range(1 + below(draw, 4)):
            lot = again(lot)
            key = state // APPENDS_PER_KEY // ACTIVE * ACTIVE + below(lot, ACTIVE)
            lot = again(lot)
            if below(lot, 2):
                micro.append((write, key, state))
                state += 1
            else:
                micro.append(("r", key, None))
        return ("txn", tuple(micro), None), state

    return lambda seed: unfold(make, 1, seed)


def _adds(seed: int) -> Generator:
    def add(state: int, draw: int, context: Context) -> tuple[Body, int]:
        return ("add", state, None), state + 1

    return weighted_mix((4, unfold(add, 0, seed)), (1, constant("read")), seed=seed)


def _increments(seed: int) -> Generator:
    def add(draw: int, context: Context) -> Body:
        return "add", 1 + below(draw, 3), None

    return mix(ops(add, seed), constant("read"), seed=seed)


def _bank(seed: int) -> Generator:
    def transfer(draw: int, context: Context) -> Body:
        source, lot = below(draw, ACCOUNTS), again(draw)
        target = (source + 1 + below(lot, ACCOUNTS - 1)) % ACCOUNTS
        return "transfer", (source, target, 1 + below(again(lot), 6)), None

    return mix(ops(transfer, seed), constant("read"), seed=seed)


def _queue(seed: int) -> Generator:
    def enqueue(state: int, draw: int, context: Context) -> tuple[Body, int]:
        return ("enqueue", state, None), state + 1

    return weighted_mix((6, unfold(enqueue, 0, seed)), (5, constant("dequeue")), seed=seed)


def _drain(seed: int) -> Generator:
    return limit(DRAIN_MAX, constant("dequeue"))


def _lock(seed: int) -> Generator:
    """Held for a while, so that others are refused; less than a lease, with the time to get it."""
    return each_thread(cycle(sequence(one("acquire"), sleep(HOLD_S), one("release"))))


def _forks(seed: int) -> Generator:
    """Each key written once; the reads ask for the newest groups of keys."""

    def make(state: int, draw: int, context: Context) -> tuple[Body, int]:
        if below(draw, 3) == 0:
            return ("txn", (("w", state, 1),), None), state + 1
        group = max(0, state // GROUP - below(again(draw), 2))
        keys = range(group * GROUP, group * GROUP + GROUP)
        return ("txn", tuple(("r", key, None) for key in keys), None), state

    return unfold(make, 0, seed)


_FINAL_READ: Final = one("read")

WORKLOADS: Final[Mapping[str, SimulatedWorkload]] = {
    "register": SimulatedWorkload(_register, {"linearizable": CheckOptions(model="cas-register")}),
    "append": SimulatedWorkload(
        _transactions("append"),
        {"list-append": CheckOptions()},
        isolations=ISOLATIONS,
    ),
    "rw-register": SimulatedWorkload(
        _transactions("w"),
        {"rw-register": CheckOptions(version_order=("wfr", "sequential", "linearizable"))},
        isolations=ISOLATIONS,
        weaker=CheckOptions(version_order=("wfr",)),
    ),
    "long-fork": SimulatedWorkload(_forks, {"long-fork": CheckOptions(group_size=GROUP)}),
    "set": SimulatedWorkload(
        _adds, {"set": CheckOptions(), "set-full": CheckOptions()}, lambda seed: _FINAL_READ
    ),
    "counter": SimulatedWorkload(_increments, {"counter": CheckOptions()}),
    "bank": SimulatedWorkload(
        _bank,
        {"bank": CheckOptions(extra={"accounts": [0, 1, 2, 3, 4], "total": 50})},
    ),
    "queue": SimulatedWorkload(
        _queue,
        {
            "queue": CheckOptions(),
            "total-queue": CheckOptions(),
            "linearizable": CheckOptions(model="fifo-queue"),
        },
        _drain,
    ),
    "lock": SimulatedWorkload(
        _lock,
        {
            "linearizable": CheckOptions(model="mutex"),
            "lock": CheckOptions(extra={"ttl_s": LEASE_NS / 1e9}),
        },
    ),
    "unique-ids": SimulatedWorkload(
        lambda seed: constant("generate"), {"unique-ids": CheckOptions()}
    ),
    "replicas": SimulatedWorkload(
        _register,
        {"replicas": CheckOptions()},
        lambda seed: each_thread(one("fingerprint")),
    ),
}


def checkers_of(workload: str, isolation: str) -> dict[str, CheckOptions]:
    """The checkers of a workload with their options, at what `isolation` promises."""
    spec = WORKLOADS[workload]
    if len(spec.isolations) == 1:
        return dict(spec.checkers)
    strongest = isolation == spec.isolations[0]
    return {
        name: replace(options if strongest else spec.weaker or options, consistency_model=isolation)
        for name, options in spec.checkers.items()
    }

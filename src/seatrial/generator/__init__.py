"""Generators: pure, seeded sources of ops.

A generator is a value. `op` asks it for the next op at a time and with certain threads free, and
answers with the op and *the generator that comes after*; nothing is mutated, so a schedule can be
simulated to the nanosecond and repeated from its seed. The vocabulary is Jepsen's
(`jepsen-io/generator`); where its combinators draw lots, ours take a seed.

    >>> from seatrial.generator import constant, limit, simulate, stagger
    >>> schedule = stagger(0.001, limit(2, constant("read")), seed=7)
    >>> [op.type.label for op in simulate(schedule, concurrency=1)]
    ['invoke', 'ok', 'invoke', 'ok']
"""

from __future__ import annotations

from seatrial.generator.bounds import cycle, limit, once, process_limit, repeat, until_ok
from seatrial.generator.choice import any_of, mix, weighted_mix
from seatrial.generator.contract import (
    PENDING,
    Answer,
    Context,
    Generator,
    Pending,
    ask,
    heeds,
    thread_of,
)
from seatrial.generator.draw import again, below, choose, derive, uniform
from seatrial.generator.keys import concurrent_keys
from seatrial.generator.order import flip_flop, phases, sequence, synchronize, then
from seatrial.generator.sources import (
    Body,
    constant,
    each_of,
    nothing,
    one,
    ops,
    unfold,
    unroll,
)
from seatrial.generator.threads import each_process, each_thread, on_threads, reserve
from seatrial.generator.timing import delay, rate, sleep, stagger, time_limit
from seatrial.generator.transform import filter_ops, map_ops
from seatrial.generator.virtual import imperfect, perfect, perfect_info, quick, simulate

__all__ = [
    "PENDING",
    "Answer",
    "Body",
    "Context",
    "Generator",
    "Pending",
    "again",
    "any_of",
    "ask",
    "below",
    "choose",
    "concurrent_keys",
    "constant",
    "cycle",
    "delay",
    "derive",
    "each_of",
    "each_process",
    "each_thread",
    "filter_ops",
    "flip_flop",
    "heeds",
    "imperfect",
    "limit",
    "map_ops",
    "mix",
    "nothing",
    "on_threads",
    "once",
    "one",
    "ops",
    "perfect",
    "perfect_info",
    "phases",
    "process_limit",
    "quick",
    "rate",
    "repeat",
    "reserve",
    "sequence",
    "simulate",
    "sleep",
    "stagger",
    "synchronize",
    "then",
    "thread_of",
    "time_limit",
    "unfold",
    "uniform",
    "unroll",
    "until_ok",
    "weighted_mix",
]

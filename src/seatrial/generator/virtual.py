"""A generator's schedule on a virtual clock, without clients and without waiting.

As Jepsen's `generator/test.clj`: `quick` completes each op at once, `perfect` after 10 ns,
`perfect_info` too but nobody knows how it ended (each thread goes on as a new process), and
`imperfect` lets each thread fail, then be unknown, then succeed, over and over.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Final, TypeAlias

from seatrial.errors import SeatrialError
from seatrial.generator.contract import PENDING, Context, Generator, ask, thread_of
from seatrial.generator.draw import GAMMA, MASK, derive, scramble
from seatrial.op import Op, Type

#: How long the clock moves where a generator is pending and no op is outstanding.
IDLE_STEP_NS: Final = 1_000_000
#: How often in a row that may happen: 24 hours of virtual time.
IDLE_STEPS_MAX: Final = 86_400_000
LATENCY_NS: Final = 10

Completion: TypeAlias = Callable[[Op, int, int], tuple[Type, int]]
"""How an op ends: from the invocation, its thread and a fresh draw, the type and the latency."""


def quick(op: Op, thread: int, draw: int) -> tuple[Type, int]:
    """Ok in no time."""
    return Type.OK, 0


def perfect(op: Op, thread: int, draw: int) -> tuple[Type, int]:
    """Ok after 10 ns."""
    return Type.OK, LATENCY_NS


def perfect_info(op: Op, thread: int, draw: int) -> tuple[Type, int]:
    """Unknown after 10 ns."""
    return Type.INFO, LATENCY_NS


def imperfect(op: Op, thread: int, draw: int) -> tuple[Type, int]:
    """Ok, fail or info after 10 ns, one as likely as another."""
    return (Type.OK, Type.FAIL, Type.INFO)[(draw * 3) >> 64], LATENCY_NS


def simulate(
    gen: Generator,
    *,
    concurrency: int = 2,
    completion: Completion = perfect,
    seed: int = 0,
    ops_max: int = 1_000_000,
) -> list[Op]:
    """All ops of `gen`, invocations and completions in order of time, at most `ops_max`.

    Times are in nanoseconds from 0. At the same nanosecond completions come before invocations.
    Raises `SeatrialError` if `gen` is pending for 24 virtual hours with nothing outstanding.
    """
    processes = dict(enumerate(range(concurrency)))
    free = tuple(range(concurrency))
    now, draws, idle = 0, derive(seed, "simulate"), 0
    outstanding: list[tuple[int, int, int, Op]] = []  # (time, number, thread, completion)
    out: list[Op] = []
    while len(out) < ops_max:
        op, gen, after = ask(gen, Context(now, free, processes)) if free else (PENDING, gen, gen)
        if op is None and not outstanding:
            break
        due = outstanding[0][0] if outstanding else None
        if op is None or op is PENDING or (due is not None and due <= op.time_ns):
            if due is None:
                idle += 1
                if idle > IDLE_STEPS_MAX:
                    raise SeatrialError(
                        f"the generator is pending at {now} ns with nothing outstanding\n\n"
                        "hint: a generator that waits for ever must end instead"
                    )
                now += IDLE_STEP_NS
                continue
            now, _, thread, done = heapq.heappop(outstanding)
            free = (*free, thread)
            out.append(done)
            gen = gen.update(Context(now, free, processes), done)
            if done.type == Type.INFO:
                processes = {**processes, thread: done.process + concurrency}
            continue
        idle, gen, now = 0, after, max(now, op.time_ns)
        thread = thread_of(op, concurrency, free)
        at = free.index(thread)
        free = free[:at] + free[at + 1 :]
        out.append(op)
        gen = gen.update(Context(now, free, processes), op)
        kind, latency_ns = completion(op, thread, scramble(draws))
        draws = (draws + GAMMA) & MASK
        done = Op(kind, op.process, op.f, op.value, op.key, op.time_ns + latency_ns)
        heapq.heappush(outstanding, (done.time_ns, len(out), thread, done))
    return out

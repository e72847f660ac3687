"""Pure generation: how many ops a second a realistic composition gives on one core.

Three kinds of op in a mix, staggered, over independent keys of 200 ops each, under a time limit;
20 threads in groups of 5. Every op is asked for, told as invoked and told as completed, as an
engine does it. The rival figure is Jepsen's own (about 20,000 ops/s, its generator's
documentation). Run: `python -m benchmarks.generator [--ops N] [--rounds N]`.
"""

from __future__ import annotations

import argparse
import time

from seatrial.generator import (
    PENDING,
    Body,
    Context,
    Generator,
    below,
    concurrent_keys,
    mix,
    ops,
    quick,
    simulate,
    stagger,
    time_limit,
)
from seatrial.op import Atom, Op, Type

JEPSEN_OPS_PER_S = 20_000
THREADS = 20
THREADS_PER_KEY = 5


def read(draw: int, context: Context) -> Body:
    """Read the register."""
    return "read", None, None


def write(draw: int, context: Context) -> Body:
    """Write one of five values."""
    return "write", below(draw, 5), None


def cas(draw: int, context: Context) -> Body:
    """Compare and set among five values."""
    return "cas", (below(draw, 5), draw % 5), None


def registers(key: Atom, visit: int) -> Generator:
    """What happens at one key."""
    return mix(ops(read, visit, key), ops(write, visit, key), ops(cas, visit, key), seed=visit)


def composition() -> Generator:
    """The whole schedule."""
    return time_limit(
        3600, stagger(1e-6, concurrent_keys(THREADS_PER_KEY, registers, ops_per_key=200), seed=1)
    )


def bare(gen: Generator, count: int) -> float:
    """CPU seconds to draw `count` ops, each told as invoked and as completed."""
    processes = {thread: thread for thread in range(THREADS)}
    free, now = tuple(range(THREADS)), 0
    begun = time.process_time()
    for _ in range(count):
        op, gen = gen.op(Context(now, free, processes))
        if op is None or op is PENDING:
            raise SystemExit("the composition ended too soon")
        now = op.time_ns
        thread = op.process
        at = free.index(thread)
        rest = free[:at] + free[at + 1 :]
        gen = gen.update(Context(now, rest, processes), op)
        free = (*rest, thread)
        done = Op(Type.OK, op.process, op.f, op.value, op.key, now)
        gen = gen.update(Context(now, free, processes), done)
    return time.process_time() - begun


def asked(gen: Generator, count: int) -> float:
    """CPU seconds to draw `count` ops, all threads free, without telling it what became of them."""
    processes = {thread: thread for thread in range(THREADS)}
    free, now = tuple(range(THREADS)), 0
    begun = time.process_time()
    for _ in range(count):
        op, gen = gen.op(Context(now, free, processes))
        if op is None or op is PENDING:
            raise SystemExit("the composition ended too soon")
        now = op.time_ns
    return time.process_time() - begun


def simulated(gen: Generator, count: int) -> float:
    """CPU seconds of `simulate` to the same count of invocations."""
    begun = time.process_time()
    simulate(gen, concurrency=THREADS, completion=quick, ops_max=2 * count)
    return time.process_time() - begun


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ops", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    print(f"{'what':<50}{'us/op':>8}{'ops/s':>12}{'vs Jepsen':>11}")
    print(f"{'Jepsen, as published':<50}{1e6 / JEPSEN_OPS_PER_S:>8.1f}{JEPSEN_OPS_PER_S:>12,}")
    runs = (
        ("mix of 3, op() alone", mix_only(), asked),
        ("time_limit(stagger(keys(mix of 3))), op() alone", composition(), asked),
        ("mix of 3, op() and both updates", mix_only(), bare),
        ("time_limit(stagger(keys(mix of 3))), the same", composition(), bare),
        ("the same through simulate()", composition(), simulated),
    )
    for name, gen, run in runs:
        seconds = min(run(gen, args.ops) for _ in range(args.rounds))
        rate = args.ops / seconds
        ratio = rate / JEPSEN_OPS_PER_S
        print(f"{name:<50}{seconds / args.ops * 1e6:>8.2f}{rate:>12,.0f}{ratio:>10.1f}x")


def mix_only() -> Generator:
    """The innermost part alone."""
    return registers(0, 0)


if __name__ == "__main__":
    main()

"""What generating, carrying out and recording cost an op, and what is left of a bare loop.

The first table uses a client that answers at once and yields to the loop once an op, as a real
one does, and a history on disk. The second compares the whole with a bare asyncio loop over the
same client at about 6,000 ops/s: 50 clients whose calls take 6 to 8 ms. Run:
`python -m benchmarks.interpreter [--ops N] [--rounds N]`.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from seatrial.engine.counters import OpCounters
from seatrial.engine.interpreter import Completion, Record, interpret
from seatrial.generator import (
    Body,
    Context,
    Generator,
    below,
    concurrent_keys,
    constant,
    limit,
    mix,
    ops,
)
from seatrial.history.stream import HistoryWriter
from seatrial.op import Atom, Op, Type

THREADS = 50
Client = Callable[[int, Op], Awaitable[Completion]]


def _read(draw: int, context: Context) -> Body:
    return "read", None, None


def _write(draw: int, context: Context) -> Body:
    return "write", below(draw, 5), None


def _cas(draw: int, context: Context) -> Body:
    return "cas", (below(draw, 5), draw % 5), None


def _registers(key: Atom, visit: int) -> Generator:
    return mix(ops(_read, visit, key), ops(_write, visit, key), ops(_cas, visit, key), seed=visit)


def registers(count: int) -> Generator:
    """Reads, writes and compare-and-sets over independent keys, ten threads a key."""
    return limit(count, concurrent_keys(10, _registers, ops_per_key=500))


async def instant(thread: int, op: Op) -> Completion:
    """Answers at once, after one turn of the loop."""
    await asyncio.sleep(0)
    return Type.OK, op.value, None


async def slow(thread: int, op: Op) -> Completion:
    """Answers after 6 to 8 ms."""
    await asyncio.sleep(0.006 + (op.time_ns % 2000) * 1e-6)
    return Type.OK, op.value, None


def whole(gen: Generator, client: Client, *, keep: bool) -> float:
    """CPU seconds of the interpreter over `gen`, counters included; `keep`: and the history."""

    def forget(op: Op) -> int:
        return 0

    async def carry_out(record: Record) -> None:
        begun = time.perf_counter_ns()
        await interpret(
            gen,
            concurrency=THREADS,
            invoke=client,
            record=record,
            clock=lambda: time.perf_counter_ns() - begun,
            counters=OpCounters(),
        )

    async def main() -> None:
        if not keep:
            await carry_out(forget)
            return
        with (
            tempfile.TemporaryDirectory() as folder,
            HistoryWriter(Path(folder) / "history.arrow") as writer,
        ):
            await carry_out(writer.append)

    begun_cpu = time.process_time()
    asyncio.run(main())
    spent: float = time.process_time() - begun_cpu
    return spent


def bare(client: Client, count: int) -> float:
    """CPU seconds of the client alone, called in a loop by as many tasks."""

    async def work(thread: int) -> None:
        op = Op(Type.INVOKE, thread, "read")
        for _ in range(count // THREADS):
            await client(thread, op)

    async def main() -> None:
        await asyncio.gather(*(work(thread) for thread in range(THREADS)))

    begun_cpu = time.process_time()
    asyncio.run(main())
    spent: float = time.process_time() - begun_cpu
    return spent


def timed(run: Callable[[], float]) -> float:
    """Wall seconds."""
    begun = time.perf_counter()
    run()
    return time.perf_counter() - begun


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ops", type=int, default=30_000)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    count: int = args.ops

    def cost(run: Callable[[], float]) -> float:
        return min(run() for _ in range(args.rounds)) / count * 1e6

    client = cost(lambda: bare(instant, count))
    flat = cost(lambda: whole(limit(count, constant("read")), instant, keep=False))
    mixed = cost(lambda: whole(registers(count), instant, keep=False))
    recorded = cost(lambda: whole(registers(count), instant, keep=True))
    print(f"{'CPU an op (bar: 30 us for the last line)':<48}{'us':>8}")
    for name, us in (
        ("the client alone", client),
        ("interpreter (constant ops, nothing kept)", flat - client),
        ("generator (mix of 3 over independent keys)", mixed - flat),
        ("recording to disk (invocation, completion)", recorded - mixed),
        ("generating, interpreting and recording", recorded - client),
    ):
        print(f"{name:<48}{us:>8.1f}")

    loop = min(timed(lambda: bare(slow, count)) for _ in range(args.rounds))
    tool = min(timed(lambda: whole(registers(count), slow, keep=True)) for _ in range(args.rounds))
    print(f"\n{'50 clients of 6 to 8 ms':<48}{'ops/s':>8}{'ratio':>8}")
    print(f"{'bare asyncio loop':<48}{count / loop:>8,.0f}{1:>8.2f}")
    print(f"{'through generator, interpreter and history':<48}{count / tool:>8,.0f}", end="")
    print(f"{loop / tool:>8.2f}")


if __name__ == "__main__":
    main()

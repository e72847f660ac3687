"""How well a step's clock is brought onto the load's axis: width of the bound, and the truth.

Two processes of one machine share a clock, so the true offset is known and the measured one can be
held against it. The other process answers from an event loop that is idle, or one that is as busy
as a load at full rate. `python -m benchmarks.clocks`
"""

from __future__ import annotations

import asyncio
import multiprocessing
import statistics
import sys
import tempfile
import time
from multiprocessing.synchronize import Event
from pathlib import Path

from seatrial.runner.steps.line import EXCHANGES, LineClient, LineServer

LOOKS = 200
#: What a busy loop does between two chances to answer: some ops of a load.
BUSY_S = 0.0002
START_S = 20.0


def main() -> int:
    """Print the table."""
    print(f"{LOOKS} sightings of {EXCHANGES} exchanges each; µs")
    print(
        f"{'line':<6} {'the load':<9} {'bound p50':>10} {'p99':>8} {'max':>8} {'|error| max':>12}"
    )
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        for kind, address in (("unix", f"unix:{folder}/line"), ("tcp", "tcp:127.0.0.1:47911")):
            for busy in (False, True):
                bounds, errors, outside = _measure(address, busy)
                wrong += outside
                print(
                    f"{kind:<6} {'busy' if busy else 'idle':<9} {statistics.median(bounds):>10.1f}"
                    f" {sorted(bounds)[int(0.99 * len(bounds))]:>8.1f} {max(bounds):>8.1f}"
                    f" {max(errors):>12.1f}"
                )
    print(f"outside of their bound: {wrong}")
    return 1 if wrong else 0


def _measure(address: str, busy: bool) -> tuple[list[float], list[float], int]:
    context = multiprocessing.get_context("spawn")
    ready, done = context.Event(), context.Event()
    other = context.Process(target=_answer, args=(address, busy, ready, done), daemon=True)
    other.start()
    if not ready.wait(START_S):
        raise TimeoutError(f"no answer from {address} within {START_S:g} s")
    try:
        return asyncio.run(_look(address))
    finally:
        done.set()
        other.join()


async def _look(address: str) -> tuple[list[float], list[float], int]:
    line = await LineClient.open(address)
    bounds, errors, outside = [], [], 0
    for _ in range(LOOKS):
        seen = await line.look(time.monotonic_ns)
        assert seen is not None, "one machine's clock contradicts itself"
        middle, half = (seen.low_ns + seen.high_ns) / 2, (seen.high_ns - seen.low_ns) / 2
        bounds.append(half / 1e3)
        errors.append(abs(middle) / 1e3)
        outside += not seen.low_ns <= 0 <= seen.high_ns
        await asyncio.sleep(0.002)
    await line.close()
    return bounds, errors, outside


def _answer(address: str, busy: bool, ready: Event, done: Event) -> None:
    async def serve() -> None:
        line = LineServer(time.monotonic_ns, Path("/dev/null"), lambda: None)
        await line.listen(address)
        ready.set()
        while not done.is_set():
            if busy:
                until = time.perf_counter() + BUSY_S
                while time.perf_counter() < until:
                    pass
            await asyncio.sleep(0 if busy else 0.01)
        await line.close()

    asyncio.run(serve())


if __name__ == "__main__":
    sys.exit(main())

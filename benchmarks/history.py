"""Recording, loading and importing histories: time and peak memory.

    python -m benchmarks.history [--scale 1.0]

Every measurement is a process of its own, so that its peak memory is its own; the input is made
before, by another process. At scale 1: 10 million register ops, and a million transactions
(two million ops) in about 300 MB of EDN.
"""

from __future__ import annotations

import argparse
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from seatrial.history import History, HistoryBuilder
from seatrial.history.columns import NIL, Atoms, Kind, MicroOps
from seatrial.history.detect import load
from seatrial.history.jsonl import line_of
from seatrial.history.stream import HistoryWriter, write_arrow
from seatrial.op import Op, Type

REGISTER_OPS, TXNS, JSON_OPS, APPEND_OPS = 10_000_000, 1_000_000, 500_000, 500_000


def registers(n: int) -> History:
    """n events of 50 processes on 100 keys, as columns."""
    half = np.arange(n, dtype=np.int64) // 2
    value = np.where(np.arange(n) % 2 == 0, half, half % 1000)
    zeros = np.zeros(n + 1, np.int64)
    none = np.zeros(0, np.int64)
    micro = MicroOps(
        zeros, none.astype(np.int32), none, none.astype(np.uint8), none, zeros[:1], none
    )
    return History(
        index=np.arange(n, dtype=np.int64),
        process=(half % 50).astype(np.int32),
        type=(np.arange(n) % 2).astype(np.uint8),
        f=(half % 2).astype(np.int32),
        time_ns=np.arange(n, dtype=np.int64) * 50_000,
        error=np.full(n, -1, np.int32),
        key=half % 100,
        kind=np.full(n, Kind.ATOM, np.uint8),
        atom=np.where(value == NIL, NIL, value),
        element_start=zeros,
        elements=none,
        micro=micro,
        names=("read", "write"),
        atoms=Atoms(),
    )


def transactions(count: int) -> Iterator[str]:
    """Serial list-append transactions of 1 to 4 micro-ops, as Jepsen prints them."""
    rng = random.Random(7)
    lists: dict[int, list[int]] = {}
    next_key, written = 10, 0
    keys = list(range(10))
    for txn in range(count):
        calls, answers = [], []
        for _ in range(rng.randint(1, 4)):
            place = rng.randrange(len(keys))
            key = keys[place]
            if rng.random() < 0.5:
                written += 1
                lists.setdefault(key, []).append(written)
                calls.append(f"[:append {key} {written}]")
                answers.append(calls[-1])
                if len(lists[key]) >= 32:
                    del lists[key]
                    keys[place], next_key = next_key, next_key + 1
            else:
                calls.append(f"[:r {key} nil]")
                answers.append(f"[:r {key} [{' '.join(map(str, lists.get(key, [])))}]]")
        for half, (kind, micros) in enumerate((("invoke", calls), ("ok", answers))):
            yield (
                f"{{:index {2 * txn + half}, :time {(2 * txn + half) * 11003}, :type :{kind}, "
                f":process {txn % 20}, :f :txn, :value [{' '.join(micros)}]}}\n"
            )


def simple_ops(n: int) -> list[Op]:
    return [
        Op(Type(i & 1), i % 50, ("read", "write")[i & 1], i, i % 100, i * 1000) for i in range(n)
    ]


def txn_ops(n: int) -> list[Op]:
    return [
        Op(Type(i & 1), i % 50, "txn", (("append", i % 10, i), ("r", i % 7, (1, 2, 3))), None, i)
        for i in range(n)
    ]


def prepare(folder: Path, scale: float) -> None:
    write_arrow(registers(int(REGISTER_OPS * scale)), folder / "registers.arrow", batch_ops=4096)
    with (folder / "txns.edn").open("w") as file:
        file.writelines(transactions(int(TXNS * scale)))
    with (folder / "ops.jsonl").open("w") as lines:
        lines.writelines(f"{line_of(op)}\n" for op in simple_ops(int(JSON_OPS * scale)))


def reading(path: Path) -> Callable[[], str]:
    def run() -> str:
        history = load(path)
        return f"{len(history):,} ops, {path.stat().st_size / 1e6:,.0f} MB on disk"

    return run


def appending(folder: Path, ops: list[Op]) -> Callable[[], str]:
    def run() -> str:
        path = folder / f"append-{time.monotonic_ns()}.arrow"
        start = time.process_time()
        with HistoryWriter(path) as writer:
            for op in ops:
                writer.append(op)
        each = (time.process_time() - start) / len(ops) * 1e6
        path.unlink()
        return f"{each:.2f} µs of CPU an op, flushes included"

    return run


def building(ops: list[Op]) -> Callable[[], str]:
    def run() -> str:
        start = time.process_time()
        HistoryBuilder().extend(ops)
        return f"{(time.process_time() - start) / len(ops) * 1e6:.2f} µs of CPU an op, memory only"

    return run


def measure(name: str, folder: Path, scale: float) -> None:
    count = int(APPEND_OPS * scale)
    work = {
        "load arrow, registers": lambda: reading(folder / "registers.arrow"),
        "read edn, transactions": lambda: reading(folder / "txns.edn"),
        "read jsonl, registers": lambda: reading(folder / "ops.jsonl"),
        "append, registers": lambda: appending(folder, simple_ops(count)),
        "append, transactions": lambda: appending(folder, txn_ops(count)),
        "build, registers": lambda: building(simple_ops(count)),
    }
    run = work[name]()
    if name == "read edn, transactions":
        (folder / "warm.edn").write_text("{:type :ok, :value [[:r 1 [2]]]}")
        load(folder / "warm.edn")
    start, cpu = time.perf_counter(), time.process_time()
    note = run()
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{name:24} {seconds:8.2f} s {cpu:8.2f} s CPU {peak:9,.0f} MiB   {note}", flush=True)


NAMES = (
    "load arrow, registers",
    "read edn, transactions",
    "read jsonl, registers",
    "append, registers",
    "append, transactions",
    "build, registers",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--only")
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args()
    if given.only == "prepare":
        prepare(given.folder, given.scale)
    elif given.only:
        measure(given.only, given.folder, given.scale)
    else:
        print(f"{'':24} {'wall':>8}   {'':8}       {'peak':>9}")
        with tempfile.TemporaryDirectory() as folder:
            for name in ("prepare", *NAMES):
                command = [sys.executable, "-m", "benchmarks.history", "--scale", str(given.scale)]
                subprocess.run([*command, "--folder", folder, "--only", name], check=True)


if __name__ == "__main__":
    main()

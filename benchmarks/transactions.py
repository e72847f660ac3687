"""How fast the transactional checkers are, beside Elle's figures on a machine of the same kind.

    python -m benchmarks.transactions            all rows up to a million transactions
    python -m benchmarks.transactions --large    also ten million (needs 8 GiB)
    python -m benchmarks.transactions --only list-append --store rc

Each row runs in a process of its own: the history is made in memory, a small one is checked first
(so that compilation is not measured), then the row's is checked three times. `s` is the best of
these, `MB` the peak of the whole process, history included. Elle's seconds are its best of
several warm runs (0.2.7 on Java 17, two cores; reading the EDN not included).
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from dataclasses import dataclass, replace

from benchmarks.transactions_store import store
from seatrial.checker import Budget, CheckOptions
from seatrial.checkers import make

REPEATS = 3
WARM_UP = 2_000


@dataclass(frozen=True)
class Row:
    """One measurement: what, how much, and what Elle took (seconds, MB), where known."""

    checker: str
    txns: int
    store: str
    sources: str = ""
    elle_s: float | None = None
    elle_mb: float | None = None


ROWS = (
    Row("list-append", 10_000, "ser", "", 0.40, 500),
    Row("list-append", 100_000, "ser", "", 2.3, 1_500),
    Row("list-append", 1_000_000, "ser", "", 39.9, 9_800),
    Row("list-append", 10_000, "si", "", 0.47, 490),
    Row("list-append", 100_000, "si", "", 4.0, 1_500),
    Row("list-append", 1_000, "rc", "", 2.7, 3_200),
    Row("list-append", 10_000, "rc", "", 14.5, 8_600),
    Row("list-append", 100_000, "rc", "", 105.0, 10_800),
    Row("rw-register", 10_000, "ser", "wfr", 0.48, 575),
    Row("rw-register", 100_000, "ser", "wfr", 3.1, 1_960),
    Row("rw-register", 1_000_000, "ser", "wfr", 37.4, 10_300),
    Row("rw-register", 10_000, "ser", "linearizable", 44.7, 10_900),
    Row("rw-register", 100_000, "ser", "linearizable"),
    Row("rw-register", 1_000_000, "ser", "linearizable"),
    Row("rw-register", 10_000, "rc", "wfr", 0.75, 671),
    Row("rw-register", 100_000, "rc", "wfr,sequential,linearizable"),
)
LARGE = (Row("list-append", 10_000_000, "ser"), Row("rw-register", 10_000_000, "ser", "wfr"))


def measure(row: Row, seed: int) -> dict[str, object]:
    """One row, in this process."""
    registers = row.checker == "rw-register"
    sources = tuple(part for part in row.sources.split(",") if part)
    checker = make(row.checker, CheckOptions(version_order=sources))
    budget = Budget.start(timeout_s=3600, memory_bytes=64 << 30)
    checker.check(store(WARM_UP, row.store, 1, registers=registers), budget)
    history = store(row.txns, row.store, seed, registers=registers)
    times, cpu = [], []
    for _ in range(REPEATS):
        fresh = replace(history)  # without the caches of the run before
        started, used = time.perf_counter(), time.process_time()
        verdict = checker.check(fresh, budget)
        times.append(time.perf_counter() - started)
        cpu.append(time.process_time() - used)
    return {
        "verdict": verdict.verdict.value,
        "names": [anomaly.name for anomaly in verdict.anomalies],
        "s": min(times),
        "cpu": min(cpu),
        "mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def _apart(row: Row, seed: int) -> dict[str, object]:
    """One row, in a process of its own."""
    command = [
        sys.executable,
        "-m",
        "benchmarks.transactions",
        "--row",
        row.checker,
        row.store,
        str(row.txns),
    ]
    command += [row.sources or "-", "--seed", str(seed)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    out: dict[str, object] = json.loads(done.stdout)
    return out


def _print(row: Row, got: dict[str, object]) -> None:
    seconds, cpu, mb = (float(str(got[name])) for name in ("s", "cpu", "mb"))
    elle = f"{row.elle_s:7.2f} {row.elle_mb:8,.0f}" if row.elle_s and row.elle_mb else " " * 16
    ratio = f"{row.elle_s / seconds:6.0f}x" if row.elle_s else "      -"
    names = got["names"]
    assert isinstance(names, list)
    found = " ".join(map(str, names)) or str(got["verdict"])
    print(
        f"{row.checker:12} {row.txns:>11,} {row.store:4} {row.sources or '-':28} "
        f"{seconds:8.3f} {cpu:8.3f} {mb:7,.0f} {elle} {ratio}  {found}",
        flush=True,
    )


def main() -> None:
    """Measure the rows asked for and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=("list-append", "rw-register"))
    parser.add_argument("--store", choices=("ser", "si", "rc"))
    parser.add_argument("--large", action="store_true", help="ten million transactions too")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--row", nargs=4, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.row:
        name, kind, txns, sources = args.row
        row = Row(name, int(txns), kind, "" if sources == "-" else sources)
        print(json.dumps(measure(row, args.seed)))
        return
    print(f"seed {args.seed}")
    print(
        f"{'checker':12} {'txns':>11} {'store':4} {'version order':28} {'s':>8} "
        f"{'cpu':>8} {'MB':>7} {'Elle s':>7} {'Elle MB':>8} {'ratio':>7}  found"
    )
    for row in ROWS + (LARGE if args.large else ()):
        if args.only in (None, row.checker) and args.store in (None, row.store):
            _print(row, _apart(row, args.seed))


if __name__ == "__main__":
    main()

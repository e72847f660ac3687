"""Every bar of speed and memory that the checkers have to clear, in one table.

    python -m benchmarks.bars                 all but ten million transactions, some minutes
    python -m benchmarks.bars --large         those too (12 GiB)
    python -m benchmarks.bars --only queue

Each row runs in a process of its own: the history is made (or written and read), judged once so
that nothing is left to compile, then three times more. `measured` is the best of these on the
wall's clock and `CPU` the least of them in CPU seconds (no more than the wall's: one core); `peak`
is that of the whole process, history and compiler included. Exit status 1 if a bar was missed or a
verdict is not the right one.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks import history as files
from benchmarks import linearizable, transactions_store
from seatrial.checker import Budget, CheckOptions
from seatrial.checkers import make
from seatrial.history import History
from seatrial.history.detect import load

REPEATS = 3
MILLION = 1_000_000
#: How long a row may take in all before it is given up.
ROW_TIMEOUT_S = 900
#: Porcupine's `c01-ok`, if the folder of reference histories is at hand.
C01_OK = "porcupine/kv/c01-ok.txt"


@dataclass(frozen=True, slots=True)
class Bar:
    """What is judged, what the verdict must be, and the bounds: seconds, and MiB (0: none)."""

    name: str
    make: Callable[[], History]
    checker: str
    options: CheckOptions
    expected: str
    seconds: float
    mib: float = 0
    repeats: int = REPEATS


def _store(count: int, mode: str, *, registers: bool = False) -> Callable[[], History]:
    return lambda: transactions_store.store(count, mode, 7, registers=registers)


def _linear(name: str) -> Callable[[], History]:
    return next(row.make for row in linearizable.ROWS if row.name == name)


def _c01() -> History:
    """Porcupine's own history, or one of its size: a client, ten keys, 58 ops."""
    file = Path(os.environ.get("SEATRIAL_HISTORIES", "")) / C01_OK
    return load(file, "edn") if file.is_file() else linearizable.store(58, 10, clients=1)


def _order(*sources: str) -> CheckOptions:
    return CheckOptions(version_order=sources)


def _model(name: str, initial: int | str | None = None) -> CheckOptions:
    return CheckOptions(model=name, initial=initial)


_ANY = CheckOptions()
_CAS = _model("cas-register", 0)
_KV = _model("kv", "")
BARS = (
    Bar("list-append-1m", _store(MILLION, "ser"), "list-append", _ANY, "valid", 3, 2048),
    Bar("rw-register-1m", _store(MILLION, "ser", registers=True), "rw-register", _order("wfr"),
        "valid", 4),
    Bar("rw-register-100k-real-time-keys", _store(100_000, "ser", registers=True), "rw-register",
        _order("linearizable"), "valid", 5),
    Bar("no-isolation-100k", _store(100_000, "rc"), "list-append", _ANY, "invalid", 5, 3072),
    Bar("register-cas-unique-1m", _linear("register-unique"), "linearizable", _CAS, "valid", 2),
    Bar("register-0-to-4-100-keys-1m", _linear("register-repeated-100-keys"), "linearizable", _CAS,
        "valid", 2),
    Bar("stale-read-30-pending-10k", _linear("stale-30-pending-unique"), "linearizable", _CAS,
        "invalid", 5),
    Bar("stale-read-30-pending-10k-0-to-4", _linear("stale-30-pending-repeated"), "linearizable",
        _CAS, "invalid", 5),
    Bar("queue-1m", _linear("queue"), "linearizable", _model("fifo-queue"), "valid", 2),
    Bar("stack-1m", _linear("stack"), "linearizable", _model("stack"), "valid", 4),
    Bar("kv-c01-ok", _c01, "linearizable", _KV, "valid", 0.000_09, repeats=300),
    Bar("kv-1712-ops-50-clients", _linear("kv-append-2000"), "linearizable", _KV, "valid", 0.083,
        repeats=20),
)  # fmt: skip
LARGE = (
    Bar("list-append-10m", _store(10 * MILLION, "ser"), "list-append", _ANY, "valid", 40, 14336),
)
#: Reading a million transactions from EDN: seconds, MiB.
EDN, EDN_S, EDN_MIB = "edn-300-mb-1m", 15.0, 3072.0


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(bar: Bar) -> dict[str, float | str]:
    """One row, in this process."""
    history = bar.make()
    checker = make(bar.checker, bar.options)
    best, cpu, verdict = float("inf"), float("inf"), ""
    for _ in range(bar.repeats + 1):
        fresh = replace(history)  # without the caches of the run before
        budget = Budget.start(600, 64 << 30)
        began, spent = time.perf_counter(), time.process_time()
        found = checker.check(fresh, budget)
        best = min(best, time.perf_counter() - began)
        cpu = min(cpu, time.process_time() - spent)
        verdict = found.verdict.value
        if any(name in str(found.details) for name in ("timeout", "given-up")):
            verdict = "given up"
    return {"seconds": best, "cpu": cpu, "mib": _peak_mib(), "verdict": verdict}


def write_edn(path: Path) -> None:
    """A million transactions, some 300 MB."""
    with path.open("w") as file:
        file.writelines(files.transactions(MILLION))


def measure_edn(path: Path) -> dict[str, float | str]:
    """Reading that file once compiled."""
    small = path.with_suffix(".small.edn")
    with path.open() as whole, small.open("w") as part:
        part.writelines(line for line, _ in zip(whole, range(2_000), strict=False))
    load(small)
    began, spent = time.perf_counter(), time.process_time()
    history = load(path)
    seconds, cpu = time.perf_counter() - began, time.process_time() - spent
    verdict = "valid" if len(history) == 2 * MILLION else f"{len(history)} ops"
    return {"seconds": seconds, "cpu": cpu, "mib": _peak_mib(), "verdict": verdict}


def _apart(*arguments: str) -> dict[str, float | str]:
    command = [sys.executable, "-m", "benchmarks.bars", *arguments]
    done = subprocess.run(
        command, check=True, stdout=subprocess.PIPE, text=True, timeout=ROW_TIMEOUT_S
    )
    answer: dict[str, float | str] = json.loads(done.stdout)
    return answer


def _line(
    name: str, bound_s: float, bound_mib: float, expected: str, got: dict[str, float | str]
) -> bool:
    seconds, mib = float(got["seconds"]), float(got["mib"])
    held = seconds <= bound_s and (not bound_mib or mib <= bound_mib)
    held = held and got["verdict"] == expected
    memory = f"{mib:,.0f} of {bound_mib:,.0f}" if bound_mib else f"{mib:,.0f}"
    print(
        f"| {name} | {_time(bound_s)} | {_time(seconds)} | {_time(float(got['cpu']))} "
        f"| {bound_s / seconds:.1f}× | {memory} "
        f"| {got['verdict']} | {'holds' if held else 'MISSED'} |",
        flush=True,
    )
    return held


def _time(seconds: float) -> str:
    return f"{seconds * 1e3:.3g} ms" if seconds < 0.1 else f"{seconds:.3g} s"


def run(only: str, large: bool) -> bool:
    """Print the table; whether every bar was cleared."""
    print("| bar | bound | measured | CPU | ratio | peak MiB | verdict | |")
    print("|---|---|---|---|---|---|---|---|")
    held = []
    for bar in BARS + (LARGE if large else ()):
        if only in bar.name:
            got = _apart("--row", bar.name)
            held.append(_line(bar.name, bar.seconds, bar.mib, bar.expected, got))
    if only in EDN:
        with tempfile.TemporaryDirectory(prefix="seatrial-bars-") as folder:
            path = Path(folder) / "million.edn"
            write_edn(path)
            got = _apart("--edn", str(path))
            held.append(_line(EDN, EDN_S, EDN_MIB, "valid", got))
    return all(held)


def main() -> None:
    """Print the table, or measure one row."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="rows whose name holds this")
    parser.add_argument("--large", action="store_true", help="ten million transactions too")
    parser.add_argument("--row", help=argparse.SUPPRESS)
    parser.add_argument("--edn", type=Path, help=argparse.SUPPRESS)
    said = parser.parse_args()
    if said.row:
        print(json.dumps(measure(next(bar for bar in BARS + LARGE if bar.name == said.row))))
    elif said.edn:
        print(json.dumps(measure_edn(said.edn)))
    else:
        raise SystemExit(0 if run(said.only, said.large) else 1)


if __name__ == "__main__":
    main()

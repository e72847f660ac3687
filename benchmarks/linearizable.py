"""How fast linearizability is judged, against the rivals' measured figures.

    python -m benchmarks.linearizable            the table
    python -m benchmarks.linearizable --only stack

Histories are made here, linearizable by construction: op i takes effect at instant i, begins and
ends up to half a round of all processes around it. Each row runs in a process of its own: the best
of several judgements of loaded columns, after one that compiles, and the process's peak memory.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numba import njit

from seatrial.checker import Budget, CheckOptions
from seatrial.checkers.linearizable import make
from seatrial.history import NIL, Atoms, History, HistoryBuilder, Kind, MicroOps
from seatrial.history.columns import I64
from seatrial.op import Op, Type

_PROCESSES = 10
_REPEATS = 3


def columns(
    f: I64, key: I64, asked: I64, answered: I64, old: I64, names: tuple[str, ...], pending: I64
) -> History:
    """A history of n ops in order of effect: `asked` goes with invocations, `answered` with ends.

    Where `old` is not nil the op is a compare-and-set from it to `asked`. The ops at `pending`
    are never seen to end.
    """
    n = len(f)
    random = np.random.default_rng(7)
    half = _PROCESSES / 2
    at = np.arange(n)
    times = np.concatenate([at - random.random(n) * half, at + random.random(n) * half])
    order = np.argsort(times, kind="stable")
    op, end = order % n, order >= n
    process = (op % _PROCESSES).astype(np.int64)
    lost = np.zeros(n, np.bool_)
    lost[pending] = True
    # a process whose op was lost goes on under a new number
    round_of = np.zeros(n, np.int64)
    for p in np.unique(pending % _PROCESSES):
        mine = np.arange(p, n, _PROCESSES)
        round_of[mine] = np.cumsum(lost[mine]) - lost[mine]
    process = process + round_of[op] * _PROCESSES
    swap = old[op] != NIL
    code = np.where(end, answered[op], asked[op])
    lengths = np.where(swap, 2, 0)
    start = np.zeros(2 * n + 1, np.int64)
    np.cumsum(lengths, out=start[1:])
    elements = np.stack([old[op[swap]], asked[op[swap]]], axis=1).ravel()
    types = np.where(end, np.where(lost[op], Type.INFO, Type.OK), Type.INVOKE)
    kind = np.where(swap, Kind.LIST, np.where(code == NIL, Kind.NIL, Kind.ATOM))
    none = np.zeros(0, np.int64)
    micro = MicroOps(
        np.zeros(2 * n + 1, np.int64), none.astype(np.int32), none, none.astype(np.uint8), none,
        np.zeros(1, np.int64), none,
    )  # fmt: skip
    return History(
        np.arange(2 * n), process.astype(np.int32), types.astype(np.uint8),
        f[op].astype(np.int32), np.arange(2 * n), np.full(2 * n, -1, np.int32), key[op],
        kind.astype(np.uint8), np.where(swap, NIL, code), start, elements, micro, names, Atoms(),
    )  # fmt: skip


def register(n: int, keys: int, values: int, stale: int = 0, pending: int = 0) -> History:
    """Reads (half), writes and compare-and-sets; `values` 0: all different, else 0 … values−1.

    `stale` reads, late in the history, return the very first value written.
    """
    random = np.random.default_rng(11)
    key = random.integers(0, keys, n) if keys > 1 else np.full(n, NIL)
    f = random.choice(3, n, p=[0.5, 0.3, 0.2])
    f[:20] = 1
    new = np.arange(1, n + 1) if not values else random.integers(0, values, n)
    lost = np.flatnonzero(f == 1)[50:]
    lost = np.sort(random.choice(lost[: len(lost) // 2], pending, replace=False))
    effect = f > 0
    effect[lost] = False
    order = np.argsort(key, kind="stable")
    before = np.empty(n, np.int64)
    before[order] = _last(key[order], new[order], effect[order])
    asked = np.where(f == 0, NIL, new)
    answered = np.where(f == 0, before, new)
    if stale:
        late = np.flatnonzero(f == 0)
        answered[late[int(len(late) * 0.9) :][:stale]] = new[0] if not values else values + 7
        new[0] = new[0] if not values else values + 7
        asked[0] = answered[0] = new[0]
        key[0] = key[late[int(len(late) * 0.9)]]
    old = np.where(f == 2, before, NIL)
    return columns(f, key, asked, answered, old, ("read", "write", "cas"), lost)


@njit(cache=True)
def _last(key: I64, new: I64, effect: I64) -> I64:
    """The value before each op, ops sorted by key then effect; 0 at first."""
    out = np.empty(len(key), np.int64)
    now = 0
    for i in range(len(key)):
        if i == 0 or key[i] != key[i - 1]:
            now = 0
        out[i] = now
        if effect[i]:
            now = new[i]
    return out


@njit(cache=True)
def _contents(n: int, last_in_first_out: bool) -> tuple[I64, I64]:
    """f (0 put, 1 take) and value of each op of a queue or stack; nil where it was empty."""
    f, value = np.empty(n, np.int64), np.empty(n, np.int64)
    held = np.empty(n, np.int64)
    np.random.seed(5)
    head, tail = 0, 0
    for i in range(n):
        if np.random.random() < 0.5:
            f[i], value[i], held[tail] = 0, i + 1, i + 1
            tail += 1
        else:
            f[i] = 1
            if head == tail:
                value[i] = -(2**63)
            elif last_in_first_out:
                tail -= 1
                value[i] = held[tail]
            else:
                value[i] = held[head]
                head += 1
    return f, value


def container(n: int, names: tuple[str, str]) -> History:
    """A queue's or a stack's history with different values."""
    f, value = _contents(n, names[1] == "pop")
    nil = np.full(n, NIL)
    asked = np.where(f == 0, value, NIL)
    return columns(f, nil, asked, value, nil, names, np.zeros(0, np.int64))


def store(n: int, keys: int, clients: int = 50) -> History:
    """get, put and append of texts, as Porcupine's kv data: 50 clients on 10 keys, say."""
    random = np.random.default_rng(3)
    held: dict[int, str] = {}
    ops: list[tuple[float, int, Op]] = []
    for i in range(n):
        key, f = int(random.integers(0, keys)), ("get", "put", "append")[
            int(random.choice(3, p=[0.5, 0.1, 0.4]))
        ]  # fmt: skip
        value = f"x {i % clients} {i} y"
        if f == "put":
            held[key] = value
        elif f == "append":
            held[key] = held.get(key, "") + value
        said = held.get(key, "") if f == "get" else value
        width = clients / 2 * random.random(2)
        asked = None if f == "get" else value
        ops.append((i - width[0], i, Op(Type.INVOKE, i % clients, f, asked, key=key)))
        ops.append((i + width[1], i, Op(Type.OK, i % clients, f, said, key=key)))
    ops.sort(key=lambda each: each[:2])
    return HistoryBuilder().extend(op for _, _, op in ops).history()


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    name: str
    model: str
    make: Callable[[], History]
    expected: str
    rival_s: float | None = None
    rival: str = ""
    initial: int | str | None = 0


M = 1_000_000
ROWS = (
    Row("register-unique", "cas-register", lambda: register(M, 1, 0), "valid", None,
        "Porcupine: out of memory at 100,000"),
    Row("register-unique-100-keys", "cas-register", lambda: register(M, 100, 0), "valid"),
    Row("register-unique-100k-keys", "cas-register", lambda: register(M, 100_000, 0), "valid"),
    Row("register-repeated-100-keys", "cas-register", lambda: register(M, 100, 5), "valid", 0.9,
        "Porcupine"),
    Row("register-repeated-1000-keys", "cas-register", lambda: register(M, 1000, 5), "valid", 1.23,
        "Porcupine"),
    Row("register-repeated-100k-keys", "cas-register", lambda: register(M, 100_000, 5), "valid"),
    Row("register-repeated-100k-ops", "cas-register", lambda: register(100_000, 1, 5), "valid",
        11.8, "Porcupine, 10.3 GB"),
    Row("stale-30-pending-unique", "cas-register", lambda: register(10_000, 1, 0, 1, 30), "invalid",
        30, "Porcupine gave up: 1,000 ops, 12 pending"),
    Row("stale-30-pending-repeated", "cas-register", lambda: register(10_000, 1, 5, 1, 30),
        "invalid", 30, "Porcupine gave up: 1,000 ops, 12 pending"),
    Row("queue", "fifo-queue", lambda: container(M, ("enqueue", "dequeue")), "valid", 1.90,
        "PolyLin", None),
    Row("stack", "stack", lambda: container(M, ("push", "pop")), "valid", 3.46, "PolyLin", None),
    Row("kv-append-2000", "kv", lambda: store(1712, 10), "valid", 0.083, "Porcupine c50-ok", ""),
)  # fmt: skip


def measure(row: Row) -> dict[str, float | str]:
    """The best time of judging one history, and the peak memory of this process."""
    history = row.make()
    checker = make(CheckOptions(model=row.model, initial=row.initial))
    best, cpu, verdict = float("inf"), float("inf"), ""
    for _ in range(_REPEATS + 1):
        began, spent = time.perf_counter(), time.process_time()
        verdict = checker.check(history, Budget.start(120)).verdict.value
        best = min(best, time.perf_counter() - began)
        cpu = min(cpu, time.process_time() - spent)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {
        "ops": len(history) / 2,
        "seconds": best,
        "cpu": cpu,
        "verdict": verdict,
        "peak_mb": peak,
    }


def _apart(name: str) -> dict[str, float | str]:
    """Measure one row in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.linearizable", "--row", name]
    found = subprocess.run(command, check=True, capture_output=True, text=True)
    answer: dict[str, float | str] = json.loads(found.stdout)
    return answer


def _table(only: str) -> None:
    print("| history | ops | verdict | seconds | CPU s | peak MB | rival's s | ratio |")
    print("|---|---|---|---|---|---|---|---|")
    for row in ROWS:
        if only not in row.name:
            continue
        got = _apart(row.name)
        if got["verdict"] != row.expected:
            raise SystemExit(f"{row.name} is {got['verdict']}, not {row.expected}")
        seconds = float(got["seconds"])
        rival = f"{row.rival_s or ''} {row.rival}".strip() or "–"
        ratio = f"{row.rival_s / float(got['cpu']):.1f}×" if row.rival_s else "–"
        print(
            f"| {row.name} | {int(float(got['ops'])):,} | {got['verdict']} | {seconds:.3f} "
            f"| {float(got['cpu']):.3f} | {float(got['peak_mb']):,.0f} | {rival} | {ratio} |",
            flush=True,
        )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="")
    parser.add_argument("--row", default="")
    said = parser.parse_args()
    if said.row:
        one = next(row for row in ROWS if row.name == said.row)
        print(json.dumps(measure(one)))
    else:
        _table(said.only)


if __name__ == "__main__":
    main()

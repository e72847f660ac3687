"""Seconds that the small checkers and the steady states take, by number of ops.

    python -m benchmarks.small_checkers [OPS …]        (default: 100000 1000000)

Histories are valid and made as columns, so only checking is timed: the best of three runs, each
with a fresh history. The last column is the growth from the row above: time ratio over size ratio,
1.0 where it is linear.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import numpy as np

from seatrial.checker import Budget, CheckOptions
from seatrial.checkers import make
from seatrial.history import NIL, Atoms, History, Kind, MicroOps
from seatrial.history.columns import I64
from seatrial.op import NEMESIS, Type
from seatrial.steady.evaluate import evaluate
from seatrial.steady_state import OpsProbe, SteadyState, Tolerance

RUNS = 3
CLIENTS = 20
SIZES = (100_000, 1_000_000)


def columns(
    names: tuple[str, ...],
    f: I64,
    kind: I64,
    atom: I64,
    *,
    sizes: I64 | None = None,
    elements: I64 | None = None,
    micro: MicroOps | None = None,
) -> History:
    """A history of calls, each an invocation and its `ok` right after it, 10 µs apart."""
    calls, empty = len(f), np.zeros(0, np.int64)
    n = 2 * calls
    both = np.arange(n) // 2
    done = np.arange(n) % 2 == 1
    size = np.zeros(n, np.int64)
    if sizes is not None:
        size[done] = sizes
    start = np.concatenate([[0], np.cumsum(size)]).astype(np.int64)
    nothing = MicroOps(
        np.zeros(n + 1, np.int64), empty.astype(np.int32), empty, empty.astype(np.uint8), empty,
        np.zeros(1, np.int64), empty,
    )  # fmt: skip
    read = ~done & np.isin(f[both], [names.index(name) for name in names if name == "read"])
    return History(
        index=np.arange(n),
        process=(both % CLIENTS).astype(np.int32),
        type=np.where(done, Type.OK, Type.INVOKE).astype(np.uint8),
        f=f[both].astype(np.int32),
        time_ns=np.arange(n) * 10_000,
        error=np.full(n, -1, np.int32),
        key=np.full(n, NIL),
        kind=np.where(read, Kind.NIL, kind[both]).astype(np.uint8),
        atom=np.where(read, NIL, atom[both]),
        element_start=start,
        elements=empty if elements is None else elements,
        micro=nothing if micro is None else micro,
        names=names,
        atoms=Atoms(),
    )


def grow_set(n: int) -> History:
    """Adds of 0 … n/2 and ten reads of all, evenly spread."""
    calls = n // 2
    place = np.arange(calls)
    read = np.zeros(calls, np.bool_)
    read[np.linspace(calls // 10, calls - 1, 10).astype(int)] = True
    element = np.cumsum(~read) - 1
    sizes = np.where(read, element + 1, 0)
    elements = np.concatenate([np.arange(size) for size in sizes[read].tolist()])
    kind = np.where(read, Kind.LIST, Kind.ATOM)
    atom = np.where(read, NIL, np.where(place >= 0, element, 0))
    return columns(("add", "read"), read.astype(np.int64), kind, atom, sizes=sizes,
                   elements=elements)  # fmt: skip


def numbers(names: tuple[str, ...], n: int, f: I64, atom: I64) -> History:
    """Calls whose values are whole numbers."""
    return columns(names, f, np.full(n // 2, Kind.ATOM), atom)


def counter(n: int) -> History:
    """Adds of one and reads, turn by turn."""
    f = np.arange(n // 2) % 2
    return numbers(("add", "read"), n, f, np.where(f == 0, 1, np.cumsum(f == 0)))


def bank(n: int) -> History:
    """Reads of eight accounts."""
    calls = n // 2
    sizes = np.full(calls, 16, np.int64)
    pair = np.stack([np.tile(np.arange(8), calls), np.full(8 * calls, 10)], axis=1)
    return columns(
        ("read",), np.zeros(calls, np.int64), np.full(calls, Kind.MAP), np.full(calls, NIL),
        sizes=sizes, elements=pair.reshape(-1).astype(np.int64),
    )  # fmt: skip


def queue(n: int) -> History:
    """Every element in and out."""
    place = np.arange(n // 2)
    return numbers(("enqueue", "dequeue"), n, place % 2, place // 2)


def ids(n: int) -> History:
    """Fresh ids."""
    return numbers(("generate",), n, np.zeros(n // 2, np.int64), np.arange(n // 2))


def locks(n: int) -> History:
    """Acquired and released by one client after another."""
    history = numbers(("acquire", "release"), n, np.arange(n // 2) % 2, np.zeros(n // 2, np.int64))
    history.process[:] = np.arange(len(history)) // 4 % CLIENTS
    return history


def registers(n: int) -> History:
    """Each value written and then read twice."""
    place = np.arange(n // 2)
    return numbers(("write", "read"), n, (place % 3 > 0).astype(np.int64), place // 3)


def trial(n: int) -> History:
    """Reads and writes through the three stretches of a trial."""
    history = registers(n)
    rows = np.array([0, len(history) // 4, 3 * len(history) // 4, len(history) - 1])
    names = ("write", "read", "phase")
    history.process[rows] = NEMESIS
    history.f[rows] = 2
    history.kind[rows] = Kind.ATOM
    atoms = Atoms()
    history.atom[rows] = [
        atoms.encode(name) for name in ("steady-before", "workload", "steady-after", "check")
    ]
    return History(**{**vars_of(history), "names": names, "atoms": atoms})


def vars_of(history: History) -> dict[str, object]:
    """The columns of a history by name."""
    return {name: getattr(history, name) for name in History.__dataclass_fields__}


STATES = [
    SteadyState(name="errors", probe=OpsProbe(metric="error_rate"), during=Tolerance(max=0.1)),
    SteadyState(name="p99", probe=OpsProbe(metric="latency_ms"), after=Tolerance(max=50)),
    SteadyState(name="rate", probe=OpsProbe(metric="throughput"), after=Tolerance(min_ratio=0.5)),
    SteadyState(name="gap", probe=OpsProbe(metric="unavailable_s"), during=Tolerance(max=5)),
]

WORK: dict[str, Callable[[int], History]] = {
    "set": grow_set,
    "set-full": grow_set,
    "counter": counter,
    "bank": bank,
    "queue": queue,
    "total-queue": queue,
    "unique-ids": ids,
    "lock": locks,
    "sessions": registers,
    "stats": registers,
    "steady states": trial,
}


def run(name: str, history: History) -> str:
    """Check once; what was answered."""
    if name == "steady states":
        return "/".join({result.validity.value for result in evaluate(STATES, history)})
    return make(name, CheckOptions()).check(history, Budget.start()).verdict.value


def main() -> None:
    """Print the table."""
    sizes = [int(text) for text in sys.argv[1:]] or list(SIZES)
    print(f"{'checker':<14} {'ops':>11} {'answer':>8} {'best s':>8} {'growth':>7}")
    for name, build in WORK.items():
        before: tuple[int, float] | None = None
        for n in sizes:
            best, answer = float("inf"), ""
            for _ in range(RUNS):
                history = build(n)
                start = time.perf_counter()
                answer = run(name, history)
                best = min(best, time.perf_counter() - start)
            growth = "" if before is None else f"{best / before[1] / (n / before[0]):.2f}"
            print(f"{name:<14} {n:>11,} {answer:>8} {best:>8.3f} {growth:>7}")
            before = n, best


if __name__ == "__main__":
    main()

"""Running a checker so that nothing it does can take the tool down.

Each check runs in a child process with a bound on its time and its memory. A checker that raises,
is killed or overruns its bound says `unknown`, and why (Jepsen's `check-safe`, with a wall around
it: a compiled loop cannot be interrupted from within).
"""

from __future__ import annotations

import contextlib
import multiprocessing
import resource
import time
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection

from seatrial.checker import Budget, Checker
from seatrial.history import History
from seatrial.verdict import Verdict

#: A checker keeps its own deadline; this much later it is killed.
GRACE_S = 15.0
#: After the pipe is closed a child has this long to end by itself.
JOIN_S = 5.0


def check(make: Callable[[], Checker], history: History, timeout_s: float, memory: int) -> Verdict:
    """The verdict of `make()` on `history`; never raises for what the checker does.

    `make` runs in the child too, so that a checker's imports and compiling count and are bounded.
    """
    began = time.monotonic()
    budget = Budget.start(timeout_s, memory)
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    child = context.Process(
        target=_child, args=(theirs, make, history, budget), name="checker", daemon=True
    )
    child.start()
    theirs.close()
    try:
        verdict = _receive(ours, timeout_s)
    finally:
        ours.close()
        child.join(0 if child.exitcode is not None else JOIN_S)
        if child.is_alive():
            child.kill()
            child.join()
    if verdict is None:
        verdict = Verdict.unknown(_how_it_died(child.exitcode, memory))
    return verdict.took(time.monotonic() - began)


def _receive(pipe: Connection, timeout_s: float) -> Verdict | None:
    if not pipe.poll(timeout_s + GRACE_S):
        return Verdict.unknown(f"out of time: no answer after {timeout_s + GRACE_S:g} s")
    try:
        answer = pipe.recv()
    except EOFError:
        return None
    return answer if isinstance(answer, Verdict) else None


def _how_it_died(exitcode: int | None, memory: int) -> str:
    if exitcode is not None and exitcode < 0:
        bound = f"its bound is {memory >> 20} MiB of memory"
        return f"the checker was killed by signal {-exitcode} ({bound})"
    return f"the checker ended without an answer (exit status {exitcode})"


def _child(pipe: Connection, make: Callable[[], Checker], history: History, budget: Budget) -> None:
    with contextlib.suppress(ValueError, OSError):
        _bound_memory(budget.memory_bytes)
    try:
        verdict = make().check(history, budget)
    except MemoryError:
        verdict = Verdict.unknown(f"out of memory: more than {budget.memory_bytes >> 20} MiB")
    except Exception as error:  # a defect of the checker is `unknown`, with its place
        where = traceback.extract_tb(error.__traceback__)[-1]
        verdict = Verdict.unknown(
            f"the checker failed: {type(error).__name__}: {error} "
            f"({where.filename.rpartition('/')[2]}:{where.lineno})",
            details={"traceback": traceback.format_exc(limit=-8)},
        )
    pipe.send(verdict)
    pipe.close()


def _bound_memory(memory: int) -> None:
    """Bound the address space to what is mapped now and `memory` more."""
    with open("/proc/self/statm", encoding="ascii") as statm:
        mapped = int(statm.read().split()[0]) * resource.getpagesize()
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (mapped + memory, hard))

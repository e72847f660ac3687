"""Carries a generator out over real clients, and records what happened in the order it happened.

One long-lived asyncio task plays each thread. The task whose op has completed asks the generator
itself for what comes next, so that under full load an op costs no task switch, queue or timer of
ours; one timer stands for the earliest op that is still to come.

The record is a correct real-time order: an invocation is stamped and recorded before its call is
made, a completion is stamped and recorded after the call has returned, on one clock and in one
event loop. After an `info` completion the thread goes on as a new process.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from seatrial.engine.counters import OpCounters
from seatrial.generator import PENDING, Context, Generator, ask, heeds, thread_of
from seatrial.op import Op, Type, Value

Completion: TypeAlias = tuple[Type, Value, str | None]
"""How an op ended: `OK`, `FAIL` or `INFO`, the value of the completion, and the error."""

Invoke: TypeAlias = Callable[[int, Op], Awaitable[Completion]]
"""Does an invocation on a thread. An exception becomes an `INFO` that keeps its text."""

Record: TypeAlias = Callable[[Op], int]
"""Takes one op for the history and gives its index."""

#: How long ops still outstanding are awaited once there are no more to come.
OUTSTANDING_WAIT_S: Final = 10.0
#: How long a cancelled call may take to let go.
CANCEL_WAIT_S: Final = 5.0
#: How often a pending generator is asked again when nothing happens.
POLL_NS: Final = 1_000_000
#: How often it is asked while all threads are busy: it may have come to its end meanwhile.
BUSY_POLL_NS: Final = 100_000_000
#: After so many ops in a row a thread lets the others run, should its client never have to wait.
OPS_IN_A_ROW: Final = 64

#: The error of an op that had no answer when the load was over.
STOPPED: Final = "stopped"
NOBODY: Final = -1


@dataclass(frozen=True, slots=True)
class InterpretSummary:
    """What became of a load. Times are the clock's.

    `abandoned` counts ops that did not answer within the wait at the end (recorded as `info`).
    `exhausted` is False where it was stopped first. `defects` are exceptions that `invoke` let
    through, by text, with their counts.
    """

    invoked: int
    ok: int
    failed: int
    info: int
    abandoned: int
    exhausted: bool
    start_ns: int
    end_ns: int
    next_process: int
    defects: dict[str, int]


async def interpret(
    generator: Generator,
    *,
    concurrency: int,
    invoke: Invoke,
    record: Record,
    clock: Callable[[], int],
    stop: asyncio.Event | None = None,
    counters: OpCounters | None = None,
    outstanding_wait_s: float = OUTSTANDING_WAIT_S,
    first_process: int = 0,
) -> InterpretSummary:
    """Carry out `generator` with `concurrency` threads until it is exhausted or `stop` is set.

    `clock` gives nanoseconds since the start of the trial and never goes back. Each invocation
    recorded gets exactly one completion; at the end, outstanding ops are awaited for
    `outstanding_wait_s` and then recorded as `info` with the error "stopped". A later load of the
    same trial begins at the `next_process` of the one before (a multiple of `concurrency`), so that
    a process that ended in `info` never returns. Raises what
    `record` or the generator raises (a full disk, a defective generator), all calls cancelled.
    """
    load = _Load(generator, concurrency, invoke, record, clock, counters, first_process)
    stopping = None if stop is None else asyncio.ensure_future(stop.wait())
    try:
        load.begin()
        waiting: set[asyncio.Future[None] | asyncio.Future[Literal[True]]] = {load.ended}
        if stopping is not None:
            waiting.add(stopping)
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        load.close()
        await asyncio.wait({load.drained}, timeout=outstanding_wait_s)
        if load.drained.done():
            load.drained.result()
    finally:
        if stopping is not None:
            stopping.cancel()
        await load.abandon()
    return load.summary()


class _Load:
    """The state of one load under way. It lives in one event loop and is never shared."""

    def __init__(
        self,
        generator: Generator,
        concurrency: int,
        invoke: Invoke,
        record: Record,
        clock: Callable[[], int],
        counters: OpCounters | None,
        first_process: int,
    ) -> None:
        self._gen, self._heeds = generator, heeds(generator)
        self._concurrency = concurrency
        self._invoke, self._record, self._clock = invoke, record, clock
        self._counters = counters
        self._free: tuple[int, ...] = tuple(range(concurrency))  # longest free first
        self._processes = {
            thread: first_process + thread for thread in range(concurrency)
        }  # replaced, not changed
        self._outstanding: dict[int, Op] = {}
        self._parked: dict[int, asyncio.Future[Op | None]] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_ns = 0
        self._held: tuple[Op, Generator] | None = None  # an op whose time has not come
        self._closed = self._exhausted = self._broken = False
        self._invoked = self._abandoned = 0
        self._counts = {Type.OK: 0, Type.FAIL: 0, Type.INFO: 0}
        self._defects: Counter[str] = Counter()
        self._start_ns = clock()
        #: Done when no more ops are to come.
        self.ended: asyncio.Future[None] = self._loop.create_future()
        #: Done when moreover none is outstanding; raises what broke the load.
        self.drained: asyncio.Future[None] = self._loop.create_future()

    def begin(self) -> None:
        """Start all threads, and the first ops."""
        for thread in range(self._concurrency):
            self._parked[thread] = self._loop.create_future()
        self._tasks = [
            asyncio.create_task(self._play(thread), name=f"thread {thread}")
            for thread in range(self._concurrency)
        ]
        self._on_timer()

    def close(self) -> None:
        """Ask for no more ops; threads that have none end."""
        self._closed = True
        self._cancel_timer()
        for parked in self._parked.values():
            if not parked.done():
                parked.set_result(None)
        if not self.ended.done():
            self.ended.set_result(None)
        if not self._outstanding and not self.drained.done():
            self.drained.set_result(None)

    async def abandon(self) -> None:
        """Record ops without an answer as unknown and cancel their calls. Harmless when drained."""
        self._closed = True
        self._cancel_timer()
        if not self._broken:
            for thread, op in sorted(self._outstanding.items()):
                self._abandoned += 1
                self._complete(thread, op, Type.INFO, op.value, STOPPED)
        self._outstanding.clear()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=CANCEL_WAIT_S)

    def summary(self) -> InterpretSummary:
        """What became of it."""
        return InterpretSummary(
            invoked=self._invoked,
            ok=self._counts[Type.OK],
            failed=self._counts[Type.FAIL],
            info=self._counts[Type.INFO],
            abandoned=self._abandoned,
            exhausted=self._exhausted,
            start_ns=self._start_ns,
            end_ns=self._clock(),
            next_process=(max(self._processes.values()) // self._concurrency + 1)
            * self._concurrency,
            defects=dict(self._defects),
        )

    async def _play(self, thread: int) -> None:
        """One thread's life: do an op, record how it ended, find the next."""
        op, in_a_row = await self._parked[thread], 0
        while op is not None:
            try:
                kind, value, error = await self._invoke(thread, op)
                if kind is Type.INVOKE:
                    raise TypeError(f"the client completed {op.f!r} with an invocation")
            except Exception as defect:
                kind, value, error = Type.INFO, op.value, f"{type(defect).__name__}: {defect}"
                self._defects[error] += 1
            if self._outstanding.get(thread) is not op:
                return  # Abandoned: it has its completion already.
            try:
                self._complete(thread, op, kind, value, error)
                op = self._pump(thread)
            except Exception as broken:
                self._break(broken)
                return
            in_a_row += 1
            if op is None:
                op, in_a_row = await self._park(thread), 0
            elif in_a_row % OPS_IN_A_ROW == 0:
                await asyncio.sleep(0)

    async def _park(self, thread: int) -> Op | None:
        if self._closed:
            return None
        parked: asyncio.Future[Op | None] = self._loop.create_future()
        self._parked[thread] = parked
        return await parked

    def _complete(self, thread: int, op: Op, kind: Type, value: Value, error: str | None) -> None:
        now = self._clock()
        done = Op(kind, op.process, op.f, value, op.key, now, error)
        del self._outstanding[thread]
        self._counts[kind] += 1
        self._record(done)
        if self._counters is not None:
            refused = kind is Type.FAIL and error is None
            self._counters.note(kind, refused, now - op.time_ns, now)
        self._free = (*self._free, thread)
        self._held = None
        if self._heeds:
            self._gen = self._gen.update(Context(now, self._free, self._processes), done)
        if kind is Type.INFO:
            self._processes = {**self._processes, thread: op.process + self._concurrency}
        if self._closed and not self._outstanding and not self.drained.done():
            self.drained.set_result(None)

    def _pump(self, mine: int) -> Op | None:
        """Hand out all ops that are due; the one of thread `mine` is returned, if there is one."""
        found: Op | None = None
        now = self._clock()
        while self._free and not self._closed:  # Each round takes a free thread, or ends it.
            if self._held is None:
                op, self._gen, after = ask(self._gen, Context(now, self._free, self._processes))
                if op is None:
                    self._exhausted = True
                    self.close()
                    break
                if op is PENDING:
                    self._wake_at(now + POLL_NS)
                    break
            else:
                op, after = self._held
            if op.time_ns > now:
                self._held = op, after
                self._wake_at(op.time_ns)
                break
            thread = self._begin_op(op, after, now)
            if thread == mine:
                found = self._outstanding[thread]
            else:
                self._parked[thread].set_result(self._outstanding[thread])
            if self._free:
                now = self._clock()
        if not self._free and self._timer is None and not self._closed:
            self._wake_at(now + BUSY_POLL_NS)
        return found

    def _ask_busy(self) -> None:
        """Whether the generator has come to its end while every thread is stuck in a call."""
        context = Context(self._clock(), (), self._processes)
        op, self._gen, _ = ask(self._gen, context)
        if op is None:
            self._exhausted = True
            self.close()
        elif op is not PENDING:
            thread_of(op, self._concurrency, ())  # Raises: no thread is free.

    def _begin_op(self, op: Op, after: Generator, now: int) -> int:
        """Record an invocation and move the generator on; the thread that is to do it."""
        thread = thread_of(op, self._concurrency, self._free)
        free = self._free
        if len(free) == 1:  # under full load it always is
            self._free = ()
        else:
            at = free.index(thread)
            self._free = free[:at] + free[at + 1 :]
        if op.time_ns != now:
            op = Op(Type.INVOKE, op.process, op.f, op.value, op.key, now)
        self._held = None
        self._outstanding[thread] = op
        self._invoked += 1
        self._record(op)
        self._gen = after
        if self._heeds:
            self._gen = after.update(Context(now, self._free, self._processes), op)
        return thread

    def _wake_at(self, due_ns: int) -> None:
        if self._timer is not None:
            if self._timer_ns <= due_ns:
                return  # It rings early, and is set again then.
            self._timer.cancel()
        self._timer_ns = due_ns
        self._timer = self._loop.call_later((due_ns - self._clock()) / 1e9, self._on_timer)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _on_timer(self) -> None:
        self._timer = None
        try:
            if not self._free:
                self._ask_busy()
            self._pump(NOBODY)
        except Exception as broken:
            self._break(broken)

    def _break(self, cause: Exception) -> None:
        self._broken = True
        if not self.drained.done():
            self.drained.set_exception(cause)
        self.close()

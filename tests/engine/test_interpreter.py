"""Generators carried out: order, processes, exceptions, stopping, and no op lost."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seatrial.engine.counters import OpCounters, bucket_of, ceiling_of
from seatrial.engine.interpreter import STOPPED, Completion, InterpretSummary, interpret
from seatrial.errors import SeatrialError
from seatrial.generator import (
    Generator,
    below,
    concurrent_keys,
    constant,
    delay,
    derive,
    each_of,
    limit,
    map_ops,
    one,
    phases,
    rate,
    sequence,
    sleep,
    time_limit,
    until_ok,
)
from seatrial.op import Op, Type

T = TypeVar("T")


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock jumps to the next timer instead of waiting for it."""

    def __init__(self) -> None:
        super().__init__(_Jumping(self))
        self.now = 0.0

    def time(self) -> float:
        return self.now


class _Jumping(selectors.SelectSelector):
    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if timeout and not ready:
            self._loop.now += timeout
        return ready


def run_virtual(main: Coroutine[Any, Any, T]) -> T:
    """Run on a virtual clock."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)


class Trial:
    """A load on a virtual clock with a client that answers as it is told."""

    def __init__(self, answer: Callable[[Op, int], tuple[float, Type | Exception]]) -> None:
        self.history: list[Op] = []
        self.answer = answer
        self.calls = 0

    def clock(self) -> int:
        return round(asyncio.get_running_loop().time() * 1e9)

    def record(self, op: Op) -> int:
        self.history.append(op)
        return len(self.history) - 1

    async def invoke(self, thread: int, op: Op) -> Completion:
        assert self.history
        assert any(o == op for o in self.history[-200:]), "recorded before the call"
        self.calls += 1
        latency_s, kind = self.answer(op, self.calls)
        if latency_s:
            await asyncio.sleep(latency_s)
        if isinstance(kind, Exception):
            raise kind
        return kind, op.value, None

    def run(self, gen: Generator, concurrency: int, **options: Any) -> InterpretSummary:
        async def main() -> InterpretSummary:
            return await interpret(
                gen,
                concurrency=concurrency,
                invoke=self.invoke,
                record=self.record,
                clock=self.clock,
                **options,
            )

        return run_virtual(main())


def assert_whole(history: list[Op], concurrency: int) -> None:
    """Times never go back; processes are single-threaded and end with `info`; all complete."""
    times = [op.time_ns for op in history]
    assert times == sorted(times)
    busy: dict[int, Op] = {}
    gone: set[int] = set()
    threads: set[int] = set()
    for op in history:
        if op.type is Type.INVOKE:
            assert op.process not in busy
            assert op.process not in gone
            assert op.process % concurrency not in threads
            threads.add(op.process % concurrency)
            busy[op.process] = op
        else:
            begun = busy.pop(op.process)
            threads.discard(op.process % concurrency)
            assert (begun.f, begun.key) == (op.f, op.key)
            if op.type is Type.INFO:
                gone.add(op.process)
    assert not busy


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    concurrency=st.integers(1, 7),
    shape=st.sampled_from(["flat", "rate", "keys", "phases"]),
)
def test_every_history_is_a_real_time_order(seed: int, concurrency: int, shape: str) -> None:
    """Random latencies and endings: nothing lost, nothing twice, nothing out of order."""

    def answer(op: Op, call: int) -> tuple[float, Type | Exception]:
        draw = derive(seed, call)
        ending = (Type.OK, Type.FAIL, Type.INFO, OSError("gone"))[below(draw, 4)]
        return below(draw >> 5 << 5, 50) / 1000, ending

    trial = Trial(answer)
    count = 60
    gens: dict[str, Generator] = {
        "flat": limit(count, constant("w")),
        "rate": limit(count, rate(200, constant("w"), seed)),
        "keys": limit(count, concurrent_keys(2, lambda key, i: constant("w", i), ops_per_key=7)),
        "phases": phases(limit(count - 1, constant("w")), sleep(0.2), one("r")),
    }
    summary = trial.run(gens[shape], concurrency)
    assert_whole(trial.history, concurrency)
    assert summary.invoked == count
    assert summary.ok + summary.failed + summary.info == count
    assert summary.exhausted
    assert summary.abandoned == 0


def always(latency_s: float, ending: Type | Exception = Type.OK) -> Trial:
    """A client that always answers the same."""
    return Trial(lambda op, call: (latency_s, ending))


def test_processes_move_on_after_info() -> None:
    """Thread t plays t, t + 3, t + 6, …."""
    trial = always(0.01, Type.INFO)
    trial.run(limit(7, constant("w")), 3)
    assert [op.process for op in trial.history if op.type is Type.INVOKE] == list(range(7))


def test_processes_stay_after_fail() -> None:
    """A failed op certainly had no effect: the process goes on."""
    trial = always(0.01, Type.FAIL)
    trial.run(limit(6, constant("w")), 3)
    assert {op.process for op in trial.history} == {0, 1, 2}


def test_exceptions_are_kept_as_info() -> None:
    """What the client let through stands in the history and in the summary."""
    trial = always(0.01, ValueError("bad reply 7"))
    summary = trial.run(limit(4, constant("w", 5)), 2)
    ends = [op for op in trial.history if op.type is not Type.INVOKE]
    assert {(op.type, op.error, op.value) for op in ends} == {
        (Type.INFO, "ValueError: bad reply 7", 5)
    }
    assert summary.defects == {"ValueError: bad reply 7": 4}


def test_a_completion_that_is_an_invocation_is_a_defect() -> None:
    """Nobody knows what a client meant by it."""
    trial = always(0.0, Type.INVOKE)
    summary = trial.run(one("w"), 1)
    assert summary.info == 1
    assert next(iter(summary.defects)).startswith("TypeError: the client completed 'w'")


def test_rate_is_kept_to_the_nanosecond() -> None:
    """One op each 10 ms, stamped when it was invoked."""
    trial = always(0.003)
    trial.run(limit(5, delay(0.01, constant("w"))), 4)
    times = [op.time_ns for op in trial.history if op.type is Type.INVOKE]
    assert times == [0, 10_000_000, 20_000_000, 30_000_000, 40_000_000]


def test_time_limit_waits_for_what_is_outstanding() -> None:
    """Ops begun in time end in their own time, if that is within the bound."""
    trial = always(2.0)
    summary = trial.run(time_limit(3.0, constant("w")), 2)
    assert (summary.invoked, summary.ok, summary.abandoned) == (4, 4, 0)
    assert summary.end_ns == pytest.approx(4e9, abs=1e7)


def test_outstanding_ops_are_abandoned_at_the_bound() -> None:
    """They are `info`, stopped, and their calls are cancelled."""
    trial = always(1e6)
    summary = trial.run(limit(3, constant("w")), 3, outstanding_wait_s=1.5)
    assert (summary.invoked, summary.info, summary.abandoned) == (3, 3, 3)
    assert {op.error for op in trial.history if op.type is Type.INFO} == {STOPPED}
    assert summary.end_ns == pytest.approx(1.5e9, abs=1.1e8)
    assert_whole(trial.history, 3)


def test_a_time_limit_is_seen_while_every_thread_is_stuck() -> None:
    """The bound counts from the limit, not from when somebody answers."""
    trial = always(1e6)
    summary = trial.run(time_limit(4.0, constant("w")), 2, outstanding_wait_s=1.0)
    assert (summary.invoked, summary.abandoned, summary.exhausted) == (2, 2, True)
    assert summary.end_ns == pytest.approx(5e9, abs=1.1e8)


def test_stop_in_the_middle() -> None:
    """No op begins after the stop; those under way are awaited."""
    trial = always(0.02)

    async def main() -> tuple[InterpretSummary, int]:
        stop = asyncio.Event()
        asyncio.get_running_loop().call_later(0.5, stop.set)
        summary = await interpret(
            rate(100, constant("w"), 3),
            concurrency=3,
            invoke=trial.invoke,
            record=trial.record,
            clock=trial.clock,
            stop=stop,
        )
        return summary, len(asyncio.all_tasks())

    summary, tasks = run_virtual(main())
    assert tasks == 1, "no task is left"
    assert not summary.exhausted
    assert summary.abandoned == 0
    assert summary.invoked > 20
    last = max(op.time_ns for op in trial.history if op.type is Type.INVOKE)
    assert last <= 500_000_000
    assert_whole(trial.history, 3)


def test_cancelling_records_every_outstanding_op() -> None:
    """Ctrl-C in the middle of a load leaves no invocation without a completion."""
    trial = always(1e6)

    async def main() -> None:
        task = asyncio.create_task(
            interpret(
                constant("w"),
                concurrency=4,
                invoke=trial.invoke,
                record=trial.record,
                clock=trial.clock,
            )
        )
        await asyncio.sleep(1)
        task.cancel()
        await asyncio.wait({task})
        assert task.cancelled()

    run_virtual(main())
    assert len(trial.history) == 8
    assert_whole(trial.history, 4)


def test_a_full_disk_ends_the_load() -> None:
    """What `record` raises comes out, and nobody waits for the rest."""
    trial = always(0.01)

    def full(op: Op) -> int:
        if len(trial.history) == 9:
            raise OSError(28, "No space left on device")
        return Trial.record(trial, op)

    trial.record = full  # type: ignore[method-assign]
    with pytest.raises(OSError, match="No space left"):
        trial.run(constant("w"), 3)


def test_a_defective_generator_ends_the_load() -> None:
    """An op for a thread that is busy is refused with the op in words."""
    trial = always(1.0)
    gen = map_ops(lambda op: Op(Type.INVOKE, 0, "w"), constant("w"))
    with pytest.raises(SeatrialError, match="hint: an op must be an invocation"):
        trial.run(gen, 2)


def test_pending_generators_are_asked_again() -> None:
    """A pause with nothing outstanding, then more; until_ok hears of completions."""
    trial = Trial(lambda op, call: (0.001, Type.OK if call > 3 else Type.FAIL))
    tries = until_ok(each_of(("try", i, None) for i in range(9)))
    summary = trial.run(sequence(tries, sleep(5), one("end")), 1)
    assert summary.invoked == 5
    assert trial.history[-2].f == "end"
    assert trial.history[-2].time_ns == pytest.approx(5e9, abs=1e7)


def test_a_client_that_never_waits_does_not_starve_the_loop() -> None:
    """The stop is heard although no call ever yields."""
    trial = always(0.0)

    async def main() -> InterpretSummary:
        stop = asyncio.Event()

        async def invoke(thread: int, op: Op) -> Completion:
            if len(trial.history) > 1000:
                stop.set()
            return await trial.invoke(thread, op)

        return await interpret(
            constant("w"),
            concurrency=2,
            invoke=invoke,
            record=trial.record,
            clock=trial.clock,
            stop=stop,
        )

    assert run_virtual(main()).invoked < 2000


def test_empty_generator_ends_at_once() -> None:
    """Nothing to do is done."""
    summary = always(1).run(limit(0, constant("w")), 5)
    assert (summary.invoked, summary.exhausted) == (0, True)


def test_counters_read_the_last_seconds() -> None:
    """100 ops/s, one in ten unknown, 20 ms each."""
    counters = OpCounters()
    trial = Trial(lambda op, call: (0.02, Type.INFO if call % 10 == 0 else Type.OK))
    trial.run(limit(1000, delay(0.01, constant("w"))), 10, counters=counters)
    reading = counters.read(10_000_000_000)
    assert reading.completed == 1000
    assert reading.ops_per_s == pytest.approx(100, rel=0.02)
    assert reading.error_rate == pytest.approx(0.1, abs=0.01)
    assert reading.p99_ms == pytest.approx(20, rel=0.13)


def test_counters_do_not_count_refusals_as_errors() -> None:
    """A compare-and-set that found another value is an answer."""
    counters = OpCounters()
    counters.note(Type.FAIL, True, 5, 10)
    counters.note(Type.FAIL, False, 5, 10)
    assert counters.read(1_000_000_000).error_rate == 0.5
    assert counters.read(1_000_000_000).p99_ms is None
    assert counters.read(60_000_000_000).ops_per_s == 0


@settings(deadline=None)
@given(st.integers(0, 2**62))
def test_buckets_hold_their_latencies(latency_ns: int) -> None:
    """The bucket's highest value is at or above, by at most an eighth."""
    ceiling = ceiling_of(bucket_of(latency_ns))
    assert latency_ns <= ceiling <= latency_ns * 1.125 + 1

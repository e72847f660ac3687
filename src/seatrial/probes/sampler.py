"""Taking the samples of a trial's steady states, each probe in its own rhythm.

Asking blocks, so it happens in threads; a moment whose answer is late is skipped, and a skipped
moment is a hole in the series, which the judge sees. Probes of the same Prometheus and rhythm are
asked together.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from seatrial.probe import PrometheusProbe, SampledProbe, of_lab
from seatrial.probes.prometheus import PrometheusServer, Read
from seatrial.samples import Sample, SampleWriter
from seatrial.steady_state import SteadyState

#: How many probes are asked at a time; one that hangs holds one of them.
THREADS_MAX: Final = 8
#: How much longer than its own timeout an answer may take before it is given up.
GRACE_S: Final = 1.0
WARM_UP_POLL_S: Final = 0.25


@dataclass(frozen=True, slots=True)
class Question:
    """One steady state to be sampled: its number in the plan and its probe."""

    state: int
    name: str
    probe: SampledProbe


@dataclass(frozen=True, slots=True)
class Group:
    """Questions that are asked together, each `interval_s`."""

    interval_s: float
    timeout_s: float
    questions: tuple[Question, ...]
    ask: Callable[[], Sequence[Read]]


def questions_of(states: Sequence[SteadyState], *, lab: bool) -> tuple[Question, ...]:
    """The sampled steady states that are asked in this place: inside the lab, or on the host."""
    return tuple(
        Question(number, state.name, state.probe)
        for number, state in enumerate(states)
        if state.probe.source != "ops" and of_lab(state.probe) == lab
    )


class Sampler:
    """Samples until it is closed. `on_sample` hears of each sample, in the loop's thread."""

    def __init__(
        self,
        questions: Sequence[Question],
        *,
        prometheus_url: str,
        clock: Callable[[], int],
        writer: SampleWriter,
        on_sample: Callable[[Sample], None] = lambda _: None,
    ) -> None:
        self._clock, self._writer, self._on_sample = clock, writer, on_sample
        self._threads = ThreadPoolExecutor(THREADS_MAX, thread_name_prefix="probe")
        self._servers: dict[tuple[str, float], PrometheusServer] = {}
        self._own_url = prometheus_url
        self._groups = self._grouped(questions)
        self._last: dict[int, Read] = {}
        self._tasks: list[asyncio.Task[None]] = []

    async def warm_up(self, timeout_s: float) -> tuple[str, ...]:
        """Ask until each probe has answered once; who did not in time, and why, in words.

        What is read meanwhile is not kept.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        silent = list(self._groups)
        while silent:
            for group in list(silent):
                reads = await self._ask(group)
                if all(read.value is not None for read in reads):
                    silent.remove(group)
                else:
                    self._remember(group, reads)
            if loop.time() > deadline:
                break
            if silent:
                await asyncio.sleep(WARM_UP_POLL_S)
        return tuple(
            f"{question.name}: {self._last[question.state].why}"
            for group in silent
            for question in group.questions
            if self._last[question.state].value is None
        )

    def start(self) -> None:
        """Begin to sample."""
        self._tasks = [asyncio.create_task(self._repeat(group)) for group in self._groups]

    async def close(self) -> None:
        """Stop, and keep what was sampled."""
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._writer.close()
        for server in self._servers.values():
            server.close()

    def flush(self) -> None:
        """Hand what was sampled to the kernel."""
        self._writer.flush()

    async def _repeat(self, group: Group) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            at_ns = self._clock()
            reads = await self._ask(group)
            for question, read in zip(group.questions, reads, strict=True):
                sample = Sample(question.state, at_ns, read.value, None, read.why)
                self._writer.sample(sample)
                self._on_sample(sample)
            missed = max(0, int((loop.time() - due) // group.interval_s))
            due += (missed + 1) * group.interval_s
            await asyncio.sleep(max(0.0, due - loop.time()))

    async def _ask(self, group: Group) -> Sequence[Read]:
        loop = asyncio.get_running_loop()
        try:
            work = loop.run_in_executor(self._threads, group.ask)
            return await asyncio.wait_for(work, group.timeout_s + GRACE_S)
        except TimeoutError:
            late = Read(None, f"no answer within {group.timeout_s + GRACE_S:g} s")
            return [late] * len(group.questions)

    def _remember(self, group: Group, reads: Sequence[Read]) -> None:
        for question, read in zip(group.questions, reads, strict=True):
            self._last[question.state] = read

    # ── what is asked ────────────────────────────────────────────────────────────────────────

    def _grouped(self, questions: Sequence[Question]) -> list[Group]:
        together: dict[tuple[str, float, float], list[Question]] = {}
        for question in questions:
            probe = question.probe
            if isinstance(probe, PrometheusProbe):
                key = (probe.url or self._own_url, probe.interval_s, probe.timeout_s)
                together.setdefault(key, []).append(question)
        return [
            self._prometheus(url, interval_s, timeout_s, tuple(members))
            for (url, interval_s, timeout_s), members in together.items()
        ]

    def _prometheus(
        self, url: str, interval_s: float, timeout_s: float, members: tuple[Question, ...]
    ) -> Group:
        key = (url, timeout_s)
        if key not in self._servers:
            own = url == self._own_url
            self._servers[key] = PrometheusServer(url, timeout_s=timeout_s, environment=not own)
        server = self._servers[key]

        def ask() -> list[Read]:
            out = []
            for question in members:
                assert isinstance(question.probe, PrometheusProbe)
                out.append(server.ask(question.probe.query, question.probe.series))
            return out

        return Group(interval_s, timeout_s * len(members), members, ask)

    @property
    def states(self) -> Mapping[int, str]:
        """The numbers and names of what is sampled."""
        return {q.state: q.name for group in self._groups for q in group.questions}

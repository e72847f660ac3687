"""Taking the samples of a trial's steady states, each probe in its own rhythm.

Asking blocks, so it happens in threads; a moment whose answer is late is skipped, and a skipped
moment is a hole in the series, which the judge sees. Probes of the same Prometheus and rhythm are
asked together, and the raw samples under their queries are looked at every `raw.LOOK_S`.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from seatrial.errors import UsageError
from seatrial.probe import PrometheusProbe, SampledProbe, of_lab
from seatrial.probes.others import asker
from seatrial.probes.prometheus import NoAnswer, PrometheusServer, Read, joined
from seatrial.probes.promql import selectors
from seatrial.probes.raw import LOOK_S, RawLook
from seatrial.samples import Finding, Sample, SampleWriter
from seatrial.steady_state import SteadyState
from seatrial.target import Node

#: How many probes are asked at a time; one that hangs holds one of them.
THREADS_MAX: Final = 8
#: How much longer than its own timeout an answer may take before it is given up.
GRACE_S: Final = 1.0
WARM_UP_POLL_S: Final = 0.25
#: The timeout of a look at raw samples, which no stretch waits for.
LOOK_TIMEOUT_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Question:
    """One steady state to be sampled: its number in the plan and its probe."""

    state: int
    name: str
    probe: SampledProbe


@dataclass(frozen=True, slots=True)
class Group:
    """Questions that are asked together, each `interval_s`; `ask` gives (state, reading) pairs."""

    interval_s: float
    timeout_s: float
    questions: tuple[Question, ...]
    ask: Callable[[], Sequence[tuple[int, Read]]]


def questions_of(states: Sequence[SteadyState], *, lab: bool) -> tuple[Question, ...]:
    """The sampled steady states that are asked in this place: inside the lab, or on the host."""
    return tuple(
        Question(number, state.name, state.probe)
        for number, state in enumerate(states)
        if state.probe.source != "ops" and of_lab(state.probe) == lab
    )


class Sampler:
    """Samples until it is closed. `on_sample` hears of each sample, in the loop's thread.

    `clock` is the trial's (ns), `wall` this machine's (s since 1970).
    """

    def __init__(
        self,
        questions: Sequence[Question],
        *,
        prometheus_url: str,
        nodes: Sequence[Node],
        clock: Callable[[], int],
        writer: SampleWriter,
        on_sample: Callable[[Sample], None] = lambda _: None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._clock, self._wall, self._writer, self._on_sample = clock, wall, writer, on_sample
        self._threads = ThreadPoolExecutor(THREADS_MAX, thread_name_prefix="probe")
        self._servers: dict[tuple[str, float], PrometheusServer] = {}
        self._own_url, self._nodes = prometheus_url, tuple(nodes)
        self._questions = tuple(questions)
        self._groups = self._grouped()
        self._looks: dict[str, list[RawLook]] = {}
        self._last: dict[int, Read] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._began_ns = clock()
        self._closed = False

    # ── life ─────────────────────────────────────────────────────────────────────────────────

    async def check(self) -> None:
        """Ask each Prometheus query once; raises `UsageError` with all that a server refuses."""
        wrong = []
        for question in self._questions:
            if isinstance(question.probe, PrometheusProbe):
                server = self._server(question.probe)
                work = asyncio.get_running_loop().run_in_executor(
                    self._threads, server.refuses, question.probe.query
                )
                said = await work
                if said:
                    wrong.append(f"steady state {question.name!r}: {said}")
        if wrong:
            raise UsageError("\n".join(wrong) + "\n\nhint: try the query on the server's own page")

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
                self._last |= dict(reads)
                if all(_there(read) for _, read in reads):
                    silent.remove(group)
            if loop.time() > deadline:
                break
            if silent:
                await asyncio.sleep(WARM_UP_POLL_S)
        return tuple(
            f"{question.name}: {self._last[question.state].why}"
            for group in silent
            for question in group.questions
            if not _there(self._last[question.state])
        )

    def start(self) -> None:
        """Begin to sample."""
        self._began_ns = self._clock()
        self._looks = self._make_looks()
        self._tasks = [asyncio.create_task(self._repeat(group)) for group in self._groups]
        self._tasks.append(asyncio.create_task(self._look_again()))

    async def close(self) -> None:
        """Stop sampling, ask what is asked once at the end, and keep it all."""
        if self._closed:
            return
        self._closed = True
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        if self._tasks:
            await self._look(last=True)
            await self._ask_ranges()
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._writer.close()
        for server in self._servers.values():
            server.close()

    def flush(self) -> None:
        """Hand what was sampled to the kernel."""
        if not self._closed:
            self._writer.flush()

    async def _repeat(self, group: Group) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            at_ns = self._clock()
            for state, read in await self._ask(group):
                sample = Sample(state, at_ns, read.value, read.text, read.why)
                self._writer.sample(sample)
                self._on_sample(sample)
            missed = max(0, int((loop.time() - due) // group.interval_s))
            due += (missed + 1) * group.interval_s
            await asyncio.sleep(max(0.0, due - loop.time()))

    async def _ask(self, group: Group) -> Sequence[tuple[int, Read]]:
        loop = asyncio.get_running_loop()
        try:
            work = loop.run_in_executor(self._threads, group.ask)
            # Not `wait_for`: until Python 3.12 it may swallow a cancellation.
            async with asyncio.timeout(group.timeout_s + GRACE_S):
                return await work
        except TimeoutError:
            late = Read(None, f"no answer within {group.timeout_s + GRACE_S:g} s")
            return [(question.state, late) for question in group.questions]

    # ── raw samples, and ranges ──────────────────────────────────────────────────────────────

    def _make_looks(self) -> dict[str, list[RawLook]]:
        """For each server the selectors under its queries, each with the states that use it."""
        used: dict[str, dict[str, dict[int, float]]] = {}
        known = {}
        for question in self._questions:
            probe = question.probe
            if isinstance(probe, PrometheusProbe):
                for selector in selectors(probe.query):
                    known[selector.text] = selector
                    states = used.setdefault(probe.url or self._own_url, {})
                    states.setdefault(selector.text, {})[question.state] = probe.gap_s
        began = self._wall()
        return {
            url: [RawLook(known[text], states, began) for text, states in texts.items()]
            for url, texts in used.items()
        }

    async def _look_again(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            await self._look(last=False)

    async def _look(self, *, last: bool) -> None:
        loop = asyncio.get_running_loop()
        for url, looks in self._looks.items():
            server = self._serve(url, LOOK_TIMEOUT_S)
            work = loop.run_in_executor(self._threads, self._look_at, server, looks, last)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_TIMEOUT_S + GRACE_S):
                    found = await work
                for finding in found:
                    self._writer.finding(finding)

    def _look_at(
        self, server: PrometheusServer, looks: Sequence[RawLook], last: bool
    ) -> list[Finding]:
        if server.clock():  # it cannot be reached, or its moments cannot be placed
            return []
        now = self._wall()
        return [found for look in looks for found in look.look(server, now, self._place, last=last)]

    def _place(self, moment: float) -> int:
        """A moment (s since 1970) on the trial's clock."""
        return self._clock() - round((self._wall() - moment) * 1e9)

    async def _ask_ranges(self) -> None:
        loop = asyncio.get_running_loop()
        for question in self._questions:
            probe = question.probe
            if isinstance(probe, PrometheusProbe) and probe.mode == "range":
                work = loop.run_in_executor(self._threads, self._range, question, probe)
                try:
                    async with asyncio.timeout(probe.timeout_s + GRACE_S):
                        samples = await work
                except TimeoutError:
                    samples = [self._nothing(question, f"no answer within {probe.timeout_s:g} s")]
                for sample in samples:
                    self._writer.sample(sample)

    def _range(self, question: Question, probe: PrometheusProbe) -> list[Sample]:
        server = self._server(probe)
        skew = server.clock()
        if skew:
            return [self._nothing(question, skew)]
        end = self._wall()
        start = end - (self._clock() - self._began_ns) / 1e9
        try:
            points = server.range(probe.query, start, end, probe.interval_s)
        except NoAnswer as error:
            return [self._nothing(question, str(error))]
        moments: dict[float, list[tuple[Mapping[str, str], float]]] = {}
        for point in points:
            for moment, value in point.values:
                moments.setdefault(moment, []).append((point.labels, value))
        out = [self._nothing(question, "the query returned nothing")] if not moments else []
        for moment in sorted(moments):
            read = joined(moments[moment], probe.series)
            out.append(Sample(question.state, self._place(moment), read.value, None, read.why))
        return out

    def _nothing(self, question: Question, why: str) -> Sample:
        return Sample(question.state, self._clock(), why=why)

    # ── what is asked ────────────────────────────────────────────────────────────────────────

    def _grouped(self) -> list[Group]:
        together: dict[tuple[str, float, float], list[Question]] = {}
        groups = []
        for question in self._questions:
            probe = question.probe
            if not isinstance(probe, PrometheusProbe):
                groups.append(self._alone(question))
            elif probe.mode == "instant":
                key = (probe.url or self._own_url, probe.interval_s, probe.timeout_s)
                together.setdefault(key, []).append(question)
        return groups + [
            self._together(url, interval_s, timeout_s, tuple(members))
            for (url, interval_s, timeout_s), members in together.items()
        ]

    def _alone(self, question: Question) -> Group:
        probe = question.probe
        assert not isinstance(probe, PrometheusProbe)
        ask, state = asker(probe, self._nodes), question.state
        return Group(
            probe.interval_s,
            probe.timeout_s * max(1, len(self._nodes)),
            (question,),
            lambda: [(state, read) for read in ask()],
        )

    def _together(
        self, url: str, interval_s: float, timeout_s: float, members: tuple[Question, ...]
    ) -> Group:
        server = self._serve(url, timeout_s)
        asked = [
            (q.probe.query, q.probe.series) for q in members if isinstance(q.probe, PrometheusProbe)
        ]
        states = [question.state for question in members]
        return Group(
            interval_s,
            timeout_s,
            members,
            lambda: list(zip(states, server.ask_all(asked), strict=True)),
        )

    def _server(self, probe: PrometheusProbe) -> PrometheusServer:
        return self._serve(probe.url or self._own_url, probe.timeout_s)

    def _serve(self, url: str, timeout_s: float) -> PrometheusServer:
        key = (url, timeout_s)
        if key not in self._servers:
            own = url == self._own_url
            self._servers[key] = PrometheusServer(
                url, timeout_s=timeout_s, wall=self._wall, environment=not own
            )
        return self._servers[key]


def _there(read: Read) -> bool:
    return read.value is not None or read.text is not None

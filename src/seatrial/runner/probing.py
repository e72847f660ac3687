"""The sampled steady states of a trial: server, sampler, and what they saw."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from seatrial.engine.lab.prometheus import LabPrometheus
from seatrial.errors import UsageError
from seatrial.plan import Plan
from seatrial.probes.sampler import Sampler, questions_of
from seatrial.samples import Sample, SampleWriter
from seatrial.target import Node, Scraped, Target

#: How often the lab's own Prometheus scrapes each node.
SCRAPE_S: Final = 1.0
#: How long the load may run until each probe has answered once.
WARM_UP_S: Final = 20.0


class Probing:
    """Starts what is asked, samples from the warm-up to the end of the load, ends it all.

    `samples` is the file they go to; the server's data lie in `scratch`, its output in `log`.
    `places`: which probes it asks: those of the `lab`, of the `host`.
    """

    def __init__(
        self,
        plan: Plan,
        clock: Callable[[], int],
        *,
        samples: Path,
        scratch: Path,
        log: Path,
        places: Sequence[str] = ("lab",),
        on_sample: Callable[[Sample], None] = lambda _: None,
    ) -> None:
        self._plan, self._clock = plan, clock
        self._samples, self._scratch, self._log = samples, scratch, log
        self._on_sample = on_sample
        self._questions = tuple(
            question
            for place in places
            for question in questions_of(plan.steady_states, lab=place == "lab")
        )
        self._server: LabPrometheus | None = None
        self._sampler: Sampler | None = None

    @property
    def asks(self) -> bool:
        """Whether anything is sampled here."""
        return bool(self._questions)

    async def start(self, target: Target | None, nodes: Sequence[Node]) -> None:
        """Start the server if the plan wants one; raises `Unavailable` or `UsageError`."""
        url = ""
        if self._plan.prometheus == "auto" and target is not None:
            if not isinstance(target, Scraped):
                raise UsageError(
                    f"target {target.name!r} tells no metrics to Prometheus\n\n"
                    "hint: --prometheus URL of a server that knows it"
                )
            self._server = LabPrometheus(
                {node.name: target.metrics_url(node) for node in nodes},
                room=self._scratch,
                log_file=self._log,
                interval_s=SCRAPE_S,
            )
            await self._server.start()
            url = self._server.url
        if self._questions:
            self._sampler = Sampler(
                self._questions,
                prometheus_url=url,
                nodes=nodes,
                clock=self._clock,
                writer=SampleWriter(self._samples),
                on_sample=self._on_sample,
            )
            await self._sampler.check()

    async def warm_up(self) -> tuple[str, ...]:
        """Wait until each probe has answered once, then begin; who has not, and why."""
        if self._sampler is None:
            return ()
        silent = await self._sampler.warm_up(WARM_UP_S)
        self._sampler.start()
        return silent

    async def end_of_load(self) -> None:
        """Take no more samples: the stretches are over."""
        if self._sampler is not None:
            await self._sampler.close()
            self._sampler = None

    def flush(self) -> None:
        """Hand what was sampled to the kernel."""
        if self._sampler is not None:
            self._sampler.flush()

    async def close(self) -> tuple[str, ...]:
        """End sampler and server; what ended outside of the plan, in words."""
        await self.end_of_load()
        if self._server is None:
            return ()
        died = bool(self._server.url) and self._server.pid is None
        await self._server.stop()
        return ("the lab's prometheus ended before the trial did",) if died else ()

"""Probes that are asked on the host while the trial runs in its sandbox: URLs, commands, clusters.

A sandbox has a network of its own, from which no server of the host can be reached; so these are
asked by the outer program, on the clock that the inner one began (both read CLOCK_MONOTONIC).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Callable, Mapping
from typing import cast

from seatrial.errors import SeatrialError, UsageError
from seatrial.plan import Plan
from seatrial.probe import PrometheusProbe
from seatrial.probes.prometheus import PrometheusServer
from seatrial.runner.breaker import Breaker
from seatrial.runner.probing import Probing
from seatrial.trial import TrialFolder
from seatrial.verdict import Json

#: The phases in which it is sampled.
_LOAD = ("warm-up", "steady-before", "workload", "heal", "steady-after")
FLUSH_S = 1.0


class Beside:
    """Follows the inner program's events; samples from the load's beginning to its end."""

    def __init__(self, plan: Plan, folder: TrialFolder, say: Callable[[str], None]) -> None:
        self._began_ns: int | None = None
        self._say = say
        self._alive = False
        #: Why a sample taken here ended the trial, empty if none did.
        self.reason = ""
        self._breaker = Breaker(plan, self._abort, lambda: self._alive)
        self._probing = Probing(
            plan,
            self._clock,
            samples=folder.samples_host,
            scratch=folder.metrics / "none",
            log=folder.logs / "none",
            places=("host",),
            on_sample=self._breaker.hear,
        )
        self._work: asyncio.Task[None] | None = None

    def _clock(self) -> int:
        assert self._began_ns is not None
        return time.monotonic_ns() - self._began_ns

    def hear(self, event: Mapping[str, Json]) -> None:
        """One event of the inner program."""
        if not self._probing.asks:
            return
        if event.get("event") == "began":
            self._began_ns = int(cast(int, event["monotonic_ns"]))
        if event.get("event") == "tick":
            self._alive = bool(event.get("faults"))
        if event.get("event") == "phase":
            self._breaker.enter(str(event.get("name")))
            loaded = event.get("name") in _LOAD
            if loaded and self._work is None:
                self._work = asyncio.create_task(self._sample(), name="beside")
            if not loaded and self._work is not None:
                self._work.cancel()

    def _abort(self, words: str) -> None:
        """End the trial as a person would: the signal goes to the inner program, which heals."""
        if not self.reason:
            self.reason = f"{words}: all faults were healed at once"
            os.kill(os.getpid(), signal.SIGTERM)

    async def _sample(self) -> None:
        try:
            await self._probing.start(None, ())
        except SeatrialError as error:  # no sample is taken, which the judge sees
            self._say(str(error))
            return
        for silent in await self._probing.warm_up():
            self._say(f"nothing read yet: {silent}")
        while True:
            await asyncio.sleep(FLUSH_S)
            self._probing.flush()

    async def close(self) -> None:
        """Take no more samples, and keep what was taken."""
        if self._work is not None:
            self._work.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._work
        await self._probing.close()


def check_servers(plan: Plan) -> None:
    """Ask each query of a server on the host once, before anything starts.

    Raises `Unavailable` for a server that does not answer, `UsageError` for what it refuses.
    """
    wrong = []
    for state in plan.steady_states:
        probe = state.probe
        if isinstance(probe, PrometheusProbe) and probe.url:
            server = PrometheusServer(probe.url, timeout_s=probe.timeout_s, environment=True)
            said = server.refuses(probe.query)
            server.close()
            if said:
                wrong.append(f"steady state {state.name!r}: {said}")
    if wrong:
        raise UsageError("\n".join(wrong) + "\n\nhint: try the query on the server's own page")

"""A fault that was ended before its time says so, and proves nothing unless the plan ended it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import pytest

from seatrial.fault import FaultKind, PlannedFault, Proof, World
from seatrial.runner.halts import Halts
from seatrial.runner.judge_faults import fault_part
from seatrial.runner.lookout import Lookout
from seatrial.runner.nemesis import Nemesis
from seatrial.trial import Evidence
from seatrial.verdict import Validity
from tests.runner.test_looking_ahead import Looking
from tests.steps.plans import short_plan

#: What ends a fault, given the halts of its nemesis and what stops the whole trial.
End = Callable[[Halts, asyncio.Event], None]


class Held(Looking):
    """A kind that is ended by somebody as soon as it was seen to act."""

    def __init__(self, end: Callable[[], None]) -> None:
        super().__init__("held", time.monotonic(), [])
        self.end = end

    async def prove_injected(self, *_: object) -> Proof:
        self.end()
        return await super().prove_injected()


def held(folder: Path, end: End, duration_s: float = 60.0) -> Evidence:
    """The evidence of a fault of that length, which `end` ends once it acts."""
    fault = PlannedFault(
        id="f1",
        kind="held",
        victims="one",
        nodes=("n1",),
        start_s=0.0,
        duration_s=duration_s,
        group="ramp-1",
    )
    halts, stop = Halts(stopped=lambda: "the load's line was lost"), asyncio.Event()
    kind = Held(lambda: end(halts, stop))

    async def locate() -> Mapping[str, tuple[str, ...]]:
        return {}

    nemesis = Nemesis(
        cast(World, object()),
        locate,
        record=lambda op: 0,
        clock=time.monotonic_ns,
        evidence=folder,
        kinds=lambda _: cast(FaultKind, kind),
        halts=halts,
    )
    asyncio.run(nemesis.run((fault,), time.monotonic_ns(), stop))
    return Evidence.model_validate_json((folder / "f1.json").read_text(encoding="utf-8"))


def by_stop(_: Halts, stop: asyncio.Event) -> None:
    stop.set()


def by_ramp(halts: Halts, _: asyncio.Event) -> None:
    halts.end_group("ramp-1", "ramp-1 found its breaking point")


def by_abort(halts: Halts, _: asyncio.Event) -> None:
    unused = cast(Any, None)
    Lookout(short_plan(), unused, unused, halts, lambda: 0).abort("errors read 1")


def test_a_fault_that_was_cut_short_is_unknown_and_says_why(tmp_path: Path) -> None:
    """Its effect and its end were measured, and yet the database was not tried by it."""
    seen = held(tmp_path, by_stop)
    part = fault_part(seen.fault, seen, 0)

    assert seen.effect is not None and seen.effect.seen
    assert seen.recovery is not None and seen.recovery.seen
    assert part.verdict is Validity.UNKNOWN
    assert "ended after 0." in part.cause
    assert part.cause.endswith("s of 60 s: the load's line was lost")


@pytest.mark.parametrize(
    ("end", "why"),
    [(by_ramp, "ramp-1 found its breaking point"), (by_abort, "the trial was aborted, errors")],
)
def test_a_fault_that_the_plan_ended_counts_and_says_so(tmp_path: Path, end: End, why: str) -> None:
    seen = held(tmp_path, end)
    part = fault_part(seen.fault, seen, 0)

    assert seen.error is None and why in seen.ended
    assert part.verdict is Validity.VALID
    assert "acted and healed, ended after 0." in part.cause and why in part.cause


def test_a_stop_after_a_faults_time_did_not_cut_it_short(tmp_path: Path) -> None:
    seen = held(tmp_path, by_stop, duration_s=0.0)

    assert seen.error is None and seen.ended == ""
    assert fault_part(seen.fault, seen, 0).verdict is Validity.VALID


def test_who_stops_first_is_the_reason(tmp_path: Path) -> None:
    """An abort that comes after a person's stop does not excuse it."""

    def both(halts: Halts, _: asyncio.Event) -> None:
        halts.end_all("somebody stopped it")
        by_abort(halts, asyncio.Event())

    seen = held(tmp_path, both)
    assert seen.ended == "" and seen.error is not None
    assert seen.error.endswith("somebody stopped it")

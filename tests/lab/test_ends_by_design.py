"""A node that ends itself by its target's design: planned, with the reason; else it is not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from seatrial.engine.lab.process import Exit, NodeProcess, Popen
from seatrial.target import Command

WORDS = "its donor left the group"
END_S = 10.0


def why(text: str) -> str:
    return WORDS if "donor is gone" in text else ""


async def launch(popen: Callable[[Sequence[str]], Popen], argv: list[str]) -> Popen:
    return popen(argv)


def end_of(script: str, log: Path, reads: Callable[[str], str]) -> Exit:
    """How a process that runs `script` ended, by the books."""

    async def run() -> Exit:
        process = NodeProcess(
            "n1",
            lambda: Command(("/bin/sh", "-c", script)),
            launch,
            log,
            tied=False,
            why_it_ended=reads,
        )
        await process.restart()
        async with asyncio.timeout(END_S):
            while not process.exits:
                await asyncio.sleep(0.01)
        return process.exits[0]

    return asyncio.run(run())


#: The reason stands before much else that is written on the way down.
LAST_WORDS = "echo donor is gone; for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14; do echo $i; done"


@pytest.mark.parametrize(
    ("script", "planned"),
    [(f"{LAST_WORDS}; kill -ABRT $$", True), ("echo cannot open; kill -ABRT $$", False)],
    ids=["by design", "by itself"],
)
def test_an_end_is_excused_only_by_a_reason_in_the_log(
    tmp_path: Path, script: str, planned: bool
) -> None:
    found = end_of(script, tmp_path / "log", why)

    assert found.planned is planned
    assert found.why == (WORDS if planned else "")
    assert ("by design: its donor" in found.sentence) is planned
    assert ("unplanned" in found.sentence) is not planned


def test_a_target_that_says_nothing_excuses_nothing(tmp_path: Path) -> None:
    assert not end_of("echo donor is gone; exit 1", tmp_path / "log", lambda _: "").planned

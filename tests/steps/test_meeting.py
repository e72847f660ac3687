"""What steps that run at once tell each other: the board, the company of faults, the line."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from seatrial.engine.lab.board import MemoryBoard
from seatrial.errors import CannotCreate, Unavailable
from seatrial.runner.company import Acting, Company, InProcess
from seatrial.runner.steps import notices
from seatrial.runner.steps.axis import Axis
from seatrial.runner.steps.line import LineClient, LineServer
from seatrial.runner.steps.notices import ActingNotice, BoardCompany, HealNotice, StepNotice
from seatrial.runner.steps.rooms import LoadClock

#: What the load's clock is ahead of this process's in these tests.
AHEAD_NS = 7_000_000_000


@asynccontextmanager
async def line(folder: Path, ahead_ns: int = AHEAD_NS) -> AsyncIterator[tuple[LineServer, str]]:
    """A line whose clock is ahead."""
    history = folder / "history.arrow"
    history.write_bytes(b"first")

    def flush() -> None:
        history.write_bytes(b"all of it")

    server = LineServer(lambda: time.monotonic_ns() + ahead_ns, history, flush)
    deep = folder / ("deep" * 40)
    deep.mkdir()
    address = f"unix:{deep / 'line.sock'}"
    await server.listen(address)
    try:
        yield server, address
    finally:
        await server.close()
        assert not (deep / "line.sock").exists()


def test_a_clock_that_is_ahead_is_measured_within_its_bound(tmp_path: Path) -> None:
    """Through a real socket, whose path is longer than a socket's may be."""

    async def main() -> None:
        async with line(tmp_path) as (_, address):
            client = await LineClient.open(address)
            axis = Axis(client)
            await axis.begin()
            stamp = axis.now()
            await axis.look()
            placed = axis.place(stamp)
            assert placed is not None
            assert abs(placed.at_ns - (axis.own_ns(stamp) + AHEAD_NS)) <= placed.bound_ns
            record = axis.record("fault-1", LoadClock(identity="", zero_ns=-AHEAD_NS), [stamp])
            assert record.skew_ns is not None and record.bound_ns is not None
            assert abs(record.skew_ns) <= record.bound_ns
            assert record.sightings and not record.same
            await client.close()

    asyncio.run(main())


def test_a_clock_that_jumps_is_unknown(tmp_path: Path) -> None:
    async def main() -> None:
        jump = [0]
        server = LineServer(lambda: time.monotonic_ns() + jump[0], tmp_path, lambda: None)
        await server.listen(f"unix:{tmp_path}/l")
        client = await LineClient.open(f"unix:{tmp_path}/l")
        axis = Axis(client)
        await axis.begin()
        jump[0] = 3_600_000_000_000
        await axis.look()
        assert axis.place(axis.now()) is None
        await client.close()
        await server.close()

    asyncio.run(main())


def test_who_looks_for_the_time_for_ever_ends_when_cancelled(tmp_path: Path) -> None:
    """Also in the very moment in which an answer has come (seen in a walk: a step hung there)."""

    async def for_ever(client: LineClient) -> None:
        while True:
            await client.now()

    async def main() -> None:
        writers: list[asyncio.StreamWriter] = []

        async def silent(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writers.append(writer)

        server = await asyncio.start_unix_server(silent, tmp_path / "l")
        for turns in range(8):
            client = await LineClient.open(f"unix:{tmp_path}/l")
            looking = asyncio.create_task(for_ever(client))
            for _ in range(8):
                await asyncio.sleep(0)
            client._reader.feed_data(b"1\n")
            for _ in range(turns):
                await asyncio.sleep(0)
            looking.cancel()
            ended, _ = await asyncio.wait({looking}, timeout=2.0)
            assert ended, f"it goes on, cancelled {turns} turns of the loop after the answer"
            await client.close()
        for writer in writers:
            writer.close()
        server.close()

    asyncio.run(main())


def test_the_history_so_far_comes_over_the_line(tmp_path: Path) -> None:
    """What waits in memory is flushed first."""

    async def main() -> None:
        async with line(tmp_path) as (_, address):
            client = await LineClient.open(address)
            await client.history(tmp_path / "copy")
            assert (tmp_path / "copy").read_bytes() == b"all of it"
            await client.close()

    asyncio.run(main())


def test_a_line_over_tcp_is_as_good(tmp_path: Path, unused_port: int) -> None:
    async def main() -> None:
        server = LineServer(time.monotonic_ns, tmp_path, lambda: None)
        await server.listen(f"tcp:127.0.0.1:{unused_port}")
        client = await LineClient.open(f"tcp:127.0.0.1:{unused_port}")
        before = time.monotonic_ns()
        assert before <= await client.now() <= time.monotonic_ns()
        await server.close()
        with pytest.raises(Unavailable, match="line was"):
            await client.now()
        await client.close()
        with pytest.raises(Unavailable, match="does not answer"):
            await LineClient.open(f"tcp:127.0.0.1:{unused_port}")

    asyncio.run(main())


@pytest.mark.parametrize("kind", ["in one process", "on the board"])
def test_two_faults_of_a_touch_never_hold_one_victim(kind: str) -> None:
    """Ten faults that want one node at once: one gets it, then the next; others go on beside."""

    async def main() -> None:
        board = MemoryBoard()
        shared = InProcess()

        def company() -> Company:
            return shared if kind == "in one process" else BoardCompany(board)

        holding: list[str] = []

        async def want(name: str) -> None:
            mine = company()
            while not await mine.join(name, Acting("kill", "process", ("n1",))):
                await mine.change()
            holding.append(name)
            assert len(holding) == 1
            await asyncio.sleep(0)
            holding.remove(name)
            await mine.leave(name)

        beside = company()
        assert await beside.join("other", Acting("partition", "network", ("n1",)))
        await asyncio.gather(*(want(f"fault-{n}") for n in range(5)))
        assert list(await beside.acting()) == ["other"]
        assert await beside.begun() == 6
        await beside.leave("other")
        await beside.leave("other")
        assert not await beside.acting()

    asyncio.run(main())


def test_a_step_begins_once() -> None:
    """A retry in a fresh folder finds its notice on the board."""

    async def main() -> None:
        board = MemoryBoard()
        await notices.begin_once(board, "fault-1", StepNotice(state="ready"))
        with pytest.raises(CannotCreate, match="fault-1 has begun before"):
            await notices.begin_once(board, "fault-1", StepNotice(state="ready"))

    asyncio.run(main())


def test_waiting_for_a_notice_has_a_bound() -> None:
    async def main() -> None:
        board = MemoryBoard()
        with pytest.raises(Unavailable, match="no word of heal within"):
            await notices.wait_for(board, notices.HEAL, HealNotice, 0.05)
        await notices.post(board, notices.HEAL, HealNotice(leaks=0))
        assert (await notices.wait_for(board, notices.HEAL, HealNotice, 1)).leaks == 0

    asyncio.run(main())


def test_a_board_refuses_what_was_written_over() -> None:
    async def main() -> None:
        board = MemoryBoard()
        new = ActingNotice(begun=1).model_dump(mode="json")
        assert await board.post("acting", new, version=0)
        assert not await board.post("acting", new, version=0)
        assert await board.post("acting", new, version=1)
        found = await board.read("acting")
        assert found is not None and found.version == 2

    asyncio.run(main())

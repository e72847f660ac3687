"""A protocol called over a real socket: what goes through, what does not, and who is gone."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

import pytest

from seatrial.engine.lab.calls import Channel, Server, members
from seatrial.engine.lab.hold import Hold
from seatrial.engine.site import Board, Notice
from seatrial.errors import SeatrialError, Unavailable, UsageError
from seatrial.fault import World


@dataclass(frozen=True)
class Size:
    """Something that is more than a scalar."""

    wide: int
    high: float


class Thing(Protocol):
    """What is called."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names."""
        ...

    def half(self, number: int) -> int | None:
        """At once."""
        ...

    async def grow(self, size: Size, *, by: float = 1.0) -> Size:
        """After a while."""
        ...

    async def fail(self, how: str) -> None:
        """Raise."""
        ...

    async def links(self, cut: Mapping[tuple[str, str], Size]) -> Mapping[tuple[str, str], Size]:
        """A mapping whose keys are pairs."""
        ...

    async def count(self) -> Mapping[str, int]:
        """A mapping."""
        ...


class RealThing:
    """The other side."""

    names = ("a", "b")

    def half(self, number: int) -> int | None:
        return None if number % 2 else number // 2

    async def grow(self, size: Size, *, by: float = 1.0) -> Size:
        await asyncio.sleep(0)
        return Size(round(size.wide * by), size.high * by)

    async def links(self, cut: Mapping[tuple[str, str], Size]) -> Mapping[tuple[str, str], Size]:
        return {(there, here): size for (here, there), size in cut.items()}

    async def fail(self, how: str) -> None:
        if how == "ours":
            raise UsageError("wrong number\n\nhint: another")
        if how == "the system's":
            raise TimeoutError("too slow")
        raise ZeroDivisionError("a defect")

    async def count(self) -> Mapping[str, int]:
        return {"a": 1}


@asynccontextmanager
async def called(folder: Path) -> AsyncIterator[tuple[Thing, Server, Channel]]:
    """A thing behind a socket."""
    path = str(folder / "socket")
    server = Server({"thing": (Thing, RealThing())})
    listening = await asyncio.start_unix_server(server.serve, path)
    channel = await Channel.open(path)
    try:
        yield cast(Thing, channel.to("thing", Thing)), server, channel
    finally:
        await channel.close()
        listening.close()
        await server.end()


def test_what_a_protocol_declares_can_be_called(tmp_path: Path) -> None:
    async def main() -> None:
        async with called(tmp_path) as (thing, server, _):
            # A call made at once stands still; here both sides share one loop, so it has a thread.
            assert await asyncio.to_thread(lambda: thing.names) == ("a", "b")
            assert await asyncio.to_thread(thing.half, 8) == 4
            assert await asyncio.to_thread(thing.half, 7) is None
            assert await thing.grow(Size(2, 1.5), by=2.0) == Size(4, 3.0)
            assert await thing.grow(Size(2, 1.5)) == Size(2, 1.5)
            assert await thing.count() == {"a": 1}
            assert await thing.links({("a", "b"): Size(1, 2.0)}) == {("b", "a"): Size(1, 2.0)}
            assert server.clients == 2

    asyncio.run(main())


@pytest.mark.parametrize(
    ("how", "kind", "text"),
    [
        ("ours", UsageError, "wrong number"),
        ("the system's", OSError, "too slow"),
        ("defect", SeatrialError, "ZeroDivisionError: a defect"),
    ],
)
def test_errors_come_back_as_what_they_are(
    tmp_path: Path, how: str, kind: type[Exception], text: str
) -> None:
    async def main() -> None:
        async with called(tmp_path) as (thing, _, _):
            with pytest.raises(kind, match=text):
                await thing.fail(how)

    asyncio.run(main())


def test_many_calls_are_under_way_at_once(tmp_path: Path) -> None:
    """More than a connection may have: the rest waits its turn, and each gets its own answer."""

    async def main() -> None:
        async with called(tmp_path) as (thing, _, _):
            grown = await asyncio.gather(*(thing.grow(Size(n, 0.0)) for n in range(200)))
            assert [one.wide for one in grown] == list(range(200))

    asyncio.run(main())


def test_calls_fail_when_the_other_side_is_gone(tmp_path: Path) -> None:
    async def main() -> None:
        async with called(tmp_path) as (thing, server, _):
            assert await asyncio.to_thread(thing.half, 2) == 1
            assert await thing.count() == {"a": 1}
            await server.end()
            with pytest.raises(Unavailable, match="is gone"):
                await thing.count()
            with pytest.raises(Unavailable, match="is gone"):
                thing.half(2)

    asyncio.run(main())


def test_nonsense_ends_one_connection_and_no_other(tmp_path: Path) -> None:
    async def main() -> None:
        async with called(tmp_path) as (thing, _, _):
            reader, writer = await asyncio.open_unix_connection(str(tmp_path / "socket"))
            writer.write(b"not json\n")
            assert b'"error"' in await reader.readline()
            writer.write(b"x" * (1 << 18))  # a line without end: the connection is ended
            with contextlib.suppress(ConnectionError):
                assert await reader.read() == b""
            writer.close()
            assert await thing.count() == {"a": 1}

    asyncio.run(main())


@pytest.mark.parametrize("protocol", [World, Board, Hold])
def test_what_the_lab_offers_can_go_through_a_socket(protocol: type) -> None:
    """Every method has annotations that can be checked; one that cannot fails here, not in use."""
    assert members(protocol)
    assert Notice(version=1, document={"a": [1, None]}).document == {"a": [1, None]}
